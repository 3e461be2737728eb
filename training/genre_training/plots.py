"""Pictures of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

DOTS_PER_INCH = 120


def save_curves(history: Sequence[dict[str, float]], path: Path) -> None:
    """Draw training and validation loss, and validation accuracy, over epochs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in history]
    loss_axes.plot(epochs, [entry["train_loss"] for entry in history], label="training (augmented)")
    loss_axes.plot(epochs, [entry["val_loss"] for entry in history], label="validation")
    loss_axes.set(xlabel="epoch", ylabel="cross-entropy")
    loss_axes.legend()
    accuracy_axes.plot(epochs, [entry["val_acc"] for entry in history], label="accuracy")
    accuracy_axes.plot(epochs, [entry["val_macro_f1"] for entry in history], label="macro F1")
    accuracy_axes.set(xlabel="epoch", ylabel="validation")
    accuracy_axes.legend()
    for axes in (loss_axes, accuracy_axes):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def save_confusion_matrix(counts: Sequence[Sequence[int]], names: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix (rows: true genre, columns: answer) as shares of each row."""
    matrix = np.asarray(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = 2 + 0.45 * len(names)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer", ylabel="true genre", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names, rotation=60, ha="right")
    axes.set_yticklabels(names)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", fontsize=7, color=shade)
    figure.savefig(path, dpi=DOTS_PER_INCH)
