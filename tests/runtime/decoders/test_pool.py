"""Decoding in processes: results and errors equal those of this process, and harmful files do not affect it."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_runtime import DecodeLimits, GenreClassifier
from genre_runtime.audio.decoding import stream_excerpts
from genre_runtime.audio.excerpts import ExcerptStream
from genre_runtime.decoders import pool as pool_module
from genre_runtime.decoders.pool import DecoderPool
from genre_runtime.errors import (
    AudioLimitError,
    DecoderUnavailableError,
    GenreError,
    InvalidInputError,
    UnexpectedFailureError,
    UnreadableAudioError,
)
from tests.patience import PATIENCE_SECONDS
from tests.runtime.decoders import odd_decoders
from tests.runtime.hostile_files import tone_in
from tests.synthetic import RATE, tone, write_audio

PLAN: dict[str, Any] = {"excerpt_seconds": 10.0, "n_excerpts": 3}
MEMORY = 100 * 2**20

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system of the others does not say so")
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture(scope="module", params=["polled", "threaded"])
def pool(request: pytest.FixtureRequest) -> Iterator[DecoderPool]:
    """A pool, and one that reads its pipes as on Windows."""
    with pytest.MonkeyPatch.context() as patch, DecoderPool(2) as started:
        if request.param == "threaded":
            patch.delattr("select.poll", raising=False)
        started.warm()
        patch.undo()
        yield started


@pytest.fixture
def odd() -> Iterator[DecoderPool]:
    """A pool whose decoders do what a file says."""
    with DecoderPool(2, max_memory_bytes=MEMORY, command=odd_decoders.command()) as started:
        yield started


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_audio(tmp_path / "song.wav", tone(35))


def result(stream: ExcerptStream) -> Any:
    """What a stream gives or raises, in a form that can be compared."""
    try:
        excerpts = [(excerpt.start_seconds, excerpt.waveform.tobytes()) for excerpt in stream]
        return excerpts, stream.length
    except GenreError as error:
        return type(error), str(error), vars(error)


def says(folder: Path, word: str) -> Path:
    path = folder / f"{word}.odd"
    path.write_bytes(f"{word} ".encode() + bytes(100))
    return path


def until(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds; returns whether it does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds


def ended(pid: int) -> bool:
    """Wait until a process is gone, or a zombie."""

    def is_over() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    return until(is_over)


@pytest.mark.parametrize("n_excerpts", [1, 3, None])
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac", ".opus", ".m4a", ".wma"])
def test_results_are_those_of_this_process(
    pool: DecoderPool, tmp_path: Path, suffix: str, n_excerpts: int | None
) -> None:
    path = tmp_path / f"song{suffix}"
    path.write_bytes(tone_in(suffix, tmp_path))
    plan: dict[str, Any] = {"excerpt_seconds": 0.7, "n_excerpts": n_excerpts}
    here = result(stream_excerpts(path, RATE, **plan))
    assert isinstance(here[0], list)
    assert result(pool.stream_excerpts(path, RATE, **plan)) == here


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xfb" + bytes(5000), b"wvpk" + bytes(999), b"OggS\0" * 99])
def test_errors_are_those_of_this_process(pool: DecoderPool, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    for source in (path, content, io.BytesIO(content)):
        here = result(stream_excerpts(source, RATE, **PLAN))
        assert issubclass(here[0], GenreError)
        assert result(pool.stream_excerpts(source, RATE, **PLAN)) == here


@pytest.mark.parametrize(
    "name", ["none.wav", "", ".", "a\0b.wav", "\ud800.wav", "x" * 5000, "x" * 100_000, "/dev/null", "/dev/fd/0"]
)
def test_names_of_no_file_have_the_errors_of_this_process(pool: DecoderPool, name: str) -> None:
    for source in (name, Path(name)):
        here = result(stream_excerpts(source, RATE, **PLAN))
        assert issubclass(here[0], GenreError)
        assert result(pool.stream_excerpts(source, RATE, **PLAN)) == here


def test_limits_hold(pool: DecoderPool, song: Path) -> None:
    for limits in (DecodeLimits(max_seconds=3), DecodeLimits(max_bytes=1000)):
        here = result(stream_excerpts(song, RATE, limits=limits, **PLAN))
        assert here[0] is AudioLimitError
        assert result(pool.stream_excerpts(song, RATE, limits=limits, **PLAN)) == here


@pytest.mark.parametrize("source", [3, None, io.StringIO("text")], ids=["number", "nothing", "text file"])
def test_invalid_source_is_rejected(pool: DecoderPool, source: Any) -> None:
    with pytest.raises(InvalidInputError):
        list(pool.stream_excerpts(source, RATE, **PLAN))


@pytest.mark.parametrize(
    "numbers", [{"n_processes": 0}, {"max_memory_bytes": 0}, {"timeout_seconds": float("nan")}, {"n_processes": 1.5}]
)
def test_numbers_out_of_range_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(numbers))):
        DecoderPool(**{"n_processes": 1, **numbers})


@linux
def test_names_that_are_not_text_are_found(pool: DecoderPool, song: Path) -> None:
    path = os.fsdecode(bytes(song.parent) + b"/\xff\xfe na\xc3\xafve\n:-x.wav")
    song.rename(path)
    assert result(pool.stream_excerpts(path, RATE, **PLAN))[1].duration_seconds == 35


def test_relative_names_are_those_of_the_caller(pool: DecoderPool, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.check()
    monkeypatch.chdir(song.parent)
    assert result(pool.stream_excerpts("song.wav", RATE, **PLAN))[1].duration_seconds == 35


def _spooled(content: bytes) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=10**9)  # noqa: SIM115
    file.write(content)
    return file


def test_file_in_memory_is_not_moved_to_a_disk_that_may_be_full(
    pool: DecoderPool, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise AssertionError("rolled over")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    with _spooled(song.read_bytes()) as file:
        assert result(pool.stream_excerpts(file, RATE, **PLAN))[1].duration_seconds == 35


def _named(content: bytes) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    file.write(content)  # not flushed
    return file


class _Packed(gzip.GzipFile):
    """A file whose descriptor has other bytes than it gives."""

    def __init__(self, content: bytes) -> None:
        self.below = tempfile.TemporaryFile()  # noqa: SIM115
        self.below.write(gzip.compress(content))
        self.below.seek(0)
        super().__init__(fileobj=self.below)

    def close(self) -> None:
        super().close()
        self.below.close()


@pytest.mark.parametrize(
    "make", [bytes, bytearray, memoryview, io.BytesIO, _spooled, _named, _Packed], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("suffix", [".flac", ".m4a"])
@pytest.mark.parametrize("has_paths", [True, False])
def test_bytes_and_open_files(
    pool: DecoderPool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[bytes], Any],
    suffix: str,
    has_paths: bool,
) -> None:
    if not has_paths:  # as on Windows and macOS
        monkeypatch.setattr("genre_runtime.decoders.protocol._share_descriptor", lambda _: None)
    content = tone_in(suffix, tmp_path)
    source = make(content)
    plan: dict[str, Any] = {"excerpt_seconds": 0.7, "n_excerpts": 2}
    assert result(pool.stream_excerpts(source, RATE, **plan)) == result(stream_excerpts(content, RATE, **plan))
    if hasattr(source, "close"):
        assert not source.closed
        source.close()


def test_errors_of_a_file_that_fails_are_the_callers(pool: DecoderPool, song: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1000:
                raise ConnectionError("gone")
            return super().read(size)

    with pytest.raises(ConnectionError, match="gone"):
        list(pool.stream_excerpts(Failing(song.read_bytes()), RATE, **PLAN))
    assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35


@posix
@pytest.mark.parametrize(
    ("word", "kind", "message"),
    [
        ("crash", UnreadableAudioError, "crashed on this file .SIGSEGV"),
        ("killed", UnexpectedFailureError, "the system killed the decoder"),
        ("surprise", UnexpectedFailureError, "ZeroDivisionError: surprise"),
        ("long", UnexpectedFailureError, "an excerpt of 10000000 samples"),
        ("many", UnexpectedFailureError, "an unexpected message of kind"),
        ("nan", UnexpectedFailureError, "another type"),
        pytest.param("numpy", AudioLimitError, "more than 100 MiB of memory", marks=linux),
        pytest.param("malloc", AudioLimitError, "more than 100 MiB of memory", marks=linux),
    ],
)
def test_harmful_files_raise_errors(
    odd: DecoderPool, tmp_path: Path, song: Path, word: str, kind: type[Exception], message: str
) -> None:
    for _ in range(2):
        with pytest.raises(kind, match=message):
            list(odd.stream_excerpts(says(tmp_path, word), RATE, **PLAN))
        assert result(odd.stream_excerpts(song, RATE, **PLAN)) == result(stream_excerpts(song, RATE, **PLAN))


@linux
def test_memory_is_bounded_where_the_system_does_not(tmp_path: Path, song: Path) -> None:
    program = odd_decoders.command()
    program[-1] = program[-1].replace(
        "run()", "import genre_runtime.decoders.process as p; p._limit_memory = id; run()"
    )
    with DecoderPool(1, max_memory_bytes=MEMORY, command=program) as pool:
        with pytest.raises(AudioLimitError, match="memory"):
            list(pool.stream_excerpts(says(tmp_path, "malloc"), RATE, **PLAN))
        assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35


@posix
@pytest.mark.parametrize("word", ["hang", "spin"])
def test_decoder_without_a_sign_of_life_is_replaced(tmp_path: Path, song: Path, word: str) -> None:
    with DecoderPool(1, timeout_seconds=1, command=odd_decoders.command()) as pool:
        with pytest.raises(UnreadableAudioError, match="malicious"):
            list(pool.stream_excerpts(says(tmp_path, word), RATE, **PLAN))
        assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35


def test_who_takes_his_time_is_no_hang(song: Path) -> None:
    with DecoderPool(1, timeout_seconds=2) as pool:
        starts = []
        for excerpt in pool.stream_excerpts(song, RATE, excerpt_seconds=15.0, n_excerpts=None):
            starts.append(excerpt.start_seconds)
            time.sleep(3)
    assert starts == [0, 15, 30]


@posix
@pytest.mark.parametrize("word", ["hang", "slow"])
def test_stop_and_deadline_end_the_work(odd: DecoderPool, tmp_path: Path, song: Path, word: str) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(CancelledError):
        list(odd.stream_excerpts(says(tmp_path, word), RATE, stop=stop, **PLAN))
    deadline = time.monotonic() + 0.5
    with pytest.raises(AudioLimitError) as caught:
        list(odd.stream_excerpts(says(tmp_path, word), RATE, deadline=deadline, **PLAN))
    assert caught.value.limit == "deadline"
    assert result(odd.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35


def test_process_is_not_used_again_after_half_a_message(song: Path, tmp_path: Path) -> None:
    """What follows would be taken for a message, though it may be samples that a file chose."""
    written = tmp_path / "half a message"
    program = f"""
