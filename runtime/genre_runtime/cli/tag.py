"""`genre tag`: write genres, styles and moods into the tags of files, or show what would be written."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.output import file_progress, name_failed, name_unreadable
from genre_runtime.errors import GenreError, InvalidInputError, UsageError, counted

if TYPE_CHECKING:
    from genre_runtime.library.tags import Change, FieldChange, Tagging


DESCRIPTION = """
Write genres, styles and moods into the tags of files: MP3, FLAC, Ogg, Opus, M4A, WMA, APE, WavPack, Musepack, TTA,
AIFF and WAV. Without --write, show what would be written and change nothing. Fields that have values stay as they are
unless --overwrite or --append is given, and genres that are not confident are written only with --unsure.

FIELD is genre, style, mood, grouping, comment, or a name of your own. CONTENT is genre, genres (the answer set),
styles, moods, instruments, voice or confidence. By default the field genre holds the genre, style and grouping the
styles, mood the moods, comment all three.
"""

EXAMPLES = """examples:
  genre tag ~/Music                                show what would be written
  genre tag ~/Music --write                        files without a genre get one if the answer is confident
  genre tag ~/Music --write --top 3 --append       append up to three genres to existing ones
  genre tag ~/Music --write --map mine.txt         by your own names: lines such as  hiphop = Rap
  genre tag ~/Music --field genre=genre,styles --field mood
                                                   genres with their styles, and moods
  genre classify ~/Music --format jsonl > all.jsonl
  genre tag --from all.jsonl --unsure              analyse once, decide later
  genre tag ~/Music --write --state music.state    analyse nothing twice, tagged files included
  genre tag --undo JOURNAL                         restore every file, byte for byte

The audio and all other tags stay as they are. A file is replaced by a checked copy in one step, so that a crash
leaves it whole; what it takes to undo a change is recorded in the journal before the change is made. Files with
several names (hard links) are left alone; of a symbolic link, the target is changed. A power cut may leave a
hidden copy, `.genre-tag-*.tmp`, beside a file; the next run that changes a file of that folder removes it.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "tag",
        parents=[arguments.model_options(), arguments.analysis_options()],
        help="write genres into the tags of files, or show what would be written",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    add = parser.add_argument
    add("paths", nargs="*", type=arguments.path, metavar="PATH", help="file, folder, or - for a list on stdin")
    add_tagging_options(parser)
    add(
        "--from",
        dest="results",
        type=Path,
        metavar="RESULTS",
        help="use results of `genre classify --format jsonl`; - for stdin",
    )
    add(
        "--state",
        type=arguments.state_path,
        metavar="FILE",
        help="state file of `genre classify`: use its results, keep them for tagged files",
    )
    add(
        "--journal",
        type=arguments.file_path,
        metavar="FILE",
        help="record changes here (default: a new file, named at the end)",
    )
    add("--undo", type=arguments.file_path, metavar="JOURNAL", help="restore every file that the journal names")
    parser.set_defaults(run=run, kept=kept)


