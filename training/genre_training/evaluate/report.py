"""The report of a run as HTML: tables and pictures in one page, nothing fetched, nothing that runs.

Every function returns HTML; every value it is given is escaped.

What a finished run leaves beside its checkpoint: recipe, history, figures, pictures and a report to read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import tomli_w

from genre_training.evaluate.plots import save_confusion_matrix, save_curves, save_reliability
from genre_training.evaluate.score import headline
from genre_training.model.checkpoint import Checkpoint

PARTS = ("validation", "test")
N_LEFT_OUT_SHOWN = 50

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --paper: #fff; --line: #d5dae0; --soft: #f3f5f7; --faint: #5c6670; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --paper: #16191d; --line: #3a4149; --soft: #21262c; --faint: #9aa4ae; }
}
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
p, figcaption { color: var(--faint); margin: .4rem 0; }
.table { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { background: var(--soft); }
tbody th { font-weight: 500; }
td.number { text-align: right; }
figure { margin: 1rem 0; }
figure svg { display: block; width: 100%; height: auto; background: #fff; border-radius: 6px; }
"""


def page(checkpoint: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Return the whole page.

    Parameters
    ----------
    checkpoint : mapping
        A finished run's.
    pictures : mapping of str to str
        Text of the SVG files `curves`, `confusion_matrix` and `reliability`.
    """
    metrics = checkpoint["metrics"]
    test = metrics["test"]
    sections = {
        "Figures": _headline(metrics, checkpoint),
        "By source": _sources(metrics),
        "By genre": _genres(test),
        "Most often confused": _pairs(test),
        "Learning": inline_svg(pictures["curves"], "Loss and accuracy by epoch", 62),
        "Confusion matrix": inline_svg(pictures["confusion_matrix"], "Answers by true genre, test part", 52),
        "Calibration": inline_svg(pictures["reliability"], "Accuracy by confidence, test part", 36),
        "Data": _data(checkpoint["provenance"]),
        "Recipe": _recipe(checkpoint["recipe"]),
    }
    body = "\n".join(
        f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" for title, content in sections.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Training report</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Training report</h1>\n"
        f"{_lead(checkpoint)}\n{body}\n</body>\n</html>\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; the first cell of a row is its head, numbers stand to the right."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    lines = []
    for first, *others in rows:
        cells = "".join(_cell(value) for value in others)
        lines.append(f'<tr><th scope="row">{escape(str(first))}</th>{cells}</tr>')
    body = "\n".join(lines)
    return f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def inline_svg(svg: str, caption: str, width: int) -> str:
    """Return a figure around an SVG file's text, at most `width` rem wide, without prologue, metadata and group names.

    Several pictures share a page: names of groups (axes_1 and the like) would stand there more than once. What is
    referred to within a picture keeps its name.
    """
    drawing = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing).strip()
    drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    return f'<figure style="max-width: {width}rem">\n{drawing}\n<figcaption>{escape(caption)}</figcaption>\n</figure>'


def _cell(value: Any) -> str:
    kind = ' class="number"' if isinstance(value, int | float) else ""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"<td{kind}>{escape(text)}</td>"


def _note(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _lead(checkpoint: Mapping[str, Any]) -> str:
    provenance = checkpoint["provenance"]
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    kept = f"Epoch {checkpoint['epoch']} of {len(checkpoint['history'])} was kept: it has the least validation loss."
    if provenance["split"].get("validation") == 0:
        kept = f"Trained on every clip for {checkpoint['epoch']} epochs; the figures are those of five folds before."
    return _note(
        f"{len(checkpoint['labels'])} genres. {kept} {versions}; {provenance['device']}, {provenance['precision']}."
    )


def _headline(metrics: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> str:
    columns = [headline(metrics[part]) for part in PARTS]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    parts = [f"{part}, {metrics[part]['n_tracks']:,} tracks" for part in PARTS]
    note = (
        "In brackets 95 % intervals, bootstrapped over tracks. Validation chose each network's epoch, the temperature "
        f"({checkpoint['temperature']:.2f}; calibration error before and after it) and the threshold of confident "
        f"answers ({checkpoint['confidence_threshold']:.2f})."
    )
    return table(["", *parts], rows) + _note(note)


def _sources(metrics: Mapping[str, Any]) -> str:
    rows = [
        (source, part, one["n_tracks"], f"{one['accuracy']:.1%}", f"{one['accuracy_own_genres']:.1%}")
        for part in PARTS
        for source, one in metrics[part]["per_source"].items()
    ]
    note = "A source knows only some of the genres: the last column picks the likeliest of those alone."
    return table(["source", "part", "tracks", "accuracy", "among its own genres"], rows) + _note(note)


def _genres(test: Mapping[str, Any]) -> str:
    rows = [
        (genre, f"{one['precision']:.2f}", f"{one['recall']:.2f}", f"{one['f1']:.2f}", one["support"])
        for genre, one in test["per_genre"].items()
    ]
    return table(["genre", "precision", "recall", "F1", "tracks"], rows) + _note("Test part.")


def _pairs(test: Mapping[str, Any]) -> str:
    if not test["confused_pairs"]:
        return _note("Every answer on the test part is right.")
    return table(["true genre", "answer", "tracks"], test["confused_pairs"]) + _note("Test part.")


def _data(provenance: Mapping[str, Any]) -> str:
    split, left_out = provenance["split"], provenance["clips_left_out"]
    sizes = ", ".join(f"{split[part]:,} {part}" for part in ("train", *PARTS))
    settings = ", ".join(f"{name} {value}" for name, value in split.items() if name not in ("train", *PARTS))
    content = table(["source", "clips"], provenance["clips_per_source"].items()) + _note(f"{settings}: {sizes}.")
    if not left_out:
        return content + _note("No clip was left out.")
    rows = list(left_out.items())[:N_LEFT_OUT_SHOWN]
    more = "" if len(rows) == len(left_out) else f", the first {len(rows)} below"
    return f"{content}{_note(f'{len(left_out)} clips were left out{more}.')}{table(['clip', 'reason'], rows)}"


def _recipe(recipe: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (f"{section}.{name}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        for section, values in recipe.items()
        for name, value in values.items()
    ]
    return table(["setting", "value"], rows)


PICTURES = ("curves", "confusion_matrix", "reliability")


def write_run_folder(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write everything about a finished run that can be read without loading its checkpoint.

    `config.toml` (the whole recipe, defaults included, as `genre-train train --config` reads it), `history.jsonl` (an
    object per epoch), `metrics.json`, the charts as PNG and SVG, and `report.html`.

    Parameters
    ----------
    folder : Path
        Made if necessary; files of these names are overwritten.
    checkpoint : Checkpoint
        That of a finished run.

    Returns
    -------
    Path
        The report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(tomli_w.dumps(checkpoint.recipe), encoding="utf-8")
    history = "".join(json.dumps(entry) + "\n" for entry in checkpoint.history)
    (folder / "history.jsonl").write_text(history, encoding="utf-8")
    values = checkpoint.to_dict()
    scores = {key: values[key] for key in ("epoch", "temperature", "confidence_threshold")} | checkpoint.metrics
    (folder / "metrics.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    return write_report(folder, checkpoint)


def write_report(folder: Path, checkpoint: Checkpoint) -> Path:
    """Draw the charts into `folder` and write `report.html`, which contains them and needs no other file.

    Parameters
    ----------
    folder : Path
    checkpoint : Checkpoint
        That of a finished run.

    Returns
    -------
    Path
        The report.
    """
    split, test = checkpoint.provenance["split"], checkpoint.metrics["test"]
    save_curves(checkpoint.history, folder / "curves", n_training=split["train"], n_validation=split["validation"])
    save_confusion_matrix(test["confusion_matrix"], checkpoint.labels, folder / "confusion_matrix")
    save_reliability(test["reliability"], folder / "reliability")
    pictures = {name: (folder / f"{name}.svg").read_text(encoding="utf-8") for name in PICTURES}
    path = folder / "report.html"
    path.write_text(page(checkpoint.to_dict(), pictures), encoding="utf-8")
    return path
