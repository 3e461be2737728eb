"""Damaged files by the thousand, against the decoders and the classifier: `python -m tests.fuzz`."""
