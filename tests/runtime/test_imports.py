"""Importing the package is quick: what is heavy is imported when it is used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import genre_runtime

HEAVY = ("torch", "librosa", "matplotlib", "onnxruntime", "av", "soundfile", "soxr", "numpy", "tqdm")


def _imported_by(code: str) -> set[str]:
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def test_the_package_imports_nothing_heavy() -> None:
    modules = _imported_by("import genre_runtime")
    assert "genre_runtime" in modules
    assert not modules & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    [
        "from genre_runtime import GenreClassifier, DecodeLimits, AudioConfig, Prediction",
        "import genre_runtime.cli, genre_runtime.features, genre_runtime.session, genre_runtime.files",
    ],
)
def test_the_classifier_s_modules_leave_decoders_and_onnxruntime_for_later(code: str) -> None:
    modules = _imported_by(code)
    assert not modules & {"torch", "librosa", "matplotlib", "onnxruntime", "av", "soundfile", "soxr", "tqdm"}


def test_every_public_name_can_be_had() -> None:
    for name in genre_runtime.__all__:
        assert getattr(genre_runtime, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Classifier'"):
        genre_runtime.Classifier  # noqa: B018
