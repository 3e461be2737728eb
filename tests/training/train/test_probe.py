"""The last layer before the first epoch: what it learns of clips that end at different frequencies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genre_runtime import FINE_AUDIO, band_centres, log_mel_spectrogram
from genre_training.config import NetworkConfig, TrainingConfig
from genre_training.data.splits import Split, TrainingData
from genre_training.evaluate.metrics import excerpt_logits
from genre_training.model.network import GenreNetwork
from genre_training.train.probe import fit_to_training_clips, silence_above

CPU = torch.device("cpu")
CUTOFF = 10_000.0
N_CLIPS, N_FRAMES = 40, 100


def test_silent_bands_are_those_of_a_file_that_ends_there() -> None:
    rate = FINE_AUDIO.sample_rate
    spectrum = np.fft.rfft(0.01 * np.random.default_rng(0).normal(size=3 * rate))
    whole, ended = (np.fft.irfft(spectrum * mask) for mask in (1, np.fft.rfftfreq(3 * rate, 1 / rate) < CUTOFF))
    as_file = log_mel_spectrogram(ended.astype(np.float32), FINE_AUDIO)
    cut = torch.from_numpy(log_mel_spectrogram(whole.astype(np.float32), FINE_AUDIO))[None]
    silence_above(cut, FINE_AUDIO, CUTOFF)
    centres = band_centres(FINE_AUDIO)
    for bands in (centres < 0.9 * CUTOFF, centres > 1.2 * CUTOFF):  # between them, bands overlap the end
        np.testing.assert_allclose(cut[0].numpy()[bands, 5:-5], as_file[bands, 5:-5], atol=0.05)


def two_sources() -> TrainingData:
    """Clips of two genres, which differ little; all files of the second end lower."""
    rng = np.random.default_rng(0)
    labels = np.arange(N_CLIPS) % 2
    clips = torch.from_numpy(0.3 * rng.normal(size=(N_CLIPS, FINE_AUDIO.n_mels, N_FRAMES)))
    clips[labels == 0, :40] += 0.3
    clips[labels == 1] = ended(clips[labels == 1])
    positions = np.arange(N_CLIPS)
    sources, split = np.where(labels, "lower", "full"), Split(positions, positions[:0], positions[:0])
    return TrainingData(clips.half(), labels, sources, ("a", "b"), split, N_FRAMES, N_FRAMES, N_FRAMES)


def ended(clips: Tensor) -> Tensor:
    changed = clips.clone()
    silence_above(changed, FINE_AUDIO, CUTOFF)
    return changed


@pytest.mark.parametrize("cutoff", [0.0, CUTOFF])
def test_where_files_end_tells_nothing_with_a_cutoff(cutoff: float) -> None:
    data = two_sources()
    torch.manual_seed(0)
    network = GenreNetwork(2, FINE_AUDIO.n_mels, NetworkConfig(kind="mobilenet", branch="audio"))
    fit_to_training_clips(network, data, TrainingConfig(probe=0.015, probe_cutoff=cutoff), CPU)

    def right(clips: Tensor) -> float:
        return float((excerpt_logits(network, clips, N_FRAMES, CPU)[:, 0].argmax(axis=1) == data.labels).mean())

    assert right(data.clips) == 1
    if cutoff:
        assert right(ended(data.clips)) > 0.85
    else:
        assert right(ended(data.clips)) < 0.7, "all files that end lower are taken for the second genre"
