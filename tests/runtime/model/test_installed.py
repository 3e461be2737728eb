"""Models that are downloaded once: nothing wrong, cut or odd is ever kept, and what is there needs no network."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from genre_runtime import GenreClassifier, find_model
from genre_runtime.cli import main
from genre_runtime.errors import DownloadError, InvalidInputError, InvalidModelError, ModelNotFoundError
from genre_runtime.model import installed
from genre_runtime.model.installed import fetch_model, installed_models, read_index, remove_model
from tests.synthetic import write_model


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with a model, as a release has it."""
    folder = tmp_path / "release"
    folder.mkdir()
    write_model(folder)
    return folder


@pytest.fixture
def host(published: Path) -> Iterator[str]:
    with serving(partial(Files, directory=str(published))) as address:
        yield address


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    models = tmp_path / "cache" / "models"
    monkeypatch.setattr(installed, "models_folder", lambda: models)
    monkeypatch.delenv("GENRE_MODEL", raising=False)
    return models


def sidecar_of(published: Path) -> Path:
    return next(published.glob("*.json"))


def address_of(published: Path, host: str) -> str:
    path = sidecar_of(published)
    return f"{host}/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_model_is_fetched_once_and_needs_no_network_afterwards(published: Path, host: str, folder: Path) -> None:
    address = address_of(published, host)
    path = fetch_model(address, "mine")
    shutil.rmtree(published)
    assert fetch_model(address, "mine") == path == find_model("mine") == find_model(address)
    assert [(one.name, one.address) for one in installed_models()] == [("mine", address)]
    assert GenreClassifier.load("mine", device="cpu").labels == GenreClassifier.load(path, device="cpu").labels
    assert left(folder) == ["mine"]


