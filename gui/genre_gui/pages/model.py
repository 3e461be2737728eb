"""The page about the model: its scores, training, confusion matrix and provenance, from the sidecar.

Values that are missing or damaged are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from tkinter import Misc
from typing import Any

import customtkinter

from genre_gui.backends.base import Backend
from genre_gui.language import localised, number, percent, plural, tr
from genre_gui.phrases import translated
from genre_gui.text import device_name, one_line
from genre_gui.widgets.controls import button, card, label
from genre_gui.widgets.model_charts import SCORE_LINES, TRAINING_LINES, Confusion, Curves, Scores
from genre_gui.widgets.theme import MIDDLE, MUTED, NARROW, WIDE
from genre_runtime import ModelMetadata

UNKNOWN = ""
"""A value that the sidecar does not have."""


def headline(metadata: ModelMetadata) -> list[tuple[str, str]]:
    """Return the main scores, each with its caption.

    Parameters
    ----------
    metadata : ModelMetadata
    """
    metrics = metadata.metrics
    test, files = _mapping(metrics.get("test")), _mapping(metrics.get("files"))
    confident = _mapping(test.get("confident"))
    return [
        (_percent(test.get("accuracy")), tr("right on test tracks")),
        (_percent(files.get("accuracy")), tr("right from test files")),
        (_percent(confident.get("precision")), tr("of confident answers right")),
        (_decimal(test.get("macro_f1")), tr("macro F1")),
        (number(metrics["epoch"]) if isinstance(metrics.get("epoch"), int) else UNKNOWN, tr("epoch")),
    ]


def scores_of(metadata: ModelMetadata) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support of each genre on test data; genres without all four are left out.

    Parameters
    ----------
    metadata : ModelMetadata
    """
    found = _mapping(_mapping(metadata.metrics.get("test")).get("per_genre"))
    names = ("precision", "recall", "f1", "support")
    return {
        one_line(label): {name: float(scores[name]) for name in names}
        for label, scores in found.items()
        if all(_is_number(_mapping(scores).get(name)) for name in names)
    }


def matrix_of(metadata: ModelMetadata) -> list[list[float]]:
    """Return the confusion matrix, rows are the true genres; empty if its size does not match the labels.

    Parameters
    ----------
    metadata : ModelMetadata
    """
    metrics, count = metadata.metrics, len(metadata.labels)
    found = metrics.get("confusion_matrix", _mapping(metrics.get("test")).get("confusion_matrix"))
    if not isinstance(found, list) or len(found) != count:
        return []
    rows = [row for row in found if isinstance(row, list) and len(row) == count and all(map(_is_number, row))]
    return rows if len(rows) == count else []


def history_of(metadata: ModelMetadata) -> Sequence[Mapping[str, Any]]:
    """Return the values of each epoch.

    Parameters
    ----------
    metadata : ModelMetadata
    """
    found = metadata.metrics.get("history")
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def describe(metadata: ModelMetadata) -> str:
    """Return input, threshold and provenance of the model, a line each.

    Parameters
    ----------
    metadata : ModelMetadata
    """
    provenance = metadata.provenance
    split, versions = _mapping(provenance.get("split")), _mapping(provenance.get("versions"))
    clips = _mapping(provenance.get("clips_per_source"))
    lines = [
        (tr("Genres"), ", ".join(metadata.labels)),
        (tr("Input"), _input(metadata)),
        (tr("Confident from"), _confident(metadata)),
        (tr("Data"), ", ".join(f"{source} {count}" for source, count in clips.items())),
        (tr("Split"), ", ".join(f"{name} {value}" for name, value in split.items())),
        (
            tr("Parameters"),
            number(provenance["n_parameters"]) if isinstance(provenance.get("n_parameters"), int) else "",
        ),
        (tr("Made with"), ", ".join(f"{name} {value}" for name, value in versions.items())),
    ]
    return "\n".join(f"{name}:  {one_line(value)}" for name, value in lines if value)


def _input(metadata: ModelMetadata) -> str:
    audio = metadata.audio
    return plural(
        "{n} excerpt of {seconds} s at {rate} Hz, {bands} mel bands",
        "{n} excerpts of {seconds} s at {rate} Hz, {bands} mel bands",
        metadata.n_excerpts,
        seconds=localised(f"{metadata.excerpt_seconds:g}"),
        rate=audio.sample_rate,
        bands=audio.n_mels,
    )


