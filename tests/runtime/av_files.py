"""Writing the formats that libsndfile does not know, through PyAV."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

CONTAINERS = {
    # suffix: (FFmpeg's muxer, encoder, sample format)
    ".m4a": ("ipod", "aac", "fltp"),
    ".alac.m4a": ("ipod", "alac", "s16p"),
    ".mp4": ("mp4", "aac", "fltp"),
    ".aac": ("adts", "aac", "fltp"),
    ".wma": ("asf", "wmav2", "fltp"),
    ".webm": ("webm", "libopus", "flt"),
    ".mka": ("matroska", "libmp3lame", "fltp"),
    ".wv": ("wv", "wavpack", "s16p"),
    ".tta": ("tta", "tta", "s16"),
}
LOSSLESS = frozenset((".alac.m4a", ".wv", ".tta"))


def write_with_pyav(path: Path, samples: NDArray[np.float32], rate: int) -> Path:
    """Write mono samples, shape (n_samples,), in the format that the path's suffixes name."""
    container, codec, sample_format = CONTAINERS["".join(path.suffixes)]
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.format = av.AudioFormat(sample_format)
        stream.bit_rate = 128_000  # lossless encoders take no notice
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        n_frame = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(sample_format, "mono", rate, frame_size=n_frame)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return path
