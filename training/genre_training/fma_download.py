"""FMA's archives: where they lie, how they become the layout that `fma` reads, and what is then there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from genre_training.archives import extract
from genre_training.download import fetch
from genre_training.fma import MISSING, SUBSETS, FmaClips, read_subset, reasons, scan_subset, tracks_csv
from genre_training.tracks import PARTS, DataError

BASE_URL = "https://os.unil.cloud.switch.ch/fma/"
MEBIBYTE = 2**20
GIBIBYTE = 2**30


@dataclass(frozen=True)
class Archive:
    """One file of the data set.

    Attributes
    ----------
    name : str
        `<name>.zip` holds one folder of this name.
    size, unpacked : int
        About how many bytes the archive and what is taken from it have.
    sha1 : str
    wanted : tuple of str or None
        Its members to unpack; None for all.
    """

    name: str
    size: int
    unpacked: int
    sha1: str
    wanted: tuple[str, ...] | None = None


# MP3 does not get smaller in an archive. Of the metadata only the table of tracks is read, a fifth of the whole.
METADATA = Archive(
    "fma_metadata",
    342 * MEBIBYTE,
    300 * MEBIBYTE,
    "f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
    ("fma_metadata/README.txt", "fma_metadata/tracks.csv"),
)
AUDIO = {
    "small": Archive(
        "fma_small", round(7.2 * GIBIBYTE), round(7.5 * GIBIBYTE), "ade154f733639d52e35e32f5593efe5be76c6d70"
    ),
    "medium": Archive("fma_medium", 22 * GIBIBYTE, 23 * GIBIBYTE, "c67b69ea232021025fca9231fc1c7c1a063ab50b"),
    "large": Archive("fma_large", 93 * GIBIBYTE, 96 * GIBIBYTE, "497109f4dd721066b5ce5e5f250ec604dc78939e"),
}


def fetch_fma(folder: Path, subset: str, base_url: str = BASE_URL, *, keep_archives: bool = False) -> FmaClips:
    """Download and unpack the metadata and one subset into `folder`; what is there already is not done again.

    Parameters
    ----------
    folder : Path
        The data folder.
    subset : {"small", "medium", "large"}
    base_url : str
        Where the archives lie: FMA's own place or a mirror.
    keep_archives : bool
        Keep the zip files, which are as large as what is in them.

    Returns
    -------
    FmaClips
        What there is to train on, for `describe`.

    Raises
    ------
    DownloadError
        See `download.fetch` and `archives.extract`.
    DataError
        An unknown subset, or nothing usable came out of the archives.
    """
    if subset not in SUBSETS:
        raise DataError(f"FMA has no subset {subset!r}: expected one of {', '.join(SUBSETS)}")
    if not tracks_csv(folder).is_file():
        _bring(METADATA, folder, base_url, keep_archives)
    if scan_subset(folder, subset).left_out[MISSING]:
        _bring(AUDIO[subset], folder, base_url, keep_archives)
    return read_subset(folder, subset)


def _bring(archive: Archive, folder: Path, base_url: str, keep: bool) -> None:
    path = folder / f"{archive.name}.zip"
    fetch(f"{base_url.rstrip('/')}/{path.name}", path, archive.sha1, archive.size, archive.unpacked)
    extract(path, folder, archive.wanted)
    if not keep:
        path.unlink()


def describe(clips: FmaClips) -> str:
    """Return a table of the clips by genre and part, and what was left out."""
    counts = Counter((track.label, track.part) for track in clips.tracks)
    lines = [f"{'fma_' + clips.subset:<16}" + "".join(f"{part:>12}" for part in PARTS)]
    for label in sorted({track.label for track in clips.tracks}):
        lines.append(f"{label:<16}" + "".join(f"{counts[label, part]:>12,}" for part in PARTS))
    totals = Counter(track.part for track in clips.tracks)
    lines.append(f"{'all':<16}" + "".join(f"{totals[part]:>12,}" for part in PARTS))
    return "\n".join([*lines, f"left out: {reasons(clips) or 'nothing'}"])
