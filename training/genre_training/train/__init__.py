"""Training runs. Imports `evaluate`, `model`, `data` and `config`."""

RUN_FOLDER = "run"
"""Folder beside a checkpoint with everything about the run that made it."""
STATE_NAME = "last.pt"
"""File in the folder of an unfinished run: the state after the last whole epoch."""
