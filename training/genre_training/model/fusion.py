"""A model of two branches: an audio branch and a picture branch, fused late by few parameters.

The labelled music comes in two forms. The audio branch reads fine spectrograms, which only audio files give; the
picture branch reads coarse ones and learnt from many more clips. Each answers on its own, and the model multiplies
their probabilities (a product of experts). Of a genre that the audio branch knows from few artists, its answer counts
less: there its log-probability is mixed with that of a guess.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genre_training.config import NetworkConfig
from genre_training.model.network import GenreNetwork
from genre_training.model.tags import TAG_CLASSES

PICTURE_SHARE = 0.4
"""Of the picture branch in the embedding. Of genres that no training had, the audio branch tells more: heads learn more
from few clips than with equal shares."""


def published_tags() -> list[int]:
    """Return the places of the published tags among AudioSet's classes."""
    return [tag.place for tag in TAG_CLASSES]


class FusedNetwork(nn.Module):
    """Both branches and their fusion.

    Parameters
    ----------
    n_labels : int
    audio, picture : NetworkConfig
    n_mels : int
        Bands of both spectrograms.

    Attributes
    ----------
    weights : Tensor, shape (2,)
        Of the audio branch and the picture branch.
    reliability : Tensor, shape (n_labels,)
        Of the audio branch for each genre, 0 to 1.
    """

    weights: Tensor
    reliability: Tensor
    places: Tensor

    def __init__(self, n_labels: int, audio: NetworkConfig, picture: NetworkConfig, n_mels: int) -> None:
        super().__init__()
        self.audio = GenreNetwork(n_labels, n_mels, audio)
        self.picture = GenreNetwork(n_labels, n_mels, picture)
        self.register_buffer("weights", torch.ones(2))
        self.register_buffer("reliability", torch.ones(n_labels))
        self.register_buffer("places", torch.tensor(published_tags()), persistent=False)

    def forward(self, log_mel: Tensor, fine_log_mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, tags and embedding of both branches together.

        Parameters
        ----------
        log_mel, fine_log_mel : Tensor, shape (batch, n_mels, n_frames)
            Of the front ends of the picture branch and of the audio branch.

        Returns
        -------
        tuple of Tensor
            `logits` (batch, n_labels), `tags` (batch, n_tags), `embedding` (batch, n_features) of length 1.
        """
        by_audio, embedding = self.audio(fine_log_mel)
        by_picture, picture_embedding = self.picture(log_mel)
        logits = fuse(torch.stack([by_audio, by_picture]), self.weights, self.reliability)
        tags = self.audio.read_classes(embedding).index_select(1, self.places)
        normalize = nn.functional.normalize
        both = [normalize(embedding, dim=1), PICTURE_SHARE * normalize(picture_embedding, dim=1)]
        return logits, tags, normalize(torch.cat(both, dim=1), dim=1)


def fuse(logits: Tensor, weights: Tensor, reliability: Tensor) -> Tensor:
    """Return the logits of a product of both branches.

    Parameters
    ----------
    logits : Tensor, shape (2, ..., n_labels)
        Of the audio branch and of the picture branch.
    weights : Tensor, shape (2,)
    reliability : Tensor, shape (n_labels,)
        At 1 the audio branch counts in full, at 0 as a guess among all genres.
    """
    audio, picture = torch.log_softmax(logits, dim=-1)
    guess = -math.log(logits.shape[-1])
    fused: Tensor = weights[0] * (reliability * audio + (1 - reliability) * guess) + weights[1] * picture
    return fused
