"""Classifiers behind the window: the model in this process, or a service over HTTP.

Imports `settings` and `text`, and no part of the window.
"""
