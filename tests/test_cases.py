"""Small files that went wrong elsewhere, and one song in every format.

The files lie in `$GENRE_CASES`, or in `shared/cases` beside the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from genre_runtime import GenreClassifier, Prediction
from tests.patience import PATIENCE_SECONDS
from tests.runtime.apart import Found, measured
from tests.runtime.odd_files import FloatArray, coded

ROOT = Path(__file__).parent.parent
CASES = Path(os.environ.get("GENRE_CASES", ROOT.parent / "shared" / "cases")).resolve()
MODEL = ROOT / "models" / "best_model.onnx"

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}: name their folder by $GENRE_CASES")


@dataclass(frozen=True)
class Case:
    """What a file must give: seconds (None: an answer or a typed error), whether it is silent, and most megabytes."""

    name: str
    seconds: float | None
    tolerance: float = 0.25
    silent: bool = False
    megabytes: int = 500


READ = (
    Case("chained_long_last_link.opus", 8.1),
    Case("vbr_without_xing.mp3", 12),
    Case("chained_vorbis.ogg", 42),
    Case("data_of_0.wav", 1, 0.01),
    Case("mono_then_stereo.aac", 40),
    Case("out_of_phase.flac", 12, 0.01),
    Case("hidden_track.opus", 642),
    Case("two_id3.aac", 1, 0.1),
    Case("id3.wv", 1, 0.1),
    Case("zeros_70k_behind_id3.mp3", 1, 0.1),
    Case("id3_size_not_synchsafe.mp3", 1, 0.1),
    Case("silence.dsf", 0.5, 0.02, silent=True),
    Case("info_genre_rock.wav", 1, 0.01),
    Case("two_comment_blocks.flac", 1, 0.01),
    Case("flac_without_comments.flac", 3, 0.01),
    Case("cover_16000x16000.m4a", 3, 0.1, megabytes=200),
)

BOUNDED = (
    Case("alac_frame_of_2e24_samples.mka", None),
    Case("index_of_85_million_samples.m4a", None),
)


def _found(folder: Path, case: Case, how: str) -> Found:
    path = CASES / case.name
    if not path.is_file():
        pytest.skip(f"no {case.name} at {CASES}")
    found, peak = measured(folder, path, how)
    assert peak < case.megabytes * 10**6
    return found


@needs_cases
@pytest.mark.parametrize("how", ["path", "whole"])
@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_a_case_is_read_whole(tmp_path: Path, case: Case, how: str) -> None:
    found = _found(tmp_path, case, how)
    assert found.error is None, found.message
    assert found.duration == pytest.approx(case.seconds, abs=case.tolerance)
    assert found.announced is None
    assert ("silent" in (found.reason or "")) == case.silent
    assert all(found.silent) == case.silent


@needs_cases
@pytest.mark.parametrize("how", ["path", "bytes"])
@pytest.mark.parametrize("case", BOUNDED, ids=lambda case: case.name)
def test_a_hostile_case_is_bounded(tmp_path: Path, case: Case, how: str) -> None:
    found = _found(tmp_path, case, how)
    assert found.error in (None, "unreadable_audio", "empty_audio", "audio_limit")


@needs_cases
@pytest.mark.skipif(not MODEL.is_file(), reason=f"no model at {MODEL}: run `invoke train` and `invoke export`")
def test_all_endings_are_found_in_a_folder() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("genre"), "classify", CASES / "suffixes", "--format", "jsonl"],
        env={**os.environ, "GENRE_MODEL": str(MODEL)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    names = {Path(json.loads(line)["path"]).name for line in done.stdout.splitlines()}
    assert names == {path.name for path in (CASES / "suffixes").iterdir()}
    assert done.returncode == 0, done.stderr


def _piece(seconds: float = 30.0, rate: int = 48_000) -> FloatArray:
    """A piece of chords, a bass line and a beat, in stereo, shape (n_samples, 2)."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(t.size)
    beat, bar = t % 0.5, (t // 2).astype(int) % 4
    chords = np.zeros((t.size, 2))
    for i, root in enumerate((220.0, 174.6, 130.8, 196.0)):
        for ratio, pan in ((1, 0.5), (1.26, 0.3), (1.5, 0.7), (2, 0.5)):
            voice = sum(np.sin(2 * np.pi * root * ratio * n * t) / n**1.5 for n in range(1, 6))
            chords += 0.04 * np.where(bar == i, voice, 0)[:, None] * np.array([pan, 1 - pan])
        chords += 0.12 * (np.where(bar == i, np.sin(np.pi * root * t), 0) * np.exp(-2 * beat))[:, None]
    kick = 0.4 * np.sin(2 * np.pi * 50 * beat + 4 * np.exp(-30 * beat)) * np.exp(-9 * beat)
    snare = 0.12 * noise * np.exp(-14 * ((t + 0.5) % 1))
    hat = 0.04 * np.diff(noise, prepend=0) * np.exp(-50 * (t % 0.25))
    piece: FloatArray = (0.8 * (chords + (kick + snare + hat)[:, None])).astype(np.float32)
    return piece


LOSSLESS = (".flac", ".alac.m4a", ".aiff", ".wv", ".tta", ".oga", ".mka", ".w64", ".caf")
FARTHEST = {".oga": 0.03}
"""FFmpeg's time stamps are wrong by up to 0.1 s after a seek in FLAC in Ogg."""
LOSSY = (".mp3", ".m4a", ".opus", ".ogg", ".wma", ".webm", ".aac", ".mp2")


@pytest.fixture(scope="module")
def shipped() -> GenreClassifier:
    if not MODEL.is_file():
        pytest.skip(f"no model at {MODEL}: run `invoke train` and `invoke export`")
    return GenreClassifier.load(MODEL, device="cpu", threads=1)


@pytest.fixture(scope="module")
def original(shipped: GenreClassifier) -> Prediction:
    return shipped.classify_file(coded(".wav", _piece(), 48_000))


@pytest.mark.parametrize("suffix", [*LOSSLESS, *LOSSY])
def test_one_song_has_one_answer_in_every_format(
    shipped: GenreClassifier, original: Prediction, tmp_path: Path, suffix: str
) -> None:
    farthest = FARTHEST.get(suffix, 0.005 if suffix in LOSSLESS else 0.25)
    path = tmp_path / f"song{suffix}"
    path.write_bytes(coded(suffix, _piece(), 48_000, bit_rate=192_000))
    for source in (path, path.read_bytes()):
        found = shipped.classify_file(source)
        if suffix in LOSSLESS and suffix not in FARTHEST:
            assert found.label == original.label
        # Others may name another one of the three genres between which the synthetic piece lies.
        assert original.probabilities[found.label] >= max(original.probabilities.values()) - farthest
        assert found.duration_seconds == pytest.approx(30, abs=0.15)
        assert found.announced_seconds is None
        assert len(found.excerpts) == len(original.excerpts)
        for label, probability in original.probabilities.items():
            assert found.probabilities[label] == pytest.approx(probability, abs=farthest)
