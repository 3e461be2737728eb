"""Archives that are damaged, lie or need more room than there is: each is named, and nothing is left half-written."""

from __future__ import annotations

import shutil
import stat
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_runtime.errors import DownloadError
from genre_training.data.archives import extract
from tests.training.data.full_disk import Usage, full_disk
from tests.training.miniature_fma import zipped

CONTENT = np.random.default_rng(0).bytes(300_000)
NAME = "file.zip"


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.write_bytes(zipped(members, method))
    return path


def test_archive_is_unpacked_and_only_what_is_missing_is_written_again(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / NAME, {"a/": b"", "a/1.mp3": b"one", "a/b/2.mp3": b"two", "a/empty": b""})
    out = tmp_path / "out"
    extract(archive, out)
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == {"a/1.mp3", "a/b/2.mp3", "a/empty"}
    (out / "a" / "1.mp3").write_bytes(b"ONE")
    (out / "a" / "b" / "2.mp3").write_bytes(b"tw")
    extract(archive, out)
    assert (out / "a" / "1.mp3").read_bytes() == b"ONE"  # of the right size: not touched
    assert (out / "a" / "b" / "2.mp3").read_bytes() == b"two"


def test_only_the_wanted_members_are_unpacked(tmp_path: Path) -> None:
    extract(write_zip(tmp_path / NAME, {"a/1": b"1", "a/2": b"2"}), tmp_path / "out", ("a/2",))
    assert [p.name for p in (tmp_path / "out" / "a").iterdir()] == ["2"]


def member(name: str, mode: int = 0, content: bytes = b"2") -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name  # the constructor changes some names
    info.external_attr = mode << 16
    return info, content


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, "is not a path below its own folder") for name in ("../outside", "a/../../outside", "/outside")),
        *((name, "is not a path below its own folder") for name in ("..", ".", "./", "a/./b", "a//b", "", "/", "../")),
        *(
            (name, "has a character")
            for name in ("a\\..\\outside", "C:/outside", "a:stream", "a\0b", "a\nb", "a?", "a|b")
        ),
        *((name, "ends with a dot or a space") for name in ("a.", "a ", "a./b", "a /b", "...")),
        *(
            (name, "is the name of a device")
            for name in ("CON", "a/NUL.mp3", "aux/b", "com1", "Lpt9 .tar.gz", "conin$")
        ),
        *((name, "is too long") for name in ("a" * 300, "ä" * 130, "a" * 300 + "/b", "a/" * 300 + "b")),
        ("a.part", "is the name of an unfinished file"),
        *((name, "is there twice") for name in ("inside/one", "INSIDE/One")),
        *((name, "is a file and a folder") for name in ("inside", "Inside", "inside/one/two", "inside/one/")),
    ],
)
def test_member_with_an_odd_name_is_refused(name: str, fault: str, tmp_path: Path) -> None:
    archive = tmp_path / NAME
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("inside/one", b"1")
        with warnings.catch_warnings(action="ignore"):  # of two equal names
            bundle.writestr(*member(name))
    with pytest.raises(DownloadError, match=r"has a member named .*nothing was unpacked") as refusal:
        extract(archive, tmp_path / "out")
    assert fault in str(refusal.value)
    assert [path.name for path in tmp_path.rglob("*")] == [NAME]


def test_names_that_only_look_odd_are_unpacked(tmp_path: Path) -> None:
    names = ("a/.hidden", "a/..b", "console/nul1", "Übung é/1.mp3", "a" * 250, "com10", "a/b..mp3", "part")
    extract(write_zip(tmp_path / NAME, dict.fromkeys(("Empty/", "empty/", *names), b"")), tmp_path / "out")
    assert all((tmp_path / "out" / name).is_file() for name in names)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / NAME, "w") as bundle:
        bundle.writestr(*member("link", kind | 0o777, b"/etc"))
        bundle.writestr("link/passwd", b"2")
    with pytest.raises(DownloadError, match=r"member named 'link', which is a link or a device"):
        extract(tmp_path / NAME, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_encrypted_member_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"1", "b": b"2"}))
    content[content.rindex(b"PK\1\2") + 8] |= 1
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(DownloadError, match="member named 'b', which is encrypted"):
        extract(tmp_path / NAME, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_member_that_is_larger_than_it_says_is_not_written(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": bytes(10_000_000)}, zipfile.ZIP_DEFLATED))
    sizes = content.rindex(b"PK\1\2") + 24
    content[sizes : sizes + 4] = (1_000).to_bytes(4, "little")
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(DownloadError, match=r"file\.zip cannot be unpacked: Bad CRC-32.*; remove it"):
        extract(tmp_path / NAME, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_member_that_is_larger_than_the_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(zipped({"a": b"1"}))
    sizes = content.rindex(b"PK\1\2") + 24
    content[sizes : sizes + 4] = b"\xfe\xff\xff\xff"
    (tmp_path / NAME).write_bytes(content)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 2**31))
    with pytest.raises(DownloadError, match=r"need 4\.0 GiB: free some space"):
        extract(tmp_path / NAME, tmp_path / "out")


def test_what_stands_in_the_way_of_a_member_is_named(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / NAME, {"a/b": b"1"})
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "a").touch()
    (tmp_path / "folder" / "a" / "b").mkdir(parents=True)
    for name in ("file", "folder"):
        with pytest.raises(DownloadError, match=rf"{name}/a.* cannot be read or written: .*; check the permissions"):
            extract(archive, tmp_path / name)
    with pytest.raises(DownloadError, match=r"none\.zip cannot be read or written: No such file"):
        extract(tmp_path / "none.zip", tmp_path / "out")


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
def test_any_damage_of_an_archive_is_a_download_error(method: int, tmp_path: Path) -> None:
    content = zipped({"a/b": b"words " * 5, "c": b""}, method)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x80 | position & 0x7F
        (tmp_path / NAME).write_bytes(damaged)
        with suppress(DownloadError):
            extract(tmp_path / NAME, tmp_path / "out")
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / NAME, {"a": CONTENT}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    content[1_000] ^= 1
    archive.write_bytes(content)
    for expected in ("Bad CRC-32", "not a zip file"):
        with pytest.raises(DownloadError, match=rf"file\.zip cannot be unpacked: .*{expected}.*; remove it"):
            extract(archive, tmp_path / "out")
        archive.write_bytes(content[:10_000])
    assert list((tmp_path / "out").iterdir()) == []


def test_disk_that_fills_up_while_unpacking_leaves_no_half_file(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / NAME, {"a": b"1", "b": CONTENT})
    extract(archive, tmp_path / "out", ("a",))
    with full_disk(), pytest.raises(DownloadError, match=r"is full, 0\.3 MiB were still to be written"):
        extract(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_interrupted_unpacking_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Any, file: Any, length: int) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    archive = write_zip(tmp_path / NAME, {"a": CONTENT})
    monkeypatch.setattr(shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_too_little_room_to_unpack_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 2**10))
    with pytest.raises(DownloadError, match=r"the contents of file\.zip need 0\.3 MiB"):
        extract(write_zip(tmp_path / NAME, {"a": CONTENT}), tmp_path / "out")
