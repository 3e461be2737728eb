"""The plugin in the real beets: imports, `beet genreaudio`, and what it does with files that cannot be read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.synthetic import TAGS, tone, write_audio, write_model

pytest.importorskip("beets")
mutagen = pytest.importorskip("mutagen")

FORMATS = ("flac", "mp3", "ogg", "wav", "aiff")
N_FILES = 50
RIFF = (".wav", ".aiff")
Beet = Callable[..., str]


@pytest.fixture
def beet(tmp_path: Path) -> Beet:
    """Run beets with a configuration of its own and the tiny model of two branches; return stdout and stderr."""
    home = tmp_path / "beets"
    home.mkdir()
    (tmp_path / "tiny").mkdir()
    model = write_model(tmp_path / "tiny", threshold=0.8, tags=TAGS)

    def run(*words: str | Path, status: int = 0, **settings: object) -> str:
        own = {"model": model, "jobs": 1, **settings}
        lines = [f"  {name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in own.items()]
        text = ["directory: " + str(tmp_path / "library"), "plugins: genreaudio", "genreaudio:", *lines]
        (home / "config.yaml").write_text("\n".join(text), encoding="utf-8")
        environment = {**os.environ, "BEETSDIR": str(home), "PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "beets", *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return run


def song(path: Path, level: float = 1.0, genre: str = "", seconds: float = 2) -> Path:
    """Write a tagged song; the album is the name of its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, level * tone(seconds))
    tags = mutagen.File(path, easy=path.suffix not in RIFF)
    if path.suffix in RIFF:
        from mutagen import id3

        tags.add_tags()
        for frame, text in (("TIT2", path.stem), ("TPE1", "Artist"), ("TALB", path.parent.name), ("TCON", genre)):
            if text:
                tags.tags.add(getattr(id3, frame)(encoding=3, text=[text]))
    else:
        tags["title"], tags["artist"], tags["album"] = path.stem, "Artist", path.parent.name
        if genre:
            tags["genre"] = genre
    tags.save()
    return path


def genres(path: Path) -> list[str]:
    """Return the genres in the tags of a file."""
    tags = mutagen.File(path, easy=path.suffix not in RIFF)
    return [str(text) for text in (tags.get("TCON") or tags.get("genre") or [])]


def test_an_import_of_fifty_files(beet: Beet, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(N_FILES):
        kind = ("plain", "tagged", "silent", "plain", "plain")[number // 5 % 5]
        name = f"{kind}{number:02}.{FORMATS[number % 5]}"
        level = 0.0 if kind == "silent" else 1 + number / 100
        song(source / f"album{number // 10}" / name, level, "Polka" if kind == "tagged" else "")
    before = {path: path.read_bytes() for path in source.rglob("*.*")}
    beet("import", "-q", "-A", source)
    rows = beet("ls", "-f", "$title|$genres|$audio_genre|$audio_music|$audio_styles|$audio_moods|$path").splitlines()
    assert len(rows) == N_FILES
    for row in rows:
        title, genre, heard, music, styles, moods, path = row.split("|")
        if title.startswith("silent"):
            assert (genre, music, styles) == ("", "silence", "")
        else:
            assert (heard, music, styles, moods) == ("tone", "music", "house", "happy"), row
            assert genre == ("Polka" if title.startswith("tagged") else "tone")
        assert genres(Path(path)) == ([genre] if genre else []), "the file of the library has what beets has"
    assert {path: path.read_bytes() for path in before} == before, "originals of copies stay as they are"
    assert len(beet("ls", "audio_confidence:0.8..").splitlines()) == 40
    assert len(beet("ls", "audio_moods:happy", "genres:Polka").splitlines()) == 10
    assert beet("ls", "-a", "-f", "$album|$genres").splitlines()[0] == "album0|tone"
    assert "0 of 40 items are to be analysed" in beet("genreaudio", "genres::."), "nothing twice"


def test_a_file_that_cannot_be_read_does_not_stop_an_import(beet: Beet, tmp_path: Path) -> None:
    source = tmp_path / "source" / "album"
    song(source / "one.flac")
    song(source / "two.flac")
    broken = song(source / "broken.flac", seconds=30)
    content = broken.read_bytes()
    start = content.index(b"\xff\xf8")
    broken.write_bytes(content[:start] + bytes(9000))
    said = beet("import", "-q", "-A", source)
    assert "genreaudio: " in said
    assert "broken.flac: " in said
    assert len(beet("ls", "genres:tone").splitlines()) == 2
    assert len(beet("ls").splitlines()) == 3


def test_without_a_model_an_import_goes_on(beet: Beet, tmp_path: Path) -> None:
    song(tmp_path / "source" / "album" / "one.flac")
    said = beet("import", "-q", "-A", tmp_path / "source", model=tmp_path / "none.onnx")
    assert "none.onnx" in said
    assert len(beet("ls").splitlines()) == 1
    assert "none.onnx" in beet("genreaudio", status=1, model=tmp_path / "none.onnx")


def test_the_command(beet: Beet, tmp_path: Path) -> None:
    source = tmp_path / "source" / "album"
    song(source / "plain.flac")
    song(source / "tagged.flac", 0.9, "Polka")
    vague = song(source / "vague.flac", 0.4)
    beet("import", "-q", "-A", source, auto=False)
    copies = {path.stem.split()[-1]: path for path in (tmp_path / "library").rglob("*.flac")}
    said = beet("genreaudio", "-p")
    assert "plain.flac: would be tone" in said
    assert "vague.flac: no genre, the best genre reaches 66%" in said
    assert beet("ls", "audio_genre::.") == ""
    beet("genreaudio", "-W", "title:plain")
    assert beet("ls", "-f", "$title", "genres:tone") == "plain\n"
    assert genres(copies["plain"]) == []
    beet("genreaudio", "-f", "title:plain", separator="/", count=2, min_confidence=0.0)
    assert genres(copies["plain"]) == ["tone"]
    beet("genreaudio")
    assert genres(copies["tagged"]) == ["Polka"]
    assert beet("ls", "-f", "$genres", "audio_genre:tone", "title:tagged") == "Polka\n"
    (tmp_path / "map.txt").write_text("tone = Sine Wave\nnoise = Noise\nquiet = Quiet")
    beet("genreaudio", "--force", map=tmp_path / "map.txt", unsure=True, count=3, state=tmp_path / "state")
    assert genres(copies["tagged"]) == ["Sine Wave"]
    assert genres(copies["vague"]) == ["Sine Wave", "Noise"]
    assert (tmp_path / "state").is_file()
    assert genres(vague) == []


def test_a_wrong_setting_is_named_before_anything_is_imported(beet: Beet, tmp_path: Path) -> None:
    song(tmp_path / "source" / "album" / "one.flac")
    wrong: dict[str, tuple[object, str]] = {
        "count": (0, "count is 0: expected 1 or more"),
        "excerpts": (0, "excerpts is 0: expected a positive number or all"),
        "unsure": ("perhaps", "genreaudio.unsure"),
        "min_confidence": (7, "min_confidence is 7: expected 0 to 1"),
        "map": ("/nonexistent/map.txt", "the map '/nonexistent/map.txt' cannot be read"),
    }
    for name, (value, words) in wrong.items():
        assert words in beet("import", "-q", "-A", tmp_path / "source", status=1, **{name: value})
    assert "count" in beet("genreaudio", status=1, count="many")
    assert beet("ls") == ""
