"""The load test works. How large its figures are is no test's business."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import pytest

from tests.benchmarks import api, api_table, table
from tests.benchmarks.api_load import LEVELS, Level
from tests.benchmarks.api_soak import Sample, Soak
from tests.benchmarks.api_wrk import Load, load_of, start_wrk
from tests.benchmarks.bench import MODEL
from tests.benchmarks.figures import BenchmarkError, Target, figure
from tests.benchmarks.table import markers

LOAD = Load(10.0, 0.02, 1.5, {"200": 300, "415": 2, "503": 50}, broken=1, timed_out=0)
MACHINE = {
    "cpu": "A",
    "cores": 2,
    "cores_available": 4,
    "system": "B",
    "versions": {"python": "3"},
    "load_average": 3.0,
}

NEEDS_WRK = pytest.mark.skipif(
    shutil.which("wrk") is None or sys.platform != "linux" or not MODEL.is_file(),
    reason="needs Linux, the load generator wrk and the shipped model",
)


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process keeps its cores for the tests that follow."""
    monkeypatch.setattr(api, "pin", lambda cores: None)


@NEEDS_WRK
def test_a_quick_load_measures_everything(tmp_path: Path, unpinned: None, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ("--output", str(tmp_path / "out"), "--material", str(tmp_path / "sounds"))
    assert api.main(["load", "--quick", *folders]) == 0
    results = json.loads((tmp_path / "out" / "api_load.json").read_text())
    assert [level["connections"] for level in results["levels"]] == [*LEVELS, LEVELS[-1]]
    for level in results["levels"]:
        load = level["load"]
        assert set(load["statuses"]) <= {"200", "503"}
        assert load["statuses"]
        assert 0 < load["p50"] <= load["p99"]
        if "200" in load["statuses"]:  # a busy machine may answer none of 256 in a second
            assert 0 < level["accepted_p50"] <= level["accepted_p99"]
        assert level["peak_mb"] > 50
    assert all(math.isfinite(one["value"]) and one["value"] > 0 for one in results["compared"])
    assert "| 256, without waiting |" in capsys.readouterr().out


@NEEDS_WRK
def test_a_short_soak_watches_the_process(tmp_path: Path, unpinned: None, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ("--output", str(tmp_path / "out"), "--material", str(tmp_path / "sounds"))
    assert api.main(["soak", "--quick", "--minutes", "0.1", *folders]) == 0
    results = json.loads((tmp_path / "out" / "api_soak.json").read_text())["soak"]
    assert results["samples"][0]["resident_mb"] > 50
    assert results["load"]["statuses"]["200"] > 0
    assert results["n_pages"] > 0
    assert "temporary files" in capsys.readouterr().out


def test_without_wrk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    with pytest.raises(BenchmarkError, match="apt-get install wrk"):
        start_wrk("http://127.0.0.1:1", [], connections=1, seconds=1, patient=True)


@NEEDS_WRK
def test_a_failure_of_wrk_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="wrk failed: "):
        load_of(start_wrk("http://127.0.0.1:1", [tmp_path / "none"], connections=1, seconds=1, patient=True))


def test_refusals_and_errors_are_counted_apart() -> None:
    assert (LOAD.rate, LOAD.n_busy, LOAD.n_errors) == (30.0, 50, 3)


def test_the_tables_say_what_was_seen() -> None:
    compared = [figure("share", "clips", [0.9, 0.8, 0.95], "share", Target(0.85, at_most=False))]
    levels = [Level(8, True, LOAD, 0.03, 2.0, 200.4)]
    text = api_table.load_table({"levels": levels, "compared": compared}, MACHINE)
    assert "Other work ran on the machine, load average 3.0 at the start." in text
    assert "| 8 | 30.0 | 5.0 | 3 | 20 ms, 1.50 s | 30 ms, 2.00 s | 200 MB |" in text
    assert "| clips | 90% | 80% to 95% | at least 85% | yes |" in text
    samples = [Sample(60.0 * minute, 200 + minute / 60, 9, 15, 0) for minute in range(31)]
    soaked = Soak(samples, LOAD, 7)
    assert soaked.drift_mb_per_hour == pytest.approx(1)
    text = api_table.soak_table({"soak": soaked}, {**MACHINE, "load_average": 0.1})
    assert "Other work" not in text
    assert "300 of status 200, 2 of status 415" in text
    assert "| 30.0 | 200.5 MB | 9 | 15 | 0 |" in text


def test_the_document_has_a_place_for_both_tables() -> None:
    text = table.DOCUMENT.read_text(encoding="utf-8")
    for name in ("load", "soak"):
        begin, end = markers(name)
        assert text.count(begin) == text.count(end) == 1
        assert text.index(begin) < text.index(end)
