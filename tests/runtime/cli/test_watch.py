"""`genre watch`: files that come slowly, move and are cut short, and a watch that is killed.

`WATCH_SECONDS=900 WATCH_CLIPS=FOLDER pytest -s -k nothing_missed tests/runtime/cli/test_watch.py` copies
the audio files of a folder for a quarter of an hour.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.scan import Finder
from genre_runtime.library.watch import FolderWatch, is_being_written
from tests.patience import PATIENCE_SECONDS
from tests.runtime.conftest import Genre
from tests.synthetic import tone, write_audio

mutagen = pytest.importorskip("mutagen")
pytest.importorskip("watchfiles")

SECONDS = float(os.environ.get("WATCH_SECONDS", "12"))
CLIPS = os.environ.get("WATCH_CLIPS")
SETTLE = 0.5
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in the background
from genre_runtime.cli import main
sys.exit(main())
"""
FORMATS = ("flac", "mp3", "wav", "ogg")


class Watch:
    """A running `genre watch`, its log in a file that several runs share."""

    def __init__(self, folder: Path, home: Path, model: Path, *options: str) -> None:
        self.log = home / "log.txt"
        environment = {**os.environ, "XDG_STATE_HOME": str(home / "state"), "GENRE_MODEL": str(model)}
        command = [sys.executable, "-c", COMMAND, "watch", str(folder), "--settle", str(SETTLE)]
        self._before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as log:
            self.process = subprocess.Popen([*command, "--jobs", "1", *options], env=environment, stderr=log)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        """Return the lines of this run."""
        with self.log.open(encoding="utf-8") as file:
            file.seek(self._before)
            return file.read()

    def wait_for(self, words: str) -> str:
        """Wait until a line of this run matches a pattern."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not re.search(words, said := self.said()):
            assert self.process.poll() is None, said
            assert time.monotonic() < until, f"{words!r} is not in: {said}"
            time.sleep(0.05)
        return said

    def end(self, number: int = signal.SIGTERM) -> str:
        """Send a signal, wait for the end, and return the lines of this run."""
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_SECONDS)
        assert status == (0 if number != signal.SIGKILL else -number), self.said()
        return self.said()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder to watch."""
    path = tmp_path / "music"
    path.mkdir()
    return path


@pytest.fixture
def started(folder: Path, tmp_path: Path, model_path: Path) -> Iterator[Watch]:
    """A watch that writes tags and has searched the empty folder."""
    with Watch(folder, tmp_path, model_path, "--write") as watch:
        watch.wait_for("searched the folders")
        yield watch


def genres(path: Path) -> list[str]:
    """Return the genres in the tags of a file."""
    tags = mutagen.File(path)
    return [str(text) for text in (tags.get("TCON") or tags.get("genre") or [])] if tags else []


def test_files_are_tagged_as_they_come(started: Watch, folder: Path) -> None:
    song = write_audio(folder / "song.flac", tone(3))
    started.wait_for(r"written +\(none\) -> tone +.*song\.flac")
    assert genres(song) == ["tone"]
    (folder / "new" / "album").mkdir(parents=True)
    song.rename(folder / "new" / "album" / "renamed.flac")
    write_audio(folder / "new" / "album" / "other.mp3", tone(2))
    said = started.wait_for(r"unchanged +tone \(has a genre\) +.*renamed\.flac")
    started.wait_for(r"written .*other\.mp3")
    said = started.end()
    assert "ended: 2 written, 1 unchanged, 0 left, 0 failed, 2 analysed" in said
    assert "to undo this: genre tag --undo" in said
    assert said.count("song.flac") == 1, "its own writing is not another change"


def test_without_write_nothing_changes(folder: Path, tmp_path: Path, model_path: Path) -> None:
    song = write_audio(folder / "song.flac", tone(3))
    before = song.read_bytes()
    with Watch(folder, tmp_path, model_path) as watch:
        said = watch.wait_for("searched the folders: 1 to write")
        watch.end(signal.SIGINT)
    assert "changing nothing: add --write to do it" in said
    assert "would write" in said
    assert song.read_bytes() == before