def test_address_as_a_model_is_fetched_and_found_again(
    published: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as a path, which makes one slash of two."""
    address = address_of(published, host)
    path = find_model(address)
    shutil.rmtree(published)
    assert find_model(Path(address)) == path
    monkeypatch.setenv("GENRE_MODEL", address)
    assert find_model() == path


@pytest.mark.parametrize("file", ["best_model.onnx", "best_model.logmel.onnx", "best_model.json"])
def test_file_that_is_not_what_its_checksum_says_leaves_nothing(
    published: Path, host: str, folder: Path, file: str
) -> None:
    address = address_of(published, host)
    path = published / file
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DownloadError, match="expected"):
        fetch_model(address, "mine")
    assert left(folder) == []
    assert installed_models() == []


def test_missing_graph_leaves_nothing(published: Path, host: str, folder: Path) -> None:
    address = address_of(published, host)
    for path in published.glob("*.onnx"):
        path.unlink()
    with pytest.raises(DownloadError, match="404"):
        fetch_model(address, "mine")
    assert left(folder) == []


@pytest.mark.parametrize("name", ["../graph.onnx", "a/b.onnx", "source.txt", "model.json"])
def test_sidecar_cannot_name_a_file_elsewhere_or_replace_another(
    published: Path, host: str, folder: Path, name: str
) -> None:
    path = sidecar_of(published)
    values = json.loads(path.read_text(encoding="utf-8"))
    values["graphs"]["waveform"]["file"] = name
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InvalidModelError):
        fetch_model(address_of(published, host), "mine")
    assert left(folder) == []


@pytest.mark.parametrize(
    "address", ["https://host/model.json", "https://host/a.json#sha256=12", "https://host/#sha1=a"]
)
def test_address_without_checksum_is_refused(address: str) -> None:
    with pytest.raises(InvalidInputError, match="names no checksum"):
        find_model(address)


@pytest.mark.parametrize("scheme", ["file", "ftp"])
def test_only_http_is_fetched(scheme: str) -> None:
    with pytest.raises(DownloadError, match="expected http"):
        fetch_model(f"{scheme}:///etc/model.json#sha256={'0' * 64}", "mine")


@pytest.mark.parametrize("name", ["../mine", "a/b", ".hidden", "a b", "x" * 65])
def test_odd_names_are_refused(published: Path, host: str, folder: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be called"):
        fetch_model(address_of(published, host), name)
    assert left(folder) == []


def test_name_of_another_model_is_refused(published: Path, host: str) -> None:
    fetch_model(address_of(published, host), "mine")
    with pytest.raises(InvalidInputError, match="genre model remove mine"):
        fetch_model(f"{host}/other.json#sha256={'0' * 64}", "mine")


def test_file_without_end_is_given_up(folder: Path) -> None:
    class Endless(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while True:
                try:
                    self.wfile.write(b"0" * 65536)
                except OSError:
                    return

    with serving(Endless) as host, pytest.raises(DownloadError, match="more bytes"):
        fetch_model(f"{host}/model.json#sha256={'0' * 64}", "mine")
    assert left(folder) == []


def test_server_that_sends_a_byte_now_and_then_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dripping(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with suppress(OSError):
                for _ in range(100_000):
                    self.wfile.write(b"0")
                    threading.Event().wait(0.01)

    monkeypatch.setattr("genre_runtime.download.READ_TIMEOUT", 0.05)
    monkeypatch.setattr("genre_runtime.download.time.sleep", lambda _: None)
    with serving(Dripping) as host, pytest.raises(DownloadError, match="times in a row"):
        fetch_model(f"{host}/model.json#sha256={'0' * 64}", "mine")
    assert left(folder) == []


def test_interruption_leaves_nothing(published: Path, host: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genre_runtime.model.metadata.ModelMetadata.from_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_model(address_of(published, host), "mine")
    assert left(folder) == []


def test_two_at_once_leave_one_whole_model(published: Path, host: str, folder: Path) -> None:
    address, paths = address_of(published, host), []
    threads = [threading.Thread(target=lambda: paths.append(fetch_model(address, "mine"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 4
    assert left(folder) == ["mine"]
    GenreClassifier.load("mine", device="cpu")


def test_folder_that_is_not_whole_is_no_model_and_is_replaced(published: Path, host: str, folder: Path) -> None:
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "source.txt").write_text("x", encoding="utf-8")
    assert installed_models() == []
    fetch_model(address_of(published, host), "mine")
    assert find_model("mine").is_file()


def test_unknown_name_says_what_there_is(published: Path, host: str) -> None:
    fetch_model(address_of(published, host), "mine")
    with pytest.raises(ModelNotFoundError, match=r"downloaded model \(mine\)"):
        find_model("other")
    remove_model("mine")
    with pytest.raises(ModelNotFoundError):
        find_model("mine")
    with pytest.raises(ModelNotFoundError):
        remove_model("mine")


def test_command_lists_fetches_and_removes_models_of_an_index(
    published: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sidecar_of(published)
    entry = {"sidecar": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (published / "models.json").write_text(json.dumps({"models": {"small": entry}}), encoding="utf-8")
    index = ["--index", f"{host}/models.json"]
    assert main(["model", "list", *index]) == 0
    assert "small      not here" in capsys.readouterr().out
    assert main(["model", "fetch", "small", *index]) == 0
    assert "--model small" in capsys.readouterr().out
    assert main(["model", "list", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["downloaded"][0]["name"] == "small"
    assert main(["info", "--model", "small", "--device", "cpu"]) == 0
    assert main(["model", "remove", "small"]) == 0
    assert main(["model", "fetch", "large", *index]) == 2
    assert "the index has small" in capsys.readouterr().err
    assert main(["model", "fetch", "large"]) == 2
    assert "--index" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": {"a": 1}}', '{"models": {"a": {"sidecar": 1}}}', "\xff"])
def test_what_is_not_an_index_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DownloadError, match="not an index"):
        read_index(str(path))
    with pytest.raises(DownloadError, match="cannot be read"):
        read_index(str(tmp_path / "none.json"))
