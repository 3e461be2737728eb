"""Threads and the tasks they run."""
