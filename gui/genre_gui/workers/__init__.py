"""Threads behind the window and their tasks. Imports `backends` and `widgets`, and no part of the window above them."""
