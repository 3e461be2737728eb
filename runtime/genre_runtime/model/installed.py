"""Models that were downloaded once and are then known by name.

A model is a sidecar and the graphs beside it. Its address is that of the sidecar with its checksum behind it,
`https://host/best_model.json#sha256=...`; the sidecar has the checksums of the graphs, so the one checksum stands for
all files. An index is a JSON file that names models: `invoke release` writes one beside the files of a release.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

from genre_runtime.errors import DownloadError, InvalidInputError, InvalidModelError, ModelNotFoundError
from genre_runtime.model.metadata import MODEL_VARIABLE, ModelMetadata, default_model_path, read_metadata
from genre_runtime.output_files import write_whole

SOURCE_FILE = "source.txt"
"""In the folder of a model: its address."""
INDEX_BYTES, SIDECAR_BYTES, GRAPH_BYTES = 1 << 20, 2 << 20, 64 << 20
"""Expected sizes: a file of more than twice as many bytes is refused."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADDRESS = re.compile(r"(https?):[/\\]+(.+)", re.IGNORECASE)
_CHECKSUM = re.compile(r"sha256=([0-9a-f]{64})")


@dataclass(frozen=True)
class InstalledModel:
    """A model that was downloaded.

    Attributes
    ----------
    name : str
    path : Path
        Its waveform graph.
    address : str
        Where it came from, with the checksum of its sidecar.
    n_bytes : int
        Of all its files.
    """

    name: str
    path: Path
    address: str
    n_bytes: int


def models_folder() -> Path:
    """Return the folder of downloaded models, in the user's folder for caches."""
    from platformdirs import user_cache_path

    return user_cache_path("genre", appauthor=False) / "models"


def find_model(named: Path | str | None = None) -> Path:
    """Return the graph of a model; one that is named by its address is downloaded first, unless it is there.

    Parameters
    ----------
    named : path or str, optional
        A file, the name of a downloaded model, or an address with checksum; by default `$GENRE_MODEL`, else the
        shipped model.

    Raises
    ------
    DownloadError, InvalidInputError, InvalidModelError, ModelNotFoundError
    """
    text = str(named or os.environ.get(MODEL_VARIABLE) or "")
    if not text:
        return default_model_path()
    if web := _ADDRESS.fullmatch(text):  # a Path makes one slash of two
        address = f"{web[1].lower()}://{web[2]}".replace("\\", "/")
        return _known_by(_checksum(address)) or fetch_model(address, _checksum(address)[:12])
    path = Path(text)
    if path.suffix.lower() == ".onnx" or path.name != text or path.exists() or not _NAME.fullmatch(text):
        return path
    for model in installed_models():
        if model.name == text:
            return model.path
    known = ", ".join(model.name for model in installed_models()) or "none"
    raise ModelNotFoundError(text, f"expected an .onnx file or a downloaded model ({known}); see `genre model --help`")


def installed_models() -> list[InstalledModel]:
    """Return the downloaded models by name; folders that are not whole are left out."""
    found = []
    for folder in sorted(models_folder().glob("*/")):
        try:
            address = (folder / SOURCE_FILE).read_text(encoding="utf-8").strip()
            sidecar = next(folder.glob("*.json"))
            path = folder / read_metadata(sidecar).graphs["waveform"].file
        except (OSError, StopIteration, UnicodeDecodeError, InvalidModelError):
            continue
        if _NAME.fullmatch(folder.name) and path.is_file():
            n_bytes = sum(one.stat().st_size for one in folder.iterdir())
            found.append(InstalledModel(folder.name, path, address, n_bytes))
    return found


