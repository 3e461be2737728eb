"""What a finished run leaves beside its checkpoint: recipe, history, figures, pictures and a report to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genre_training.checkpoint import Checkpoint
from genre_training.plots import save_confusion_matrix, save_curves, save_reliability
from genre_training.report_page import page

PICTURES = ("curves", "confusion_matrix", "reliability")


def write_run_folder(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write everything that can be read of a finished run without loading its checkpoint.

    `config.toml` (the whole recipe, defaults included, as `genre-train train --config` takes it), `history.jsonl` (an
    object an epoch), `metrics.json`, the pictures as PNG and SVG, and `report.html`.

    Parameters
    ----------
    folder : Path
        Made if it is not there; files of these names are overwritten.
    checkpoint : dict
        A finished run's, `metrics` as `genre_training.scoring.evaluate_checkpoint` gives them.

    Returns
    -------
    Path
        The report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(recipe_toml(checkpoint["recipe"]), encoding="utf-8")
    history = "".join(json.dumps(entry) + "\n" for entry in checkpoint["history"])
    (folder / "history.jsonl").write_text(history, encoding="utf-8")
    metrics = {key: checkpoint[key] for key in ("epoch", "temperature", "confidence_threshold")}
    metrics |= checkpoint["metrics"]
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return write_report(folder, checkpoint)


def write_report(folder: Path, checkpoint: Checkpoint) -> Path:
    """Draw the pictures into `folder` and write `report.html`, which holds them too and needs no other file.

    Returns
    -------
    Path
        The report.
    """
    split, test = checkpoint["provenance"]["split"], checkpoint["metrics"]["test"]
    folder.mkdir(parents=True, exist_ok=True)
    save_curves(checkpoint["history"], folder / "curves", n_training=split["train"], n_validation=split["validation"])
    save_confusion_matrix(test["confusion_matrix"], checkpoint["labels"], folder / "confusion_matrix")
    save_reliability(test["reliability"], folder / "reliability")
    pictures = {name: (folder / f"{name}.svg").read_text(encoding="utf-8") for name in PICTURES}
    path = folder / "report.html"
    path.write_text(page(checkpoint, pictures), encoding="utf-8")
    return path


def recipe_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Write flat tables of str, int, float, bool and lists of them as TOML.

    A value of None is left out: TOML has none, and a key that is not there takes its default.

    Raises
    ------
    TypeError
        A value of another type.
    """
    sections = []
    for table, values in tables.items():
        lines = [f"{name} = {_toml_value(value)}" for name, value in values.items() if value is not None]
        sections.append("\n".join([f"[{table}]", *lines]) + "\n")
    return "\n".join(sections)


def _toml_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):  # JSON's escapes are TOML's too, but JSON leaves DEL bare
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    raise TypeError(f"{value!r} is a {type(value).__name__}: expected str, int, float, bool or a list of them")
