"""Downloads that break, lie or run out of room, and archives that do: each is taken up again or named."""

from __future__ import annotations

import errno
import shutil
import stat
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPMessage
from io import BytesIO
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request

import numpy as np
import pytest

from genre_runtime.errors import GenreError
from genre_training.data.download import ATTEMPTS, DownloadError, _HttpRedirects, extract, fetch
from tests.training.miniature_fma import Server, serving, sha1, zipped

CONTENT = np.random.default_rng(0).bytes(300_000)
NAME = "file.zip"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with serving({NAME: CONTENT}) as server:
        yield server


def get(server: Server, folder: Path, checksum: str = sha1(CONTENT), unpacked: int = 0) -> Path:
    fetch(f"{server.url}{NAME}", folder / NAME, checksum, len(CONTENT), unpacked, pause=0.001)
    return folder / NAME


def ranges(server: Server) -> list[str | None]:
    return [wanted for _, wanted in server.requests]


def test_file_arrives_whole_and_a_second_run_asks_for_nothing(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [NAME]
    get(server, path.parent)
    assert len(server.requests) == 1


def test_broken_connection_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [100_000, 50_000]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-", "bytes=150000-"]


def test_part_of_an_earlier_run_is_taken_up(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:200_000])
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=200000-"]


def test_part_that_is_whole_already_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT)}-"]


def test_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT + b"more")
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT) + 4}-", None]


def test_server_without_ranges_sends_all_of_it_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges, server.breaks = False, [100_000]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-"]


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_many_breaks_are_no_failure_while_something_arrives(server: Server, tmp_path: Path) -> None:
    server.breaks = [20_000] * 2 * ATTEMPTS
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_connection_that_brings_nothing_is_given_up_and_keeps_its_part(server: Server, tmp_path: Path) -> None:
    server.breaks = [100_000] + [0] * 20
    with pytest.raises(
        DownloadError, match=r"100000 of 300000 bytes, 5 times in a row; 0\.1 MiB are there.* continues"
    ):
        get(server, tmp_path)
    assert (tmp_path / f"{NAME}.part").stat().st_size == 100_000
    assert len(server.requests) == 1 + ATTEMPTS


def test_server_without_ranges_that_always_breaks_is_given_up(server: Server, tmp_path: Path) -> None:
    server.knows_ranges, server.breaks = False, [100_000] * 100
    with pytest.raises(DownloadError, match="5 times in a row"):
        get(server, tmp_path)


@contextmanager
def answering(*answers: str, body: bytes = b"", endless: bytes = b"") -> Iterator[str]:
    """Answer with these heads, the last one again and again, each followed by `body` and by `endless` without end."""
    heads = list(answers)

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            head = heads.pop(0) if len(heads) > 1 else heads[0]
            with suppress(OSError):
                self.request.sendall(f"HTTP/1.1 {head}\r\n\r\n".encode("latin-1") + body)
                while endless:
                    self.request.sendall(endless)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/a"
        finally:
            server.shutdown()


@pytest.mark.parametrize("status", [404, 503])
@pytest.mark.parametrize("words", ["\x1b[2J", "\x9b31m", "\x07", "a\x08b"])
def test_words_of_a_server_do_not_steer_the_terminal(tmp_path: Path, status: int, words: str) -> None:
    with (
        answering(f"{status} {words}") as url,
        pytest.raises(DownloadError, match=f"answered {status}") as refusal,
    ):
        fetch(url, tmp_path / "a", sha1(CONTENT), len(CONTENT), pause=0.001)
    assert str(refusal.value).isprintable()


