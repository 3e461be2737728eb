"""Reads manifests, which list files to classify, and opens their entries.

A manifest is a CSV, Parquet or JSON-lines file with a column `path`; other columns are ignored, so the results of an
earlier run can be used as a manifest. An entry is a local path, absolute or relative to the manifest's folder, or a URL
that fsspec supports (`s3://`, `https://`, `file://`, `memory://`, ...).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from threading import Event
from types import ModuleType
from typing import Any, BinaryIO

from genre_runtime.classifier import ExcerptCount, GenreClassifier
from genre_runtime.errors import (
    AudioLimitError,
    AudioNotFoundError,
    GenreError,
    InvalidInputError,
    MissingDependencyError,
    UnreadableAudioError,
    UsageError,
)
from genre_runtime.library.results.write import unquoted_cell
from genre_runtime.library.scan import encoding_by_mark
from genre_runtime.prediction import FileResult

SUFFIXES = (".csv", ".parquet", ".jsonl")

MAX_BYTES = 64 * 2**20
"""A remote file up to this size is fetched in one piece; of a larger one, only the analysed parts."""

_MARK = "announced_seconds"
"""A column that results of `genre classify` have since paths that begin like a formula are quoted in them. In other
manifests, an apostrophe is part of the path."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class ManifestError(UsageError):
    """A manifest cannot be read, has no column `path`, or is empty."""

    code = "manifest"


class FetchError(GenreError, OSError):
    """A remote file could not be fetched: no permission, no connection."""

    code = "not_fetched"


def is_url(name: str) -> bool:
    """Return whether a name is a URL and not a local path, such as one with a drive letter.

    Parameters
    ----------
    name : str
    """
    return _URL.match(name) is not None


def is_manifest(name: str) -> bool:
    """Return whether a file has the suffix of a manifest.

    Parameters
    ----------
    name : str
        Path or URL.
    """
    return name.lower().endswith(SUFFIXES)


def read_manifest(name: str) -> Iterator[str]:
    """Yield the absolute path or the URL of each entry, in the manifest's order.

    Parameters
    ----------
    name : str
        Path or URL of the manifest, ending in one of `SUFFIXES`.

    Raises
    ------
    ManifestError
        The file cannot be read, has another suffix, has no column `path`, or no entries, or an entry has no path.
    MissingDependencyError
        pyarrow or fsspec is needed and not installed.
    """
    read = {".csv": _csv_paths, ".jsonl": _jsonl_paths, ".parquet": _parquet_paths}.get(Path(name).suffix.lower())
    if read is None:
        raise ManifestError(f"the manifest {name!r} has an unknown suffix: expected {', '.join(SUFFIXES)}")
    number = 0
    try:
        with _open_manifest(name) as file:
            for number, path in enumerate(read(file), start=1):
                if not isinstance(path, str) or not path.strip():
                    raise ManifestError(f"the manifest {name!r}, entry {number}, has no path: expected a path or URL")
                yield _resolved(path, name)
    except GenreError:
        raise
    except KeyError:
        raise ManifestError(f"the manifest {name!r} has no column 'path': expected one with a path or URL") from None
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        after = f" after entry {number}" if number else ""
        raise ManifestError(f"the manifest {name!r} cannot be read{after}: {reason}") from error
    if not number:
        raise ManifestError(f"the manifest {name!r} names no file: expected a row with a path for each")


def classify_source(
    classifier: GenreClassifier,
    source: str,
    *,
    excerpts: ExcerptCount = None,
    max_bytes: int = MAX_BYTES,
    stop: Event | None = None,
) -> FileResult:
    """Classify the file of an entry. An error is returned in the result, not raised.

    Parameters
    ----------
    classifier : GenreClassifier
    source : str
        Path or URL.
    excerpts : int, "all" or None
        Excerpts per file; None for the model's default.
    max_bytes : int
        A remote file up to this size is fetched in one piece; of a larger one, only the analysed ranges. If the server
        does not give the size, a larger file is an AudioLimitError.
    stop : threading.Event, optional
        Ends the work when set.
    """
    if not is_url(source):
        return FileResult(source, classifier.classify_or_error(Path(source), excerpts=excerpts, stop=stop))
    try:
        opened = _open_url(source, max_bytes)
    except GenreError as error:
        return FileResult(source, error)
    with nullcontext() if isinstance(opened, Path | bytes) else opened:
        return FileResult(source, classifier.classify_or_error(opened, excerpts=excerpts, stop=stop))


