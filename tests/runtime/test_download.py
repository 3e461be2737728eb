"""Downloads that break, lie or run out of room: each is continued or named."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPMessage
from io import BytesIO
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.error import HTTPError
from urllib.request import Request

import numpy as np
import pytest

from genre_runtime.download import ATTEMPTS, _HttpRedirects, fetch
from genre_runtime.errors import DownloadError, GenreError
from tests.training.data.full_disk import Usage, full_disk
from tests.training.miniature_fma import Server, serving, sha1

CONTENT = np.random.default_rng(0).bytes(300_000)
NAME = "file.zip"


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


def test_disk_that_fills_up_keeps_what_arrived(server: Server, tmp_path: Path) -> None:
    with full_disk(), pytest.raises(DownloadError, match=r"disk of .* is full, 0\.3 MiB were still .* continues"):
        get(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-"]
