"""Collections of files: scan, cache, results, tags, reports, playlists. Imports the classifier; `cli` imports it."""
