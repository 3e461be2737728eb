"""Training runs. Imports `evaluate`, `model`, `data` and `config`."""
