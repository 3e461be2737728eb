"""Lists of paths, in the encodings that shells and spreadsheets write."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.scan import listed_paths

NAMES = ["song.wav", "/music/\u00e9t\u00e9/a b .mp3", "\u97f3\u697d/\U0001f3b5.flac", "x"]
ENCODINGS = ("utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_marked_text_in_any_encoding(encoding: str, newline: str) -> None:
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    text = mark + newline.join([*NAMES, "", "  "]) + newline
    assert listed_paths(text.encode(encoding)) == NAMES


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["song.wav\r\n", "/music/a.mp3\n/b.mp3\n", "C:\\Musik\\\u00fcber.mp3\r\n"])
def test_wide_text_without_a_mark_is_refused_and_not_taken_for_paths(encoding: str, text: str) -> None:
    with pytest.raises(InvalidInputError, match="single character between NULs"):
        listed_paths(text.encode(encoding))


def test_marked_text_that_is_damaged() -> None:
    with pytest.raises(InvalidInputError, match="utf-16 text"):
        listed_paths(codecs.BOM_UTF16_LE + "song.wav".encode("utf-16-le") + b"\n")


def test_names_between_nul() -> None:
    names = ["./1", "./two\nlines.mp3", "./\u00e9"]
    assert listed_paths(b"".join(os.fsencode(name) + b"\0" for name in names)) == names
    assert listed_paths(b"a\0") == ["a"]


def test_bytes_that_are_no_text_survive() -> None:
    assert [os.fsencode(name) for name in listed_paths(b"caf\xe9.mp3\nplain.mp3\n")] == [b"caf\xe9.mp3", b"plain.mp3"]


def test_a_mark_within_lists_that_were_joined() -> None:
    assert listed_paths("\ufeffa.mp3\n\ufeffb.mp3\n".encode()) == ["a.mp3", "b.mp3"]


def test_quotes_of_copied_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert listed_paths(b'"C:\\my music\\a.mp3"\n"b"\n') == ["C:\\my music\\a.mp3", "b"]
    if os.name != "nt":
        (tmp_path / '"b"').touch()
        assert listed_paths(b'"b"\n') == ['"b"']
