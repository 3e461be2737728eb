"""Decoding in separate processes, with limits on memory and time. `pool -> handle -> protocol`; imports `audio`."""
