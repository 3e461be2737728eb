"""`genre watch`: tag audio files as they come into folders."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.tag import add_tagging_options, change_line, tagging_of
from genre_runtime.errors import (
    LASTING,
    AudioNotFoundError,
    ChangedFileError,
    GenreError,
    RecordedError,
    UnreadableAudioError,
    UntaggableError,
    UsageError,
)

if TYPE_CHECKING:
    from genre_runtime.library.analysis import Library
    from genre_runtime.library.tags import Change, Tagging
    from genre_runtime.library.watch import FolderWatch
    from genre_runtime.prediction import Prediction

DESCRIPTION = """
Watch folders, and write genres into the tags of files that come into them or change: what `genre tag` does, with the
same options, without end. Without --write, show what would be written and change nothing. A file is taken when it has
not changed for --settle seconds and no program is writing to it; a file that is cut short is left until it changes.
Files that are there at the start are taken first, so that nothing is missed after a pause.
"""

EXAMPLES = """examples:
  genre watch ~/Music                              show what would be written
  genre watch ~/Music --write                      files without a genre get one if the answer is confident
  genre watch /mnt/nas/music --write --poll 60     a network drive: search it every 60 s
  genre watch ~/Inbox --write --settle 30          wait longer for slow downloads

The lines go to stderr. Ctrl-C or SIGTERM ends the watch after the file in hand; a second one ends it at once. The state
file keeps the answers, so that after a restart, or if a file is renamed, nothing is analysed again. Hidden files and
folders, and files with other suffixes such as `.part`, are passed over. Needs genre-runtime[library,watch].
"""

LONGEST_SETTLE_SECONDS = 86_400.0


class _CutShortError(UnreadableAudioError):
    """A file that may not be complete yet."""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "watch",
        parents=[arguments.model_options(), arguments.analysis_options()],
        help="tag files as they come into folders",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    add = parser.add_argument
    add("folders", nargs="+", type=arguments.path, metavar="FOLDER", help="folder, with all folders in it")
    add_tagging_options(parser)
    add(
        "--settle",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long a file must not have changed (default: %(default)g)",
    )
    add(
        "--poll",
        type=_seconds,
        metavar="SECONDS",
        help="search the folders this often; for network drives, whose changes by others the system does not report",
    )
    add(
        "--state",
        type=arguments.state_path,
        metavar="FILE",
        help="state file of `genre classify` (default: watch.state in the folder of the journals' folder)",
    )
    add("--journal", type=arguments.file_path, metavar="FILE", help="record changes here (default: a new file)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Watch until a signal comes.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 0 after a signal, 2 for wrong usage.

    Raises
    ------
    StateError
        The state file failed.
    """
    from genre_runtime.errors import InvalidInputError, JournalError
    from genre_runtime.library.tags.base import import_mutagen
    from genre_runtime.library.watch import FolderWatch

    import_mutagen()
    try:
        for folder in options.folders:
            if not Path(folder).is_dir():
                raise UsageError(f"there is no folder {folder!r}: check the name, and whether its drive is mounted")
        tagging = tagging_of(options)
        state = options.state or _default_state()
        if options.journal is not None and os.path.realpath(options.journal) == os.path.realpath(state):
            raise UsageError(f"--state and --journal name the same file {str(state)!r}: name another one")
    except (InvalidInputError, JournalError) as error:
        print(f"genre: {error}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        stop = stack.enter_context(_stopped_by_signals())
        watch = FolderWatch(
            options.folders, settle_seconds=options.settle, poll_seconds=options.poll, stop=stop, report=_say
        )
        tagging, library, jobs = _opened(tagging, options, state, stack)
        return _Run(watch, tagging, library, jobs, stop).until_stopped()


class _Run:
    """One run: tags what the watch hands out, and says so."""

    def __init__(self, watch: FolderWatch, tagging: Tagging, library: Library, jobs: int, stop: Event) -> None:
        self._watch, self._tagging, self._library, self._jobs, self._stop = watch, tagging, library, jobs, stop
        self._counts = dict.fromkeys(("changed", "unchanged", "left", "failed", "analysed"), 0)
        self._caught_up = False

    def until_stopped(self) -> int:
        words = "writing tags" if self._tagging.write else "changing nothing: add --write to do it"
        _say(f"watching {', '.join(map(str, self._watch.folders))}, {words}")
        try:
            for batch in self._watch.batches():
                self._tag(batch)
                if self._watch.caught_up and not self._caught_up:
                    self._caught_up = True
                    _say(f"searched the folders: {self._summary()}")
        finally:
            _say(f"ended: {self._summary()}")
            if self._counts["changed"] and self._tagging.journal is not None:
                _say(f"to undo this: genre tag --undo {arguments.quoted(self._tagging.journal.path)}")
        return 0

    def _summary(self) -> str:
        verb = "written" if self._tagging.write else "to write"
        counts = self._counts | {verb: self._counts["changed"]}
        return ", ".join(f"{counts[name]} {name}" for name in (verb, "unchanged", "left", "failed", "analysed"))

    def _tag(self, batch: list[Path]) -> None:
        from genre_runtime.library.tags import tag_classified

        unchanged = filter(self._watch.is_unchanged, batch)
        with closing(tag_classified(self._tagging, unchanged, self._classify)) as outcomes:
            for path, outcome in outcomes:
                self._settle(path, outcome)
                if self._stop.is_set():
                    return

    def _classify(self, paths: Iterable[Path]) -> Iterator[Prediction | GenreError]:
        """Yield the answers; an error instead for a file that is incomplete or changes, which must not be replaced."""
        from genre_runtime.library.watch import lacks_its_end
        from genre_runtime.prediction import Prediction

        with closing(self._library.classify(paths, self._jobs)) as results:
            for result in results:
                self._counts["analysed"] += not result.known
                if not isinstance(result.outcome, Prediction):
                    yield result.outcome
                elif result.outcome.remark is not None or lacks_its_end(Path(result.path)):
                    words = result.outcome.remark or "the end of the Ogg stream is missing"
                    yield _CutShortError(f"{words}: it is left as it is until it changes")
                elif not self._watch.is_unchanged(Path(result.path)):
                    yield ChangedFileError("another program is changing the file")
                else:
                    yield result.outcome

    def _settle(self, path: Path, outcome: Change | GenreError) -> None:
        """Say what became of a file, and decide whether it comes again."""
        from genre_runtime.library.results.write import printable

        if isinstance(outcome, GenreError):
            if isinstance(outcome, AudioNotFoundError | ChangedFileError):  # it is found again if it exists
                self._watch.is_unchanged(path)
                return
            left = isinstance(outcome, _CutShortError)
            self._counts["left" if left else "failed"] += 1
            _say(f"{'left' if left else 'failed':<13} {printable(path)}: {outcome}")
            if not _lasts(outcome):
                self._watch.retry(path)
        elif outcome.reason is not None:
            self._counts["unchanged"] += 1
            if self._caught_up:
                _say(change_line(path, outcome))
        else:
            self._counts["changed"] += 1
            _say(change_line(path, outcome))
            if outcome.written:
                self._watch.accept(path)


def _opened(
    tagging: Tagging, options: argparse.Namespace, path: Path, stack: ExitStack
) -> tuple[Tagging, Library, int]:
    """Open model, decoder processes and state file."""
    from genre_runtime.library.analysis import Library, plan_of
    from genre_runtime.library.cache import LibraryState
    from genre_runtime.library.loading import opened_classifier
    from genre_runtime.parallel import available_cores

    opened = opened_classifier(
        options.jobs or available_cores(),
        model=options.model,
        head=options.head,
        device=options.device,
        jobs=options.jobs,
        warm=False,  # there may be nothing to decode for days
    )
    classifier, jobs = stack.enter_context(opened)
    tagging.genre_map.check(classifier.labels, [tag.name for tag in classifier.metadata.tags])
    state = stack.enter_context(closing(LibraryState(path, plan_of(classifier, options.excerpts))))
    return replace(tagging, state=state), Library(classifier, options.excerpts, state), jobs


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Yield an event that the first signal sets; the second one interrupts."""
    stop = Event()

    def end(number: int, frame: object) -> None:  # noqa: ARG001
        if stop.is_set():
            raise KeyboardInterrupt(number)
        stop.set()

    former: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other may
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup's stays
                former[number] = signal.signal(number, end)
        if hasattr(signal, "SIGIO"):  # see library.watch.is_being_written
            former[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _lasts(error: GenreError) -> bool:
    """Return whether the file has to change before another attempt may succeed."""
    passing = isinstance(error.__cause__, OSError | MemoryError)
    return isinstance(error, (*LASTING, RecordedError, UntaggableError)) and not passing


def _default_state() -> Path:
    from genre_runtime.errors import JournalError
    from genre_runtime.library.tags.journal import default_journal

    try:
        path = default_journal().parents[1] / "watch.state"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except JournalError as error:
        raise UsageError("there is no folder for the state file, since this user has no home: give --state") from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}: give a state file by --state") from error
    return path


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.1 <= value <= LONGEST_SETTLE_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, 0.1 to {LONGEST_SETTLE_SECONDS:.0f}")
    return value


def _say(words: str) -> None:
    """Print a line with the time to stderr."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {words}", file=sys.stderr, flush=True)
