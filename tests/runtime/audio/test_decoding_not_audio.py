"""Paths that are not files and files that are not audio: typed errors, and nothing else is opened."""

from __future__ import annotations

import os
import select
import socket
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from genre_runtime.audio.decoding import decode
from genre_runtime.errors import AudioNotFoundError, EmptyAudioError, UnreadableAudioError
from tests.runtime.av_files import write_with_pyav
from tests.synthetic import RATE, tone, write_audio

POSIX_BYTES = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names must be text here")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(AudioNotFoundError) as caught:
        decode(tmp_path / "missing.wav", RATE)
    assert caught.value.path == tmp_path / "missing.wav"
    assert isinstance(caught.value, FileNotFoundError)
    path = write_audio(tmp_path / "tone.wav", tone(1))
    with pytest.raises(AudioNotFoundError):
        decode(path / "below.wav", RATE)


@pytest.mark.parametrize("name", ["n" * 300 + ".wav", "nul\0.wav"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableAudioError, match="looked up"):
        decode(tmp_path / name, RATE)


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudioError, match="folder"):
        decode(tmp_path, RATE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_is_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UnreadableAudioError, match="not a regular file"):
        decode(tmp_path / "pipe.wav", RATE)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(1))
    path.chmod(0)
    with pytest.raises(UnreadableAudioError, match="Permission denied"):
        decode(path, RATE)


@POSIX_BYTES
@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_names_that_are_not_text_are_read(tmp_path: Path, suffix: str) -> None:
    write = write_with_pyav if suffix == ".m4a" else write_audio
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + suffix.encode()))
    write(tmp_path / f"plain{suffix}", tone(1), RATE).rename(path)
    assert decode(path, RATE).size >= RATE


TEXT = "This is a letter, and no music. " * 400


@pytest.mark.parametrize("suffix", ["mp3", "wav", "m4a", "raw", "au", "snd", "vox", "gsm", "ogg"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_text_under_a_name_of_audio(tmp_path: Path, suffix: str, encoding: str) -> None:
    """Some of these names make libsndfile read any bytes as samples."""
    path = tmp_path / f"letter.{suffix}"
    path.write_text(TEXT, encoding=encoding)
    with pytest.raises(UnreadableAudioError, match="begins with"):
        decode(path, RATE)


def test_picture_under_a_name_of_audio(tmp_path: Path) -> None:
    (tmp_path / "cover.mp3").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + np.random.default_rng(0).bytes(50_000))
    with pytest.raises(UnreadableAudioError, match="a JPEG picture"):
        decode(tmp_path / "cover.mp3", RATE)


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na={url}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["m4a", "m3u8", "mp3"])
def test_playlists_are_refused_and_open_nothing(tmp_path: Path, kind: str, suffix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = tmp_path / f"list.{suffix}"
        path.write_text(PLAYLISTS[kind].format(url=f"http://127.0.0.1:{server.getsockname()[1]}/a.wav"))
        with pytest.raises(UnreadableAudioError, match="begins with"):
            decode(path, RATE)
        assert not select.select([server], [], [], 0)[0], "a connection was made"


MAGICS = (b"\0\0\0\x18ftypM4A ", b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"MAC ", b"OggS", b"fLaC")
MORE_MAGICS = (b"RIFF", b"RF64", b"FORM", b".snd", b"wvpk", b"TTA1", b"MPCK", b"MP+", b"\xff\xf1", b"\xff\xfb", b"ID3")


@pytest.mark.parametrize("magic", MAGICS + MORE_MAGICS)
@pytest.mark.parametrize("rest", [b"", bytes(3_000), b"\xff" * 3_000, np.random.default_rng(1).bytes(3_000)])
def test_nothing_but_a_magic_number(tmp_path: Path, magic: bytes, rest: bytes) -> None:
    (tmp_path / "file").write_bytes(magic + rest)
    with pytest.raises((UnreadableAudioError, EmptyAudioError)):
        decode(tmp_path / "file", RATE)


def test_video_without_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as output:
        stream = output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        output.mux(stream.encode(None))
    with pytest.raises(UnreadableAudioError, match="no audio stream"):
        decode(tmp_path / "film.mp4", RATE)
