"""Networks and checkpoints. Imports `data` and `config`."""
