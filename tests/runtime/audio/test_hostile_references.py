"""No file makes a decoder open another file or an address; traps detect both, and are tested, too."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from genre_runtime.errors import UnreadableAudioError
from tests.runtime.audio.test_hostile_files import Entry, entry  # noqa: F401  # the fixture of every entry point
from tests.runtime.hostile_files import tone_in
from tests.runtime.reference_files import MAGICS, PLAYLISTS, film_with_its_sound_in, playlist

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a named pipe is the trap")


class Trap:
    """A named pipe and a local server; `sprung` tells whether either was opened."""

    def __init__(self, folder: Path) -> None:
        self.pipe = folder / "secret.wav"
        os.mkfifo(self.pipe)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}/a.wav"
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        descriptor = os.open(self.pipe, os.O_WRONLY)  # returns when it is opened for reading
        self._opened.set()
        os.close(descriptor)

    def sprung(self) -> bool:
        """Tell whether the trap was triggered, and close its connections."""
        called = bool(select.select([self._server], [], [], 0)[0])
        if called:
            self._server.accept()[0].close()
        return called or self._opened.is_set()

    def close(self) -> None:
        """Remove the trap."""
        descriptor = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK)
        self._thread.join()
        os.close(descriptor)
        self._server.close()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    """A trap that was not triggered."""
    made = Trap(tmp_path)
    yield made
    made.close()


There = Callable[[Trap], str]
THERE: dict[str, There] = {
    "address": lambda trap: trap.address,
    "path": lambda trap: str(trap.pipe),
    "file name": lambda trap: trap.pipe.name,
    "file address": lambda trap: trap.pipe.as_uri(),
}


@pytest.mark.parametrize("there", THERE)
@pytest.mark.parametrize("suffix", PLAYLISTS)
def test_playlists(entry: Entry, tmp_path: Path, trap: Trap, suffix: str, there: str) -> None:  # noqa: F811
    for name in (f"list.{suffix}", "list.mp3"):
        path = tmp_path / name
        path.write_bytes(playlist(suffix, b"")(THERE[there](trap)))
        assert entry(path) == UnreadableAudioError.code
        assert not trap.sprung()


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("suffix", ["m3u8", "ffconcat", "xspf"])
def test_playlists_after_a_magic_number(entry: Entry, tmp_path: Path, trap: Trap, suffix: str, magic: bytes) -> None:  # noqa: F811
    path = tmp_path / f"list.{suffix}"
    for there in (trap.address, str(trap.pipe)):
        path.write_bytes(playlist(suffix, magic)(there))
        assert entry(path) in ("unreadable_audio", "empty_audio")
        assert not trap.sprung()


def test_video_whose_audio_is_in_another_file(entry: Entry, tmp_path: Path, trap: Trap) -> None:  # noqa: F811
    path = film_with_its_sound_in(trap.pipe, tmp_path)
    assert entry(path) in ("unreadable_audio", "empty_audio", "tone", "samples")
    assert not trap.sprung()


def _open_carelessly(path: Path, kind: str | None = None, **options: str) -> None:
    with suppress(av.FFmpegError, OSError), av.open(str(path), format=kind, options=options) as container:
        for _ in container.decode(audio=0):
            pass


def test_the_trap_detects_an_opened_playlist(tmp_path: Path, trap: Trap) -> None:
    """FFmpeg opens other files if it may guess the container; otherwise these tests would prove nothing."""
    path = tmp_path / "list.ffconcat"
    path.write_bytes(playlist("ffconcat", b"")("secret.wav"))
    _open_carelessly(path)
    assert trap.sprung()


def test_the_trap_detects_an_opened_video_reference(tmp_path: Path, trap: Trap) -> None:
    _open_carelessly(film_with_its_sound_in(trap.pipe, tmp_path), "mov", enable_drefs="1", use_absolute_path="1")
    assert trap.sprung()


def test_the_trap_detects_a_connection(tmp_path: Path, trap: Trap) -> None:
    host, port = trap.address.removeprefix("http://").removesuffix("/a.wav").split(":")
    socket.create_connection((host, int(port))).close()
    assert trap.sprung()
    assert not trap.sprung()


@pytest.mark.skipif(sys.platform != "linux", reason="names with colons")
@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
@pytest.mark.parametrize("name", ["12:30{}", "Mozart:Requiem{}", "http:{}", "concat:tone{0}|tone{0}", "file:tone{}"])
def test_a_relative_name_that_looks_like_an_address_is_a_name(
    entry: Entry,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    name: str,
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    path = Path(name.format(suffix))
    (here / path).write_bytes(tone_in(suffix, tmp_path))
    monkeypatch.chdir(here)
    assert entry(path) in ("tone", "samples")
