"""The benchmark works: every measure yields figures. How large they are is no test's business."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genre_runtime import GenreError
from tests.benchmarks import __main__ as command
from tests.benchmarks import devices, table
from tests.benchmarks.bench import MODEL, QUICK, ROOT, Bench, all_classified
from tests.benchmarks.figures import BenchmarkError, Figure, Target, alternate, figure
from tests.benchmarks.material import Material
from tests.benchmarks.measures import MEASURES
from tests.benchmarks.processes import run

DOCUMENTED = {
    "": {"schema_version", "date", "quick", "machine", "plan", "interrupted", "failed", "figures"},
    "machine": {"cpu", "cores", "cores_available", "system", "load_average", "versions"},
    "figure": {"measure", "name", "value", "low", "high", "unit", "n", "target", "met"},
}
BEGIN, END = table.markers(table.NAME)
FIGURES = [
    figure("speed", "ours / theirs", [14.0, 20.0, 16.0], "ratio", Target(15, at_most=False)),
    figure("speed", "ours", [0.0321], "s", Target(0.01)),
    figure("share", "front end", [0.25, 0.5], "share"),
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(QUICK, 1, tmp_path)


@pytest.mark.skipif(not MODEL.with_suffix(".pt").is_file() or not MODEL.is_file(), reason=f"no model at {MODEL}")
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    options = ("--quick", "--output", str(tmp_path / "out"), "--material", str(tmp_path / "sounds"))
    run = subprocess.run([sys.executable, "-m", "tests.benchmarks", *options], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    results: dict[str, Any] = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert set(results) == DOCUMENTED[""]
    assert set(results["machine"]) == DOCUMENTED["machine"]
    assert (results["quick"], results["interrupted"], results["failed"]) == (True, False, {})
    assert [*dict.fromkeys(one["measure"] for one in results["figures"])] == list(MEASURES)
    for one in results["figures"]:
        assert set(one) == DOCUMENTED["figure"]
        for key in ("value", "low", "high"):
            assert math.isfinite(one[key]), one
        assert one["value"] > 0, one
        assert one["low"] <= one["value"] <= one["high"], one
        assert one["name"] in run.stdout
        assert one["name"] in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_the_readme_explains_every_measure_and_key() -> None:
    text = table.README.read_text(encoding="utf-8")
    for word in (*MEASURES, *set().union(*DOCUMENTED.values())):
        assert word in text, word


def test_sides_run_in_turn_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    seconds = alternate("turns", {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert "".join(calls) == "abababab"
    assert seconds["a"].shape == seconds["b"].shape == (3,)


def test_a_figure_is_the_median_and_knows_its_target() -> None:
    assert (FIGURES[0].value, FIGURES[0].low, FIGURES[0].high, FIGURES[0].n) == (16, 14, 20, 3)
    assert [one.met for one in FIGURES] == [True, False, None]


def test_the_table_has_three_digits_and_names_a_measure_once() -> None:
    assert table.rows(FIGURES) == [
        ("speed", "ours / theirs", "16.0", "14.0 to 20.0", "3", "at least 15.0", "yes"),
        ("", "ours", "0.0321 s", "", "1", "at most 0.0100 s", "no"),
        ("share", "front end", "38%", "25% to 50%", "2", "", ""),
    ]
    assert table.in_words(1234.5, "tracks/s") == "1234 tracks/s"


def test_the_documents_table_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "speed.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    machine = {"cpu": "A", "cores": 2, "cores_available": 4, "system": "B", "versions": {"python": "3"}}
    for _ in range(2):
        table.write_readme(table.markdown(FIGURES, "2000-01-01", machine), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n\n2000-01-01, A, 2 of 4 cores, B. python 3.\n\n| measure |")
    assert text.endswith(f"|\n\n{END}\nafter\n")
    assert "old" not in text


def test_a_document_without_markers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "speed.md"
    path.write_text(f"{END} {BEGIN}", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="lacks the markers"):
        table.write_readme("new", path)
    assert path.read_text(encoding="utf-8") == f"{END} {BEGIN}"


def test_a_file_that_fails_fails_the_measure(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(GenreError, match="no file at"):
        all_classified(bench.classifier.classify_files([tmp_path / "absent.mp3"]))


def test_a_child_that_fails_is_told_in_one_line() -> None:
    with pytest.raises(BenchmarkError, match=r"failed: it is too late$"):
        run((sys.executable, "-c", "raise SystemExit('early\\nit is too late')"))


def test_a_child_gets_its_input_and_a_clock() -> None:
    echo = "import sys, time; time.sleep(0.7); print(sys.stdin.read())"
    assert run((sys.executable, "-c", echo), "text", "waiting") == "text\n"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, BenchmarkError])
def test_what_was_measured_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch, ending: type[BaseException]) -> None:
    def end(_: Bench) -> list[Figure]:
        raise ending("reason")

    for name in list(MEASURES):
        monkeypatch.delitem(MEASURES, name)
    for name, measure in {"speed": lambda _: FIGURES[:2], "end": end, "share": lambda _: FIGURES[2:]}.items():
        monkeypatch.setitem(MEASURES, name, measure)
    interrupted = ending is KeyboardInterrupt
    failed = {} if interrupted else {"end": "reason"}
    assert command._measure(bench, None) == (FIGURES[:2] if interrupted else FIGURES, failed, interrupted)


@pytest.mark.parametrize("option", ["--quick", "--only=jobs"])
def test_only_a_whole_run_writes_the_document(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "pin", lambda cores: None)
    with pytest.raises(SystemExit, match="2"):
        command.main(["--write-docs", option])


def test_sounds_are_the_same_each_time_and_made_once(tmp_path: Path) -> None:
    first, second = (Material(tmp_path / name).tracks(4, 2, 2) for name in ("a", "b"))
    contents = [path.read_bytes() for path in first]
    assert contents == [path.read_bytes() for path in second]
    assert len(set(contents)) == 2
    unequal = Material(tmp_path / "a").unequal_tracks(4, 2, 2)
    assert [path.read_bytes()[:-128] for path in unequal] == contents
    assert len({path.read_bytes() for path in unequal}) == 4
    assert sorted(unequal[0].parent.iterdir()) == unequal
    first[0].write_bytes(b"kept")
    assert Material(tmp_path / "a").tracks(4, 2, 2)[0].read_bytes() == b"kept"


def test_a_table_has_a_column_a_device(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["devices", "--quick", "--devices", "cpu", "--model", str(model_path)])
    assert devices.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == ["| | cpu |", "|---|---|"]
    assert len(lines) == 4 + len(devices.BATCHES) + 2 + 2
    assert all(float(line.split("|")[2]) > 0 for line in lines[4:])
