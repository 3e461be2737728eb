"""Zip archives unpacked file by file, so that an interrupted run is taken up where it stopped.

Python's own reader, since some builds of `unzip` fail on FMA's archives (mdeff/fma#5).
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from genre_training.disk import DownloadError, disk_guard, part_of, require_space

COPY_BYTES = 1 << 20


def extract(archive: Path, folder: Path, wanted: Collection[str] | None = None) -> None:
    """Unpack a zip archive below `folder`; members that are there with the right size are skipped.

    Parameters
    ----------
    archive, folder : Path
    wanted : collection of str, optional
        Names of the only members to unpack.

    Raises
    ------
    DownloadError
        A damaged archive, a member that would land outside `folder`, or too little space.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = [m for m in bundle.infolist() if not m.is_dir() and (wanted is None or m.filename in wanted)]
            for member in members:
                _refuse_unsafe(archive, member.filename)
            members = [m for m in members if not _is_there(m, folder)]
            left = sum(member.file_size for member in members)
            folder.mkdir(parents=True, exist_ok=True)
            require_space(folder, left, f"the contents of {archive.name}")
            for member in tqdm(members, f"unpacking {archive.name}", unit="file", disable=not members):
                with disk_guard(folder, left):
                    _extract_member(bundle, member, folder / member.filename)
                left -= member.file_size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{archive} cannot be unpacked: {error}; remove it and run the command again") from error


def _extract_member(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    try:
        with bundle.open(member) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, COPY_BYTES)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _is_there(member: zipfile.ZipInfo, folder: Path) -> bool:
    target = folder / member.filename
    return target.is_file() and target.stat().st_size == member.file_size


def _refuse_unsafe(archive: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise DownloadError(
            f"{archive} holds a member named {name!r}: expected names below its own folder; nothing was unpacked, "
            "do not use this archive"
        )
