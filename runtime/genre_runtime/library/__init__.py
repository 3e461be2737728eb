"""A music library's own files: genres read from their tags, written into them and taken back."""
