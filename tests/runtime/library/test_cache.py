"""Files with a stored answer are not analysed again, and no other files are taken for them."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_runtime import GenreClassifier, GenreError, Prediction
from genre_runtime.errors import StateError, UnreadableAudioError
from genre_runtime.library import analysis, cache
from genre_runtime.library import cache as state_module
from genre_runtime.library.analysis import Library, plan_of
from genre_runtime.library.cache import LibraryState, content_digest
from genre_runtime.prediction import FileResult
from tests.synthetic import noise, tone, write_audio, write_model


class Listener:
    """A classifier that counts what it is given."""

    def __init__(self, classifier: GenreClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
        self.analysed: list[str] = []
        listen = classifier.analyse_or_error

        def counted(path: Path, **rest: Any) -> Prediction | GenreError:
            self.analysed.append(path.name)
            return listen(path, **rest)

        monkeypatch.setattr(classifier, "analyse_or_error", counted)
        self.classifier = classifier


@pytest.fixture
def listener(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listener:
    return Listener(GenreClassifier.load(model_path, device="cpu"), monkeypatch)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    write_audio(folder / "tone.wav", tone(2))
    write_audio(folder / "noise.flac", noise(2))
    (folder / "text.mp3").write_text("no music")
    return folder


def classify(listener: Listener, folder: Path, state_path: Path, jobs: int = 2) -> list[FileResult]:
    listener.analysed.clear()
    state = LibraryState(state_path, plan_of(listener.classifier, None))
    try:
        paths = sorted(path for path in folder.rglob("*.*") if path.is_file())
        return list(Library(listener.classifier, state=state).classify(paths, jobs))
    finally:
        state.close()


def said(outcomes: list[FileResult]) -> list[tuple[Path, Any]]:
    """What an outcome says of its file, whether known or not."""
    return [
        (
            Path(one.path),
            one.outcome.to_dict() if isinstance(one.outcome, Prediction) else (one.outcome.code, str(one.outcome)),
        )
        for one in outcomes
    ]


def test_a_second_run_analyses_nothing_and_gives_the_same(listener: Listener, library: Path, tmp_path: Path) -> None:
    first = classify(listener, library, tmp_path / "state")
    assert sorted(listener.analysed) == ["noise.flac", "text.mp3", "tone.wav"]
    second = classify(listener, library, tmp_path / "state")
    assert listener.analysed == []
    assert said(first) == said(second)
    assert [one.known for one in second] == [True] * 3
    predictions = [
        (a.outcome, b.outcome) for a, b in zip(first, second, strict=True) if isinstance(a.outcome, Prediction)
    ]
    for a, b in predictions:
        assert isinstance(b, Prediction)
        assert a.embedding is not None
        assert b.embedding == pytest.approx(a.embedding, rel=1e-3)


def test_new_changed_moved_touched_and_copied_files(listener: Listener, library: Path, tmp_path: Path) -> None:
    classify(listener, library, tmp_path / "state")
    write_audio(library / "new.wav", tone(3))
    write_audio(library / "tone.wav", 0.001 * noise(2))  # of the same size as before
    (library / "noise.flac").rename(library / "moved.flac")
    os.utime(library / "text.mp3", (1, 1))
    shutil.copy(library / "moved.flac", library / "z copy.flac")
    outcomes = {Path(one.path).name: one for one in classify(listener, library, tmp_path / "state", jobs=1)}
    assert sorted(listener.analysed) == ["new.wav", "tone.wav"]
    assert {name for name, one in outcomes.items() if one.known} == {"moved.flac", "text.mp3", "z copy.flac"}
    assert outcomes["z copy.flac"].same_as == library / "moved.flac"
    assert isinstance(outcomes["tone.wav"].outcome, Prediction)
    assert outcomes["tone.wav"].outcome.label == "quiet"
    assert isinstance(outcomes["moved.flac"].outcome, Prediction)
    assert outcomes["moved.flac"].outcome.path == library / "moved.flac"


def test_an_answer_is_not_kept_for_the_bytes_that_were_there_before(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced after its bytes were read for the digest and before it is classified."""
    music = tmp_path / "music"
    music.mkdir()
    path, kept = write_audio(music / "song.wav", tone(2)), tmp_path / "kept.wav"
    shutil.copy(path, kept)
    counted = listener.classifier.analyse_or_error

    def replaced(changed: Path, **rest: Any) -> Prediction | GenreError:
        write_audio(changed, 0.001 * noise(3))
        return counted(changed, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(listener.classifier, "analyse_or_error", replaced)
        (changed,) = classify(listener, music, tmp_path / "state")
    assert isinstance(changed.outcome, Prediction)
    assert changed.outcome.label == "quiet"
    shutil.copy(kept, path)
    (found,) = classify(listener, music, tmp_path / "state")
    assert isinstance(found.outcome, Prediction)
    assert (found.outcome.label, found.known) == ("tone", False)


def test_a_file_of_the_same_size_and_another_time_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(b"a song")
    with closing(LibraryState(tmp_path / "state", "plan")) as state:
        state.remember(path, path.stat(), content_digest(path))
        assert state.find(path, path.stat()) == content_digest(path)
        stamp = path.stat()
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000))
        assert state.find(path, path.stat()) is None
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert state.find(path, path.stat()) is not None
        path.write_bytes(b"a longer song")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert state.find(path, path.stat()) is None


