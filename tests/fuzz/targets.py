"""What is put to the test: a target takes the path of one damaged input and returns what came of it.

A target is made inside the worker process by a factory, which is named as `module:function`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genre_runtime import DecodeLimits, GenreClassifier, Prediction
from genre_runtime.audio.decoding import decode, decode_excerpts
from genre_runtime.errors import GenreError
from tests.synthetic import LABELS, RATE, tone, write_model

LIMITS = DecodeLimits(max_seconds=120, max_bytes=64 * 2**20)
"""Strict, so that memory and time of an input have bounds that can be checked."""

EXCERPT_SECONDS = 0.6
"""Short, so that seeds of two seconds are decoded by seeking."""

ENTRIES = ("classify_file", "decode_excerpts", "whole_track", "classify_files", "decode", "bytes")


@dataclass(frozen=True)
class Answer:
    """An input's outcome: `prediction`, `samples`, `loaded` or an error's code; and its message or size."""

    outcome: str
    message: str = ""
    n_excerpts: int = 0


Target = Callable[[Path, str], Answer]


def check_prediction(prediction: Prediction) -> Answer:
    """Hold an answer against what every answer promises."""
    probabilities = prediction.probabilities
    assert set(probabilities) == set(LABELS)
    assert math.isclose(sum(probabilities.values()), 1, abs_tol=1e-6)
    assert prediction.label == max(probabilities, key=probabilities.__getitem__)
    assert math.isfinite(prediction.duration_seconds)
    assert prediction.duration_seconds > 0
    starts = [excerpt.start_seconds for excerpt in prediction.excerpts]
    assert starts == sorted(starts)
    assert all(excerpt.end_seconds > excerpt.start_seconds >= 0 for excerpt in prediction.excerpts)
    json.dumps(prediction.to_dict(), allow_nan=False)
    return Answer("prediction", n_excerpts=len(starts))


class AudioTarget:
    """Every way by which a file of sound comes in."""

    def __init__(self, folder: Path) -> None:
        model = write_model(folder)
        sidecar = model.with_suffix(".json")
        values = json.loads(sidecar.read_text(encoding="utf-8"))
        sidecar.write_text(json.dumps({**values, "excerpt_seconds": EXCERPT_SECONDS}), encoding="utf-8")
        self._classifier = GenreClassifier.load(model, device="cpu", threads=1, limits=LIMITS)

    def __call__(self, path: Path, entry: str) -> Answer:
        """Hand the file to the entry point of that name in `ENTRIES`."""
        if entry == "decode":
            waveform = decode(path, RATE, limits=LIMITS)
            assert np.isfinite(waveform).all()
            assert waveform.dtype == np.float32
            return Answer("samples", n_excerpts=1)
        if entry == "decode_excerpts":
            excerpts, duration = decode_excerpts(
                path, RATE, excerpt_seconds=EXCERPT_SECONDS, n_excerpts=3, limits=LIMITS
            )
            assert 1 <= len(excerpts) <= 3
            assert math.isfinite(duration)
            for excerpt in excerpts:
                assert 1 <= excerpt.waveform.size <= (EXCERPT_SECONDS + 1) * RATE  # one sample of a file at 1 Hz
                assert np.isfinite(excerpt.waveform).all()
            return Answer("samples", n_excerpts=len(excerpts))
        if entry == "classify_files":
            (result,) = self._classifier.classify_files([path], jobs=1)
            if isinstance(result, GenreError):
                assert not str(result).startswith("unexpected failure"), result
                raise result
            return check_prediction(result)
        source = path.read_bytes() if entry == "bytes" else path
        count = None if entry == "whole_track" else 3
        return check_prediction(self._classifier.classify_file(source, excerpts=count))


class ModelTarget:
    """Sidecars (`sidecar`) and graphs (`graph`) in place of the good ones; a graph is signed anew in the sidecar."""

    def __init__(self, folder: Path) -> None:
        self._model = write_model(folder)
        self._sidecar = self._model.with_suffix(".json")
        self._good = {path: path.read_bytes() for path in (self._model, self._sidecar)}

    def __call__(self, path: Path, entry: str) -> Answer:
        """Load the model with one of its files replaced, then classify a tone with it."""
        for good, content in self._good.items():
            good.write_bytes(content)
        content = path.read_bytes()
        if entry == "graph":
            self._model.write_bytes(content)
            values = json.loads(self._good[self._sidecar])
            values["graphs"]["waveform"]["sha256"] = hashlib.sha256(content).hexdigest()
            self._sidecar.write_text(json.dumps(values), encoding="utf-8")
        else:
            self._sidecar.write_bytes(content)
        classifier = GenreClassifier.load(self._model, device="cpu", threads=1, limits=LIMITS)
        classifier.classify(tone(1), RATE)
        return Answer("loaded")


class BothTargets:
    """Sound and models in the same process, as the fuzzer mixes them."""

    def __init__(self, folder: Path) -> None:
        for name in ("audio", "model"):
            (folder / name).mkdir(exist_ok=True)
        self._audio, self._model = AudioTarget(folder / "audio"), ModelTarget(folder / "model")

    def __call__(self, path: Path, entry: str) -> Answer:
        """Hand the input to the target that knows the entry."""
        target = self._audio if entry in ENTRIES else self._model
        return target(path, entry)
