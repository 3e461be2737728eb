"""The module that beets loads for `plugins: genreaudio`; beets takes only classes that are defined here."""

from genre_runtime.integrations.beets import GenreAudio


class GenreAudioPlugin(GenreAudio):
    """Genres, styles and moods from the audio, see `genre_runtime.integrations.beets`."""
