"""Fields in the tags of audio files: read, write, and undo byte for byte; and tag a library by classification.

>>> from genre_runtime.library.tags import read_genres, undo, write_fields
>>> write_fields("song.mp3", {"genre": ["Rock", "Pop"], "mood": ["Happy"]}, journal="changes.jsonl").written
True
>>> read_genres("song.mp3")
('Rock', 'Pop')
>>> [undone.error for undone in undo("changes.jsonl")]
[None]

Imports: this module -> tagging -> write, see there.
"""

from __future__ import annotations

from genre_runtime.library.tags.restore import Undone, undo
from genre_runtime.library.tags.tagging import Tagging, genres_to_write, tag_answered, tag_classified
from genre_runtime.library.tags.write import (
    Change,
    FieldChange,
    Mode,
    plan_fields,
    plan_genres,
    read_fields,
    read_genres,
    write_fields,
    write_genres,
)

__all__ = [
    "Change",
    "FieldChange",
    "Mode",
    "Tagging",
    "Undone",
    "genres_to_write",
    "plan_fields",
    "plan_genres",
    "read_fields",
    "read_genres",
    "tag_answered",
    "tag_classified",
    "undo",
    "write_fields",
    "write_genres",
]