import io, time
from pathlib import Path
from genre_runtime.decoders.protocol import read_header, write_message
requests, answers = io.FileIO(0), io.FileIO(1, "w")
read_header(requests)
write_message(answers, {{"kind": "ready"}})
read_header(requests)
answers.write(bytes(2))
time.sleep(0.1)
Path({str(written)!r}).touch()
time.sleep(100)
"""
    stop = threading.Event()

    def stop_once_written() -> None:
        until(written.exists)
        stop.set()

    threading.Thread(target=stop_once_written, daemon=True).start()
    with DecoderPool(1, command=[sys.executable, "-c", program]) as pool:
        with pytest.raises(CancelledError):
            list(pool.stream_excerpts(song, RATE, stop=stop, **PLAN))
        assert pool.n_processes == 0


def test_process_is_kept_for_the_next_file(song: Path, tmp_path: Path) -> None:
    with DecoderPool(1) as pool:
        pool.check()
        [process] = pool._idle
        for source in (song, tmp_path / "none.wav", song):
            result(pool.stream_excerpts(source, RATE, **PLAN))
        stream = pool.stream_excerpts(song, RATE, excerpt_seconds=1.0, n_excerpts=None)
        next(iter(stream))
        stream.close()  # early
        assert pool._idle == [process]


def test_worn_process_is_replaced(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = pool_module.default_command()
    program[3] = program[3].replace("main()", "import genre_runtime.decoders.process as p; p.MAX_FILES = 2; main()")
    with DecoderPool(1, command=program) as pool:
        pids = []
        for _ in range(4):
            pool.check()
            pids.append(pool._idle[0].pid)
            assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35
    assert pids[0] == pids[1] != pids[2] == pids[3]


@linux
def test_process_that_died_while_it_was_idle_is_no_file_s_error(song: Path) -> None:
    with DecoderPool(1) as pool:
        pool.check()
        os.kill(pool._idle[0].pid, signal.SIGKILL)
        while pool._idle[0].is_alive():
            time.sleep(0.01)
        assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35


def test_many_threads_share_few_processes(pool: DecoderPool, tmp_path: Path) -> None:
    paths = [write_audio(tmp_path / f"{i}.wav", tone(12, frequency=200 + i)) for i in range(24)]
    here = [result(stream_excerpts(path, RATE, **PLAN)) for path in paths]
    with ThreadPoolExecutor(8) as threads:
        there = list(threads.map(lambda path: result(pool.stream_excerpts(path, RATE, **PLAN)), paths))
        assert pool.n_processes <= 2
    assert there == here


@posix
def test_close_ends_what_is_in_use(tmp_path: Path) -> None:
    pool = DecoderPool(2, command=odd_decoders.command())
    with ThreadPoolExecutor(3) as threads:
        paths = [says(tmp_path, word) for word in ("hang", "slow", "spin")]  # the third waits for a process
        waiting = [threads.submit(list, pool.stream_excerpts(path, RATE, **PLAN)) for path in paths]
        assert until(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
        pids = [process.pid for process in pool._busy]
        pool.close()
        for future in waiting:
            assert isinstance(future.exception(PATIENCE_SECONDS), CancelledError | DecoderUnavailableError)
    assert len(pids) == 2
    assert all(map(ended, pids))
    pool.close()
    with pytest.raises(DecoderUnavailableError, match="closed"):
        list(pool.stream_excerpts(paths[0], RATE, **PLAN))


@linux
@pytest.mark.parametrize("word", ["slow", "hang", "idle"])
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, song: Path, word: str) -> None:
    """Also where it is killed; where C holds the interpreter's lock, twice the patience later."""
    source = says(tmp_path, word)
    program = f"""
import sys, threading, time
from genre_runtime.decoders.pool import DecoderPool
from tests.runtime.decoders.odd_decoders import command
pool = DecoderPool(1, timeout_seconds=3, command=command())
pool.check()
print(pool._idle[0].pid, flush=True)
if {word!r} != "idle":
    threading.Thread(target=list, args=(pool.stream_excerpts({str(source)!r}, 22050, **{PLAN!r}),), daemon=True).start()
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=odd_decoders.ROOT) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        time.sleep(0.5)
        process.kill()
    assert ended(pid)


def test_processes_that_do_not_start_say_why(song: Path) -> None:
    for command, words in (
        (["/no/such/program"], "cannot be started"),
        ([sys.executable, "-c", "raise SystemExit('these are the last words')"], "these are the last words"),
    ):
        with DecoderPool(1, command=command) as pool:
            with pytest.raises(DecoderUnavailableError, match=words):
                list(pool.stream_excerpts(song, RATE, **PLAN))
            assert pool.failure is not None
            assert pool.n_processes == 0


def test_modules_of_the_folder_stood_in_are_not_imported(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    with DecoderPool(1) as pool:
        assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore")
def test_fork_starts_processes_of_its_own(song: Path) -> None:
    with DecoderPool(1) as pool:
        pool.check()
        pid = os.fork()
        if not pid:
            right = result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35
            pool.close()
            os._exit(0 if right else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35


def test_classifier_decodes_in_a_pool(model_path: Path, pool: DecoderPool, song: Path, tmp_path: Path) -> None:
    here = GenreClassifier.load(model_path, device="cpu")
    there = GenreClassifier.load(model_path, device="cpu", decoders=pool)
    for excerpts in (1, 3, None):
        expected = here.classify_file(song, excerpts=excerpts).to_dict()
        assert there.classify_file(song, excerpts=excerpts).to_dict() == expected
    missing = there.classify_or_error(tmp_path / "none.wav")
    assert str(missing) == str(here.classify_or_error(tmp_path / "none.wav"))


@posix
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_signals_end_the_command_while_a_decoder_hangs(model_path: Path, tmp_path: Path, number: str) -> None:
    path = says(tmp_path, "hang")
    program = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in the background
from genre_runtime.decoders import pool
from genre_runtime.cli import main
from tests.runtime.decoders.odd_decoders import command
pool.default_command = command
sys.exit(main({["classify", str(path), "--model", str(model_path)]!r}))
"""
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, cwd=odd_decoders.ROOT) as process:
        assert until(path.with_suffix(".begun").exists)
        process.send_signal(getattr(signal, number))
        assert process.wait(PATIENCE_SECONDS) == 128 + getattr(signal, number)
        assert process.stderr is not None
        assert process.stderr.read() == (
            b"genre: interrupted; the results written so far are complete; with --state FILE, a run that is repeated "
            b"goes on where it ended\n"
        )


def test_waveforms_may_be_changed(pool: DecoderPool, song: Path) -> None:
    [excerpt] = pool.stream_excerpts(song, RATE, excerpt_seconds=10.0, n_excerpts=1)
    assert excerpt.waveform.dtype == np.float32
    excerpt.waveform[:] *= 2


def test_a_frozen_program_decodes_in_processes_only_if_it_says_how(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = pool_module.default_command()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(pool_module, "_frozen_command", ())
    assert not pool_module.can_start()
    with DecoderPool(1) as pool, pytest.raises(DecoderUnavailableError, match="need a Python interpreter"):
        pool.check()
    pool_module.set_frozen_command(command)
    assert pool_module.can_start()
    with DecoderPool(1) as pool:
        assert result(pool.stream_excerpts(song, RATE, **PLAN))[1].duration_seconds == 35