def fetch_model(address: str, name: str | None = None) -> Path:
    """Download a model, unless it is there under this name.

    Nothing of a download that fails or is interrupted is left. Another process may download the same model.

    Parameters
    ----------
    address : str
        Of the sidecar, http or https, with `#sha256=` and its checksum behind it.
    name : str, optional
        What the model is called from now on; by default the name of the sidecar, without suffix.

    Returns
    -------
    Path
        Its waveform graph.

    Raises
    ------
    DownloadError
        The model cannot be fetched, or a file is not what its checksum says.
    InvalidInputError
        The address has no checksum, or the name cannot be used or is that of another model.
    InvalidModelError
        The sidecar cannot be used by this version.
    """
    from genre_runtime.download import disk_guard, fetch

    url, checksum = urldefrag(address)[0], _checksum(address)
    name = name or Path(url).stem
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"a model cannot be called {name!r}: expected letters, digits, '.', '_' and '-'")
    target = models_folder() / name
    if (model := _installed(name)) is not None:
        if _checksum(model.address) == checksum:
            return model.path
        raise InvalidInputError(
            f"{name} is the model of {model.address}: choose another name, or remove it with "
            f"`genre model remove {name}`"
        )
    with disk_guard(target.parent, SIDECAR_BYTES):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        with disk_guard(target.parent, GRAPH_BYTES):
            fetch(url, staging / "model.json", checksum, SIDECAR_BYTES, algorithm="sha256")
            metadata = ModelMetadata.from_json((staging / "model.json").read_text(encoding="utf-8"))
            for graph in metadata.graphs.values():
                if not graph.file.endswith(".onnx"):
                    raise InvalidModelError(f"a graph of {url} is called {graph.file!r}: expected a name with .onnx")
                fetch(urljoin(url, graph.file), staging / graph.file, graph.sha256, GRAPH_BYTES, algorithm="sha256")
            waveform = metadata.graphs["waveform"].file
            (staging / "model.json").rename((staging / waveform).with_suffix(".json"))
            write_whole(staging / SOURCE_FILE, [address + "\n"])
            _put_in_place(staging, target)
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{url} is not UTF-8 text: expected the sidecar of a model") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target / waveform


def _put_in_place(staging: Path, target: Path) -> None:
    """Rename a folder to that of its model, unless another process did so meanwhile."""
    try:
        staging.rename(target)
    except OSError:
        if not _installed(target.name):  # what is there is not whole
            shutil.rmtree(target)
            staging.rename(target)


def remove_model(name: str) -> None:
    """Remove a downloaded model.

    Parameters
    ----------
    name : str

    Raises
    ------
    ModelNotFoundError
        No downloaded model has this name.
    """
    model = _installed(name)
    if model is None:
        raise ModelNotFoundError(name, "no downloaded model has this name; `genre model list` shows them")
    shutil.rmtree(model.path.parent)


def read_index(place: str) -> dict[str, str]:
    """Return the addresses of the models of an index by name.

    Parameters
    ----------
    place : str
        Address or file of the index. Addresses in it may be relative to its own.

    Raises
    ------
    DownloadError
        It cannot be fetched or read, or is not an index.
    """
    from genre_runtime.download import fetch

    if _ADDRESS.fullmatch(place):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "models.json")
            fetch(place, path, "", INDEX_BYTES)
            text, base = path.read_bytes(), place
    else:
        try:
            text, base = Path(place).read_bytes(), Path(place).absolute().as_uri()
        except OSError as error:
            raise DownloadError(f"the index {place} cannot be read ({error.strerror}): name another") from error
    try:
        models: Mapping[str, Any] = json.loads(text)["models"]
        return {name: f"{urljoin(base, one['sidecar'])}#sha256={one['sha256']}" for name, one in models.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DownloadError(
            f"{place} is not an index of models ({type(error).__name__}: {error}): expected JSON with `models`, each "
            "with `sidecar` and `sha256`"
        ) from error


def _checksum(address: str) -> str:
    found = _CHECKSUM.fullmatch(urldefrag(address)[1].lower())
    if found is None:
        raise InvalidInputError(
            f"{address!r} names no checksum: expected the address of a sidecar with #sha256= and 64 digits behind it, "
            "as its publisher gives it; a model is a program that runs here"
        )
    return found[1]


def _installed(name: str) -> InstalledModel | None:
    return next((model for model in installed_models() if model.name == name), None)


def _known_by(checksum: str) -> Path | None:
    return next((model.path for model in installed_models() if model.address.endswith(checksum)), None)
