"""A short run of the fuzzer, and faults planted to see that it would have found them."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the fuzzer reads memory and descriptors from Linux's /proc", allow_module_level=True)

from tests.fuzz.campaign import Campaign, leaks, shape
from tests.fuzz.harness import Worker
from tests.fuzz.worker import Bounds

PLANTED = "tests.fuzz.planted:"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker whose target has the fault that the entry names; it is given 1 s and 64 MiB an input."""
    bounds = Bounds(seconds=1.0, memory_bytes=64 * 2**20)
    with Worker(PLANTED + "by_entry", tmp_path_factory.mktemp("planted"), bounds) as started:
        yield started


@pytest.mark.parametrize(
    ("entry", "outcome", "message"),
    [
        ("segfault", "crash", "SIGSEGV"),
        ("exit", "crash", "exit status 3"),
        ("hang", "hang", "no answer within 1 s"),
        ("surprise", "untyped", "ZeroDivisionError: no GenreError"),
        ("assertion", "wrong", "a wrong answer"),
        ("hunger", "memory", "MiB"),
    ],
)
def test_a_planted_fault_is_named_and_the_next_input_runs(
    worker: Worker, tmp_path: Path, entry: str, outcome: str, message: str
) -> None:
    reply = worker.run(tmp_path / "input", entry)
    assert reply.outcome == outcome
    assert message in reply.message
    assert worker.run(tmp_path / "input", "nothing").outcome == "fine"


def test_a_crash_leaves_the_stack_of_the_process(worker: Worker, tmp_path: Path) -> None:
    assert "_segfault" in worker.run(tmp_path / "input", "segfault").message


def test_crashes_are_attributed_to_their_inputs_and_the_run_goes_on(tmp_path: Path) -> None:
    summary = Campaign(tmp_path, 0, factory=PLANTED + "fragile").run(60)
    assert summary.n_inputs == 60
    assert set(summary.outcomes) == {"fine", "crash"}
    assert summary.n_worker_starts == summary.outcomes["crash"] + 1
    inputs = sorted((tmp_path / "failures").glob("*.input*"))
    assert 1 <= len(inputs) <= summary.outcomes["crash"]
    for path in inputs:
        facts = json.loads(path.with_name(f"{path.name.partition('.')[0]}.json").read_text(encoding="utf-8"))
        assert zlib.crc32(path.read_bytes()) % 30 == 0
        assert facts["message"].startswith("SIGABRT")
        assert (facts["seed"], path.name.partition(".")[0]) == (0, f"crash-{facts['index']}")


def test_a_planted_leak_is_found(tmp_path: Path) -> None:
    found = leaks(Campaign(tmp_path, 0, factory=PLANTED + "leaky").run(300))
    assert len(found) == 2
    assert "resident memory" in found[0]
    assert "descriptors" in found[1]


def test_messages_alike_have_one_shape() -> None:
    assert shape("it begins with b'\\x00a\"', at 0x7f") == shape("it begins with b'RIFF', at 0x11\nmore")
    assert shape("cannot be read") != shape("cannot be opened")


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files_give_typed_errors_or_answers(tmp_path: Path, seed: int) -> None:
    """A short run; a long one is `python -m tests.fuzz`."""
    summary = Campaign(tmp_path, seed).run(200)
    assert summary.n_inputs == 200
    assert not summary.failures, (tmp_path, summary.failures)
    assert not leaks(summary)
    assert summary.n_kept > 10, "nothing new was ever reached: the guidance does not work"
    assert {"prediction", "samples", "unreadable_audio", "empty_audio"} <= set(summary.outcomes)
    assert {"graph", "sidecar"} & set(summary.by_entry)
