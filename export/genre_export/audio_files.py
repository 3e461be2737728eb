"""The shipped graph on real audio files: what a user of the runtime gets, told apart by what training saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from genre_runtime.classifier import GenreClassifier
from genre_runtime.prediction import Prediction
from genre_training.indexed import read_audio_tracks
from genre_training.tracks import DataError, Track


def score_audio_files(classifier: GenreClassifier, data_folder: Path, held_out: dict[str, list[str]]) -> dict[str, Any]:
    """Classify `data_folder/audio` from the files themselves.

    Returns
    -------
    dict
        For each source, and `all`: tracks and accuracy of the files training saw and of those it did not
        (`trained`, `validation`, `test`), and the number that failed.

    Raises
    ------
    DataError
        The folder has no audio part.
    """
    tracks = read_audio_tracks(data_folder)
    if not tracks:
        raise DataError(f"{data_folder} holds no audio to score: expected audio/index.csv")
    results = classifier.classify_files(track.path for track in tracks)
    outcomes: list[tuple[Track, str, bool]] = []
    n_failed = 0
    for track, result in zip(tracks, tqdm(results, "audio files", len(tracks), unit="file"), strict=True):
        if not isinstance(result, Prediction):
            n_failed += 1
            continue
        part = next((name for name, ids in held_out.items() if track.track_id in ids), "trained")
        outcomes.append((track, part, result.label == track.label))
    scores: dict[str, Any] = {"n_files": len(tracks), "n_failed": n_failed}
    for source in ("all", *sorted({track.source for track in tracks})):
        scores[source] = {}
        for part in ("trained", "validation", "test"):
            right = [ok for track, where, ok in outcomes if where == part and source in ("all", track.source)]
            if right:
                scores[source][part] = {"n_tracks": len(right), "accuracy": sum(right) / len(right)}
    return scores
