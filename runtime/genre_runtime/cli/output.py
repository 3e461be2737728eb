"""Output files of the command, and its progress bar."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from genre_runtime.terminal import unescaped

if TYPE_CHECKING:
    from genre_runtime.library.scan import Finder


DATABASE = b"SQLite format 3\0"
"""What a state file begins with."""

LONG_SECONDS = 120
"""Seconds of a whole track after which its progress is shown."""

BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}]"
"""Progress within a file of known length."""


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

    def within(self, path: Path, seconds: float, track_seconds: float | None, /) -> None:
        """Show how much of a long file is analysed; may be called from any thread.

        Parameters
        ----------
        path : Path
        seconds : float
            Analysed so far.
        track_seconds : float or None
            Length of the file, if it is known.
        """

    def external_write_mode(self) -> AbstractContextManager[object]:
        """Make room for lines that are printed inside."""
        ...


class _Unseen:
    def update(self) -> None:
        return None

    def within(self, *_: object) -> None:
        return None

    def external_write_mode(self) -> AbstractContextManager[object]:
        return nullcontext()


class _Files:
    """A bar that counts files, with how much of a long one is analysed.

    Parameters
    ----------
    bar : tqdm
    """

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self.update, self.external_write_mode = bar.update, bar.external_write_mode

    def within(self, path: Path, seconds: float, track_seconds: float | None, /) -> None:
        from genre_runtime.library.results.write import printable

        if seconds >= LONG_SECONDS:
            self._bar.set_postfix_str(f"{printable(path.name)[:24]}: {_analysed(seconds, track_seconds)}")


class _OneFile:
    """A bar of the seconds of a single file, which appears if the file is long."""

    def update(self) -> None:
        return None

    def __init__(self) -> None:
        self._bar: Any = None

    def within(self, _path: Path, seconds: float, track_seconds: float | None, /) -> None:
        if seconds < LONG_SECONDS:
            return
        words = _analysed(seconds, track_seconds)
        if self._bar is None:
            self._bar = _bar(track_seconds, initial=seconds, desc=words, bar_format=BAR if track_seconds else "{desc}")
        self._bar.n = min(seconds, track_seconds or math.inf)
        self._bar.set_description_str(words)

    def external_write_mode(self) -> AbstractContextManager[object]:
        self.close()  # the file is analysed
        return nullcontext()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


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
    """Show a progress bar on a terminal; for one short file or a pipe, tqdm is not even imported.

    Parameters
    ----------
    n_files : int or None
        None if unknown.
    words : str, optional
        What is being done.
    """
    if not sys.stderr.isatty():
        yield _Unseen()
    elif n_files == 1:
        with closing(_OneFile()) as one:
            yield one
    else:
        with _bar(n_files, desc=words, unit="file") as bar:
            yield _Files(bar)


def _bar(total: float | None, **options: Any) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, leave=False, file=unescaped(sys.stderr), **options)


def _analysed(seconds: float, track_seconds: float | None) -> str:
    return f"{_clock(seconds)}{f' of {_clock(track_seconds)}' if track_seconds else ''} analysed"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
