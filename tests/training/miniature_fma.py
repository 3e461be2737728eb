"""FMA in miniature: archives laid out as the real ones, and a server on this machine that can misbehave."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import soundfile

from tests.synthetic import RATE, tone

COLUMNS = (
    ("album", "comments", "id", "information", "title"),
    ("artist", "bio", "id", "name"),
    ("set", "split", "subset"),
    ("track", "bit_rate", "duration", "genre_top", "genres", "title"),
)


class Row(NamedTuple):
    """What of a track matters here."""

    number: int
    genre: str = "Rock"
    split: str = "training"
    subset: str = "small"
    artist: int = 1


ROWS = (
    Row(2, "Hip-Hop", "training", "small", 1),
    Row(5, "Hip-Hop", "validation", "small", 2),
    Row(140, "Folk", "test", "small", 3),
    Row(148, "Old-Time / Historic", "training", "medium", 4),
    Row(1486, "Rock", "training", "medium", 5),  # one of the bad clips
    Row(1487, "Soul-RnB", "test", "medium", 5),
    Row(3000, "", "training", "large", 6),
    Row(3001, "Easy Listening", "training", "large", 6),
)


def tracks_csv(rows: Sequence[Row] = ROWS) -> str:
    """The table as pandas writes it: two rows of column names, then one that names the index."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *(group for group, *names in COLUMNS for _ in names)])
    writer.writerow(["", *(name for _, *names in COLUMNS for name in names)])
    writer.writerow(["track_id", *[""] * sum(len(names) - 1 for names in COLUMNS)])
    for row in rows:
        album = ("0", "1", "<p>Of two\nlines, with a comma</p>", 'A "quoted" title')
        artist = ("", row.artist, "Ada")
        track = ("256000", "168", row.genre, "[21]", "Food")
        writer.writerow([row.number, *album, *artist, row.split, row.subset, *track])
    return text.getvalue()


def clip_name(row: Row) -> str:
    """Name below the subset's folder."""
    return f"{row.number // 1000:03d}/{row.number:06d}.mp3"


def mp3(seconds: float = 0.3, frequency: float = 440.0) -> bytes:
    """A tone as an MP3 file."""
    file = io.BytesIO()
    soundfile.write(file, tone(seconds, frequency=frequency), RATE, format="MP3")
    return file.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return file.getvalue()


def archives(subset: str, included: Sequence[str]) -> dict[str, bytes]:
    """`fma_metadata.zip` and the archive of `subset`, which holds the clips of the subsets `included`."""
    table = tracks_csv().encode()
    metadata = {"README.txt": b"FMA", "tracks.csv": table, "features.csv": b"large", "not_found.pickle": b"no"}
    clips = {clip_name(row): mp3(frequency=200.0 + row.number) for row in ROWS if row.subset in included}
    return {
        "fma_metadata.zip": zipped({f"fma_metadata/{k}": v for k, v in metadata.items()}, zipfile.ZIP_BZIP2),
        f"fma_{subset}.zip": zipped({f"fma_{subset}/{k}": v for k, v in {"README.txt": b"FMA", **clips}.items()}),
    }


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def write_metadata(folder: Path, rows: Sequence[Row] = ROWS) -> Path:
    """Write `fma_metadata/tracks.csv` and return the folder."""
    path = folder / "fma_metadata" / "tracks.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tracks_csv(rows), encoding="utf-8")
    return folder


def touch_clips(folder: Path, subset: str, rows: Sequence[Row] = ROWS) -> None:
    """Write an empty file for each clip: only decoding looks inside."""
    for row in rows:
        path = folder / f"fma_{subset}" / clip_name(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


class Server(ThreadingHTTPServer):
    """Serves `files` and keeps the path and the Range of every request.

    `breaks` and `statuses` are used up from the front, one a request: bytes after which the connection breaks,
    and statuses to answer instead of the file.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.knows_ranges = True
        self.breaks: list[int] = []
        self.statuses: list[int] = []
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        name = self.path.lstrip("/")
        self.server.requests.append((name, wanted))
        content = self.server.files.get(name)
        if content is None or self.server.statuses:
            self.send_error(404 if content is None else self.server.statuses.pop(0))
            return
        found = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        start = int(found[1]) if found and self.server.knows_ranges else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        length = self.server.breaks.pop(0) if self.server.breaks else len(content)
        self.wfile.write(content[start : start + length])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve until the block ends."""
    with Server(files) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
