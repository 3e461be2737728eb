"""Output files of the command, and its progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from genre_runtime.terminal import unescaped

if TYPE_CHECKING:
    from genre_runtime.library.scan import Finder


DATABASE = b"SQLite format 3\0"
"""What a state file begins with."""


@contextmanager
def opened_output(name: str | None) -> Iterator[TextIO]:
    """Open a file for results.

    Parameters
    ----------
    name : str or None
        Path; None for stdout.
    """
    if name is None:
        yield sys.stdout
        return
    with Path(name).open("w", encoding="utf-8", newline="", errors="backslashreplace") as stream:
        yield stream


def name_unreadable(finder: Finder) -> int:
    """Report unreadable folders on stderr.

    Parameters
    ----------
    finder : Finder

    Returns
    -------
    int
        Exit status: 1 if there are any.
    """
    from genre_runtime.library.results.write import printable

    for error in finder.unreadable:
        folder = printable(os.fsdecode(error.filename or ""))
        print(f"genre: {folder}: the folder cannot be read: {error.strerror}", file=sys.stderr)
    return 1 if finder.unreadable else 0


def name_failed(path: Path | str, reason: object) -> None:
    """Report on stderr why a file failed.

    Parameters
    ----------
    path : Path or str
    reason : object
        An error, or its words.
    """
    from genre_runtime.library.results.write import printable

    print(f"genre: {printable(path)}: {reason}", file=sys.stderr)


def unfit_output(name: str | None, state: Path | None, paths: Sequence[Path]) -> str | None:
    """Return why results must not be written to a file, or None; `--output *.mp3` must not cost a song.

    Parameters
    ----------
    name : str or None
        The output; None for stdout.
    state : Path or None
        The state file.
    paths : sequence of Path
        The files to classify.
    """
    from genre_runtime.library.scan import AUDIO_SUFFIXES

    if name is None:
        return None
    output = Path(name)
    if not output.parent.is_dir():
        return f"cannot be written, since folder {str(output.parent)!r} does not exist"
    if state is not None and output.absolute() == state.absolute():
        return "is also the state file"
    if not output.is_file():
        return "is a folder" if output.is_dir() else None
    with output.open("rb") as file:
        is_database = file.read(len(DATABASE)) == DATABASE
    if is_database:
        return "is a state file"
    if output.suffix.lower() in AUDIO_SUFFIXES or output.absolute() in (path.absolute() for path in paths):
        return "exists and may be a piece of music"
    return None


def is_same_file(path: Path, other: Path | str) -> bool:
    """Return whether two names lead to the same file; False if one of them leads nowhere.

    Parameters
    ----------
    path : Path
    other : Path or str
    """
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False


class Progress(Protocol):
    """Counts files."""

    def update(self) -> object:
        """Count one."""
        ...

    def external_write_mode(self) -> AbstractContextManager[object]:
        """Make room for lines that are printed inside."""
        ...


class _Unseen:
    def update(self) -> None:
        return None

    def external_write_mode(self) -> AbstractContextManager[object]:
        return nullcontext()


@contextmanager
def step_progress() -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being done, one line that the next step replaces.

    Yields
    ------
    callable
        Takes the words.
    """
    shown = sys.stderr.isatty()

    def report(words: str) -> None:
        if shown:
            print(f"\r\x1b[K{words} ...", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def file_progress(n_files: int | None, words: str | None = None) -> Iterator[Progress]:
    """Show a progress bar on a terminal; for one file or a pipe, tqdm is not even imported.

    Parameters
    ----------
    n_files : int or None
        None if unknown.
    words : str, optional
        What is being done.
    """
    if n_files == 1 or not sys.stderr.isatty():
        yield _Unseen()
        return
    from tqdm import tqdm

    with tqdm(total=n_files, desc=words, unit="file", leave=False, file=unescaped(sys.stderr)) as bar:
        yield bar
