"""Lists of files and URLs, Parquet, and the Ray engine."""
