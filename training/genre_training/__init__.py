"""Training of music genre classifiers on log-mel spectrograms."""

from genre_training.version import __version__

__all__ = ["__version__"]
