"""Tags and padding before the audio, and errors for files without audio."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from genre_runtime import GenreClassifier
from tests.runtime import odd_files as odd
from tests.runtime.apart import Apart, classified
from tests.runtime.odd_files import BARE, apev2, coded, id3v1, id3v2, lyrics3, sine, synchsafe


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart(tmp_path_factory.mktemp("apart")) as started:
        yield started


SECONDS = 3.0
TAGGED = (
    *(".mp3", ".mp2", ".aac", ".flac", ".ogg", ".oga", ".opus", ".wav", ".aiff", ".wv", ".tta", ".wma"),
    *(".mka", ".webm", ".m4a", ".dsf", ".au", ".caf"),
)


@cache
def _sound(suffix: str) -> bytes:
    if suffix == ".dsf":
        return odd.dsf(SECONDS)
    return coded(suffix, sine(SECONDS, 48_000, 2), 48_000, options=BARE if suffix == ".mp3" else None)


def _check(apart: Apart, path: Path) -> None:
    for how in ("path", "whole", "bytes", "file"):
        found = apart.classify(path, how)
        assert found.error is None, (how, found.message)
        assert found.label == "tone"
        assert found.duration == pytest.approx(SECONDS, abs=0.3)
        assert found.announced is None
    heard = apart.decode(path, [1.5])
    assert heard.pitches == pytest.approx([440], abs=15)


FRONTS: dict[str, bytes] = {
    "one ID3v2": id3v2(),
    "two ID3v2": id3v2(300) + id3v2(1_000),
    "three ID3v2": id3v2(300) + id3v2(1_000, version=4) + id3v2(20),
    "ID3v2.4 with footer": id3v2(300, version=4, footer=True),
    "two ID3v2.4 with footer": id3v2(300, version=4, footer=True) + id3v2(80, version=4, footer=True),
    "ID3v2.2": id3v2(300, version=2),
    "a long ID3v2": id3v2(200_000),
    "a very long ID3v2": id3v2(3_000_000),
}


@pytest.mark.parametrize("suffix", TAGGED)
@pytest.mark.parametrize("front", FRONTS)
def test_tags_in_front_of_every_format(apart: Apart, tmp_path: Path, front: str, suffix: str) -> None:
    path = tmp_path / f"tagged{suffix}"
    path.write_bytes(FRONTS[front] + _sound(suffix))
    _check(apart, path)


@pytest.mark.parametrize("suffix", TAGGED)
def test_dsf_and_the_others_without_a_tag(apart: Apart, tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"plain{suffix}").write_bytes(_sound(suffix))
    _check(apart, tmp_path / f"plain{suffix}")


@pytest.mark.parametrize("n_zeros", [1, 2, 10, 100, 5_000, 70_000, 200_000])
@pytest.mark.parametrize("suffix", [".mp3", ".aac", ".flac", ".wv", ".ogg"])
def test_zeros_after_a_tag(apart: Apart, tmp_path: Path, suffix: str, n_zeros: int) -> None:
    path = tmp_path / f"zeros{suffix}"
    path.write_bytes(id3v2() + bytes(n_zeros) + _sound(suffix))
    _check(apart, path)


@pytest.mark.parametrize("suffix", [".mp3", ".aac", ".wv"])
@pytest.mark.parametrize("n_bytes", [300, 40_000, 96_932])
def test_tag_after_zeros_or_after_a_tag_of_wrong_size(apart: Apart, tmp_path: Path, suffix: str, n_bytes: int) -> None:
    path = tmp_path / f"tags{suffix}"
    path.write_bytes(id3v2(16) + bytes(n_bytes) + id3v2(40, version=4) + _sound(suffix))
    _check(apart, path)
    path.write_bytes(id3v2(n_bytes, size=n_bytes.to_bytes(4, "big")) + id3v2(40, version=4) + _sound(suffix))
    _check(apart, path)


@pytest.mark.parametrize("n_zeros", [1, 100, 5_000, 70_000, 200_000])
@pytest.mark.parametrize("suffix", [".mp3", ".aac"])
def test_zeros_without_a_tag(apart: Apart, tmp_path: Path, suffix: str, n_zeros: int) -> None:
    path = tmp_path / f"zeros{suffix}"
    path.write_bytes(bytes(n_zeros) + _sound(suffix))
    _check(apart, path)


WRONG_SIZES: dict[str, bytes] = {
    "of 300 bytes as a plain number": id3v2(300, size=(300).to_bytes(4, "big")),
    "of 900 bytes as a plain number": id3v2(900, size=(900).to_bytes(4, "big")),
    "of 40,000 bytes as a plain number": id3v2(40_000, size=(40_000).to_bytes(4, "big")),
    "of 100,000 bytes as a plain number": id3v2(100_000, size=(100_000).to_bytes(4, "big")),
    "too small by 100": id3v2(400, size=synchsafe(300)),
    "of 0": id3v2(400, size=synchsafe(0)),
    "too large by 1,000": id3v2(400, size=synchsafe(1_400)),
    "too large by 100": id3v2(400, size=synchsafe(500)),
    "past the end": id3v2(400, size=synchsafe(2**28 - 1)),
    "just past the end": id3v2(400, size=synchsafe(400 + 10**6)),
    "too small by 20,000, with a picture": id3v2(60_000, size=synchsafe(40_000)),
}


@pytest.mark.parametrize("suffix", [".mp3", ".aac"])
@pytest.mark.parametrize("size", WRONG_SIZES)
def test_a_tag_of_wrong_size(apart: Apart, tmp_path: Path, size: str, suffix: str) -> None:
    path = tmp_path / f"wrong{suffix}"
    path.write_bytes(WRONG_SIZES[size] + _sound(suffix))
    found = {how: apart.classify(path, how) for how in ("path", "whole", "bytes")}
    for how, one in found.items():
        if "past the end" in size and one.error:
            assert "ID3" in one.message
            continue
        assert one.error is None, (how, one.message)
        assert one.label == "tone"
        assert SECONDS - 0.5 < one.duration < SECONDS + 0.4


OTHERS: dict[str, bytes] = {
    "APEv2": apev2(),
    "a long APEv2": apev2(100_000),
    "ID3v2 and APEv2": id3v2() + apev2(),
    "APEv2 and ID3v2": apev2() + id3v2(),
    "ID3v1": id3v1(),
    "Lyrics3": lyrics3(),
    "ID3v2 and ID3v1": id3v2() + id3v1(),
}


@pytest.mark.parametrize("suffix", [".mp3", ".aac"])
@pytest.mark.parametrize("front", OTHERS)
def test_tags_that_belong_at_the_end(apart: Apart, tmp_path: Path, front: str, suffix: str) -> None:
    path = tmp_path / f"front{suffix}"
    path.write_bytes(OTHERS[front] + _sound(suffix))
    _check(apart, path)


@pytest.mark.parametrize("suffix", [".avi", ".mp3.avi", ".mov"])
def test_videos_are_decoded_or_named_in_the_error(apart: Apart, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_bytes(_sound(suffix))
    for how in ("path", "bytes"):
        found = apart.classify(path, how)
        if found.error is None:
            assert found.label == "tone"
            assert found.duration == pytest.approx(SECONDS, abs=0.15)
        else:
            assert "AVI" in found.message
            assert "damaged" not in found.message


def test_a_silent_dsf(apart: Apart, tmp_path: Path) -> None:
    (tmp_path / "silence.dsf").write_bytes(odd.dsf(1.0, silent=True))
    found = apart.classify(tmp_path / "silence.dsf")
    assert found.error is None, found.message
    assert all(found.silent)
    assert "silent" in (found.reason or "")


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("song.mp3", _sound(".mp3"))
    return buffer.getvalue()


REST = bytes(range(256)) * 40

NAMED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JPEG": ("JPEG", lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + REST),
    "JPEG of a camera": ("JPEG", lambda: b"\xff\xd8\xff\xe1\0\x18Exif\0\0II*\0" + REST),
    "PNG": ("PNG", lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0" + REST),
    "GIF": ("GIF", lambda: b"GIF89a\1\0\1\0\x80\0\0" + REST),
    "PDF": ("PDF", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n" + REST),
    "ZIP": ("ZIP", _zip),
    "HTML": ("HTML", lambda: b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n" * 40),
    "HTML without a type": ("HTML", lambda: b"<html><body>moved</body></html>\n" * 40),
    "GZIP": ("(?i)gzip", lambda: gzip.compress(_sound(".wav"))),
    "ELF": ("ELF", lambda: b"\x7fELF\2\1\1\0" + bytes(8) + REST),
    "ID3 only": ("ID3", lambda: id3v2(3_000)),
    "two ID3 only": ("ID3", lambda: id3v2(300) + id3v2(4_000)),
    "ID3 and a JPEG": ("JPEG", lambda: id3v2(300) + b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + REST),
}


@pytest.mark.parametrize("suffix", [".mp3", ".wav"])
@pytest.mark.parametrize("name", NAMED)
def test_files_that_are_not_audio_are_named_in_the_error(apart: Apart, tmp_path: Path, name: str, suffix: str) -> None:
    words, make = NAMED[name]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(make())
    for how in ("path", "bytes"):
        found = apart.classify(path, how)
        assert found.error in ("unreadable_audio", "empty_audio"), found.label
        assert re.search(words, found.message), found.message
        assert "damaged" not in found.message


def test_a_path_that_is_too_long(apart: Apart, tmp_path: Path) -> None:
    for path in (odd.long_path(tmp_path), tmp_path / ("n" * 300 + ".mp3")):
        found = apart.classify(path)
        assert found.error in ("unreadable_audio", "not_found")
        assert "too long" in found.message
        assert "damaged" not in found.message


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose path is longer than the system takes: it is reached step by step, and is the working folder."""
    monkeypatch.chdir(tmp_path)
    for _ in range(60):
        Path("long" * 25).mkdir()
        monkeypatch.chdir("long" * 25)
    return odd.long_path(tmp_path)


