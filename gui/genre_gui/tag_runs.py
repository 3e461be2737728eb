"""Runs over the tags of files: what is planned is remembered, so that exactly that is written; all can be taken back.

As with the controller, every method is called on the UI's thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genre_gui import chores
from genre_gui.background import Background, Post
from genre_gui.events import Notice, Tagged, TagsFinished
from genre_gui.tracks import Track
from genre_gui.words import sentence
from genre_runtime import GenreError, Prediction

if TYPE_CHECKING:
    from genre_runtime.library.tags import Mode


@dataclass(frozen=True)
class Manner:
    """How genres are written.

    Attributes
    ----------
    mode : {"empty", "overwrite", "append"}
    unsure : bool
        Whether answers that are not confident count.
    top : int
        Most genres a file.
    """

    mode: Mode = "empty"
    unsure: bool = False
    top: int = 1


class TagRuns:
    """Plans, writes and takes back.

    Attributes
    ----------
    journal : Path or None
        Where the tags written last are recorded, if any were.
    """

    def __init__(self, background: Background) -> None:
        self.journal: Path | None = None
        self._background = background
        self._run = 0
        self._answers: list[tuple[Path, Prediction]] = []
        self._manner = Manner()

    def plan(self, tracks: Iterable[Track], manner: Manner) -> int:
        """Tell by events what would be written into files; return how many have an answer."""
        answers = [(track.path, track.prediction) for track in tracks]
        self._answers = [(path, found) for path, found in answers if found is not None]
        self._manner = manner
        self._begin(write=False)
        return len(self._answers)

    def write(self) -> None:
        """Write what was planned last, whatever has become of the tracks since."""
        self._begin(write=True)

    def undo(self, journal: Path) -> None:
        """Take back all changes of a journal."""
        self._run += 1
        self._background.chore(lambda post: chores.take_back(journal, post))

    def matters(self, event: Tagged | TagsFinished) -> bool:
        """Whether an event belongs to the run of last, or says that something was written."""
        return event.run == self._run or (isinstance(event, TagsFinished) and event.write)

    def _begin(self, *, write: bool) -> None:
        self._run += 1
        run, answers, stop, manner = self._run, self._answers, self._background.stop, self._manner

        def work(post: Post) -> None:  # what it imports takes too long for the UI's thread
            try:
                tagging = chores.tagging(write=write, mode=manner.mode, unsure=manner.unsure, top=manner.top)
            except GenreError as error:  # there is no place for a journal: nothing is written
                post(Notice(sentence(error), bad=True))
                post(TagsFinished(run, write))
                return
            if tagging.journal is not None:
                self.journal = tagging.journal.path
            chores.tag(answers, tagging, run, stop, post)

        self._background.chore(work)
