"""Metrics, scores, plots and the report of a run. Imports `model` and `data`."""
