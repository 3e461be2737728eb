"""The last layer before the first epoch: what it learns of clips that end at different frequencies."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from genre_runtime import FINE_AUDIO, band_centres, log_mel_spectrogram
from genre_training.config import NetworkConfig, TrainingConfig
from genre_training.data.splits import Split, TrainingData
from genre_training.evaluate.metrics import excerpt_logits
from genre_training.model.network import GenreNetwork
from genre_training.model.tags import N_CLASSES, TAG_CLASSES, style_shares
from genre_training.train.probe import fit_head, fit_to_training_clips, silence_above

CONFIG = NetworkConfig(kind="mobilenet", branch="audio", init="mn04_as", tags=True)
CPU = torch.device("cpu")
CUTOFF = 10_000.0
N_CLIPS, N_FRAMES = 40, 100


def test_silent_bands_are_those_of_a_file_that_ends_there() -> None:
    rate = FINE_AUDIO.sample_rate
    spectrum = np.fft.rfft(0.02 * np.random.default_rng(0).normal(size=3 * rate))
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


@pytest.mark.parametrize("reads", ["features", "classes"])
def test_fitted_last_layer_tells_clips_apart_that_it_was_fitted_to(reads: Literal["features", "classes"]) -> None:
    config = replace(CONFIG, reads=reads)
    torch.manual_seed(0)
    network = GenreNetwork(4, 128, config)
    labels = np.arange(60) % 3  # no clip of the fourth genre
    rng = np.random.default_rng(0)
    width = network.body.n_features
    embeddings = 5 * rng.random((3, width))[labels][:, None] + 0.5 * rng.random((60, 2, width))
    fit_head(network, embeddings, labels, 0.1)
    network.eval()
    with torch.no_grad():
        read = network.read_for_head(torch.from_numpy(embeddings).float().flatten(0, 1))
        answers = network.head(read).argmax(dim=1)
    assert torch.equal(answers, torch.from_numpy(labels.repeat(2)))
    assert network.head.bias[3].item() == -4.0
    if reads == "classes":  # so that all weights of the layer learn at a similar pace
        torch.testing.assert_close(read.mean(dim=0), torch.zeros(N_CLASSES), atol=1e-3, rtol=0)
        torch.testing.assert_close(read.std(dim=0, correction=0), torch.ones(N_CLASSES), atol=1e-3, rtol=0)


def test_fit_without_a_prior_is_that_of_scikit_learn() -> None:
    network = GenreNetwork(3, 128, CONFIG)
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 1, 2, 2, 2] * 8)
    embeddings = rng.random((3, network.body.n_features))[labels][:, None] + rng.random((48, 2, 1))
    embeddings = embeddings + 0.3 * rng.random((48, 2, network.body.n_features))
    fit_head(network, embeddings, labels, 0.05)
    flat, repeated = embeddings.reshape(96, -1), labels.repeat(2)
    scaled = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    reference = LogisticRegression(C=0.05, class_weight="balanced", max_iter=5000, tol=1e-8).fit(scaled, repeated)
    with torch.no_grad():
        answers = network.head(torch.from_numpy(flat).float()).softmax(dim=1).numpy()
    np.testing.assert_allclose(answers, reference.predict_proba(scaled), atol=1e-3)


def test_style_of_a_genre_names_it_before_its_clips_teach_it() -> None:
    genres = ("electronic", "jazz", "mine")
    network = GenreNetwork(3, 128, replace(CONFIG, reads="classes"))
    embeddings, labels = np.random.default_rng(0).normal(size=(30, 1, network.body.n_features)), np.arange(30) % 3
    fit_head(network, embeddings, labels, 1e-9, 2.0 * style_shares(genres))  # clips say next to nothing
    classes = torch.zeros(2, N_CLASSES)
    for row, names in enumerate((("techno", "house"), ("jazz", "swing"))):
        classes[row, [tag.place for tag in TAG_CLASSES if tag.name in names]] = 5.0
    with torch.no_grad():
        logits = network.head(classes)
    assert logits.argmax(dim=1).tolist() == [0, 1]
    assert logits[1, 1].item() == pytest.approx(10.0, abs=0.1)  # both styles five deviations up, at 2 a deviation
