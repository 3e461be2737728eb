"""A part's metrics as words, for the terminal and for the report.

`values` is what `genre_training.scoring.evaluate_checkpoint` holds for one part (`validation` or `test`) in `metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

N_PRINTED_PAIRS = 5


def headline(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of all tracks together, by their names, in the order to read them."""
    confident, excerpts = values["confident"], values["excerpts"]
    right = "" if confident["precision"] is None else f", {confident['precision']:.1%} of them right"
    return {
        "accuracy": _with_interval(values, "accuracy"),
        "balanced accuracy": _with_interval(values, "balanced_accuracy"),
        "macro F1": _with_interval(values, "macro_f1"),
        "log-loss": f"{values['log_loss']:.3f}",
        "calibration error": f"{values['calibration_error_uncalibrated']:.3f} -> {values['calibration_error']:.3f}",
        "confident answers": f"{confident['coverage']:.1%} of the tracks{right}",
        "one excerpt -> track": f"{excerpts['single_excerpt_accuracy']:.1%} -> {excerpts['track_accuracy']:.1%}",
    }


def summary(part: str, values: Mapping[str, Any]) -> str:
    """Return a table of one part for the terminal: headline figures, sources and what is most often confused."""
    rows = list(headline(values).items())
    rows += [
        (source, f"{one['accuracy']:.1%}, among its own genres {one['accuracy_own_genres']:.1%} ({one['n_tracks']})")
        for source, one in values["per_source"].items()
    ]
    pairs = values["confused_pairs"][:N_PRINTED_PAIRS]
    rows += [("confused", f"{true} taken for {answer} ({count})") for true, answer, count in pairs]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {text}" for name, text in rows]
    return "\n".join([f"{part}: {values['n_tracks']} tracks, 95 % intervals in brackets", *lines])


def _with_interval(values: Mapping[str, Any], name: str) -> str:
    low, high = values[f"{name}_interval"]
    return f"{values[name]:.1%} [{low:.1%}, {high:.1%}]"
