"""From files and bytes to excerpts of a waveform. Imports `errors` only."""
