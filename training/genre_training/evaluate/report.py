"""What a finished run leaves beside its checkpoint: recipe, history, figures, charts and a report as one HTML page.

The page is rendered from the folder `templates`, which escapes every value. It fetches nothing and runs no script.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import tomli_w
from jinja2 import Environment, PackageLoader, StrictUndefined
from safetensors.torch import save_file

from genre_runtime import replacing, write_whole
from genre_runtime.errors import MissingDependencyError
from genre_training.evaluate.plots import save_confusion_matrix, save_curves, save_reliability
from genre_training.evaluate.score import (
    PART_NAMES,
    artists_in_words,
    headline,
    parts_of_test,
    tracks_in_words,
    with_interval,
)
from genre_training.model.checkpoint import Checkpoint

PARTS = ("validation", "test")
OWN = "accuracy_own_genres"
N_LEFT_OUT_SHOWN = 50


def page(checkpoint: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Render the page.

    Parameters
    ----------
    checkpoint : mapping
        That of a finished run.
    pictures : mapping of str to str
        Text of the SVG files `curves`, `confusion_matrix` and `reliability`.
    """
    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    metrics, provenance = checkpoint["metrics"], checkpoint["provenance"]
    split = provenance["split"]
    columns = [headline(metrics[part]) for part in PARTS]
    return environment.get_template("report.html").render(
        checkpoint,
        style=files(__package__).joinpath("templates", "report.css").read_text("utf-8"),
        pictures={name: _behind_svg(picture) for name, picture in pictures.items()},
        headline_columns=["", *(_size(part, metrics[part]) for part in PARTS)],
        headline_rows=[(name, *(column.get(name, "") for column in columns)) for name in columns[-1]],
        sources=[
            (
                source,
                PART_NAMES.get(part, part),
                one["n_tracks"],
                one["n_groups"],
                f"{one['accuracy']:.1%}",
                with_interval(one, OWN),
            )
            for part in (*PARTS, *parts_of_test(metrics))
            for source, one in metrics[part].get("per_source", {}).items()
        ],
        artists=artists_in_words(provenance),
        genres=[
            (genre, f"{one['precision']:.2f}", f"{one['recall']:.2f}", f"{one['f1']:.2f}", one["support"])
            for genre, one in metrics["test"]["per_genre"].items()
        ],
        split=split,
        settings=", ".join(f"{name} {value}" for name, value in split.items() if name not in ("train", *PARTS)),
        sizes=", ".join(f"{split[part]:,} {part}" for part in ("train", *PARTS)),
        left_out=provenance["clips_left_out"],
        recipe=[
            (f"{section}.{name}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
            for section, values in checkpoint["recipe"].items()
            for name, value in values.items()
        ],
        N_LEFT_OUT_SHOWN=N_LEFT_OUT_SHOWN,
    )


def _size(part: str, values: Mapping[str, Any]) -> str:
    return f"{part}, {tracks_in_words(values)}"


def _behind_svg(picture: str) -> str:
    """Return the text of an SVG file behind "<svg", without metadata and names of groups.

    Several charts share a page: names of groups, such as axes_1, would occur more than once. Names of other elements
    stay, since the chart refers to them.
    """
    drawing = re.sub(r"<metadata>.*?</metadata>", "", picture[picture.index("<svg") + len("<svg") :], flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*"', "<g", drawing).strip()


PICTURES = ("curves", "confusion_matrix", "reliability")


def write_run_folder(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write everything about a finished run that can be read without loading its checkpoint.

    `config.toml` (the whole recipe, defaults included, as `genre-train train --config` reads it), `history.jsonl` (an
    object per epoch), `metrics.json`, `weights.safetensors`, the charts as PNG and SVG, and `report.html`.

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
    write_whole(folder / "config.toml", [tomli_w.dumps(checkpoint.recipe)])
    write_whole(folder / "history.jsonl", (json.dumps(entry) + "\n" for entry in checkpoint.history))
    values = checkpoint.to_dict()
    scores = {key: values[key] for key in ("epoch", "temperature", "confidence_threshold")} | checkpoint.metrics
    write_whole(folder / "metrics.json", [json.dumps(scores, indent=2) + "\n"])
    facts = {key: values[key] for key in ("labels", "audio", "network", "audio_network") if key in values}
    weights = {name: tensor.contiguous() for name, tensor in checkpoint.model_state_dict.items()}
    with replacing(folder / "weights.safetensors") as temporary:
        save_file(weights, temporary, {"genre": json.dumps(facts)})  # of several, the order would be random
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
    write_whole(path, [page(checkpoint.to_dict(), pictures)])
    return path


def tensorboard_logger(folder: Path) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that shows each epoch in TensorBoard while the run goes on.

    A continued run goes on with the same curves.

    Parameters
    ----------
    folder : Path
        Where the events are written, for `tensorboard --logdir`.

    Returns
    -------
    callable
        Takes an entry of `Checkpoint.history`.

    Raises
    ------
    MissingDependencyError
        TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(f"TensorBoard is not installed ({error}): pip install tensorboard") from error

    def log(entry: Mapping[str, Any]) -> None:
        with SummaryWriter(str(folder)) as writer:  # opened anew, so that each epoch is there at once
            for name, value in entry.items():
                if name != "epoch" and value is not None:
                    writer.add_scalar(name, value, entry["epoch"])

    return log
