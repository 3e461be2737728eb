"""Learns genres from the user's own examples, and finds tags that the audio contradicts.

Imports: heads and audit -> examples, folds -> regression.
"""