def add_tagging_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is written, which `genre watch` has, too.

    Parameters
    ----------
    parser : ArgumentParser
    """
    add = parser.add_argument
    add("--write", action="store_true", help="change the files (default: show what would change)")
    add(
        "--field",
        action=arguments.Repeated,
        metavar="FIELD[=CONTENT,...]",
        help="write into this field (default: genre); may be repeated",
    )
    add("--separator", metavar="TEXT", help="join several values by it to one, for players that know only one")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace the values that files have")
    existing.add_argument("--append", action="store_true", help="add to the values that files have")
    add("--unsure", action="store_true", help="also write answers that are not confident")
    add("--top", type=arguments.positive, default=1, metavar="K", help="up to K genres per file (default: %(default)s)")
    add("--min-confidence", type=arguments.share, default=0.0, metavar="X", help="least probability of a genre, 0 to 1")
    arguments.add_map(parser)
    add("--keep-mtime", action="store_true", help="keep the files' modification times")
    add("--id3-version", choices=("2.3", "2.4"), help="of ID3 tags (default: as it is, 2.4 where there is none)")


def run(options: argparse.Namespace) -> int:
    """Do what the command says.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 1 if some files failed, 2 for wrong usage.
    """
    from genre_runtime.errors import JournalError

    try:
        if options.undo is not None:
            others = _besides_undo(options)
            if others:
                raise UsageError(f"--undo takes a journal and nothing else: leave out {' '.join(others)}")
            return _undo(options.undo)
        if not options.paths and options.results is None:
            raise InvalidInputError("nothing to tag: name files or folders, or results by --from")
        _check_files(options)
        return _tag(options)
    except (
        InvalidInputError,
        JournalError,
    ) as error:  # what is wrong with one file is an outcome: this is about the words
        print(f"genre: {error}", file=sys.stderr)
        return 2


_UNDO_LACKS = {
    "paths": "PATH",
    "results": "--from",
    "field": "--field",
    "separator": "--separator",
    "write": "--write",
    "overwrite": "--overwrite",
    "append": "--append",
    "unsure": "--unsure",
    "map": "--map",
    "keep_mtime": "--keep-mtime",
    "id3_version": "--id3-version",
    "state": "--state",
    "journal": "--journal",
    "excerpts": "--excerpts",
    "min_confidence": "--min-confidence",
}
"""What --undo would otherwise pass over in silence, by the names of the options."""


def kept(options: argparse.Namespace) -> str:
    """Return what an interrupted run leaves.

    Parameters
    ----------
    options : Namespace
    """
    analyses = options.undo is None and options.results is None
    return f"every file is whole; {arguments.goes_on(options) if analyses else 'run the same line again to go on'}"


def _besides_undo(options: argparse.Namespace) -> list[str]:
    others = [words for name, words in _UNDO_LACKS.items() if arguments.given(options, name)]
    return [*others, "--top"] if arguments.given(options, "top") not in (None, 1) else others


def _check_files(options: argparse.Namespace) -> None:
    """Check that no file is to be two things at once.

    Raises
    ------
    UsageError
    """
    if str(options.results) == "-" and "-" in options.paths:
        raise UsageError("--from - and the path - both read stdin: name a file for one of them")
    named = {"--from": options.results, "--state": options.state, "--journal": options.journal, "--map": options.map}
    taken: dict[str, str] = {}
    for words, path in named.items():
        if path is None:
            continue
        other = taken.setdefault(os.path.realpath(path), words)
        if other != words:
            raise UsageError(f"{other} and {words} name the same file {str(path)!r}: name another one")


def _tag(options: argparse.Namespace) -> int:
    from genre_runtime.library.cache import LibraryState
    from genre_runtime.library.scan import Finder, named_paths
    from genre_runtime.library.tags import tag_answered
    from genre_runtime.library.tags.base import import_mutagen

    import_mutagen()  # missing, it would be every file's error
    tagging = tagging_of(options)
    if options.results is not None and not options.write:
        options.state = None  # nothing will be changed that it should know of
    finder = Finder()
    paths = list(finder.find(named_paths(options.paths)))
    incomplete = name_unreadable(finder)
    if options.paths and not paths:
        raise InvalidInputError(f"no audio files found: {finder.nothing_found}")
    with ExitStack() as stack:
        if options.results is None:
            outcomes = _classified(tagging, paths, options, stack)
        else:
            if options.state is not None:
                tagging = replace(tagging, state=stack.enter_context(closing(LibraryState(options.state, ""))))
            outcomes = tag_answered(tagging, options.results, paths)
        stack.enter_context(closing(outcomes))  # ends what is under way, before the state is closed
        return max(_report(outcomes, tagging, len(paths) or None), incomplete)


def tagging_of(options: argparse.Namespace) -> Tagging:
    """Return what the options of `add_tagging_options` and --journal say.

    Parameters
    ----------
    options : Namespace

    Raises
    ------
    InvalidInputError, JournalError
    """
    from genre_runtime.library.genre_names import GenreMap, read_map
    from genre_runtime.library.tags import Tagging
    from genre_runtime.library.tags.fields import check_separator, parse_fields
    from genre_runtime.library.tags.journal import Journal, default_journal

    fields = parse_fields(["genre"] if options.field is None else options.field)
    check_separator(options.separator)
    journal = Journal(options.journal or default_journal()) if options.write else None
    if journal is not None:
        journal.check()
    return Tagging(
        write=options.write,
        mode="overwrite" if options.overwrite else "append" if options.append else "empty",
        fields=fields,
        separator=options.separator,
        unsure=options.unsure,
        top=options.top,
        min_confidence=options.min_confidence,
        genre_map=GenreMap() if options.map is None else read_map(options.map),
        own_genres=options.head is not None,
        journal=journal,
        id3_version=None if options.id3_version is None else 3 if options.id3_version == "2.3" else 4,
        keep_mtime=options.keep_mtime,
    )


def _classified(
    tagging: Tagging, paths: list[Path], options: argparse.Namespace, stack: ExitStack
) -> Generator[tuple[Path, Change | GenreError], None, None]:
    from genre_runtime.library.analysis import Library, plan_of
    from genre_runtime.library.cache import LibraryState
    from genre_runtime.library.loading import opened_classifier
    from genre_runtime.library.tags import tag_classified
    from genre_runtime.prediction import Prediction

    opened = opened_classifier(
        len(paths),
        model=options.model,
        head=options.head,
        device=options.device,
        jobs=options.jobs,
        warm=options.state is None,
    )
    classifier, jobs = stack.enter_context(opened)
    tagging.genre_map.check(classifier.labels, [tag.name for tag in classifier.metadata.tags])
    excerpts = options.excerpts
    if options.state is not None:
        state = stack.enter_context(closing(LibraryState(options.state, plan_of(classifier, excerpts))))
        library = Library(classifier, excerpts, state)

        def look_up(wanted: Iterable[Path]) -> Iterator[Prediction | GenreError]:
            return (result.outcome for result in library.classify(wanted, jobs))

        return tag_classified(replace(tagging, state=state), paths, look_up)

    def classify(wanted: Iterable[Path]) -> Iterator[Prediction | GenreError]:
        return classifier.classify_files(wanted, excerpts=excerpts, jobs=jobs)

    return tag_classified(tagging, paths, classify)


def _report(outcomes: Iterator[tuple[Path, Change | GenreError]], tagging: Tagging, n_files: int | None) -> int:
    counts = {"changed": 0, "unchanged": 0, "failed": 0}
    try:
        with file_progress(n_files) as bar:
            for path, outcome in outcomes:
                with bar.external_write_mode():
                    counts[_show(path, outcome)] += 1
                bar.update()
    finally:  # after an interruption, say how to undo the changes
        _summarise(counts, tagging)
    return 1 if counts["failed"] else 0


def _show(path: Path, outcome: Change | GenreError) -> str:
    if isinstance(outcome, GenreError):
        name_failed(path, outcome)
        return "failed"
    print(change_line(path, outcome), flush=True)
    return "changed" if outcome.reason is None else "unchanged"


def change_line(path: Path, change: Change) -> str:
    """Return what became of a file, as one line.

    Parameters
    ----------
    path : Path
    change : Change
    """
    from genre_runtime.library.results.write import printable

    same = change.reason is not None
    shown = {name: one for name, one in change.fields.items() if same or one.reason is None}
    named = list(change.fields) != ["genre"]
    words = " | ".join(_field(name, one, named=named) for name, one in shown.items())
    if same:
        return f"unchanged     {words} ({change.reason})  {printable(path)}"
    return f"{'written' if change.written else 'would write':<13} {words}  {printable(path)}"


def _field(name: str, change: FieldChange, *, named: bool) -> str:
    """Return a field and its values before and after as one line."""
    before, after = _values(change.old), _values(change.new)
    return f"{f'{name}: ' if named else ''}{before}{'' if change.reason is not None else f' -> {after}'}"


def _summarise(counts: dict[str, int], tagging: Tagging) -> None:
    n_files = sum(counts.values())
    if not n_files:
        return
    words = "written" if tagging.write else "would be written, add --write to do it"
    print(f"{counts['changed']} of {counted(n_files, 'file')} {words}; {counts['failed']} failed", file=sys.stderr)
    if counts["changed"] and tagging.journal is not None:
        print(f"to undo this: genre tag --undo {arguments.quoted(tagging.journal.path)}", file=sys.stderr)


def _undo(journal: Path) -> int:
    from genre_runtime.library.results.write import printable
    from genre_runtime.library.tags.restore import undo

    n_restored = n_failed = 0
    for undone in undo(journal):
        if undone.error is not None:
            n_failed += 1
            name_failed(undone.path, undone.error)
            continue
        n_restored += undone.n_restored > 0
        verb = "restored" if undone.n_restored else "as it was"
        named = list(undone.values) != ["genre"]
        words = " | ".join(f"{f'{name}: ' if named else ''}{_values(own)}" for name, own in undone.values.items())
        print(f"{verb:<13} {words}  {printable(undone.path)}", flush=True)
    print(f"{counted(n_restored, 'file')} restored; {n_failed} failed", file=sys.stderr)
    return 1 if n_failed else 0


def _values(values: Sequence[str]) -> str:
    """Return values as one line, whatever a tag held."""
    from genre_runtime.library.results.write import printable

    return printable("; ".join(values) or "(none)")
