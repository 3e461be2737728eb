"""Plugins for other programs. Imports `library` and `classifier`, like the command."""
