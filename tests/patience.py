"""How long a test waits for what has to come."""

PATIENCE_SECONDS = 600.0
"""Ends what never comes. It measures nothing: on a machine ten times slower the tests are the same."""