def test_threads_that_ask_at_once_get_their_own_answers(tmp_path: Path) -> None:
    with closing(LibraryState(tmp_path / "state", "plan")) as state:
        digests = [bytes([i]) * 32 for i in range(8)]
        for digest in digests:
            state.store(digest, UnreadableAudioError(digest.hex()))

        def asked(digest: bytes) -> list[str]:
            return [str(state.answer(digest)) for _ in range(400)]

        with ThreadPoolExecutor(len(digests)) as pool:
            for digest, answers in zip(digests, pool.map(asked, digests), strict=True):
                assert set(answers) == {digest.hex()}


def test_equal_files_at_the_same_time_are_analysed_once(listener: Listener, library: Path, tmp_path: Path) -> None:
    for i in range(12):
        shutil.copy(library / "noise.flac", library / f"copy{i}.flac")
    outcomes = classify(listener, library, tmp_path / "state", jobs=6)
    assert len(listener.analysed) == 3
    assert sum(one.same_as is not None for one in outcomes) == 12


def test_without_a_state_files_of_one_size_are_read_only_if_their_ends_are_alike(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    middle = write_audio(music / "middle.wav", np.concatenate([tone(1), noise(1), tone(1)]))
    write_audio(music / "first.wav", np.concatenate([noise(1), noise(1), tone(1)]))
    write_audio(music / "last.wav", np.concatenate([tone(1), noise(1), noise(1)]))
    write_audio(music / "other middle.wav", np.concatenate([tone(1), noise(1, seed=1), tone(1)]))
    shutil.copy(middle, music / "z copy.wav")
    assert len({path.stat().st_size for path in music.iterdir()}) == 1
    read: list[str] = []

    def counted(path: Path) -> bytes:
        read.append(path.name)
        return content_digest(path)

    monkeypatch.setattr(state_module, "content_digest", counted)
    outcomes = {
        Path(one.path).name: one for one in Library(listener.classifier).classify(sorted(music.iterdir()), jobs=1)
    }
    assert sorted(read) == ["middle.wav", "other middle.wav", "z copy.wav"]
    assert {name for name, one in outcomes.items() if one.same_as} == {"z copy.wav"}
    assert outcomes["z copy.wav"].same_as == middle


def test_another_model_or_plan_analyses_again(
    listener: Listener, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify(listener, library, tmp_path / "state")
    (tmp_path / "other").mkdir()
    other = Listener(GenreClassifier.load(write_model(tmp_path / "other", threshold=0.9), device="cpu"), monkeypatch)
    classify(other, library, tmp_path / "state")
    assert len(other.analysed) == 3
    assert plan_of(listener.classifier, "all") != plan_of(listener.classifier, 3) == plan_of(listener.classifier, None)
    classify(listener, library, tmp_path / "state")
    assert listener.analysed == [], "the answers of both models are kept"


def test_another_decoder_or_threshold_is_another_plan(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = GenreClassifier.load(write_model(tmp_path / "other", threshold=0.9), device="cpu")
    plans = {plan_of(listener.classifier, 3), plan_of(other, 3)}
    monkeypatch.setattr(analysis, "DECODER_VERSION", 1000)
    assert len(plans | {plan_of(listener.classifier, 3)}) == 3


def test_what_may_go_away_is_tried_again(listener: Listener, library: Path, tmp_path: Path) -> None:
    (library / "folder.wav").mkdir()
    (library / "none.wav").symlink_to(tmp_path / "nowhere")
    (library / "empty.wav").touch()
    paths = [library / name for name in ("folder.wav", "none.wav", "empty.wav")]
    for _ in range(2):
        listener.analysed.clear()
        state = LibraryState(tmp_path / "state", "plan")
        codes = [
            one.outcome.code
            for one in Library(listener.classifier, state=state).classify(paths)
            if isinstance(one.outcome, GenreError)
        ]
        state.close()
        assert codes == ["unreadable_audio", "not_found", "empty_audio"]
        assert len(listener.analysed) == 3


@pytest.mark.parametrize(
    "content", [b"no database, but long enough to be looked at as one" * 100, b"SQLite format 3\0"]
)
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"is not a state file|is damaged"):
        LibraryState(path, "plan")
    assert path.read_bytes() == content


@pytest.mark.parametrize("answer", [b"", b"rubbish", zlib.compress(b"[]"), zlib.compress(b"{}")])
def test_a_damaged_answer_is_none(listener: Listener, library: Path, tmp_path: Path, answer: bytes) -> None:
    first = classify(listener, library, tmp_path / "state")
    with closing(sqlite3.connect(tmp_path / "state")) as database, database:
        database.execute("UPDATE answers SET answer = ?", [answer])
    assert said(classify(listener, library, tmp_path / "state")) == said(first)
    assert len(listener.analysed) == 3
    assert said(classify(listener, library, tmp_path / "state")) == said(first)
    assert listener.analysed == []


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "photos.db")) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    before = (tmp_path / "photos.db").read_bytes()
    with pytest.raises(StateError, match="another program's database"):
        LibraryState(tmp_path / "photos.db", "plan")
    assert (tmp_path / "photos.db").read_bytes() == before
    with pytest.raises(StateError, match="cannot be used"):
        LibraryState(tmp_path / "no such folder" / "state", "plan")


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    yield from process.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_runs_killed_at_any_point_lose_nothing_and_do_nothing_twice(model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    for i in range(40):
        write_audio(folder / f"{i:02}.wav", tone(1, frequency=200 + 10 * i))
    program = "import sys; from genre_runtime.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["classify", str(folder), "--format", "jsonl", "--model", str(model_path), "--jobs", "2"]
    command = [sys.executable, "-c", program, *words, "--state", str(tmp_path / "state")]
    rng = random.Random(0)
    printed = 0
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        wanted = rng.randint(1, 12) + printed
        for n, _ in enumerate(lines(process), start=1):
            if n == wanted:
                break
        time.sleep(rng.random() / 50)
        process.send_signal(signal.SIGKILL)
        process.wait()
        printed = wanted
        with closing(sqlite3.connect(tmp_path / "state")) as database:
            stored = database.execute("SELECT count(*) FROM answers").fetchone()[0]
        assert stored >= min(printed, 40), "what was printed is stored"
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 40
    plain = subprocess.run([*command[:-2]], capture_output=True, text=True, check=True)
    assert result.stdout == plain.stdout
    with closing(sqlite3.connect(tmp_path / "state")) as database:
        assert database.execute("SELECT count(*), count(DISTINCT digest) FROM files").fetchone() == (40, 40)


def refused() -> GenreError:
    """Return what a reader makes of the system's refusal."""
    error = UnreadableAudioError("the file cannot be opened: Too many open files")
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    return error


@pytest.mark.parametrize("surprise", [MemoryError(), OSError(errno.EMFILE, "Too many open files"), refused()])
def test_a_surprise_is_not_remembered(
    listener: Listener, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surprise: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise surprise

    with monkeypatch.context() as patched:
        patched.setattr(listener.classifier, "_analyse", fail)
        first = classify(listener, library, tmp_path / "state")
    assert {one.outcome.code for one in first if isinstance(one.outcome, GenreError)} == {"unreadable_audio"}
    second = classify(listener, library, tmp_path / "state")
    assert len(listener.analysed) == 3
    assert sum(isinstance(one.outcome, Prediction) for one in second) == 2


def test_another_version_tries_again_what_could_not_be_read(
    listener: Listener, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = classify(listener, library, tmp_path / "state")
    monkeypatch.setattr(cache, "__version__", "1000.0")
    assert said(classify(listener, library, tmp_path / "state")) == said(first)
    assert listener.analysed == ["text.mp3"]
    classify(listener, library, tmp_path / "state")
    assert listener.analysed == []


OPENING = """
import sys
from pathlib import Path
from genre_runtime.library.cache import LibraryState

folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for i in range(100):
    LibraryState(folder / str(i), "plan").close()
"""


def test_runs_that_create_the_file_at_the_same_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENING, str(tmp_path)]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert next(lines(process)) == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [""] * 4
    assert [process.returncode for process in processes] == [0] * 4
