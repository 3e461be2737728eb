"""Importing the package is fast: large packages are imported when they are used."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import genre_runtime
from genre_runtime.cli import VERBS, main
from tests.synthetic import tone, write_audio

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
        "import genre_runtime.cli, genre_runtime.model.features, genre_runtime.model.session",
        "import genre_runtime.library.scan",
    ],
)
def test_the_classifier_s_modules_leave_decoders_and_onnxruntime_for_later(code: str) -> None:
    modules = _imported_by(code)
    assert not modules & {"torch", "librosa", "matplotlib", "onnxruntime", "av", "soundfile", "soxr", "tqdm"}


def test_every_public_name_can_be_imported_and_is_listed() -> None:
    for name in genre_runtime.__all__:
        assert getattr(genre_runtime, name) is not None
        assert name == "__version__" or f"`{name}`" in (genre_runtime.__doc__ or "")
    assert {*genre_runtime._MODULE_OF, "__version__"} == set(genre_runtime.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Classifier'"):
        genre_runtime.Classifier  # noqa: B018


def test_only_the_code_of_the_given_verb_is_imported(model_path: Path, tmp_path: Path) -> None:
    """Each module costs a millisecond of a command that takes a quarter of a second."""
    path = write_audio(tmp_path / "tone.wav", tone(1))
    words = ["classify", str(path), "--model", str(model_path), "--format", "jsonl", "--output", str(tmp_path / "out")]
    modules = _imported_by(f"from genre_runtime.cli import main\nmain({words!r})")
    ours = {name.removeprefix("genre_runtime.cli.") for name in modules if ".cli." in name}
    assert ours & set(VERBS) == {"classify"}
    assert not modules & {
        "sqlite3",
        "mutagen",
        "genre_runtime.library.cache",
        "torch",
        "tqdm",
        "av",
        "importlib.metadata",
    }


@pytest.mark.parametrize("words", [["--help"], ["no-such-verb"], []])
def test_all_verbs_are_named_when_none_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        assert main(words) == 2
    said = "".join(capsys.readouterr())
    assert all(verb in said for verb in VERBS)
