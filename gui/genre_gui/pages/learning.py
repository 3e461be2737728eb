"""The pages that learn genres from the tags of all tracks, and that show the tags which the audio contradicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tkinter import Misc
from typing import TYPE_CHECKING, Any

import customtkinter

from genre_gui.controller import Controller
from genre_gui.language import localised, mark, number, percent, plural, tr
from genre_gui.phrases import translated
from genre_gui.text import capitalised, one_line
from genre_gui.widgets import dialogs
from genre_gui.widgets.controls import Flow, button, card, label, switch
from genre_gui.widgets.tables import Table
from genre_gui.widgets.theme import BAR, ERROR, MIDDLE, MUTED, NARROW, TEXT, TRACK, scaling, text_font, text_size
from genre_gui.workers.background import Audited, LearningFailed, LearningKind, LearningStep, Learnt
from genre_runtime import FileResult, Prediction

if TYPE_CHECKING:
    from genre_runtime import GenreHead
    from genre_runtime.library.learning.heads import Lesson

Columns = Sequence[tuple[str, str, int]]
GAP = "   "
"""Between a right-aligned column and the next one."""

GENRES: Columns = (
    ("genre", mark("Genre"), 190),
    ("tracks", mark("Tracks"), 70),
    ("recall", mark("Recall"), 90),
    ("precision", mark("Precision"), 90),
)
DOUBTS: Columns = (
    ("file", mark("File"), 270),
    ("tag", mark("Genre in the tags"), 150),
    ("before", mark("Confidence"), 96),
    ("answer", mark("Sounds like"), 150),
    ("after", mark("Confidence"), 96),
    ("alike", mark("Genres of similar tracks"), 240),
)
AFTER_NUMBERS = ("answer", "alike")
NUMBERS = ("tracks", "recall", "precision", "before", "after")
CAPTION_WIDTH = 130
"""Of the figures, pixels before scaling."""

MAX_DOUBTS = 1_000
"""Rows shown at most; more would delay the window."""


class LearningPage(customtkinter.CTkFrame):  # type: ignore[misc]
    """A page with a run over all tracks: buttons, what is being done, and a table.

    Parameters
    ----------
    master : Misc
    controller : Controller
    kind : {"learn", "audit"}
    action : str
        Text of the button that starts it.
    hint : str
        What the page does, shown until there is a result.
    columns : sequence of (str, str, int)
        Name, heading and least width of each column.
    """

    def __init__(
        self,
        master: Misc,
        controller: Controller,
        kind: LearningKind,
        action: str,
        hint: str,
        columns: Columns,
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self._controller, self._kind = controller, kind
        self._runs = controller.learning[kind]
        self._busy = self._finished = False
        self._why_not: str | None = None
        self._hint = hint
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(2, weight=1)
        self.tools = Flow(self)
        self.tools.grid(row=0, column=0, columnspan=2, sticky="ew")
        self.start = button(self.tools, action, self._begin, "filled")
        self.tools.add(self.start)
        self.cancel = button(self.tools, tr("Cancel"), self._cancel, "text")
        self.tools.add(self.cancel)
        self.cancel.configure(state="disabled")
        status = customtkinter.CTkFrame(self, fg_color="transparent")
        status.grid(row=1, column=0, columnspan=2, pady=NARROW, sticky="ew")
        status.grid_columnconfigure(0, weight=1)
        status.grid_rowconfigure(1, minsize=NARROW)
        self.message = label(status, hint, colour=MUTED)
        self.message.grid(row=0, column=0, sticky="ew")
        self.progress = customtkinter.CTkProgressBar(status, height=4, fg_color=TRACK, progress_color=BAR)
        self.progress.grid(row=1, column=0, pady=(4, 0), sticky="ew")
        self.progress.grid_remove()
        self.table = self._table(columns)
        self.actions = customtkinter.CTkFrame(self, fg_color="transparent")
        self.actions.grid(row=3, column=0, columnspan=2, pady=(NARROW, 0), sticky="ew")

    def update_state(self) -> None:
        """Show what a run waits for, and whether one can be started."""
        n_tracks, n_unfinished = len(self._controller.tracks), self._controller.n_unfinished
        why_not = self._controller.no_embeddings
        if not why_not and not n_tracks:
            why_not = f"{self._hint}\n" + tr("The queue is empty: add music first.")
        if why_not != self._why_not:
            self._why_not = why_not
            if not self._finished and not self._busy:
                self._say(why_not or self._hint)
        state = "disabled" if why_not or self._busy else "normal"
        if state != self.start.cget("state"):
            self.start.configure(state=state)
        if self._runs.wanted:
            text = plural(
                "Waiting until {n} track is analysed …", "Waiting until {n} tracks are analysed …", n_unfinished
            )
            if text != self.message.cget("text"):
                self._say(text)
                self.progress.set(1 - n_unfinished / max(n_tracks, 1))

    def handle(self, event: LearningStep | LearningFailed | Learnt | Audited) -> None:
        """Show what is being done, or the end of a run.

        Parameters
        ----------
        event : LearningStep, LearningFailed, Learnt or Audited
        """
        if isinstance(event, LearningStep):
            self._show_step(event)
            return
        self._end()
        if isinstance(event, LearningFailed):
            self._say(f"{event.message}.", ERROR)
        else:
            self._show(event)

    def _show(self, event: Any) -> None:
        raise NotImplementedError

    def _show_step(self, event: LearningStep) -> None:
        self._say(f"{capitalised(event.message)} …")
        if event.share is not None:
            self.progress.set(event.share)
        elif self.progress.cget("mode") == "determinate":
            self.progress.configure(mode="indeterminate")
            self.progress.start()

    def restyle(self) -> None:
        """Apply the present scaling; colours follow the appearance by themselves."""
        self.table.restyle()

    def _begin(self) -> None:
        self.table.delete(*self.table.get_children())
        self._busy, self._finished = True, False
        self.start.configure(state="disabled")
        self.cancel.configure(state="normal")
        self.progress.set(0)
        self.progress.grid()
        self._controller.start_learning(self._kind)

    def _cancel(self) -> None:
        self._runs.cancel()
        self._end()
        self._say(tr("Cancelled."))

    def _end(self) -> None:
        self._busy, self._finished = False, True
        self.start.configure(state="normal")
        self.cancel.configure(state="disabled")
        self.progress.stop()
        self.progress.configure(mode="determinate")
        self.progress.grid_remove()

    def _say(self, message: str, colour: Any = MUTED) -> None:
        self.message.configure(text=message, text_color=colour)

    def _table(self, columns: Columns) -> Table:
        surface = card(self)
        surface.grid(row=2, column=0, sticky="nsew")
        surface.grid_rowconfigure(0, weight=1)
        surface.grid_columnconfigure(0, weight=1)
        names = [name for name, _, _ in columns]
        tree = Table(surface, names, "extended")
        for name, heading, _ in columns:
            gap = GAP if name in AFTER_NUMBERS else ""
            tree.heading(name, text=f"{gap}{tr(heading)}", anchor="e" if name in NUMBERS else "w")
            tree.column(name, anchor="e" if name in NUMBERS else "w", stretch=name not in NUMBERS)
        tree.set_widths({name: width for name, _, width in columns})
        return tree


class LearnPage(LearningPage):
    """Learns genres, shows what they are worth, saves and uses them.

    Parameters
    ----------
    master : Misc
    controller : Controller
    folder : callable
        Returns the folder in which the dialog for saving starts.
    add_folder, open_head : callable
    use : callable
        Called with the file of the genres to use; None for the genres of the model.
    """

    def __init__(
        self,
        master: Misc,
        controller: Controller,
        folder: Callable[[], str],
        add_folder: Callable[[], object],
        open_head: Callable[[], object],
        use: Callable[[Path | None], object],
    ) -> None:
        hint = tr(
            "Learns the genres in the tags of all tracks of the queue, and shows what they are worth on artists that "
            "were held out. Nothing is changed in the files."
        )
        super().__init__(master, controller, "learn", tr("Learn my genres"), hint, GENRES)
        self.head: GenreHead | None = None
        self._folder, self._use = folder, use
        self._to_use: Path | None = None
        self.grid_columnconfigure((0, 1), weight=1, uniform="half")
        self.tools.add(button(self.tools, tr("Add a folder …"), add_folder))
        self.join = switch(self.tools, tr("join names that mean the same"), self._join)
        self.tools.add(self.join)
        self.open = button(self.tools, tr("Open genres …"), open_head)
        self.tools.add(self.open)
        surface = card(self)
        surface.grid(row=2, column=1, padx=(MIDDLE, 0), sticky="nsew")
        surface.grid_columnconfigure(1, weight=1)
        surface.grid_rowconfigure(1, weight=1)
        self.title = label(surface, "", size=15, bold=True)
        self.title.grid(row=0, column=0, columnspan=2, padx=MIDDLE, pady=(MIDDLE, NARROW), sticky="ew")
        self.facts = customtkinter.CTkTextbox(
            surface, fg_color="transparent", text_color=TEXT, wrap="word", height=0, font=text_font()
        )
        self.facts.grid(row=1, column=0, columnspan=2, padx=NARROW, pady=(0, NARROW), sticky="nsew")
        indent = round(text_size(CAPTION_WIDTH) * scaling(self))
        self.facts.configure(tabs=(indent,), state="disabled", spacing1=2, spacing3=2)
        self.facts.tag_config("all", lmargin2=indent)
        self.save = button(self.actions, tr("Save as …"), lambda: self._save(use=False))
        self.save.grid(row=0, column=0, padx=(0, NARROW))
        self.use = button(self.actions, tr("Save and use"), lambda: self._save(use=True), "filled")
        self.use.grid(row=0, column=1, padx=(0, MIDDLE))
        self.in_use = label(self.actions, "", colour=MUTED)
        self.in_use.grid(row=0, column=2, sticky="ew")
        self.actions.grid_columnconfigure(2, weight=1)
        self.back = button(self.actions, tr("Use the model's genres"), lambda: use(None))
        self.back.grid(row=0, column=3)
        self.show_in_use()
        self._enable()

    def _show(self, event: Learnt) -> None:
        from genre_runtime.library.learning.examples import GenreNames
        from genre_runtime.library.learning.words import facts_of, genre_rows

        self.head = event.lesson.head
        self._say(tr("Learnt. Save the genres to use them, here and in the other programs of this project."))
        for row in genre_rows(event.lesson):
            self.table.insert("", "end", values=(one_line(row.genre), *map(localised, row[1:])))
        self.title.configure(text=_title(event.lesson))
        texts = [
            (translated(caption), "\n".join(map(translated, text.split("\n"))))
            for caption, text in facts_of(event.lesson, GenreNames())
        ]
        if event.names.joined:
            joined = (
                tr("{names} with {name}", names=", ".join(others), name=name)
                for name, others in event.names.joined.items()
            )
            texts.append((tr("joined"), "\n".join(joined)))
        if event.names.proposals:
            same = (tr("{one} and {other}", one=rare, other=common) for rare, common in event.names.proposals)
            texts.append((tr("may mean the same"), "\n".join(same)))
        self._show_facts(texts)
        self._enable()

    def show_saved(self, path: Path) -> None:
        """Show where the genres were written, and use them if that was asked for.

        Parameters
        ----------
        path : Path
        """
        self._say(tr("Saved as {name}.", name=one_line(path.name)))
        if path == self._to_use:
            self._use(path)

    def show_in_use(self) -> None:
        """Show which genres the window answers by."""
        head = self._controller.request.head
        name = tr("the genres of the model") if head is None else one_line(head.name)
        self.in_use.configure(text=tr("In use: {name}", name=name))
        self.back.configure(state="disabled" if head is None else "normal")

    def _begin(self) -> None:
        self.head = None
        self.title.configure(text="")
        self._show_facts(())
        self._enable()
        super()._begin()

    def _join(self) -> None:
        self._runs.join = bool(self.join.get())

    def _save(self, *, use: bool) -> None:
        path = dialogs.new_head_file(self, self._folder())
        if path is not None and self.head is not None:
            self._to_use = path if use else None
            self._controller.save_head(self.head, path)

    def _enable(self) -> None:
        for one in (self.save, self.use):
            one.configure(state="disabled" if self.head is None else "normal")

    def _show_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        lines = []
        for caption, text in facts:
            first, *others = map(one_line, text.split("\n"))
            lines += [f"{caption}\t{first}", *(f"\t{other}" for other in others)]
        self.facts.configure(state="normal")
        self.facts.delete("1.0", "end")
        self.facts.insert("1.0", "\n".join(lines), "all")
        self.facts.configure(state="disabled")


class CheckPage(LearningPage):
    """Shows the tracks whose genre the audio contradicts, and sends chosen ones to the page that writes tags.

    Parameters
    ----------
    master : Misc
    controller : Controller
    mend : callable
        Called with the files and answers of the chosen rows.
    show_track : callable
        Called with a file, to show it on the page of tracks.
    """

    def __init__(
        self,
        master: Misc,
        controller: Controller,
        mend: Callable[[Sequence[tuple[Path, Prediction]]], object],
        show_track: Callable[[Path], object],
    ) -> None:
        hint = tr(
            "Compares the genre in the tags of each track with what it sounds like, by all other artists of the queue, "
            "and lists the doubtful ones, the most certain first."
        )
        super().__init__(master, controller, "audit", tr("Check the tags"), hint, DOUBTS)
        self.doubtful: list[FileResult] = []
        self._mend, self._show_track = mend, show_track
        self.alike = label(self.actions, "", size=12, colour=MUTED)
        self.alike.grid(row=0, column=0, columnspan=3, pady=(0, NARROW), sticky="ew")
        self.mend = button(self.actions, tr("Change the tags …"), lambda: self._mend(self.chosen()), "filled")
        self.mend.grid(row=1, column=0, padx=(0, NARROW))
        self.show_one = button(self.actions, tr("Show the track"), self._show_chosen)
        self.show_one.grid(row=1, column=1)
        self.actions.grid_columnconfigure(2, weight=1)
        for key in ("<Return>", "<KP_Enter>", "<Double-1>"):
            self.table.bind(key, lambda _: self._show_chosen())
        self.table.bind("<Control-a>", lambda _: self.table.selection_set(self.table.get_children()))
        self.table.bind("<Command-a>", lambda _: self.table.selection_set(self.table.get_children()))
        self.table.bind("<<TreeviewSelect>>", lambda _: self._show_selected())
        self._show_selected()

    def _show(self, event: Audited) -> None:
        self.doubtful = event.audit.doubtful[:MAX_DOUBTS]
        count = len(event.audit.doubtful)
        message = plural(
            "{n} of {tracks} tracks is doubtful.",
            "{n} of {tracks} tracks are doubtful.",
            count,
            tracks=event.audit.n_tracks,
        )
        if count > MAX_DOUBTS:
            message += " " + tr("The {n} most certain are shown.", n=MAX_DOUBTS)
        self._say(message)
        for place, result in enumerate(self.doubtful):
            self.table.insert("", "end", str(place), values=_cells(result))
        if self.doubtful:
            self.table.selection_set("0")
            self.table.focus("0")

    def chosen(self) -> list[tuple[Path, Prediction]]:
        """Return the files of the selected rows, each with the answer by ear."""
        results = [self.doubtful[int(item)] for item in self.table.selection()]
        return [(Path(one.path), one.prediction) for one in results if one.prediction is not None]

    def _begin(self) -> None:
        super()._begin()
        self._show_selected()

    def _show_chosen(self) -> None:
        if chosen := self.chosen():
            self._show_track(chosen[0][0])

    def _show_selected(self) -> None:
        selected = self.table.selection()
        state = "normal" if selected else "disabled"
        text = plural("Change the tags of {n} file …", "Change the tags of {n} files …", len(selected))
        self.mend.configure(text=text if selected else tr("Change the tags …"), state=state)
        self.show_one.configure(state=state)
        doubt = self.doubtful[int(selected[0])].doubt if selected else None
        lines = [
            f"{number(similarity, 2)}   {one_line(path.name)}   ({one_line('; '.join(genres))})"
            for path, genres, similarity in (doubt.neighbours if doubt else ())
        ]
        self.alike.configure(text="\n".join([tr("Most like it:"), *lines]) if lines else "")


def _title(lesson: Lesson) -> str:
    """Return how much was learnt from how much."""
    facts = lesson.head.provenance
    return " ".join(
        (
            plural("{n} genre", "{n} genres", len(lesson.head.labels)),
            plural("from {n} track", "from {n} tracks", facts["n_tracks"]),
            plural("by {n} artist", "by {n} artists", facts["n_groups"]),
        )
    )


def _cells(result: FileResult) -> tuple[str, ...]:
    prediction, doubt = result.prediction, result.doubt
    assert prediction is not None
    assert doubt is not None
    alike = ", ".join("; ".join(genres) or tr("no genre") for _, genres, _ in doubt.neighbours)
    name, tag, answer = Path(result.path).name, "; ".join(doubt.genres), prediction.label
    shares = percent(doubt.confidence), percent(prediction.confidence)
    return (
        one_line(name),
        one_line(tag),
        shares[0],
        f"{GAP}{one_line(answer)}",
        shares[1],
        f"{GAP}{one_line(alike)}",
    )
