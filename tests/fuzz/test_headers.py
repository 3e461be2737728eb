"""Any header that a WAV file can have: a typed error, or excerpts within their bounds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre_runtime.audio.decoding import decode_excerpts
from genre_runtime.errors import GenreError
from tests.fuzz.targets import LIMITS
from tests.synthetic import RATE

EDGES_16, EDGES_32 = (0, 1, 2, 255, 0x7FFF, 0x8000, 0xFFFF), (0, 1, 2, 22_050, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
U16 = st.sampled_from(EDGES_16) | st.integers(0, 0xFFFF)
U32 = st.sampled_from(EDGES_32) | st.integers(0, 0xFFFFFFFF)
TAGS = st.sampled_from((1, 2, 3, 6, 7, 0x11, 0x31, 0x50, 0x55, 0xFFFE)) | U16


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each example is written."""
    return tmp_path_factory.mktemp("headers") / "any.wav"


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(tag=TAGS, channels=U16, rate=U32, bits=st.sampled_from((0, 1, 4, 8, 16, 24, 32, 64)) | U16, align=U16, size=U32)
def test_any_wav_header(path: Path, tag: int, channels: int, rate: int, bits: int, align: int, size: int) -> None:
    header = struct.pack("<HHIIHH", tag, channels, rate, rate, align, bits)
    samples = np.random.default_rng(0).bytes(4_000)
    riff = struct.pack("<4sI4s4sI", b"RIFF", size, b"WAVE", b"fmt ", 16)
    path.write_bytes(riff + header + struct.pack("<4sI", b"data", size) + samples)
    try:
        excerpts, duration = decode_excerpts(path, RATE, excerpt_seconds=1, n_excerpts=3, limits=LIMITS)
    except GenreError as error:
        assert error.code in ("unreadable_audio", "empty_audio", "audio_limit")  # noqa: PT017
    else:
        assert 0 < duration < float("inf")
        assert all(np.isfinite(excerpt.waveform).all() and excerpt.waveform.size <= 2 * RATE for excerpt in excerpts)
