"""Music genre classification on ONNX Runtime.

>>> from genre_runtime import GenreClassifier
>>> classifier = GenreClassifier.load()
>>> classifier.classify_file("song.mp3").label
'rock'

Programs need these names:

- classification: `GenreClassifier`, `Prediction`, `ExcerptPrediction`, `DecodeLimits`, `DecoderPool`
- the model: `ModelMetadata`, `AudioConfig`, `log_mel_spectrogram`
- errors: `GenreError`; its subclasses are in `genre_runtime.errors`

The other members of this project import from here as well, and from `genre_runtime.library`, `genre_runtime.errors` and
`genre_runtime.download`, but from no other module:

- the model: `GraphFile`, `default_model_path`, `find_model`, `read_metadata`, `create_session`, `import_onnxruntime`,
  `available_devices`, `DEVICES`, `Tag`, `TAG_KINDS`, `AUDIO_METADATA_KEY`, `FINE_AUDIO_METADATA_KEY`,
  `LABELS_METADATA_KEY`, `TAGS_METADATA_KEY`, `GenreHead`, `read_head`
- the front ends: `FINE_AUDIO`, `hann_window`, `mel_filterbank`, `band_centres`, `kaldi_mel`, `POWER_FLOOR`,
  `PRE_EMPHASIS`, `KALDI_FLOOR`, `KALDI_OFFSET`, `KALDI_SPAN`, `QUIETEST_RMS`, `MOST_GAIN`,
  `raise_quiet`
- audio: `AudioSource`, `Excerpt`, `ExcerptStream`, `FloatArray`, `TrackLength`, `is_silent`, `mono`, `open_audio`,
  `probe`, `resample`, `stream_excerpts`
- results: `FileResult`, `summarise`
- decoder processes: `MAX_PROCESSES`, `can_start`
- programs: `available_cores`, `check_own`, `replacing`, `write_whole`, `escaped`, `escaped_streams`,
  `silence_decoders`, `spectrogram_palette`

A name is imported when it is first used, so `import genre_runtime` takes a millisecond.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genre_runtime.audio.decoding import stream_excerpts
    from genre_runtime.audio.excerpts import Excerpt, ExcerptStream, FloatArray, TrackLength
    from genre_runtime.audio.readers import open_audio
    from genre_runtime.audio.source import AudioSource, DecodeLimits, probe
    from genre_runtime.audio.waveform import is_silent, mono, resample
    from genre_runtime.classifier import GenreClassifier, summarise
    from genre_runtime.decoders.pool import MAX_PROCESSES, DecoderPool, can_start
    from genre_runtime.errors import GenreError
    from genre_runtime.model.features import (
        KALDI_FLOOR,
        KALDI_OFFSET,
        KALDI_SPAN,
        MOST_GAIN,
        POWER_FLOOR,
        PRE_EMPHASIS,
        QUIETEST_RMS,
        band_centres,
        hann_window,
        kaldi_mel,
        log_mel_spectrogram,
        mel_filterbank,
        raise_quiet,
        spectrogram_palette,
    )
    from genre_runtime.model.head import GenreHead, read_head
    from genre_runtime.model.installed import find_model
    from genre_runtime.model.metadata import (
        AUDIO_METADATA_KEY,
        FINE_AUDIO,
        FINE_AUDIO_METADATA_KEY,
        LABELS_METADATA_KEY,
        TAG_KINDS,
        TAGS_METADATA_KEY,
        AudioConfig,
        GraphFile,
        ModelMetadata,
        Tag,
        default_model_path,
        read_metadata,
    )
    from genre_runtime.model.session import DEVICES, available_devices, create_session, import_onnxruntime
    from genre_runtime.output_files import check_own, replacing, write_whole
    from genre_runtime.parallel import available_cores
    from genre_runtime.prediction import ExcerptPrediction, FileResult, Prediction
    from genre_runtime.terminal import escaped, escaped_streams, silence_decoders

# As soon as it is imported, ONNX Runtime 1.32 looks up a host of its manufacturer, stores events in
# `~/.cache/Microsoft` and opens `.ses` in the folder for temporary files. It reads this variable during its import:
# its own `disable_telemetry_events()` is too late. The variable is always set: this package works offline.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_MODULES = {
    "audio.decoding": ("stream_excerpts",),
    "audio.excerpts": ("Excerpt", "ExcerptStream", "FloatArray", "TrackLength"),
    "audio.readers": ("open_audio",),
    "audio.source": ("AudioSource", "DecodeLimits", "probe"),
    "audio.waveform": ("is_silent", "mono", "resample"),
    "classifier": ("GenreClassifier", "summarise"),
    "decoders.pool": ("MAX_PROCESSES", "DecoderPool", "can_start"),
    "errors": ("GenreError",),
    "model.features": (
        "KALDI_FLOOR",
        "KALDI_OFFSET",
        "KALDI_SPAN",
        "MOST_GAIN",
        "POWER_FLOOR",
        "PRE_EMPHASIS",
        "QUIETEST_RMS",
        "band_centres",
        "hann_window",
        "kaldi_mel",
        "log_mel_spectrogram",
        "mel_filterbank",
        "raise_quiet",
        "spectrogram_palette",
    ),
    "model.head": ("GenreHead", "read_head"),
    "model.installed": ("find_model",),
    "model.metadata": (
        "AUDIO_METADATA_KEY",
        "FINE_AUDIO",
        "FINE_AUDIO_METADATA_KEY",
        "LABELS_METADATA_KEY",
        "TAGS_METADATA_KEY",
        "TAG_KINDS",
        "AudioConfig",
        "GraphFile",
        "ModelMetadata",
        "Tag",
        "default_model_path",
        "read_metadata",
    ),
    "model.session": ("DEVICES", "available_devices", "create_session", "import_onnxruntime"),
    "output_files": ("check_own", "replacing", "write_whole"),
    "parallel": ("available_cores",),
    "prediction": ("ExcerptPrediction", "FileResult", "Prediction"),
    "terminal": ("escaped", "escaped_streams", "silence_decoders"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__version__ = "0.1.0"

__all__ = [
    "AUDIO_METADATA_KEY",
    "DEVICES",
    "FINE_AUDIO",
    "FINE_AUDIO_METADATA_KEY",
    "KALDI_FLOOR",
    "KALDI_OFFSET",
    "KALDI_SPAN",
    "LABELS_METADATA_KEY",
    "MAX_PROCESSES",
    "MOST_GAIN",
    "POWER_FLOOR",
    "PRE_EMPHASIS",
    "QUIETEST_RMS",
    "TAGS_METADATA_KEY",
    "TAG_KINDS",
    "AudioConfig",
    "AudioSource",
    "DecodeLimits",
    "DecoderPool",
    "Excerpt",
    "ExcerptPrediction",
    "ExcerptStream",
    "FileResult",
    "FloatArray",
    "GenreClassifier",
    "GenreError",
    "GenreHead",
    "GraphFile",
    "ModelMetadata",
    "Prediction",
    "Tag",
    "TrackLength",
    "__version__",
    "available_cores",
    "available_devices",
    "band_centres",
    "can_start",
    "check_own",
    "create_session",
    "default_model_path",
    "escaped",
    "escaped_streams",
    "find_model",
    "hann_window",
    "import_onnxruntime",
    "is_silent",
    "kaldi_mel",
    "log_mel_spectrogram",
    "mel_filterbank",
    "mono",
    "open_audio",
    "probe",
    "raise_quiet",
    "read_head",
    "read_metadata",
    "replacing",
    "resample",
    "silence_decoders",
    "spectrogram_palette",
    "stream_excerpts",
    "summarise",
    "write_whole",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
