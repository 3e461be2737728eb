"""Unpacking of zip archives, resumable.

They are unpacked with Python's own reader, since some builds of `unzip` fail on FMA's archives (mdeff/fma#5).
"""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

from tqdm import tqdm

from genre_runtime.download import CHUNK_BYTES, disk_guard, part_of, require_space
from genre_runtime.errors import DownloadError

_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError, struct.error)
"""What `zipfile` and its decoders raise for damaged archives (NotImplementedError is a RuntimeError)."""
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\.|$)", re.IGNORECASE)
_ENCRYPTED = 0x1


def extract(archive: Path, folder: Path, wanted: Collection[str] | None = None) -> None:
    """Unpack a zip archive below `folder`; members that exist with the right size are skipped.

    Parameters
    ----------
    archive, folder : Path
    wanted : collection of str, optional
        Names of the members to unpack; by default all.

    Raises
    ------
    DownloadError
        The archive is damaged, a member is not a file or a folder below `folder` or has a name that not every system
        can write (then nothing is unpacked), or the disk is too small or cannot be written.
    """
    try:
        with disk_guard(folder, 0), zipfile.ZipFile(archive) as bundle:
            entries = [m for m in bundle.infolist() if wanted is None or m.filename in wanted]
            _refuse_odd_members(archive, entries)
            members = [m for m in entries if not m.is_dir() and not _is_there(m, folder)]
            left = sum(member.file_size for member in members)
            folder.mkdir(parents=True, exist_ok=True)
            require_space(folder, left, f"the contents of {archive.name}")
            for member in tqdm(members, f"unpacking {archive.name}", unit="file", disable=not members):
                with disk_guard(folder, left):
                    _extract_member(bundle, member, folder / member.filename)
                left -= member.file_size
    except DownloadError:
        raise
    except _DAMAGED as error:
        raise DownloadError(f"{archive} cannot be unpacked: {error}; remove it and run the command again") from error


def _extract_member(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    try:
        with bundle.open(member) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _is_there(member: zipfile.ZipInfo, folder: Path) -> bool:
    target = folder / member.filename
    return target.is_file() and target.stat().st_size == member.file_size


def _refuse_odd_members(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Check that the members are plain files and folders below the target, with names that every system can write."""
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        name = member.orig_filename  # with what `filename` leaves out, from NUL on
        is_folder = name.endswith("/")
        parts = name.removesuffix("/").split("/")
        faults = (
            (any(part in ("", ".", "..") for part in parts), "is not a path below its own folder"),
            (bool(re.search(r'[\0-\x1f\x7f\\:*?"<>|]', name)), "has a character that not every system allows"),
            (any(part.endswith((".", " ")) for part in parts), "has a part that ends with a dot or a space"),
            (any(_DEVICE.match(part) for part in parts), "is the name of a device on Windows"),
            (name.endswith(part_of(Path("a")).suffix), "is the name of an unfinished file"),
            (len(name.encode()) > 500 or any(len(part.encode()) > 250 for part in parts), "is too long"),
            (stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR), "is a link or a device"),
            (bool(member.flag_bits & _ENCRYPTED), "is encrypted"),
            (not is_folder and _key(parts) in files, "is there twice, perhaps in another case"),
        )
        for found, fault in faults:
            if found:
                raise _odd_member(archive, name, fault)
        (folders if is_folder else files).add(_key(parts))
        folders.update(_key(parts[:n]) for n in range(1, len(parts)))
    for name in sorted(files & folders):
        raise _odd_member(archive, name, "is a file and a folder")


def _key(parts: Sequence[str]) -> str:
    """Return what is equal for names that are equal on file systems that ignore the case or the form of accents."""
    return unicodedata.normalize("NFC", "/".join(parts)).casefold()


def _odd_member(archive: Path, name: str, fault: str) -> DownloadError:
    return DownloadError(
        f"{archive} has a member named {name[:100]!r}, which {fault}: expected files with plain names below its own "
        "folder; nothing was unpacked, do not use this archive"
    )
