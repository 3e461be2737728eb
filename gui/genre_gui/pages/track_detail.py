"""Details of the selected track: genres, genres over time, spectrogram and playback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from tkinter import Misc
from typing import Any

import customtkinter

from genre_gui.language import mark, percent, plural, tr
from genre_gui.phrases import translated
from genre_gui.playback import NoOutputError, Player
from genre_gui.text import capitalised, device_name, folder_name, one_line, sentence, shortened
from genre_gui.tracks import UNFINISHED, State, Track, genre_or_sound, tags
from genre_gui.widgets.charts import Bars, Timeline
from genre_gui.widgets.controls import button, label
from genre_gui.widgets.spectrogram import ExcerptSpectrogram, Spectrogram
from genre_gui.widgets.tables import Tooltip
from genre_gui.widgets.theme import CARD, ERROR, MIDDLE, MUTED, NARROW, TEXT, WARNING, WIDE, text_size
from genre_runtime import GenreError, ModelMetadata, Prediction
from genre_runtime.library.report.plots import clock

WIDTH = 380
PLAY, PAUSE = mark("▶  Play"), mark("❚❚  Pause")
LONGEST_FOLDER = 60
MAX_TAGS = 8
"""Tags shown at most: some tracks have a dozen of instruments."""


class TrackDetail(customtkinter.CTkFrame):  # type: ignore[misc]
    """Details of one track, or a text.

    Parameters
    ----------
    master : Misc
    player : Player
        Plays the track that is shown.
    show_message : callable
        Called with the reason why it cannot be played.

    Attributes
    ----------
    track : Track or None
        The track that is shown.
    """

    def __init__(self, master: Misc, player: Player, show_message: Callable[[str], object]) -> None:
        self.player, self._show_message = player, show_message
        super().__init__(master, corner_radius=MIDDLE, fg_color=CARD, width=WIDTH)
        self.grid_propagate(False)
        self.grid_columnconfigure(0, weight=1)
        self.track: Track | None = None
        self.name = self._row(0, label(self, size=15, bold=True), MIDDLE)
        self.place = self._row(1, label(self, size=12, colour=MUTED), 2)
        self.answer = self._row(2, label(self, size=30, bold=True), MIDDLE)
        self.message = self._row(3, label(self, size=13), NARROW)
        self.bars, self.timeline, self.spectrogram = Bars(self), Timeline(self), Spectrogram(self)
        self.tags = self._row(4, label(self, size=12, colour=MUTED), NARROW)
        self.bars.place_in_row(5, MIDDLE)
        texts = tr("Genre over time"), tr("Spectrogram")
        self._headings = [label(self, text, size=12, colour=MUTED) for text in texts]
        self._whole = {self.name: "", self.place: ""}
        for shown in self._whole:
            Tooltip(shown, partial(self._tooltip, shown))
        self._row(6, self._headings[0], MIDDLE)
        self.play = button(self, tr(PLAY), self.toggle, "text")
        self.play.configure(height=text_size(26))
        self.play.grid(row=6, column=0, padx=(0, MIDDLE), pady=(NARROW, 0), sticky="e")
        self.timeline.on_seek = self._seek
        self.timeline.place_in_row(7, NARROW)
        self._row(8, self._headings[1], NARROW)
        self.spectrogram.place_in_row(9, NARROW, MIDDLE)
        self.grid_rowconfigure(9, weight=1)
        self.show(None, None)

    def show(self, track: Track | None, metadata: ModelMetadata | None) -> None:
        """Show a track.

        Parameters
        ----------
        track : Track or None
        metadata : ModelMetadata or None
            Of the loaded model.
        """
        self.track = track
        self.player.load(track.path if track is not None and track.prediction is not None else None)
        self.follow_player()
        if track is None:
            self._show_texts(tr("No track selected"), "", tr("Select a track to see its genres."))
            return
        self._whole = {self.name: one_line(track.path.name), self.place: one_line(str(track.path.parent))}
        name = shortened(track.path.name)
        folder = shortened(folder_name(track.path.parent), LONGEST_FOLDER)
        prediction = track.prediction
        if isinstance(track.result, GenreError):
            self._show_texts(name, folder, sentence(track.result), ERROR)
        elif prediction is None:
            message = _progress_text(track) if track.state in UNFINISHED else tr("Cancelled. Ctrl+R tries again.")
            self._show_texts(name, folder, message, MUTED)
        else:
            count = len(prediction.excerpts)
            analysed = tr("whole track") if track.whole else plural("{n} excerpt", "{n} excerpts", count)
            if not count:  # a row of the last window, whose whole answer is not read yet
                analysed = tr("of the last window")
            facts = f"{clock(prediction.duration_seconds)}  ·  {analysed}  ·  {device_name(prediction.device)}"
            message, named = _confidence_text(prediction, metadata), "  ·  ".join(tags(prediction)[:MAX_TAGS])
            self._texts(name, f"{folder}\n{facts}", genre_or_sound(prediction), message, named)
            self.message.configure(text_color=MUTED if prediction.confident and prediction.remark is None else WARNING)
            labels = metadata.labels if metadata else tuple(sorted(prediction.probabilities))
            self.bars.show(prediction, metadata.confidence_threshold if metadata else 0.0)
            if prediction.excerpts:
                self.timeline.show(prediction, labels)
            self._show_charts(bool(prediction.excerpts))
            if prediction.is_music:
                self.bars.grid()
            else:
                self.bars.grid_remove()

    def show_spectrogram(self, excerpts: Sequence[ExcerptSpectrogram] | None, metadata: ModelMetadata | None) -> None:
        """Show the spectrograms of the track.

        Parameters
        ----------
        excerpts : sequence of ExcerptSpectrogram or None
            None while they are computed.
        metadata : ModelMetadata or None
        """
        if excerpts:
            self.spectrogram.show(excerpts, metadata.audio.top_db if metadata else 80.0)
        else:
            self.spectrogram.show_text(tr("Analysing …") if excerpts is None else tr("no spectrogram"))

    def toggle(self) -> None:
        """Play or pause."""
        if self.player.playing:
            self.player.pause()
        elif self.track is not None and self.track.prediction is not None:
            self.player.play()
        self.follow_player()

    def follow_player(self) -> None:
        """Show the state of playback."""
        playing, error = self.player.playing, self.player.error
        message = tr(PAUSE if playing else PLAY)
        if error is not None:
            message = (
                tr("No sound: {reason}", reason=error.short) if isinstance(error, NoOutputError) else tr("No sound")
            )
        if message != self.play.cget("text"):
            self.play.configure(text=message)
            if error is not None:
                self._show_message(f"{sentence(error)}.")
        position = self.player.position
        self.timeline.move_cursor(position if playing or position else None)

    def redraw(self) -> None:
        """Draw again in the present appearance."""
        for chart in (self.bars, self.timeline, self.spectrogram):
            chart.redraw()

    def _tooltip(self, shown: Any, *_: int) -> str:
        """Return the whole name or folder if it is shortened."""
        whole = self._whole[shown] if self.track is not None else ""
        return "" if whole in shown.cget("text") else whole

    def _seek(self, seconds: float) -> None:
        self.player.seek(seconds)
        self.follow_player()

    def _show_texts(self, name: str, place: str, message: str, colour: Any = TEXT) -> None:
        self._texts(name, place, "", message, "")
        self.message.configure(text_color=colour)
        self._show_charts(False)

    def _texts(self, *texts: str) -> None:
        for shown, text in zip((self.name, self.place, self.answer, self.message, self.tags), texts, strict=True):
            shown.configure(text=text)
            if text:
                shown.grid()
            else:
                shown.grid_remove()

    def _show_charts(self, shown: bool) -> None:
        for widget in (self.bars, self.timeline, self.spectrogram, self.play, *self._headings):
            if shown:
                widget.grid()
            else:
                widget.grid_remove()

    def _row(self, row: int, widget: Any, above: int) -> Any:
        widget.grid(row=row, column=0, padx=WIDE, pady=(above, 0), sticky="ew")
        return widget


def _progress_text(track: Track) -> str:
    if track.state is not State.ANALYSING or track.analysed is None:
        return tr("Analysing …")
    seconds, length = track.analysed
    if length is None or length < seconds:
        return tr("Analysing: {seconds} …", seconds=clock(seconds))
    return tr("Analysing: {seconds} of {length} …", seconds=clock(seconds), length=clock(length))


def _confidence_text(prediction: Prediction, metadata: ModelMetadata | None) -> str:
    remark = "" if prediction.remark is None else f"\n{capitalised(translated(prediction.remark))}."
    if not prediction.is_music:
        reason = translated(one_line(prediction.reason)) if prediction.reason else tr("not music")
        return f"{capitalised(reason)}.{remark}"
    if not prediction.confident:
        if 1 < len(prediction.genre_set) <= Bars.N_ROWS:  # a larger set tells nothing
            *first, last = prediction.genre_set
            perhaps = tr("Perhaps {genres} or {last}.", genres=", ".join(first), last=last)
            remark = f"\n{perhaps}{remark}"
        reason = translated(one_line(prediction.reason)) if prediction.reason else tr("no reason given")
        return tr("Not sure: {reason}.", reason=reason) + remark
    threshold = metadata.confidence_threshold if metadata else 0.0  # 0 from an older service
    share = percent(prediction.confidence)
    if not threshold:
        return tr("Sure: {share}.", share=share) + remark
    sure = tr("Sure: {share}; confident from {threshold}.", share=share, threshold=percent(threshold))
    return f"{sure}{remark}"