RANGE = "206 Partial\r\nContent-Range: bytes"


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("200 OK\r\nContent-Length: abc", "Content-Length 'abc'"),
        ("200 OK\r\nContent-Length: -5", "Content-Length '-5'"),
        ("200 OK\r\nContent-Length:", "Content-Length ''"),
        ("200 OK\r\nContent-Length: 300_000", "Content-Length '300_000'"),
        ("200 OK\r\nContent-Length: 5, 5", "Content-Length '5, 5'"),
        ("200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "Content-Length '5, 6'"),
        (f"200 OK\r\nContent-Length: {'9' * 5_000}", "Content-Length '9+, expected one number"),
        (f"200 OK\r\nContent-Length: {2**59}", f"announced {2**59} bytes, expected about 300000"),
        ("200 OK\r\nContent-Length: 9", "a file of 9 bytes, expected one of more than 200000"),  # a login page
        ("200 OK", "of an unknown number of bytes, expected one of more than 200000"),
        ("200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 400000", "an unknown number of bytes"),
        ("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 300000", "Content-Encoding 'gzip', expected the file as"),
        ("204 No Content", "204 No Content, expected the file"),
        ("206 Partial", "Content-Range ''"),
        ("206 Partial\r\nContent-Type: multipart/byteranges", "Content-Range ''"),
        (f"{RANGE} 0-299999/300000", "expected the bytes from 200000 to the end"),
        (f"{RANGE} 200001-299999/300000", "Content-Range 'bytes 200001-299999/300000'"),
        (f"{RANGE} 200000-199999/300000", "Content-Range"),
        (f"{RANGE} 200000-299999/250000", "Content-Range"),
        (f"{RANGE} 200000-abc/300000", "Content-Range"),
        (f"{RANGE} */300000", "Content-Range"),
        (f"{RANGE} 200000-299999/300000\r\nContent-Length: 7", "Content-Length 7"),
        (f"{RANGE} 200000-299999/300000\r\nContent-Length: x", "Content-Length 'x'"),
        (f"{RANGE} 200000-{10**9}/{10**9 + 1}", "announced 1000000001 bytes"),
        ("416 No", "416 No, expected the file"),
        ("416 No\r\nContent-Range: bytes */400000", "416 No, expected the file"),
        ("416 No\r\nContent-Range: bytes */x", "416 No, expected the file"),
        ("302 Found\r\nLocation: ftp://127.0.0.1/a", "302 Found.*'ftp://127.0.0.1/a' is not allowed"),
        ("302 Found\r\nLocation: file:///etc/passwd", "302 Found.*'file:///etc/passwd' is not allowed"),
        ("307 Moved\r\nLocation: data:,a", "307 Moved.*'data:,a' is not allowed"),
        ("302 Found\r\nLocation: /a", "302 .*infinite loop"),
        ("302 Found\r\nLocation: http://127.0.0.1:b/", "address cannot be used"),
        ("302 Found", "302 Found, expected the file"),
    ],
)
def test_wrong_answers_are_named_and_keep_what_arrived(head: str, found: str, server: Server, tmp_path: Path) -> None:
    part = tmp_path / f"{NAME}.part"
    part.write_bytes(CONTENT[:200_000])
    with (
        answering(head) as url,
        pytest.raises(DownloadError, match=f"{found}.*same command again, which continues after the 0.2 MiB in ") as e,
    ):
        fetch(url, tmp_path / NAME, sha1(CONTENT), len(CONTENT), pause=0.001)
    assert len(str(e.value)) < 600
    assert part.read_bytes() == CONTENT[:200_000]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=200000-"]


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        ("200 OK", bytes(1 << 16)),
        ("200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9", b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
        (f"{RANGE} 200000-299999/300000", bytes(1 << 16)),
        (f"{RANGE} 200000-299999/*", bytes(1 << 16)),
    ],
)
def test_body_that_does_not_end_fills_no_disk(head: str, endless: bytes, tmp_path: Path) -> None:
    part = tmp_path / f"{NAME}.part"
    if head.startswith(RANGE):
        part.write_bytes(CONTENT[:200_000])
    with (
        answering(head, endless=endless) as url,
        pytest.raises(DownloadError, match=r"sent more bytes than it announced, expected at most [36]00000: "),
    ):
        fetch(url, tmp_path / NAME, sha1(CONTENT), len(CONTENT), pause=0.001)
    assert part.stat().st_size <= 2 * len(CONTENT)


