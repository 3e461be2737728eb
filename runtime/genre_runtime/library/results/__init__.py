"""Results of `genre classify`: one reader and one writer."""
