"""Fits the last layer to the training clips before the first epoch, as a balanced logistic regression."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_runtime import AudioConfig, band_centres, log_mel_spectrogram
from genre_training.config import TrainingConfig
from genre_training.data.splits import TrainingData
from genre_training.data.track import Indices
from genre_training.evaluate.metrics import excerpt_embeddings
from genre_training.model.network import GenreNetwork, front_end
from genre_training.model.tags import style_shares

TINY = 1e-6
NO_CLIP_BIAS = -4.0
"""Bias of a genre that has no training clip."""
MOST_STEPS = 300
"""Of the fit: it ends at its optimum after about 50."""


def fit_to_training_clips(
    network: GenreNetwork, data: TrainingData, config: TrainingConfig, device: torch.device
) -> None:
    """Fit the last layer of a network that starts from pretrained weights, as `TrainingConfig.probe` says.

    With `probe_cutoff`, each clip counts half as it is and half as a file that ends at this frequency. Where the files
    of one data set end lower than those of another, a layer that saw them only as they are answers every file that
    ends low with the genres of that data set.

    Parameters
    ----------
    network : GenreNetwork
    data : TrainingData
    config : TrainingConfig
    device : torch.device
    """
    train = data.split.train
    usable = train[torch.isfinite(data.clips[train]).flatten(1).all(dim=1).cpu().numpy()]
    clips = data.clips[usable]  # a copy
    embeddings = [excerpt_embeddings(network, clips, data.excerpt_frames, device)]
    if config.probe_cutoff:
        silence_above(clips, front_end(network.config.branch), config.probe_cutoff)
        embeddings.append(excerpt_embeddings(network, clips, data.excerpt_frames, device))
    prior = config.style_prior * style_shares(data.names) if config.style_prior else None
    fit_head(network, np.concatenate(embeddings, axis=1), data.labels[usable], config.probe / len(embeddings), prior)


def silence_above(clips: Tensor, audio: AudioConfig, frequency: float) -> None:
    """Change spectrograms, in place, to those of files that end at a frequency.

    Parameters
    ----------
    clips : Tensor, shape (n_clips, n_mels, n_frames)
        Log-mel spectrograms of the audio branch.
    audio : AudioConfig
        Their front end.
    frequency : float
        In Hz. Bands whose centre lies above it become silent.
    """
    silence = float(log_mel_spectrogram(np.zeros(audio.sample_rate, np.float32), audio).min())
    clips[:, torch.from_numpy(band_centres(audio) > frequency)] = silence


def fit_head(
    network: GenreNetwork,
    embeddings: NDArray[np.float64],
    labels: Indices,
    inverse_strength: float,
    prior: NDArray[np.float64] | None = None,
) -> None:
    """Fit the last layer of a network to the embeddings of clips, all genres weighted alike.

    It reads the embeddings, or what the network says of AudioSet's classes from them. The regularisation pulls it
    towards `prior`, so that few clips change what is known without them, and need not teach it. A genre without clips
    is never answered.

    Parameters
    ----------
    network : GenreNetwork
    embeddings : float64 array, shape (n_clips, n_excerpts, n_features)
    labels : int array, shape (n_clips,)
    inverse_strength : float
        Of the regularisation.
    prior : float64 array, shape (n_labels, n_read), optional
        Weights on what is read, standardised, by default zero.
    """
    labels = np.repeat(labels, embeddings.shape[1])
    flat = embeddings.reshape(len(labels), -1)
    if network.config.reads == "classes":
        network.eval()
        with torch.no_grad():
            features = torch.from_numpy(flat).float().to(network.head.weight.device)
            classes = network.read_classes(features)
            network.class_mean.copy_(classes.mean(dim=0))
            network.class_deviation.copy_(classes.std(dim=0, correction=0) + TINY)
            flat = network.read_for_head(features).cpu().double().numpy()
    mean, deviation = flat.mean(axis=0), flat.std(axis=0) + TINY
    genres, positions = np.unique(labels, return_inverse=True)
    known = np.zeros((len(genres), flat.shape[1])) if prior is None else prior[genres]
    fitted, intercept = _regression((flat - mean) / deviation, positions, inverse_strength, known)
    weight = np.zeros(tuple(network.head.weight.shape))
    bias = np.full(len(weight), NO_CLIP_BIAS)
    weight[genres] = fitted / deviation
    bias[genres] = intercept - weight[genres] @ mean
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))


def _regression(
    features: NDArray[np.float64], labels: Indices, inverse_strength: float, prior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and biases of a balanced logistic regression.

    scikit-learn's cannot start from a prior. That of `genre learn` can, but works in float32 and ends early: its
    probabilities differ by up to 0.04.
    """
    given, targets, known = torch.from_numpy(features), torch.from_numpy(labels), torch.from_numpy(prior)
    counts = targets.bincount(minlength=len(prior))
    balance = len(labels) / (len(prior) * counts[targets])
    change = torch.zeros_like(known, requires_grad=True)
    bias = torch.zeros(len(prior), dtype=known.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([change, bias], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = nn.functional.linear(given, known + change, bias)
        losses = balance * nn.functional.cross_entropy(logits, targets, reduction="none")
        value = inverse_strength * losses.sum() + change.square().sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    return (known + change).detach().numpy(), bias.detach().numpy()
