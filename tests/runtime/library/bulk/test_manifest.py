"""Manifests of each kind, and entries that lie elsewhere."""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genre_runtime import GenreClassifier, Prediction
from genre_runtime.errors import AudioLimitError, AudioNotFoundError, GenreError, InvalidInputError
from genre_runtime.library.bulk.manifest import (
    FetchError,
    ManifestError,
    classify_source,
    is_manifest,
    is_url,
    read_manifest,
)
from tests.runtime.conftest import Genre
from tests.synthetic import noise, tone, write_audio

ENTRIES = ["song.mp3", "/music/a, b.flac", "s3://bucket/c.ogg", "ü/d.wav"]


def write_csv(path: Path, entries: list[str]) -> None:
    lines = ["genre,path", *(f'rock,"{entry}"' for entry in entries)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")


def write_jsonl(path: Path, entries: list[str]) -> None:
    path.write_text("".join(json.dumps({"genre": "rock", "path": entry}) + "\n\n" for entry in entries))


def write_parquet(path: Path, entries: list[str]) -> None:
    pyarrow: Any = pytest.importorskip("pyarrow", reason="pyarrow of genre-runtime[ray] is not installed")
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow of genre-runtime[ray] is not installed")
    columns = {"genre": ["rock"] * len(entries), "path": entries}
    parquet.write_table(pyarrow.table(columns, pyarrow.schema({"genre": "string", "path": "string"})), path)


WRITERS: dict[str, Callable[[Path, list[str]], None]] = {
    "list.csv": write_csv,
    "list.jsonl": write_jsonl,
    "LIST.PARQUET": write_parquet,
}
each_kind = pytest.mark.parametrize("name", WRITERS)


def test_results_in_csv_are_a_manifest_whatever_the_names_hold(genre: Genre, tmp_path: Path) -> None:
    names = ["a\u3000b.wav", "c\xa0d.wav", "e\u200df.wav", 'g, "h".wav', "i\u202ej.wav"]
    paths = [str(write_audio(tmp_path / name, tone(1))) for name in names]
    assert genre("classify", *paths, "--format", "csv", "--output", tmp_path / "genres.csv")[0] == 0
    assert list(read_manifest(str(tmp_path / "genres.csv"))) == paths
    printed = genre("classify", *paths)[1]
    assert [name in printed for name in names] == [True, True, False, True, False]


@each_kind
def test_entries_come_in_order_and_relative_ones_from_the_manifest_s_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS[name](tmp_path / name, ENTRIES)
    expected = [str(tmp_path / "song.mp3"), *ENTRIES[1:3], str(tmp_path / "ü" / "d.wav")]
    assert list(read_manifest(str(tmp_path / name))) == expected
    monkeypatch.chdir(tmp_path)
    assert list(read_manifest(name)) == expected
    assert is_manifest(name)


@each_kind
def test_a_manifest_without_entries_or_with_an_empty_one_is_an_error(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, [])
    with pytest.raises(ManifestError, match="names no file"):
        list(read_manifest(str(tmp_path / name)))
    WRITERS[name](tmp_path / name, ["song.mp3", " "])
    with pytest.raises(ManifestError, match="entry 2, has no path"):
        list(read_manifest(str(tmp_path / name)))


def test_a_manifest_without_the_column_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file\nsong.mp3\n")
    (tmp_path / "list.jsonl").write_text('{"file": "song.mp3"}\n')
    for name in ("list.csv", "list.jsonl"):
        with pytest.raises(ManifestError, match="no column 'path'"):
            list(read_manifest(str(tmp_path / name)))
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow of genre-runtime[ray] is not installed")
    import pyarrow

    parquet.write_table(pyarrow.table({"file": ["song.mp3"]}), tmp_path / "list.parquet")
    with pytest.raises(ManifestError, match="no column 'path'"):
        list(read_manifest(str(tmp_path / "list.parquet")))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.csv", b"", "names no file"),
        ("list.jsonl", b'{"path": "a.mp3"}\n{"path"', "after entry 1"),
        ("list.jsonl", b'["a.mp3"]\n', "entry 1, has no path"),
        ("list.jsonl", b'{"path": 7}\n', "entry 1, has no path"),
        ("list.parquet", b"PAR1 this is none PAR1", "cannot be read"),
        ("list.txt", b"a.mp3\n", "has an unknown suffix"),
    ],
)
def test_a_damaged_manifest_is_named(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow of genre-runtime[ray] is not installed")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=words) as caught:
        list(read_manifest(str(tmp_path / name)))
    assert name in str(caught.value)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        list(read_manifest(str(tmp_path / "none.csv")))


@pytest.mark.skipif(os.name == "nt", reason="Windows' names are text")
def test_a_name_that_is_not_utf_8_is_kept(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"path\n/music/\xff.mp3\n")
    assert list(read_manifest(str(tmp_path / "list.csv"))) == [os.fsdecode(b"/music/\xff.mp3")]


def test_urls_are_told_from_paths() -> None:
    assert is_url("s3://bucket/a.mp3")
    assert is_url("zip://a.mp3::file:///b.zip")
    assert not any(map(is_url, ["C:/music/a.mp3", "/music/a://b.mp3", "a.mp3", "C://music"]))


@pytest.fixture
def memory() -> Callable[[str, bytes], str]:
    """Return a function that puts a file into fsspec's memory and returns its URL."""
    fsspec: Any = pytest.importorskip("fsspec", reason="fsspec of genre-runtime[ray] is not installed")
    folder = f"memory://{uuid.uuid4()}"

    def put(name: str, content: bytes) -> str:
        with fsspec.open(f"{folder}/{name}", "wb") as file:
            file.write(content)
        return f"{folder}/{name}"

    return put


Put = Callable[[str, bytes], str]


def said(result: Prediction | GenreError) -> Any:
    return {**result.to_dict(), "path": None} if isinstance(result, Prediction) else (result.code, str(result))


@pytest.mark.parametrize("max_bytes", [1000, 2**20], ids=["by ranges", "whole"])
def test_a_remote_file_gets_the_answer_of_the_local_one(
    classifier: GenreClassifier, memory: Put, tmp_path: Path, max_bytes: int
) -> None:
    for name, samples in (("tone.wav", tone(12)), ("noise.flac", noise(3))):
        path = write_audio(tmp_path / name, samples)
        expected = said(classifier.classify_file(path))
        url = memory(name, path.read_bytes())
        assert said(classify_source(classifier, url, max_bytes=max_bytes).outcome) == expected
        assert said(classify_source(classifier, str(path)).outcome) == expected
        local = classify_source(classifier, path.as_uri(), max_bytes=max_bytes).outcome
        assert isinstance(local, Prediction)
        assert local.path == path, "what lies here is read from here"


def test_what_is_wrong_with_a_remote_file_is_its_result(classifier: GenreClassifier, memory: Put) -> None:
    text = memory("text.mp3", b"no music")
    for url, code in (
        (text, "unreadable_audio"),
        (memory("empty.wav", b""), "empty_audio"),
        (text.rpartition("/")[0], "unreadable_audio"),
        (f"{text}.none", "not_found"),
        ("nonesuch://a.mp3", "invalid_input"),
    ):
        result = classify_source(classifier, url).outcome
        assert isinstance(result, GenreError), url
        assert result.code == code, result


class Storage:
    """A file system that keeps its sizes to itself, or fails."""

    protocol = "odd"

    def __init__(self, content: bytes | Exception) -> None:
        self.content = content

    def info(self, path: str) -> dict[str, Any]:
        return {"type": "file", "size": None}

    def open(self, path: str, mode: str) -> io.BytesIO:
        if isinstance(self.content, Exception):
            raise self.content
        return io.BytesIO(self.content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"x" * 1001, AudioLimitError),
        (PermissionError("no"), FetchError),
        (RuntimeError("a cloud's own error"), FetchError),
        (FileNotFoundError("gone"), AudioNotFoundError),
    ],
)
def test_odd_storage(
    classifier: GenreClassifier, monkeypatch: pytest.MonkeyPatch, content: bytes | Exception, kind: type[GenreError]
) -> None:
    monkeypatch.setattr("genre_runtime.library.bulk.manifest.file_system", lambda url: (Storage(content), url))
    assert isinstance(classify_source(classifier, "odd://a.wav", max_bytes=1000).outcome, kind)


def test_a_manifest_elsewhere(memory: Put) -> None:
    url = memory("list.csv", b"path\nsong.mp3\ns3://bucket/a.mp3\n")
    folder = url.rpartition("/")[0]
    assert list(read_manifest(url)) == [f"{folder}/song.mp3", "s3://bucket/a.mp3"]
    with pytest.raises(ManifestError, match="cannot be read"):
        list(read_manifest(f"{folder}/none.csv"))
    with pytest.raises(InvalidInputError, match="nonesuch"):
        list(read_manifest("nonesuch://list.csv"))