def _open_url(url: str, max_bytes: int) -> Path | bytes | BinaryIO:
    filesystem, path = file_system(url)
    if _is_local(filesystem):
        return Path(path)
    try:
        info = filesystem.info(path)
        if info.get("type") == "directory":
            raise UnreadableAudioError("the URL is a folder: expected an audio file")
        size = info.get("size")
        file: BinaryIO = filesystem.open(path, "rb")
        if size is not None and size > max_bytes:
            return file
        with file:
            content = file.read(max_bytes + 1)
    except GenreError:
        raise
    except FileNotFoundError as error:
        raise AudioNotFoundError(url) from error
    except Exception as error:  # each kind of storage has its own errors
        raise FetchError(f"{url!r} could not be fetched: {type(error).__name__}: {error}") from error
    if len(content) > max_bytes:
        raise AudioLimitError(
            f"the file has more than {max_bytes} bytes and its server does not give its size: download it first",
            "max_bytes",
        )
    return content


def file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL or path, and the path in it.

    Parameters
    ----------
    url : str

    Raises
    ------
    MissingDependencyError
        fsspec, or a package that it needs for this kind of URL, is not installed.
    InvalidInputError
        fsspec does not support this kind of URL.
    """
    fsspec = import_extra("fsspec")
    try:
        filesystem, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise MissingDependencyError(f"{url!r} cannot be opened: {error}") from error
    except Exception as error:
        raise InvalidInputError(f"{url!r} cannot be opened: {error}") from error
    return filesystem, path


def import_extra(name: str) -> ModuleType:
    """Import a package of the extra `ray`.

    Parameters
    ----------
    name : str

    Raises
    ------
    MissingDependencyError
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(f"{name} cannot be imported ({error}): install genre-runtime[ray]") from error


def _is_local(filesystem: Any) -> bool:
    return "file" in (filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,))


def _open_manifest(name: str) -> BinaryIO:
    if not is_url(name):
        return open(name, "rb")
    filesystem, path = file_system(name)
    file: BinaryIO = filesystem.open(path, "rb")
    return file


def _resolved(path: str, manifest: str) -> str:
    """Return an entry as an absolute path or URL, since workers have other working folders."""
    if is_url(path):
        return path
    if is_url(manifest):
        if PurePosixPath(path).is_absolute():
            return path
        return f"{manifest.rpartition('/')[0]}/{path}"
    return os.path.join(os.path.dirname(os.path.abspath(manifest)), path)  # noqa: PTH100, PTH118, PTH120


def _text(file: BinaryIO) -> io.TextIOWrapper:
    encoding = encoding_by_mark(file.read(4)) or "utf-8-sig"
    file.seek(0)
    errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
    return io.TextIOWrapper(file, encoding=encoding, errors=errors, newline="")


def _csv_paths(file: BinaryIO) -> Iterator[Any]:
    with _text(file) as text:
        reader = csv.DictReader(text)
        if reader.fieldnames is not None and "path" not in reader.fieldnames:
            raise KeyError("path")
        ours = _MARK in (reader.fieldnames or ())
        for row in reader:
            yield unquoted_cell(row["path"]) if ours and row["path"] else row["path"]


def _jsonl_paths(file: BinaryIO) -> Iterator[Any]:
    with _text(file) as text:
        for line in text:
            if line.strip():
                entry = json.loads(line)
                yield entry["path"] if isinstance(entry, dict) else None


def _parquet_paths(file: BinaryIO) -> Iterator[Any]:
    table = import_extra("pyarrow.parquet").ParquetFile(file)
    if "path" not in table.schema_arrow.names:
        raise KeyError("path")
    for batch in table.iter_batches(columns=["path"]):
        yield from batch.column(0).to_pylist()
