"""Files that change while they are read, and inputs that must not need much time or memory; in a separate process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import soundfile

from genre_runtime.decoders import pool
from tests.patience import PATIENCE_SECONDS
from tests.runtime.audio.test_hostile_files import Entry, entry  # noqa: F401  # the fixture of every entry point
from tests.runtime.hostile_files import CONTENTS, FORMATS, SPARSE, Hostile, tone_in
from tests.runtime.ogg_pages import with_right_checksums
from tests.synthetic import noise, tone

if sys.platform == "linux":
    from tests.fuzz.harness import Worker
    from tests.fuzz.worker import Bounds


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("n_left", [0, 5_000])
def test_file_that_shrinks_while_it_is_read(
    entry: Entry,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    n_left: int,
) -> None:
    """The file is cut when the decoder has opened it, at the first samples that are asked for."""
    path = tmp_path / f"shrinking{suffix}"
    path.write_bytes(tone_in(suffix, tmp_path))
    read, cuts = soundfile.SoundFile.read, []

    def cut() -> None:
        if path.stat().st_size > n_left:
            os.truncate(path, n_left)
        cuts.append(n_left)

    def cut_and_read(self: soundfile.SoundFile, *arguments: Any, **options: Any) -> Any:
        cut()
        return read(self, *arguments, **options)

    make_resampler = av.AudioResampler

    def cut_and_make_resampler(*arguments: Any, **options: Any) -> av.AudioResampler:
        cut()
        return make_resampler(*arguments, **options)

    monkeypatch.setattr(pool, "can_start", lambda: False)  # the command decodes here, where it can be seen
    monkeypatch.setattr(soundfile.SoundFile, "read", cut_and_read)
    monkeypatch.setattr(av, "AudioResampler", cut_and_make_resampler)
    assert entry(path) in ("empty_audio", "unreadable_audio", "tone", "quiet", "noise", "samples")
    assert cuts, "it was never cut"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A process that gives each input 256 MiB."""
    if sys.platform != "linux":
        pytest.skip("memory is read from Linux's /proc")
    bounds = Bounds(seconds=PATIENCE_SECONDS, memory_bytes=256 * 2**20)
    with Worker("tests.fuzz.targets:AudioTarget", tmp_path_factory.mktemp("worker"), bounds) as started:
        yield started


@pytest.mark.parametrize("hostile", [*CONTENTS, *SPARSE], ids=lambda hostile: hostile.name)
def test_bounded_time_and_memory(worker: Any, tmp_path: Path, hostile: Hostile) -> None:
    path = hostile.make(tmp_path)
    for name in ("classify_file", "whole_track", "decode"):
        reply = worker.run(path, name)
        assert reply.outcome not in ("crash", "hang", "memory", "untyped", "wrong"), (name, reply)


def test_damaged_vorbis_setup_with_a_correct_checksum(worker: Any, tmp_path: Path) -> None:
    """One byte of the residue set-up made the process end at the first seek; found by the fuzzer."""
    path = tmp_path / "damaged.ogg"
    soundfile.write(path, tone(2, 16_000) + noise(2, 16_000), 16_000, format="OGG", subtype="VORBIS")
    content = bytearray(path.read_bytes())
    content[2_330] ^= 206 ^ 210
    path.write_bytes(with_right_checksums(bytes(content)))
    assert worker.run(path, "classify_file").outcome != "crash"
