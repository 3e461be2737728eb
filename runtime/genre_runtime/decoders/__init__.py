"""Decoding in processes of their own, which a bound on memory and a deadline end. Imports `audio`."""
