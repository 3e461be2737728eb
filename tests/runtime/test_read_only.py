"""An open file as the decoders see it."""

from __future__ import annotations

import io
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import pytest

from genre_runtime.audio.source import FileView


@pytest.mark.parametrize("max_size", [5, 1000], ids=["disk", "memory"])
def test_it_reads_seeks_and_stays_where_a_seek_fails(max_size: int) -> None:
    with SpooledTemporaryFile(max_size) as file:
        file.write(b"0123456789")
        audio = FileView(cast(BinaryIO, file))
        assert audio.seek(4) == 4
        assert audio.read(3) == b"456"
        for offset, whence in ((-5, io.SEEK_SET), (0, 99)):
            assert audio.seek(offset, whence) == 7
        assert audio.seek(-1, io.SEEK_END) == 9
        assert audio.read() == b"9"
        assert audio.read(1) == b""
        assert not audio.writable()
        assert not hasattr(audio, "mode")
