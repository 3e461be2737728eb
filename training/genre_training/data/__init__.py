"""Tracks, their splits, spectrograms and downloads. Imports `config` only."""