def _confident(metadata: ModelMetadata) -> str:
    # 0 if an older service does not publish it
    threshold = percent(metadata.confidence_threshold) if metadata.confidence_threshold else ""
    values = _mapping(_mapping(metadata.metrics.get("test")).get("confident"))
    share, right = values.get("coverage"), values.get("precision")
    if not threshold or not _is_number(share) or not _is_number(right):
        return threshold
    return tr(
        "{threshold} ({share} of the test tracks, {right} of them correct)",
        threshold=threshold,
        share=_percent(share),
        right=_percent(right),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _percent(value: Any) -> str:
    return percent(value, 1) if _is_number(value) else UNKNOWN


def _decimal(value: Any) -> str:
    return number(value, 3) if _is_number(value) else UNKNOWN


N_NUMBERS = 5


class ModelPage(customtkinter.CTkScrollableFrame):  # type: ignore[misc]
    """A page about the model in use.

    Parameters
    ----------
    master : Misc
    open_model : callable
        Called to choose another model.
    probe_devices : callable
        Called to test all devices.
    """

    def __init__(self, master: Misc, open_model: Callable[[], object], probe_devices: Callable[[], object]) -> None:
        super().__init__(master, fg_color="transparent", corner_radius=0)
        self.grid_columnconfigure((0, 1), weight=1, uniform="half")
        top = self._card(0, 0, columns=2)
        top.grid_columnconfigure(0, weight=1)
        self.name = label(top, tr("The model is loading …"), size=20, bold=True)
        self.name.grid(row=0, column=0, padx=WIDE, pady=(MIDDLE, NARROW), sticky="ew")
        button(top, tr("Which devices work?"), probe_devices, "text").grid(
            row=0, column=1, padx=0, pady=(MIDDLE, NARROW)
        )
        self.open = button(top, tr("Open another model …"), open_model)
        self.open.grid(row=0, column=2, padx=WIDE, pady=(MIDDLE, NARROW))
        strip = customtkinter.CTkFrame(top, fg_color="transparent")
        strip.grid(row=1, column=0, columnspan=3, padx=WIDE, pady=(0, NARROW), sticky="ew")
        self.numbers = [self._number(strip, column) for column in range(N_NUMBERS)]
        self.devices = label(top, "", size=12, colour=MUTED)
        self.devices.grid(row=2, column=0, columnspan=3, padx=WIDE, pady=(0, MIDDLE), sticky="ew")
        self.scores = self._chart(1, 0, tr("Scores of each genre"), Scores)
        self.confusion = self._chart(1, 1, tr("True genre (rows) and predicted genre (columns)"), Confusion)
        self.losses = self._chart(2, 0, "", lambda place: Curves(place, tr("Loss"), TRAINING_LINES))
        self.accuracy = self._chart(2, 1, "", lambda place: Curves(place, tr("Validation"), SCORE_LINES))
        bottom = self._card(3, 0, columns=2)
        bottom.grid_columnconfigure(0, weight=1)
        self.facts = label(bottom, size=13)
        self.facts.grid(row=0, column=0, padx=WIDE, pady=MIDDLE, sticky="ew")

    def show(self, backend: Backend) -> None:
        """Show a loaded model.

        Parameters
        ----------
        backend : Backend
        """
        metadata = backend.metadata
        self.name.configure(
            text=tr("{model} on {device}", model=one_line(backend.name), device=device_name(backend.device))
        )
        self.devices.grid_remove()
        for (value, message), (figure, caption) in zip(headline(metadata), self.numbers, strict=False):
            figure.configure(text=value)
            caption.configure(text=message if value else "")
        self.scores.show(scores_of(metadata))
        self.confusion.show(metadata.labels, matrix_of(metadata))
        self.losses.show(history_of(metadata))
        self.accuracy.show(history_of(metadata))
        self.facts.configure(text=describe(metadata))

    def hide_open(self) -> None:
        """Hide the button that opens another model."""
        self.open.grid_remove()

    def show_devices(self, answers: Mapping[str, str]) -> None:
        """Show the result of the test of all devices.

        Parameters
        ----------
        answers : mapping of str to str
            For each device `works`, or why it does not.
        """
        self.devices.configure(
            text="\n".join(
                f"{device_name(device)}: {one_line(translated(message))}" for device, message in answers.items()
            )
        )
        self.devices.grid()

    def restyle(self) -> None:
        """Draw again in the present appearance."""
        for chart in (self.scores, self.confusion, self.losses, self.accuracy):
            chart.redraw()

    def _card(self, row: int, column: int, columns: int = 1) -> Any:
        made = card(self)
        padding = (0, MIDDLE) if column == 0 and columns == 1 else 0
        made.grid(row=row, column=column, columnspan=columns, padx=padding, pady=(0, MIDDLE), sticky="nsew")
        return made

    def _chart(self, row: int, column: int, heading: str, make: Callable[[Any], Any]) -> Any:
        place = self._card(row, column)
        place.grid_columnconfigure(0, weight=1)
        if heading:
            label(place, heading, bold=True).grid(row=0, column=0, padx=WIDE, pady=(MIDDLE, 0), sticky="ew")
        chart = make(place)
        chart.place_in_row(1, MIDDLE, MIDDLE)
        return chart

    def _number(self, master: Any, column: int) -> tuple[Any, Any]:
        master.grid_columnconfigure(column, weight=1)
        figure, caption = label(master, UNKNOWN, size=24, bold=True), label(master, "", size=12, colour=MUTED)
        figure.grid(row=0, column=column, sticky="ew")
        caption.grid(row=1, column=column, sticky="ew")
        return figure, caption
