"""`genre info`, `genre demo`, and the command as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from genre_runtime import __version__
from genre_runtime.cli import main
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import LABELS, noise, tone, write_audio

GENRE = [sys.executable, "-c", "import sys; from genre_runtime.cli import main; sys.exit(main())"]


def test_info_table(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(model_path), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert facts["model"] == str(model_path)
    assert facts["genres"] == "noise, quiet, tone"
    assert "3 x 10 s at 32000 Hz" in out
    assert facts["test"] == "70.0% right [65.0%, 75.0%] of 1,200 tracks by 300 other artists (grouped split, epoch 3)"
    assert "40% of the answers are confident, 85% of them right" in out
    assert "75.0%" not in out.replace("75.0%]", ""), "validation, by which training chose, is not a figure to show"
    assert facts["device"] == "cpu (requested: cpu)"
    assert __version__ in facts["versions"]
    assert onnxruntime.__version__ in facts["versions"]


def test_info_json(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(model_path), "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["labels"] == list(LABELS)
    assert facts["audio"]["sample_rate"] == 32_000
    assert facts["metrics"] == {"val_acc": 0.75, "val_loss": 0.5, "epoch": 3, "macro_f1": 0.7}
    assert facts["device_requested"] == "auto"
    assert facts["devices"][facts["device"]] == "works"


def test_info_of_a_model_without_metrics(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model_path.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": {}, "provenance": {}}))
    assert main(["info", "--model", str(model_path)]) == 0
    assert "unknown: the sidecar has no figures" in capsys.readouterr().out


def test_demo(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "b"
    assert main(["demo", "--model", str(model_path), "--keep", str(folder)]) == 0
    names = ["chamber_chords.wav", "club_loop.wav", "plucked_strings.wav"]
    assert sorted(path.name for path in folder.iterdir()) == names
    rows = capsys.readouterr().out.splitlines()[1:]
    assert sorted(row.split()[-1] for row in rows) == names
    assert all(row.split()[0] in LABELS for row in rows)


def test_demo_into_what_is_no_folder(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--model", str(model_path), "--keep", str(model_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("genre: ")
    assert len(err.splitlines()) == 1


def _genre(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [*GENRE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, **options)  # type: ignore[call-overload,no-any-return]


def test_as_a_process(model_path: Path, tmp_path: Path) -> None:
    good = write_audio(tmp_path / "tone.wav", tone(2))
    bad = tmp_path / "text.ogg"  # about what is no MP3, libmpg123 writes notes of its own to the error stream
    bad.write_text("no music")
    result = _genre("classify", "-", "--model", model_path, "--format", "jsonl", input=f"{good}\n{bad}\n{tmp_path}/no")
    assert result.returncode == 1
    assert [json.loads(line).get("label") for line in result.stdout.splitlines()] == ["tone", None, None]
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [str(bad), f"{tmp_path}/no"]
    assert _genre("classify", good, "--model", model_path).returncode == 0
    assert _genre("classify").returncode == 2


def test_a_terminal_without_unicode(model_path: Path, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "plain.wav", tone(1)).rename(tmp_path / "жанр.wav")
    result = _genre(
        "classify",
        path,
        path.with_suffix(".no"),
        "--model",
        model_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert result.returncode == 1
    assert "\\u0436\\u0430\\u043d\\u0440.wav" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_reader_that_goes_away(model_path: Path, tmp_path: Path) -> None:
    """As in `genre classify ... | head -1`."""
    paths = [str(write_audio(tmp_path / f"{i}.wav", noise(0.5))) for i in range(30)]
    command = [*GENRE, "classify", "--model", str(model_path), *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(PATIENCE_SECONDS) == 1
    assert errors == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_verbs_and_options(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("classify", "tag", "similar", "overwrite", "min-confidence"):
        assert word in script
    if shell == "bash":
        assert "_shtab_genre_classify_pos_0_COMPGEN=_shtab_compgen_files" in script


def test_completion_without_its_package(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "genre-runtime[library]" in capsys.readouterr().err
