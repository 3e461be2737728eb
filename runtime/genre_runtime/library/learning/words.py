"""What was learnt, in words: the command prints them, the window shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from genre_runtime.errors import counted
from genre_runtime.library.genre_names import spelling_key
from genre_runtime.library.learning.examples import GenreNames
from genre_runtime.library.learning.heads import Lesson
from genre_runtime.model.head import GenreHead

MOST_PAIRS = 5
"""Confused pairs that are named."""


class GenreRow(NamedTuple):
    """A genre that was learnt, as text.

    Attributes
    ----------
    genre : str
    tracks : str
        Number of examples.
    recall, precision : str
        Per cent; "-" without a second artist to judge by.
    """

    genre: str
    tracks: str
    recall: str
    precision: str


def title(lesson: Lesson) -> str:
    """Return how much was learnt from how much.

    Parameters
    ----------
    lesson : Lesson
    """
    facts = lesson.head.provenance
    examples = f"{counted(facts['n_tracks'], 'track')} by {counted(facts['n_groups'], 'artist')}"
    return f"{counted(len(lesson.head.labels), 'genre')} from {examples}"


def genre_rows(lesson: Lesson) -> list[GenreRow]:
    """Return the genres, those with most examples first.

    Parameters
    ----------
    lesson : Lesson
    """
    counts, per_genre = lesson.head.provenance["examples"], lesson.head.metrics["test"]["per_genre"]
    rows = []
    for label in sorted(lesson.head.labels, key=lambda name: -counts.get(name, 0)):
        values = per_genre[label]
        shares = (f"{values[name]:.0%}" if values["support"] else "-" for name in ("recall", "precision"))
        rows.append(GenreRow(label, str(counts.get(label, 0)), *shares))
    return rows


def facts_of(lesson: Lesson, names: GenreNames) -> list[tuple[str, str]]:
    """Return what the head is worth, and what became of the names, as captions and texts.

    Parameters
    ----------
    lesson : Lesson
    names : GenreNames
    """
    known = known_already(lesson.head)
    lines = [("known already", known)] if known else []
    lines += _figures(lesson.head)
    if lesson.left_out:
        lines.append(("too few", ", ".join(f"{genre} ({n})" for genre, n in sorted(lesson.left_out.items()))))
    if names.joined:
        joined = (f"{', '.join(others)} with {name}" for name, others in names.joined.items())
        lines.append(("joined", "\n".join(joined)))
    return lines


def known_already(head: GenreHead) -> str:
    """Return the genres of the examples that build on an answer of the model, which is named if it has another name.

    Parameters
    ----------
    head : GenreHead
    """
    counts = head.provenance.get("examples", {})
    pairs = zip(head.labels, head.known_as, strict=True)
    return ", ".join(
        label if spelling_key(label) == spelling_key(name) else f"{label} ({name})"
        for label, name in pairs
        if name is not None and label in counts
    )


def _figures(head: GenreHead) -> list[tuple[str, str]]:
    test = head.metrics["test"]
    if not test["n_tracks"]:
        return [("right", "unknown: no genre has tracks by two artists, so no answer will be confident")]
    interval, sets = test["accuracy_interval"], test["genre_sets"]
    between = f" [{interval[0]:.0%}, {interval[1]:.0%}]" if interval else ""
    lines = [
        ("right", f"{test['accuracy']:.0%}{between} of {counted(test['n_tracks'], 'track')}, their artists held out"),
        ("macro F1", f"{test['macro_f1']:.2f}"),
        ("confident", _confident(head.confidence_threshold, test["confident"])),
        ("answer sets", f"{sets['right']:.0%} hold a right genre, {sets['mean_size']:.1f} genres each"),
    ]
    pairs = [f"{true} as {answer}: {count}" for true, answer, count in test["confused_pairs"][:MOST_PAIRS]]
    return [*lines, ("confused", "\n".join(pairs))] if pairs else lines


def _confident(threshold: float, confident: Mapping[str, Any]) -> str:
    if threshold >= 1 or confident["precision"] is None:
        return "never: too few artists, or too many errors, to promise 80 % right"
    return f"from {threshold:.0%}: {confident['coverage']:.0%} of the tracks, {confident['precision']:.0%} right"