@pytest.mark.parametrize("suffix", ["flac", "ogg", "wav", "mp3"])
def test_a_file_that_is_cut_short_is_left_until_it_is_whole(
    started: Watch, folder: Path, tmp_path: Path, suffix: str
) -> None:
    whole = write_audio(tmp_path / f"whole.{suffix}", tone(20)).read_bytes()
    song = folder / f"song.{suffix}"
    song.write_bytes(whole[: len(whole) // 2])
    words = "the end of the Ogg stream is missing" if suffix == "ogg" else "only .* could be read"
    started.wait_for(rf"left +.*song\.{suffix}: {words}: it is left as it is until it changes")
    assert song.read_bytes() == whole[: len(whole) // 2]
    with song.open("ab") as file:
        file.write(whole[len(whole) // 2 :])
    started.wait_for(rf"written .*song\.{suffix}")
    (folder / "text.mp3").write_text("no music")
    started.wait_for(r"failed +.*text\.mp3: .*begins with the text")
    assert "ended: 1 written, 0 unchanged, 1 left, 1 failed" in started.end()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_file_that_a_program_writes_to_is_not_replaced(started: Watch, folder: Path, tmp_path: Path) -> None:
    song = write_audio(folder / "song.mp3", tone(3))
    with song.open("r+b"):
        assert is_being_written(song)
        time.sleep(4 * SETTLE)
        assert "song" not in started.said()
    assert not is_being_written(song)
    started.wait_for(r"written .*song\.mp3")


def test_hidden_and_temporary_files_are_passed_over(started: Watch, folder: Path) -> None:
    hidden = write_audio(folder / ".song.flac", tone(3))
    (folder / ".hidden").mkdir()
    write_audio(folder / ".hidden" / "song.flac", tone(3))
    (folder / "song.flac.part").write_bytes(hidden.read_bytes())
    write_audio(folder / "last.flac", tone(2))
    started.wait_for(r"written .*last\.flac")
    (folder / "song.flac.part").rename(folder / "song.flac")
    started.wait_for(r"written .*song\.flac")
    assert "2 written, 0 unchanged" in started.end()


@pytest.mark.parametrize("options", [(), ("--poll", "0.5")])
def test_a_folder_that_goes_away_is_waited_for(
    folder: Path, tmp_path: Path, model_path: Path, options: tuple[str, ...]
) -> None:
    write_audio(folder / "first.flac", tone(3))
    with Watch(folder, tmp_path, model_path, "--write", *options) as watch:
        watch.wait_for("searched the folders: 1 written")
        folder.rename(tmp_path / "away")
        watch.wait_for("the folder is not there, waiting for it")
        write_audio(tmp_path / "away" / "second.flac", tone(2))
        (tmp_path / "away").rename(folder)
        watch.wait_for("the folder is back: searching it")
        watch.wait_for(r"written .*second\.flac")
        folder.rename(tmp_path / "unmounted")  # the mount point is there, and empty
        folder.mkdir()
        watch.wait_for("the folder (was replaced|is not there)")
        write_audio(folder / "third.flac", tone(4))
        watch.wait_for(r"written .*third\.flac")
        said = watch.end()
        assert "ended: 3 written, 0 unchanged, 0 left, 0 failed, 3 analysed" in said


def test_wrong_usage(genre: Genre, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, err = genre("watch", tmp_path / "none")
    assert status == 2
    assert "there is no folder" in err
    (tmp_path / "file").touch()
    assert genre("watch", tmp_path / "file")[0] == 2
    for seconds in ("0", "-1", "nan", "inf", "soon"):
        status, _, err = genre("watch", folder, "--settle", seconds)
        assert status == 2
        assert "expected seconds, 0.1 to 86400" in err
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    status, _, err = genre("watch", folder, "--state", tmp_path / "state")
    assert status == 2
    assert "genre-runtime[watch]" in err


def test_polling_needs_no_watchfiles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    stop = threading.Event()
    with pytest.raises(MissingDependencyError):
        FolderWatch([folder], settle_seconds=0.1, poll_seconds=None, stop=stop, report=print)
    inner = folder / "inner"
    inner.mkdir()
    watch = FolderWatch([inner, folder], settle_seconds=0.1, poll_seconds=0.1, stop=stop, report=print)
    assert watch.folders == [folder]
    song = write_audio(inner / "song.wav", tone(1))
    batches = watch.batches()
    assert next(batch for batch in batches if batch) == [song]
    assert watch.is_unchanged(song)
    os.utime(song, (1, 1))
    assert not watch.is_unchanged(song)
    assert next(batch for batch in batches if batch) == [song]
    watch.retry(song)
    assert not any(next(batches) for _ in range(5)), "a file that failed has to wait"
    stop.set()
    assert list(batches) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only there are names bytes")
def test_a_name_that_is_not_utf_8_is_found_as_soon(started: Watch, folder: Path) -> None:
    song = write_audio(folder / "song.flac", tone(3))
    song.rename(os.fsdecode(os.fsencode(folder) + b"/bad\xff.flac"))
    started.wait_for(r"written .*bad.*udcff\.flac")
    write_audio(folder / "next.flac", tone(2))
    started.wait_for(r"written .*next\.flac")
    assert "cannot watch" not in started.end()


def test_without_the_help_of_the_system_folders_are_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*folders: Path, **options: object) -> Iterator[set[tuple[int, str]]]:
        raise OSError("limit reached")

    monkeypatch.setattr("watchfiles.watch", refuse)
    monkeypatch.setattr("genre_runtime.library.watch.FALLBACK_SECONDS", 0.1)
    stop = threading.Event()
    lines: list[str] = []
    watch = FolderWatch([folder], settle_seconds=0.1, poll_seconds=None, stop=stop, report=lines.append)
    batches = watch.batches()
    assert [next(batches) for _ in range(6)] == [[]] * 6
    assert lines == ["the system cannot watch the folders (limit reached): searching them every 0.1 s"]
    song = write_audio(folder / "song.wav", tone(1))
    assert next(batch for batch in batches if batch) == [song]
    stop.set()


class Traffic(threading.Thread):
    """Brings each file into a folder in one of several ways, and renames files and folders meanwhile."""

    def __init__(self, files: list[Path], folder: Path, seconds: float) -> None:
        super().__init__()
        self.files, self.folder, self.pause = files, folder, seconds / len(files)
        self.random = random.Random(1)
        self.done: Counter[str] = Counter()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for number, source in enumerate(self.files):
                began = time.monotonic()
                album = self.folder / f"album{number // 10}"
                album.mkdir(exist_ok=True)
                way = self.random.choice((self.copied, self.slow, self.torn, self.part, self.hidden))
                way(source.read_bytes(), album / f"{number:05}{source.suffix}")
                self.done[way.__name__] += 1
                self.disturb()
                time.sleep(max(0.0, self.pause - (time.monotonic() - began)))
        except Exception as error:
            self.error = error

    def copied(self, content: bytes, path: Path) -> None:
        path.write_bytes(content)

    def slow(self, content: bytes, path: Path) -> None:
        """Hold the file open, with pauses in which it looks settled."""
        with path.open("wb", buffering=0) as file:
            for n in range(3):
                file.write(content[n * len(content) // 3 : (n + 1) * len(content) // 3])
                time.sleep(self.random.choice((0.1, 2.5 * SETTLE)))

    def torn(self, content: bytes, path: Path) -> None:
        """Leave half a file for a while."""
        half = len(content) // 2
        path.write_bytes(content[:half])
        time.sleep(self.random.choice((0.1, 4 * SETTLE)))
        with path.open("ab") as file:
            file.write(content[half:])

    def part(self, content: bytes, path: Path) -> None:
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        part.rename(path)

    def hidden(self, content: bytes, path: Path) -> None:
        """Copy as rsync does."""
        part = path.with_name(f".{path.name}.Xa3f")
        part.write_bytes(content)
        part.rename(path)

    def disturb(self) -> None:
        """Rename a file, move it to another folder, or rename a folder."""
        albums = sorted(path for path in self.folder.iterdir() if path.is_dir())
        album = self.random.choice(albums)
        songs = sorted(path for path in album.iterdir() if not path.name.startswith("."))
        what = self.random.random()
        if what < 0.3 and songs:
            song = self.random.choice(songs)
            song.rename(song.with_name(f"r{song.name}"))
            self.done["renamed"] += 1
        elif what < 0.4 and songs:
            song = self.random.choice(songs)
            song.rename(albums[0] / song.name)
            self.done["moved"] += 1
        elif what < 0.5 and album != albums[0] and not album.with_name(f"{album.name}x").exists():
            album.rename(album.with_name(f"{album.name}x"))
            self.done["folder renamed"] += 1


def test_nothing_missed_and_nothing_twice(folder: Path, tmp_path: Path, model_path: Path) -> None:
    files = _material(tmp_path)
    model = Path(os.environ.get("WATCH_MODEL", model_path))
    options = ("--write", "--unsure")
    traffic = Traffic(files, folder, SECONDS)
    traffic.start()
    n_kills = 0
    chance = random.Random(2)
    watch = Watch(folder, tmp_path, model, *options)
    try:
        while traffic.is_alive():
            time.sleep(chance.uniform(2, max(4.0, SECONDS / 20)))
            watch.end(signal.SIGKILL if chance.random() < 0.7 else signal.SIGTERM)
            n_kills += 1
            watch = Watch(folder, tmp_path, model, *options)
        assert traffic.error is None, traffic.error
        watch.wait_for("searched the folders")
        time.sleep(4 * SETTLE)
        watch.end()
        watch = Watch(folder, tmp_path, model, *options)
        watch.wait_for("searched the folders")
        last = watch.end()
    finally:
        watch.__exit__()
    found = list(Finder().find([str(folder)]))
    tagged = [path for path in found if genres(path)]
    entries = _journal_entries(tmp_path)
    changed = {old for old, _ in entries}
    print(
        f"\n{len(files)} files in {SECONDS:g} s by {dict(traffic.done)}; {n_kills} kills and ends; {len(tagged)} "
        f"tagged; {len(entries)} entries in the journals, {len(changed)} of different files; last run: {last}"
    )
    assert len(found) == len(files), "no file is lost, and none is there twice"
    assert re.search(r"ended: 0 written, \d+ unchanged, 0 left, 0 failed, 0 analysed", last), last
    if CLIPS is None:
        assert len(tagged) == len(files), "nothing is missed"
    assert len(changed) == len(tagged)
    assert changed.isdisjoint(new for _, new in entries), "no tagged file is tagged again"
    assert len(entries) - len(changed) <= n_kills, "a change that was recorded, but not made before the kill"


def _material(tmp_path: Path) -> list[Path]:
    """Return files without a genre, no two with the same bytes."""
    folder = tmp_path / "source"
    folder.mkdir()
    if CLIPS is None:
        return [
            write_audio(folder / f"{n}.{FORMATS[n % len(FORMATS)]}", tone(2 + n / 10, frequency=200 + 10 * n))
            for n in range(20)
        ]
    by_content: dict[bytes, Path] = {}
    for n, path in enumerate(sorted(Finder().find([CLIPS]))):
        clip = Path(shutil.copyfile(path, folder / f"{n}{path.suffix}"))
        if genres(clip):
            tags = mutagen.File(clip)
            del tags["genre"]
            tags.save()
        by_content.setdefault(hashlib.sha256(clip.read_bytes()).digest(), clip)
    return list(by_content.values())


def _journal_entries(tmp_path: Path) -> list[tuple[str, str]]:
    """Return the digests before and after each change in the journals."""
    journals = (tmp_path / "state" / "genre" / "journals").glob("*.jsonl")
    lines = [json.loads(line) for journal in journals for line in journal.read_text().splitlines()]
    return [(line["old"]["sha256"], line["new"]["sha256"]) for line in lines]
