"""Tracks, splits and features. Imports nothing of the other folders."""
