"""Files that a client names by path."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from genre_runtime import GenreClassifier
from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem
from tests.synthetic import tone, write_audio

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with a song, beside one with another that is not to be read."""
    for name in ("music", "music-private"):
        (tmp_path / name / "album").mkdir(parents=True)
        write_audio(tmp_path / name / "album" / "song.wav", tone(2))
    return tmp_path / "music"


@pytest.fixture
def reader(make_client: MakeClient, music: Path) -> TestClient:
    return make_client(audio_roots=os.pathsep.join([str(music / "none"), str(music)]))


def ask(client: TestClient, path: str) -> Any:
    return client.post("/api/predict", json={"path": path})


def test_path_is_off_by_default(client: TestClient, music: Path) -> None:
    assert_problem(ask(client, str(music / "album" / "song.wav")), 403, "path_disabled")


def test_path_inside_is_read(reader: TestClient, classifier: GenreClassifier, music: Path) -> None:
    song = music / "album" / "song.wav"
    expected = classifier.classify_file(song).to_dict()
    for path in (
        str(song),
        "album/song.wav",
        "./album/../album/song.wav",
        str(music / ".." / "music" / "album/song.wav"),
    ):
        answer = ask(reader, path).json()
        assert {name: answer[name] for name in expected} == {**expected, "path": path}


@pytest.mark.parametrize("content", [b"password=hunter2 and more", b"\x01\x02hunter2", b"<html>hunter2", b"hunter2"])
def test_no_error_quotes_a_file_that_the_client_did_not_send(reader: TestClient, music: Path, content: bytes) -> None:
    (music / "notes.txt").write_bytes(content)
    response = ask(reader, "notes.txt")
    assert_problem(response, 415, "unreadable_audio")
    assert response.json()["detail"] == "the file at this path is not audio of a known format, or is damaged"


@pytest.mark.parametrize(
    "path",
    [
        "none.wav",
        "",
        ".",
        "album",
        "/etc/passwd",
        "../music-private/album/song.wav",
        "album/../../music-private/album/song.wav",
        "/proc/self/environ",
        "//etc/passwd",
        "~root/.profile",
        "file:///etc/passwd",
        "%2e%2e/music-private/album/song.wav",
        "album/song.wav\x00.txt",
        "album/song.wav/x",
        "a" * 5000,
        "a/" * 5000,
    ],
)
def test_everything_else_is_not_found_in_the_same_words(reader: TestClient, path: str) -> None:
    expected = ask(reader, "none.wav").json()
    response = ask(reader, path)
    assert_problem(response, 404, "not_found")
    assert {**response.json(), "request_id": ""} == {**expected, "request_id": ""}


def test_existing_path_outside_is_not_found(reader: TestClient, music: Path) -> None:
    outside = music.parent / "music-private" / "album" / "song.wav"
    assert outside.is_file()
    assert_problem(ask(reader, str(outside)), 404, "not_found")


@POSIX
def test_links_lead_nowhere_outside(reader: TestClient, music: Path) -> None:
    private = music.parent / "music-private"
    (music / "file.wav").symlink_to(private / "album" / "song.wav")
    (music / "folder").symlink_to(private)
    (music / "circle").symlink_to(music / "circle")
    (music / "inside.wav").symlink_to(music / "album" / "song.wav")
    for path in ("file.wav", "folder/album/song.wav", "circle", "circle/x"):
        assert_problem(ask(reader, path), 404, "not_found")
    assert ask(reader, "inside.wav").status_code == 200


@POSIX
def test_pipes_and_sockets_are_not_waited_for(reader: TestClient, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(music / "pipe.wav")
    monkeypatch.chdir(music)  # a socket's name may have few characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.wav")
        for path in ("pipe.wav", "socket.wav"):
            assert_problem(ask(reader, path), 404, "not_found")


@POSIX
def test_folder_replaced_by_a_link_while_it_is_opened(
    reader: TestClient, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def swap_and_open(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("song.wav") and not (music / "album").is_symlink():
            (music / "album").rename(music / "moved")
            (music / "album").symlink_to(music.parent / "music-private" / "album")
        return opened(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", swap_and_open)
    assert_problem(ask(reader, "album/song.wav"), 404, "not_found")
    assert (music / "album").is_symlink()


def test_no_audio_in_the_folder_is_unreadable(reader: TestClient, music: Path) -> None:
    (music / "notes.txt").write_text("words")
    assert_problem(ask(reader, "notes.txt"), 415, "unreadable_audio")


def test_no_file_stays_open(reader: TestClient, music: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no list of open files here")
    for path in ("album/song.wav", "album", "none"):
        ask(reader, path)
    links = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    assert not [link for link in links if str(music) in link]
