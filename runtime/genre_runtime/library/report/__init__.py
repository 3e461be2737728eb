"""The HTML report on results."""
