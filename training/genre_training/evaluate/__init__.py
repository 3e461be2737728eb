"""Metrics, scores, charts and the report of a run. Imports `model`, `data` and `config`."""