def test_a_file_below_a_path_that_is_too_long(apart: Apart, deep: Path) -> None:
    Path("song.wav").write_bytes(_sound(".wav"))
    found = apart.classify(deep)
    assert found.error is not None
    assert "too long" in found.message


@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_a_short_name_in_a_folder_whose_path_is_too_long(classifier: GenreClassifier, deep: Path, suffix: str) -> None:
    Path(f"song{suffix}").write_bytes(_sound(suffix))
    found = classified(classifier, Path(f"song{suffix}"), "path")
    assert found.error is None or "too long" in found.message
    assert "damaged" not in found.message


@pytest.mark.parametrize("n_bytes", [4_080, 4_092, 4_095])
@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_a_path_of_almost_all_that_the_system_takes(apart: Apart, tmp_path: Path, suffix: str, n_bytes: int) -> None:
    rest = n_bytes - len(str(tmp_path)) - 1 - len("/song") - len(suffix)
    n_folders = -(-(rest + 1) // 200)
    folder = tmp_path.joinpath(*_parts(rest - (n_folders - 1), n_folders))
    folder.mkdir(parents=True)
    path = folder / f"song{suffix}"
    assert len(str(path)) == n_bytes
    path.write_bytes(_sound(suffix))
    found = apart.classify(path)
    assert found.error is None or "too long" in found.message
    assert "damaged" not in found.message


def _parts(n_bytes: int, n_parts: int) -> list[str]:
    """Divide so many bytes into names of about the same length."""
    ends = [round(n_bytes * i / n_parts) for i in range(n_parts + 1)]
    return ["x" * (end - begin) for begin, end in pairwise(ends)]
