"""Fits the last layer to the embeddings of the training clips, before the first epoch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genre_runtime import AudioConfig, band_centres, log_mel_spectrogram
from genre_training.config import TrainingConfig
from genre_training.data.splits import TrainingData
from genre_training.evaluate.metrics import excerpt_embeddings
from genre_training.model.network import GenreNetwork, front_end
from genre_training.model.pretrained import fit_head
from genre_training.model.tags import style_shares


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
        Log-mel spectrograms of the audio branch, whose level is kept.
    audio : AudioConfig
        Their front end.
    frequency : float
        In Hz. Bands whose centre lies above it become silent.
    """
    silence = float(log_mel_spectrogram(np.zeros(audio.sample_rate, np.float32), audio).min())
    clips[:, torch.from_numpy(band_centres(audio) > frequency)] = silence