def test_file_that_changes_between_two_pieces_is_named(tmp_path: Path) -> None:
    heads = (
        '200 OK\r\nContent-Length: 300000\r\nETag: "a"',
        f'{RANGE} 100000-299999/300000\r\nContent-Length: 200000\r\nETag: "b"',
    )
    with (
        answering(*heads, body=CONTENT[:100_000]) as url,
        pytest.raises(DownloadError, match=r'changed \(ETag "a", then "b"\).*continues after the 0\.1 MiB'),
    ):
        fetch(url, tmp_path / NAME, sha1(CONTENT), len(CONTENT), pause=0.001)
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:100_000]


def test_redirects_keep_to_https() -> None:
    def redirected(old: str, new: str) -> Request | None:
        with closing(BytesIO()) as body:
            return _HttpRedirects().redirect_request(Request(old), body, 302, "Found", HTTPMessage(), new)

    for old, new in (("http://a/", "https://b/"), ("https://a/", "https://b/"), ("http://a/", "http://b/")):
        request = redirected(old, new)
        assert request is not None
        assert request.full_url == new
    with pytest.raises(HTTPError, match="'http://b/' is not allowed"):
        redirected("https://a/", "http://b/")


def test_no_server_is_named(server: Server, tmp_path: Path) -> None:
    server.server_close()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*refused.*check the connection"):
        get(server, tmp_path)


def test_file_that_the_server_does_not_have_is_named_at_once(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(DownloadError, match=r"file\.zip: the server answered 404 .*check the address") as raised:
        get(server, tmp_path)
    assert len(server.requests) == 1
    assert isinstance(raised.value, GenreError)
    assert isinstance(raised.value, OSError)
    assert raised.value.code == "download"


def test_wrong_checksum_is_named_and_the_file_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=rf"SHA-1 {sha1(CONTENT)}, expected {'0' * 40}; they were removed"):
        get(server, tmp_path, "0" * 40)
    assert list(tmp_path.iterdir()) == []


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected http:// or https://"):
        fetch((tmp_path / "x").as_uri(), tmp_path / "y", "", 1)


@pytest.mark.parametrize("url", ["http://[a", "http://a:b/", f"http://{'a' * 70}ü/", "http://127.0.0.1/ü"])
def test_addresses_that_cannot_be_used_are_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"the address cannot be used .*, expected http://host/path: check"):
        fetch(url, tmp_path / "y", "", 1)


def test_folder_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"file.* cannot be read or written: .*; check the permissions"):
        get(server, tmp_path / "file")
    (tmp_path / NAME).mkdir()
    with pytest.raises(DownloadError, match=r"file\.zip.* cannot be read or written: .*; check the permissions"):
        get(server, tmp_path)
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT


def test_too_little_room_is_named_before_anything_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 2**20))
    with pytest.raises(DownloadError, match=r"1\.0 MiB free, file\.zip and its contents need 2\.3 MiB"):
        get(server, tmp_path, unpacked=2 * 2**20)
    assert server.requests == []
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:200_000])
    get(server, tmp_path, unpacked=900_000)  # what is there needs no more room


class FullDisk:
    """A file that takes 1,000 bytes and no more."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> int:
        self.file.write(content[:1_000])
        raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def full_disk() -> Iterator[None]:
    open_file = Path.open

    def open_or_fill(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = open_file(self, mode, *arguments, **options)
        return FullDisk(file) if mode in ("wb", "ab") else file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", open_or_fill)
        yield


def test_disk_that_fills_up_keeps_what_arrived(server: Server, tmp_path: Path) -> None:
    with full_disk(), pytest.raises(DownloadError, match=r"disk of .* is full, 0\.3 MiB were still .* continues"):
        get(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-"]


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
