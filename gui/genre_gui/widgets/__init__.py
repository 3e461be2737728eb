"""Widgets, charts and dialogs in the style of the window. Imports `settings` and `text`, and no backend."""
