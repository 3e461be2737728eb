"""Charts of a run, each as PNG and as SVG.

Every function takes the path of the chart without its suffix and writes both files. The SVG of the same values has the
same bytes, so that a report under version control changes only with its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genre_runtime.errors import counted
from genre_training.evaluate.metrics import reliability_gap

DOTS_PER_INCH = 120


def save_figure(figure: Figure, stem: Path) -> None:
    """Write `stem`.png and `stem`.svg.

    Parameters
    ----------
    figure : Figure
    stem : Path
    """
    figure.savefig(stem.with_suffix(".png"), dpi=DOTS_PER_INCH)
    # Letters become outlines, so that the chart looks the same without the font.
    with rc_context({"svg.hashsalt": stem.stem, "svg.fonttype": "path"}):
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def save_curves(
    history: Sequence[Mapping[str, Any]],
    stem: Path,
    *,
    n_training: int | None = None,
    n_validation: int | None = None,
) -> None:
    """Draw training and validation loss, and validation accuracy, over epochs; the lowest loss is marked.

    Parameters
    ----------
    history : sequence of mapping
        One entry per epoch: epoch, train_loss, val_loss, val_acc, val_macro_f1; the last three None without validation.
    stem : Path
    n_training, n_validation : int, optional
        Numbers of tracks, for the titles.
    """
    validated = history[-1]["val_loss"] is not None
    figure = Figure(figsize=(10 if validated else 5, 4), layout="constrained")
    panels = figure.subplots(1, 2 if validated else 1, squeeze=False)[0]
    epochs = [entry["epoch"] for entry in history]
    marker = "o" if len(epochs) == 1 else None  # a line through one point is invisible
    panels[0].plot(epochs, [entry["train_loss"] for entry in history], label="training (augmented)", marker=marker)
    panels[0].set(xlabel="epoch", ylabel="cross-entropy", title=f"Loss: training{_n(n_training)}")
    best = history[-1]["epoch"]
    if validated:
        for key, name, axes in (
            ("val_loss", "validation", panels[0]),
            ("val_acc", "accuracy", panels[1]),
            ("val_macro_f1", "macro F1", panels[1]),
        ):
            axes.plot(epochs, [entry[key] for entry in history], label=name, marker=marker)
        panels[0].set_title(f"Loss: training{_n(n_training)}, validation{_n(n_validation)}")
        panels[1].set(xlabel="epoch", ylabel="share, macro F1", title=f"Validation part{_n(n_validation)}")
        best = min(history, key=lambda entry: entry["val_loss"])["epoch"]
    for axes in panels:
        axes.axvline(best, color="grey", linestyle=":", label=f"kept: epoch {best:g}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    save_figure(figure, stem)


def save_confusion_matrix(
    counts: Sequence[Sequence[int]], names: Sequence[str], stem: Path, *, part: str = "test"
) -> None:
    """Draw a confusion matrix (rows: true genre, columns: answer) as percentages of each row.

    Parameters
    ----------
    counts : sequence of sequence of int, shape (n_labels, n_labels)
        Tracks.
    names : sequence of str
        Genre of each row and column.
    stem : Path
    part : str
        Part of the split, for the title.
    """
    matrix = np.asarray(counts, dtype=float)
    per_genre = matrix.sum(axis=1)
    shares = matrix / np.maximum(per_genre[:, None], 1)
    size = 0.45 * len(names)  # inches of the square of cells; names come beside it
    figure = Figure(figsize=(size + 2.4, size + 1.9), layout="constrained")
    axes = figure.subplots()
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1)  # vector squares, sharp at any size
    centres = np.arange(len(names)) + 0.5
    axes.set(
        xlabel="answer",
        ylabel="true genre (tracks)",
        title=f"Answers in % of each true genre\n{part} part{_n(int(matrix.sum()))}",
        aspect="equal",
        xticks=centres,
        yticks=centres,
    )
    axes.invert_yaxis()
    axes.set_xticklabels(names, rotation=60, ha="right", rotation_mode="anchor", parse_math=False)
    labels = [f"{name} ({count:.0f})" for name, count in zip(names, per_genre, strict=True)]
    axes.set_yticklabels(labels, parse_math=False)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        share = shares[row, column]
        shade = "white" if share > 0.5 else "black"
        axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=shade)
    save_figure(figure, stem)


def save_reliability(bins: Mapping[str, Sequence[Any]], stem: Path, *, part: str = "test") -> None:
    """Draw accuracy over confidence, and below it the number of tracks per bin.

    Parameters
    ----------
    bins : mapping
        `confidence`, `accuracy` and `count` as `genre_training.evaluate.metrics.reliability` returns them.
    stem : Path
    part : str
        Part of the split, for the title.
    """
    n_bins = len(bins["count"])
    filled = [i for i in range(n_bins) if bins["count"][i]]
    centres, width = (np.arange(n_bins) + 0.5) / n_bins, 1 / n_bins
    figure = Figure(figsize=(6, 6.4), layout="constrained")
    axes, count_axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.bar(
        centres[filled],
        [bins["accuracy"][i] for i in filled],
        width,
        color="C0",
        alpha=0.6,
        edgecolor="C0",
        label="accuracy of the bin",
    )
    confidence, accuracy = ([bins[key][i] for i in filled] for key in ("confidence", "accuracy"))
    axes.plot(confidence, accuracy, "o", color="C3", markersize=4, label="at its mean confidence")
    axes.plot([0, 1], [0, 1], "--", color="grey", label="perfectly calibrated")
    error = reliability_gap({key: list(values) for key, values in bins.items()})
    axes.set(
        ylabel="share of right answers",
        ylim=(0, 1),
        title=f"Reliability, {part} part{_n(sum(bins['count']))}\nexpected calibration error {error:.3f}",
    )
    axes.legend(loc="upper left", fontsize=8)
    axes.grid(alpha=0.3)
    _draw_counts(count_axes, centres, bins["count"], width)
    save_figure(figure, stem)


def _draw_counts(axes: Axes, centres: np.ndarray[Any, Any], counts: Sequence[int], width: float) -> None:
    bars = axes.bar(centres, counts, width, color="grey", alpha=0.6, edgecolor="grey")
    axes.bar_label(bars, [f"{count:,}" if count else "" for count in counts], fontsize=7, padding=1)
    axes.set(xlabel="confidence (probability of the answer)", ylabel="tracks", xlim=(0, 1))
    axes.margins(y=0.2)


def _n(n_tracks: int | None) -> str:
    return "" if n_tracks is None else f" ({counted(n_tracks, 'track')})"
