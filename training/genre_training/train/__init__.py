"""Training runs. Imports `evaluate`, `model` and `data`."""
