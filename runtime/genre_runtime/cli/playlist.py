"""`genre playlist`: playlists from results of `genre classify`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_runtime.cli import arguments
from genre_runtime.cli.output import name_failed, step_progress
from genre_runtime.errors import InvalidInputError, UsageError

if TYPE_CHECKING:
    from genre_runtime.library.playlists import Condition, Selection


EXAMPLES = """examples:
  genre classify ~/Music --format jsonl > all.jsonl
  genre playlist all.jsonl --output ~/Playlists            rock.m3u8, jazz.m3u8, ... of confident answers
  genre playlist all.jsonl --output ~/Music --relative     paths that stay right when the folder moves
  genre playlist all.jsonl --output moods --by mood        happy.m3u8, sad.m3u8, ...; a track may be in several
  genre playlist all.jsonl --output lists --name "Quiet evening" --where genre=jazz,classical --where mood!=exciting
  genre playlist all.jsonl --output lists --by style --where genre=electronic --format jspf
  genre playlist all.jsonl --output lists --unsure --min-confidence 40%
  genre playlist all.jsonl --output lists --map mine.txt   by your own names: lines such as  hiphop = Hip-Hop

A condition of --where is FIELD=NAME or FIELD!=NAME; FIELD is genre, style, mood, instrument or voice. Of several names,
joined by commas, one suffices; all conditions must be met. Speech, noise and silence are in no playlist.

Each recording is in a playlist once. With --state, copies in other formats and bit rates are found, too. The best copy
stays: whole, lossless, with most bytes per second.

Run it in the folder where the files were classified if their paths are relative. In M3U8, a name that is not UTF-8 is
written as a file: address; a name with a line break is reported and left out.
"""

LEFT_OUT = {
    "failed": "failed",
    "not music": "not music",
    "unfit": "not as --where says",
    "unsure": "unsure",
    "duplicate": "duplicate",
}
"""Words for the reasons why files are in no playlist."""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "playlist",
        help="write playlists by genre, style or mood",
        description="Write a playlist for each genre, style or mood, or one of the tracks that meet conditions.",
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    add = parser.add_argument
    add("results", type=arguments.path, metavar="RESULTS", help="from `genre classify --format jsonl`; - for stdin")
    add("--output", required=True, type=arguments.path, metavar="FOLDER", help="folder of the playlists")
    add("--by", choices=("genre", "style", "mood"), default="genre", help="a playlist for each (default: %(default)s)")
    add("--name", type=arguments.path, metavar="NAME", help="one playlist with this name, instead of --by")
    add(
        "--where",
        action=arguments.Repeated,
        type=condition,
        metavar="FIELD=NAME",
        help="only tracks that have it; repeat it for more conditions",
    )
    add("--unsure", action="store_true", help="include tracks whose genre is not confident, where the genre counts")
    add("--min-confidence", type=arguments.share, default=0.0, metavar="X", help="least confidence, 0 to 1")
    add("--format", choices=("m3u8", "jspf"), default="m3u8", help="(default: %(default)s)")
    add("--relative", action="store_true", help="paths relative to the playlist's folder (default: absolute)")
    arguments.add_map(parser)
    add("--keep-duplicates", action="store_true", help="every copy of a recording, not only the best one")
    add("--state", type=arguments.state_path, metavar="FILE", help="state file of `genre classify`, to find duplicates")
    add("--model", metavar="FILE", help="the model of the state file, if it is another one")
    add("--jobs", type=arguments.positive, default=0, metavar="N", help="files in work at once (default: one per core)")
    add("--force", action="store_true", help="overwrite files that are not playlists of this command")
    parser.set_defaults(run=run, kept=lambda _: "playlists may be missing; run the same line again")


def condition(text: str) -> Condition:
    """Return a condition of `--where`.

    Parameters
    ----------
    text : str

    Raises
    ------
    argparse.ArgumentTypeError
    """
    from genre_runtime.library.playlists import Condition

    try:
        return Condition.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(options: argparse.Namespace) -> int:
    """Write the playlists.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status: 1 if a path was left out or nothing written, 2 for wrong usage.
    """
    from genre_runtime.library.genre_names import GenreMap, read_map
    from genre_runtime.library.playlists import (
        select_tracks,
        sort_into_playlists,
        why_not_written,
        write_playlists,
    )
    from genre_runtime.library.results.read import Results, skipped_words
    from genre_runtime.library.results.write import printable
    from genre_runtime.output_files import ForeignFileError

    results, conditions = Results(options.results), options.where or ()
    genre_counts = (options.by == "genre" and not options.name) or any(one.field == "genre" for one in conditions)
    unwritable: list[tuple[Path, str]] = []
    try:
        genre_map = GenreMap() if options.map is None else read_map(options.map)
        chosen = select_tracks(
            results, conditions, unsure=options.unsure or not genre_counts, min_confidence=options.min_confidence
        )
        if chosen.names["genre"]:
            genre_map.check(chosen.names["genre"] | chosen.names[options.by])
        if not options.keep_duplicates:
            _drop_duplicates(chosen, options)
        reasons = [(track, why_not_written(track.path, options.format)) for track in chosen.tracks]
        unwritable = [(Path(track.path or ""), reason) for track, reason in reasons if reason]
        chosen.tracks = [track for track, reason in reasons if not reason]
        playlists = sort_into_playlists(chosen.tracks, options.by, genre_map)
        if options.name:
            playlists = {options.name: chosen.tracks} if chosen.tracks else {}
        folder, n_written = Path(options.output), 0
        writing = {"form": options.format, "relative": options.relative, "force": options.force}
        for path, n_files in write_playlists(playlists, folder, **writing):
            print(f"{printable(path)}: {n_files} file{'s' if n_files != 1 else ''}", flush=True)
            n_written += 1
    except (InvalidInputError, ForeignFileError) as error:
        print(f"genre: {error}", file=sys.stderr)
        return 2
    for words in skipped_words(results):
        print(f"genre: {words}", file=sys.stderr)
    for path, reason in unwritable:
        name_failed(path, f"left out: {reason}")
    without = len(chosen.tracks) - len({track.path for tracks in playlists.values() for track in tracks})
    return _summary(chosen, f"without a {options.by}", without, n_written) or int(bool(unwritable))


def _drop_duplicates(chosen: Selection, options: argparse.Namespace) -> None:
    from genre_runtime.library.duplicates import compare_results
    from genre_runtime.library.playlists import drop_duplicates

    state = arguments.known_state(options)
    with step_progress() as report:
        report(f"comparing {len(chosen.tracks):,} tracks")
        comparison = compare_results(chosen.tracks, chosen.same_as, state=state, model=options.model, jobs=options.jobs)
    drop_duplicates(chosen, ([one.track.path for one in group] for group in comparison.groups))
    for words in comparison.remarks():
        print(f"genre: {words}", file=sys.stderr)


def _summary(chosen: Selection, without: str, n_without: int, n_written: int) -> int:
    """Print how many files are in no playlist, and why; return the exit status."""
    reasons = {**{LEFT_OUT[reason]: n_files for reason, n_files in chosen.left_out.items()}, without: n_without}
    words = ", ".join(f"{n_files:,} {reason}" for reason, n_files in reasons.items() if n_files)
    if not n_written:
        print(f"genre: nothing to write; left out: {words or 'nothing'}", file=sys.stderr)
        return 1
    if words:
        print(f"left out: {words}", file=sys.stderr)
    return 0
