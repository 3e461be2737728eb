"""One classifier in many threads, in a forked process, and in a command that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from genre_runtime import GenreClassifier, Prediction
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import RATE, noise, tone, write_audio

N_THREADS, N_CALLS = 16, 96


def test_many_threads_get_the_answers_that_one_gets(classifier: GenreClassifier, tmp_path: Path) -> None:
    """Files, samples and spectrograms of different lengths, all at once: each thread gets its own results."""
    paths = [write_audio(tmp_path / f"{i}.flac", noise(1 + i, seed=i) * (1 + i)) for i in range(6)]
    log_mel = -80 * noise(1)[: 128 * 20].reshape(128, 20)
    calls: list[Callable[[], Prediction]] = [
        *(partial(classifier.classify_file, path) for path in paths),
        *(partial(classifier.classify_file, path, excerpts="all") for path in paths),
        *(partial(classifier.classify_file, path.read_bytes()) for path in paths),
        partial(classifier.classify, tone(12), RATE),
        partial(classifier.classify_log_mel, log_mel),
    ]
    expected = [call().probabilities for call in calls]
    order = [i % len(calls) for i in range(N_CALLS)]
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(lambda i: calls[i](), order))
    for i, prediction in zip(order, found, strict=True):
        assert prediction.probabilities == expected[i]


FORKED = """
import os, signal, sys
from genre_runtime import GenreClassifier
classifier = GenreClassifier.load(sys.argv[1], device="cpu", threads=int(sys.argv[3]))
expected = classifier.classify_file(sys.argv[2]).probabilities
child = os.fork()
signal.alarm(60)  # one that waits for threads that were not forked would wait for ever
same = classifier.classify_file(sys.argv[2]).probabilities == expected
if not child:
    os._exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not same)
"""


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="no safe fork here")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_classifier_works_in_a_forked_process(model_path: Path, tmp_path: Path, threads: int) -> None:
    """As servers do that load a model and then fork."""
    path = write_audio(tmp_path / "tone.wav", tone(25))
    words = [sys.executable, "-W", "ignore", "-c", FORKED, str(model_path), str(path), str(threads)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_interrupted_in_the_middle_of_its_work(model_path: Path, tmp_path: Path, form: str) -> None:
    """Results written until then are complete, a JSON array is closed, and one line says what happened."""
    path, output = write_audio(tmp_path / "noise.flac", noise(60)), tmp_path / "results"
    # A shell starts what runs in its background deaf to this signal.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{hear}; import sys; from genre_runtime.cli import main; sys.exit(main())"
    named = ["--model", str(model_path), "--format", form, "--output", str(output), "--excerpts", "all"]
    words = [sys.executable, "-c", program, "classify", *named, *[str(path)] * 10_000]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (output.is_file() and output.stat().st_size > 10_000) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (130, "")
    assert [line for line in err.splitlines() if "interrupted" in line] == [
        "genre: interrupted; the results written so far are complete; with --state FILE, a run that is repeated goes "
        "on where it ended"
    ]
    assert "Traceback" not in err
    text = output.read_text(encoding="utf-8")
    results = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
    assert 0 < len(results) < 10_000
    assert {result["path"] for result in results} == {str(path)}
