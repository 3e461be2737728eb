"""All implementations of both front ends and of the network give the same numbers, and the gate notices when not."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import pytest

from genre_export.graphs import WaveformGraph
from genre_export.parity import (
    TOLERANCES,
    ParityError,
    Run,
    check_parity,
    measure_pairs,
    measure_parity,
    parity_signals,
    parity_table,
)
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import FINE_AUDIO, AudioConfig
from tests.export.tiny import TEMPERATURE, tiny_fused_network
from tests.parity.__main__ import pairs_table

CONFIG = AudioConfig()
SIGNALS = parity_signals(CONFIG)


def runner(path: Path) -> Run:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    source = session.get_inputs()[0].name

    def run(batch: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(names, session.run(names, {source: batch}), strict=True))

    return run


@pytest.fixture(scope="module")
def graph() -> WaveformGraph:
    return WaveformGraph(tiny_fused_network(), TEMPERATURE, CONFIG, FINE_AUDIO).eval()


@pytest.fixture(scope="module")
def runners(published_fused: Path) -> tuple[Run, Run]:
    return runner(published_fused / "best_model.onnx"), runner(published_fused / "best_model.logmel.onnx")


@pytest.fixture(scope="module")
def worst(graph: WaveformGraph, runners: tuple[Run, Run]) -> dict[str, float]:
    return measure_parity(graph, *runners)


@pytest.mark.parametrize("name", TOLERANCES)
def test_difference_stays_within_its_tolerance(worst: dict[str, float], name: str) -> None:
    assert 0 <= worst[name] <= TOLERANCES[name].limit


def test_differences_are_really_measured(worst: dict[str, float]) -> None:
    """Implementations that round differently never agree to the last bit over all signals."""
    assert all(worst[name] > 0 for name in TOLERANCES if "log_mel" in name and "from" not in name)


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large for input signal")
@pytest.mark.parametrize("name", SIGNALS)
def test_reference_equals_librosa_for_every_signal(name: str) -> None:
    mel = librosa.feature.melspectrogram(
        y=SIGNALS[name],
        sr=32_000,
        n_fft=3072,
        win_length=2972,
        hop_length=3840,
        n_mels=128,
        fmin=0,
        fmax=11_025,
        pad_mode="constant",
    )
    expected = librosa.power_to_db(mel, ref=np.max, top_db=80)
    found = log_mel_spectrogram(SIGNALS[name], CONFIG)
    np.testing.assert_allclose(found, expected, atol=TOLERANCES["librosa log_mel"].limit)


def test_signals_cover_the_extremes() -> None:
    sizes = {name: signal.size for name, signal in SIGNALS.items()}
    assert min(sizes.values()) == 1
    assert max(sizes.values()) >= 30 * CONFIG.sample_rate
    assert not SIGNALS["silence"].any()
    assert all(signal.dtype == np.float32 and signal.ndim == 1 for signal in SIGNALS.values())


@pytest.mark.parametrize(
    ("batch", "n_samples"),
    [(1, 1), (64, 1), (64, 3840), (33, 22_050), (8, 30 * 32_000), (2, 60 * 32_000), (1, 120 * 32_000)],
    ids=lambda value: str(value),
)
def test_every_shape_equals_the_reference_and_each_clip_itself_alone(
    runners: tuple[Run, Run], batch: int, n_samples: int
) -> None:
    """From one sample to two minutes, alone and among 63 others that are up to 36 dB louder."""
    run_waveform, run_log_mel = runners
    rng = np.random.default_rng(n_samples)
    waveforms = 0.01 * rng.standard_normal((batch, n_samples), dtype=np.float32)
    waveforms *= (1 + np.arange(batch, dtype=np.float32))[:, None]
    outputs = run_waveform(waveforms)
    for i in {0, batch - 1}:
        reference = log_mel_spectrogram(waveforms[i], CONFIG)
        log_mel, fine, logits = (outputs[name][i] for name in ("log_mel", "fine_log_mel", "logits"))
        np.testing.assert_allclose(log_mel, reference, atol=TOLERANCES["onnx log_mel"].limit)
        fine_reference = log_mel_spectrogram(waveforms[i], FINE_AUDIO)
        np.testing.assert_allclose(fine, fine_reference, atol=TOLERANCES["onnx fine_log_mel"].limit)
        alone = run_waveform(waveforms[i : i + 1])["logits"][0]
        np.testing.assert_allclose(logits, alone, atol=TOLERANCES["onnx batch independence"].limit)
        by_reference, by_graph = (run_log_mel(one[None])["logits"][0] for one in (reference, log_mel))
        np.testing.assert_allclose(by_graph, by_reference, atol=TOLERANCES["onnx logits from log_mel"].limit)


def test_each_two_front_ends_are_compared(graph: WaveformGraph, runners: tuple[Run, Run]) -> None:
    pairs = measure_pairs(graph, runners[0], "log_mel")
    assert len(pairs) == 5 * 4 / 2
    assert min(pairs.values()) > 0
    assert max(pairs.values()) <= TOLERANCES["torchaudio log_mel"].limit
    lines = pairs_table(pairs).splitlines()
    assert lines[0] == "| dB | torch | onnx | librosa | torchaudio |"
    assert [line.count("|  |") for line in lines[2:]] == [0, 1, 1, 2]
    assert len({line.count("|") for line in lines}) == 1
    fine = measure_pairs(graph, runners[0], "fine_log_mel")
    assert {name for pair in fine for name in pair} == {"numpy", "torch", "onnx", "torchaudio"}
    assert max(fine.values()) <= 2 * TOLERANCES["torchaudio fine_log_mel"].limit


def test_table_names_every_tolerance_with_its_reason(worst: dict[str, float]) -> None:
    rows = parity_table(worst).splitlines()[2:]
    for row, (name, tolerance) in zip(rows, TOLERANCES.items(), strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert (cells[0], cells[3]) == (name, tolerance.reason)
        assert float(cells[1].split()[0]) == pytest.approx(worst[name], rel=0.05)
        assert float(cells[2].split()[0]) == tolerance.limit


def test_every_tolerance_has_a_reason_of_its_own_or_says_which() -> None:
    for name, tolerance in TOLERANCES.items():
        assert len(tolerance.reason.split()) >= 4, name
        assert 0 < tolerance.limit < 1
        assert tolerance.unit == ("dB" if name.endswith(" log_mel") and "from" not in name else "")


def spoilt(run: Run, output: str, amount: float) -> Run:
    """The same graph with one output off by `amount`."""

    def wrong(batch: FloatArray) -> dict[str, FloatArray]:
        outputs = run(batch)
        return {**outputs, output: outputs[output] + np.float32(amount)}

    return wrong


@pytest.mark.parametrize(
    ("name", "output", "amount"),
    [
        ("onnx log_mel", "log_mel", 0.02),
        ("onnx fine_log_mel", "fine_log_mel", 0.002),
        ("onnx tags", "tags", 0.002),
        ("onnx logits", "logits", 0.002),
        ("onnx embedding", "embedding", 0.002),
        ("onnx logits", "logits", np.nan),
        ("onnx embedding", "embedding", np.inf),
    ],
)
def test_gate_notices_a_wrong_output(
    graph: WaveformGraph, runners: tuple[Run, Run], name: str, output: str, amount: float
) -> None:
    worst = measure_parity(graph, spoilt(runners[0], output, amount), runners[1])
    with pytest.raises(ParityError, match=f"{name}: ") as error:
        check_parity(worst)
    assert error.value.code == "parity"


def test_gate_notices_the_second_graph(graph: WaveformGraph, runners: tuple[Run, Run]) -> None:
    worst = measure_parity(graph, runners[0], spoilt(runners[1], "logits", 0.01))
    with pytest.raises(ParityError, match=r"onnx logits from log_mel: 0\.01"):
        check_parity(worst)


def test_gate_notices_clips_that_affect_each_other(graph: WaveformGraph, runners: tuple[Run, Run]) -> None:
    def leaking(batch: FloatArray) -> dict[str, FloatArray]:
        outputs = runners[0](batch)
        return {**outputs, "logits": outputs["logits"] + np.float32(0.001 * (len(batch) - 1))}

    with pytest.raises(ParityError, match="onnx batch independence"):
        check_parity(measure_parity(graph, leaking, runners[1]))


def test_gate_passes_what_is_within_and_names_all_beyond() -> None:
    check_parity({name: tolerance.limit for name, tolerance in TOLERANCES.items()})
    beyond = {name: 2 * tolerance.limit for name, tolerance in TOLERANCES.items()}
    with pytest.raises(ParityError) as error:
        check_parity(beyond)
    assert all(f"{name}: {beyond[name]:.3g}" in str(error.value) for name in TOLERANCES)
