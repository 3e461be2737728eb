"""`python -m tests.benchmarks.teaching`: how well heads learn from few clips, and how well an audit finds wrong genres.

A collection of which the model has heard nothing shows what a user's own genres get: name a model that was trained
without the source (`--model`, `--source`). Each draw takes clips of each genre at random, by as many artists as there
are, learns from them as `genre learn` does, and answers all clips by other artists. Accuracy is balanced: the mean over
genres of the share that is right.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime import ModelMetadata, Prediction
from genre_runtime.library.learning.audit import audit
from genre_runtime.library.learning.examples import Example
from genre_runtime.library.learning.heads import Collection, learn_head
from genre_runtime.library.loading import opened_library
from genre_runtime.model.head import GenreHead
from genre_runtime.model.metadata import Tag

N_DRAWS = 10
CLIPS = (1, 2, 5, 10, 20)
FIRST = (10, 20, 30, 40)
CHANGED = 0.1


def read_collection(
    data: Path, source: str | None, model: Path | None, state: Path | None, *, names: str
) -> tuple[Collection, ModelMetadata]:
    """Analyse the clips of a source; see `--names` for the names of its genres."""
    with (data / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if source in (None, row["source"])]
    collection, paths = Collection(), [data / row["file"] for row in rows]
    named = None if model is None else str(model)
    with opened_library(paths, model=named, state=state) as (classifier, results):
        for row, result in zip(rows, results, strict=True):
            genre = f"{row['genre']} of mine" if names == "own" else row["genre"]
            if isinstance(result.outcome, Prediction):
                example = Example(Path(result.path), (genre,), f"artist {row['artist'] or row['file']}")
                answer = _without_genres(result.outcome) if names == "styles" else result.outcome
                collection.add(example, answer)
    metadata = classifier.model_metadata
    labels = tuple(map(_hidden, metadata.labels)) if names == "styles" else metadata.labels
    return collection, replace(metadata, labels=labels)


def _hidden(label: str) -> str:
    return f"hidden {label} label"


def _without_genres(prediction: Prediction) -> Prediction:
    """Return an answer of which only the tags have names of genres."""
    excerpts = tuple(
        replace(one, probabilities={_hidden(label): share for label, share in one.probabilities.items()})
        for one in prediction.excerpts
    )
    return replace(prediction, excerpts=excerpts)


def drawn(collection: Collection, n_clips: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Draw clips of each genre, one of each artist in turn; return them and all clips by other artists."""
    chosen: list[int] = []
    for genre in sorted({one.genres[0] for one in collection.examples}):
        by_artist: dict[str, list[int]] = {}
        for i in rng.permutation(len(collection.examples)).tolist():
            if collection.examples[i].genres[0] == genre:
                by_artist.setdefault(collection.examples[i].group, []).append(i)
        # Half of the artists are kept for the test, so that every genre is tested.
        artists = list(by_artist.values())[: max(1, len(by_artist) // 2)]
        turns = [clips[turn] for turn in range(max(map(len, artists))) for clips in artists if turn < len(clips)]
        chosen += turns[:n_clips]
    taught = {collection.examples[i].group for i in chosen}
    return chosen, [i for i, one in enumerate(collection.examples) if one.group not in taught]


def accuracy(head: GenreHead, tags: Sequence[Tag], collection: Collection, tested: Sequence[int]) -> float:
    """Return the balanced accuracy of a head."""
    right: dict[str, list[bool]] = {}
    for i in tested:
        excerpts = [one for one in collection.predictions[i].excerpts if not one.silent]
        rows = np.array([one.embedding for one in excerpts], np.float32)
        shares = head.probabilities(rows, head.known_probabilities(excerpts, tags))
        genre = collection.examples[i].genres[0]
        right.setdefault(genre, []).append(head.labels[shares.mean(axis=0).argmax()] == genre)
    return float(np.mean([np.mean(answers) for answers in right.values()]))


def learning_curve(collection: Collection, metadata: ModelMetadata) -> dict[str, Any]:
    """Return the mean and spread of the accuracy over draws, for each number of clips."""
    curve = {}
    for n_clips in CLIPS:
        found, n_taught = [], []
        for draw in range(N_DRAWS):
            chosen, tested = drawn(collection, n_clips, np.random.default_rng(draw))
            some = Collection([collection.examples[i] for i in chosen], [collection.predictions[i] for i in chosen])
            assert not {one.group for one in some.examples} & {collection.examples[i].group for i in tested}
            found.append(accuracy(learn_head(some, metadata, fewest=1).head, metadata.tags, collection, tested))
            n_taught.append(len(chosen))
        curve[str(n_clips)] = {**_spread(np.array(found)), "clips": float(np.mean(n_taught))}
        print(n_clips, curve[str(n_clips)], file=sys.stderr)
    return curve


def audit_precision(collection: Collection, metadata: ModelMetadata) -> dict[str, Any]:
    """Return the share of the first files of an audit whose genre had been changed, for a tenth of changed genres."""
    genres = sorted({one.genres[0] for one in collection.examples})
    shares = []
    for draw in range(N_DRAWS):
        rng = np.random.default_rng(draw)
        music = Collection(list(collection.examples), list(collection.predictions))
        changed = set()
        for i in rng.choice(len(music.examples), round(CHANGED * len(music.examples)), replace=False).tolist():
            others = [genre for genre in genres if genre not in music.examples[i].genres]
            music.examples[i] = replace(music.examples[i], genres=(str(rng.choice(others)),))
            changed.add(music.examples[i].path)
        hits = [result.path in changed for result in audit(music, metadata).doubtful]
        hits += [False] * (max(FIRST) - len(hits))
        shares.append([np.mean(hits[:n]) for n in FIRST])
    found = {str(n): _spread(np.array(shares)[:, i]) for i, n in enumerate(FIRST)}
    print("audit", found, file=sys.stderr)
    return found


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    return {"mean": float(values.mean()), "low": float(values.min()), "high": float(values.max())}


def main() -> int:
    """Measure what is asked for and print it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.teaching", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of clips with an index.csv")
    parser.add_argument("--source", help="clips of this source only")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--state", type=Path)
    parser.add_argument(
        "--names",
        choices=("model", "styles", "own"),
        default="model",
        help="names of the genres: as the model's, known as its tags only, or unknown to it",
    )
    parser.add_argument("--audit", action="store_true", help="measure the audit, too")
    options = parser.parse_args()
    collection, metadata = read_collection(
        options.data, options.source, options.model, options.state, names=options.names
    )
    found: dict[str, Any] = {"source": options.source, "clips": len(collection.examples)}
    found["accuracy"] = learning_curve(collection, metadata)
    if options.audit:
        found["audit"] = audit_precision(collection, metadata)
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
