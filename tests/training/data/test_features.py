"""The feature store: computed once, computed again when anything changes, never half there."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genre_runtime.audio.decoding import decode
from genre_runtime.audio.excerpts import plan_excerpts
from genre_runtime.audio.source import DecodeBudget
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import FINE_AUDIO, AudioConfig
from genre_training.data import features as store_module
from genre_training.data.features import (
    FeatureStore,
    LostWorkerError,
    _clip_or_reason,
    fit_frames,
    label_indices,
    open_store,
    track_log_mel,
)
from genre_training.data.track import DataError, Track
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import RATE, noise, tone, write_audio

CONFIG = AudioConfig()
MEETING: list[Barrier] = []
"""Where processes of a pool wait for each other."""

FINISHED = ["index.json", "log_mel.npy"]


@pytest.fixture
def tracks(tmp_path: Path) -> list[Track]:
    folder = tmp_path / "audio"
    folder.mkdir()
    files = [write_audio(folder / f"{i}.wav", noise(1 + i, seed=i)) for i in range(3)]
    return [Track(f"x/{path.stem}", path, "noise", "x", path.stem) for path in files]


@pytest.fixture
def many(tmp_path: Path) -> list[Track]:
    """Seven short clips, the second silent."""
    folder = tmp_path / "many"
    folder.mkdir()
    clips = {f"{i}": noise(0.3, seed=i) for i in range(5)}
    clips = {"first": tone(0.3), "silent": np.zeros(RATE // 4, np.float32), **clips}
    paths = [write_audio(folder / f"{name}.wav", samples) for name, samples in clips.items()]
    return [Track(f"x/{path.stem}", path, "noise", "x", path.stem) for path in paths]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def stores(cache: Path) -> list[Path]:
    """Every store that `open_store` would take for finished."""
    return sorted(path.parent for path in cache.glob("*/index.json"))


def files(cache: Path) -> list[str]:
    """Names of all files of all stores."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def same(store: FeatureStore, expected: FeatureStore) -> bool:
    """Whether two stores hold the same clips and the same rows."""
    return (
        store.tracks == expected.tracks
        and store.left_out == expected.left_out
        and np.array_equal(store.log_mel, expected.log_mel)
    )


def meet_at(barrier: Barrier) -> None:
    """Tell a process of a pool where to wait for the others."""
    MEETING.append(barrier)


def build_at_once(order: tuple[list[Track], Path]) -> tuple[list[str], dict[str, str], NDArray[np.float16]]:
    """Build a store at the same moment as the others, in many chunks, and return what is in it."""
    tracks, cache = order
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "CLIPS_PER_CHUNK", 1)
        patch.setattr(store_module, "available_cores", lambda: 1)
        MEETING[0].wait()
        store = open_store(tracks, CONFIG, cache)
    return [track.track_id for track in store.tracks], store.left_out, np.array(store.log_mel)


def be_killed(_chunk: tuple[Path, list[Track]]) -> int:
    """What the kernel does to a process when memory runs out."""
    os._exit(9)


def forbid_building(*_: Any) -> None:
    pytest.fail("the store was built again")


def test_rows_are_the_clips_repeated_to_thirty_seconds(tracks: list[Track], cache: Path) -> None:
    store = open_store(tracks, CONFIG, cache)
    assert store.log_mel.shape == (3, 128, 250)
    assert store.log_mel.dtype == np.float16
    assert store.tracks == tracks
    for row, track in zip(store.log_mel, tracks, strict=True):
        expected = fit_frames(track_log_mel(track, CONFIG), 250)
        np.testing.assert_allclose(row, expected, atol=0.04)  # half a step of float16 at 80
    assert not np.allclose(store.log_mel[0], store.log_mel[1], atol=1)


def test_second_opening_computes_nothing(tracks: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_store(tracks, CONFIG, cache)
    monkeypatch.setattr(store_module, "_build", forbid_building)
    again = open_store(tracks, CONFIG, cache)
    assert np.array_equal(first.log_mel, again.log_mel)
    assert again.tracks == tracks
    assert len(stores(cache)) == 1


def test_several_processes_keep_the_order_and_are_not_forked(
    tracks: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork of a process in which ONNX Runtime has threads was seen to hang for ever."""

    def forbid_forking() -> None:
        raise AssertionError("forked")

    alone = np.array(open_store(tracks, CONFIG, cache / "alone").log_mel)
    monkeypatch.setattr(store_module, "CLIPS_PER_CHUNK", 2)
    monkeypatch.setattr(store_module, "available_cores", lambda: 2)
    monkeypatch.setattr(os, "fork", forbid_forking)
    together = open_store(tracks, CONFIG, cache / "together")
    assert together.tracks == tracks
    assert np.array_equal(together.log_mel, alone)


@pytest.mark.parametrize("rate", [RATE, 44_100])
@pytest.mark.parametrize("seconds", [31, 95])
def test_of_a_long_track_the_excerpts_of_the_runtime_train(
    rate: int, seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_audio(tmp_path / "long.wav", noise(seconds, rate), rate)
    whole = decode(path, CONFIG.sample_rate)
    planned = plan_excerpts(seconds, 10, 3)
    assert planned[0][0] > 0
    parts = [whole[round(start * RATE) : round(start * RATE) + 10 * RATE] for start, _ in planned]
    decoded: list[int] = []
    count = DecodeBudget.spend

    def spend(budget: DecodeBudget, block: NDArray[Any], sample_rate: int) -> None:
        decoded.append(block.shape[0])
        count(budget, block, sample_rate)

    monkeypatch.setattr(DecodeBudget, "spend", spend)
    log_mel = track_log_mel(Track("x/long", path, "noise", "x", "long"), CONFIG)
    expected = log_mel_spectrogram(np.concatenate(parts), CONFIG)
    assert log_mel.shape == expected.shape
    assert np.median(np.abs(log_mel - expected)) < 1.5e-3  # an excerpt is resampled by itself: its ends differ
    assert sum(decoded) < 50 * rate


def test_each_excerpt_is_as_loud_as_at_run_time(tmp_path: Path) -> None:
    rate = FINE_AUDIO.sample_rate
    waveform = noise(30, rate) * np.repeat([1, 0.01, 0.1], 10 * rate).astype(np.float32)
    path = write_audio(tmp_path / "levels.wav", waveform, rate)
    log_mel = track_log_mel(Track("x/levels", path, "noise", "x", "levels"), FINE_AUDIO)
    for number, part in enumerate(np.split(waveform, 3)):
        expected = log_mel_spectrogram(part, FINE_AUDIO)
        n_frames = expected.shape[1]
        found = log_mel[:, n_frames * number : n_frames * (number + 1)]
        assert np.median(np.abs(found - expected)[:, 5:-5]) < 5e-3, number


@pytest.mark.parametrize("seconds", [1, 9, 16, 25, 29.5, 30])
def test_what_two_excerpts_of_a_short_track_share_trains_once(seconds: float, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "short.wav", noise(seconds))
    log_mel = track_log_mel(Track("x/short", path, "noise", "x", "short"), CONFIG)
    expected = log_mel_spectrogram(decode(path, CONFIG.sample_rate), CONFIG)
    assert np.array_equal(log_mel, expected)


def test_no_more_processes_than_windows_allows(
    tracks: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pool:
        def __init__(self, max_workers: int, _context: Any) -> None:
            asked.append(max_workers)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None: ...

        def map(self, work: Any, missing: Any) -> Any:
            return map(work, missing)

    asked: list[int] = []
    monkeypatch.setattr(store_module, "CLIPS_PER_CHUNK", 1)
    monkeypatch.setattr(store_module, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(store_module, "available_cores", lambda: 128)
    work = [(cache / f"{i}", [tracks[0]]) for i in range(100)]
    assert list(store_module._compute(work, lambda chunk: len(chunk[1]), None)) == [1] * 100
    assert asked == [61]


def test_killed_process_is_an_error_that_says_what_to_do(tracks: list[Track], cache: Path) -> None:
    work = [(cache / f"{i}", [track]) for i, track in enumerate(tracks)]
    with pytest.raises(LostWorkerError, match=r"one of 2 processes .* was killed.*--workers 1 needs half"):
        list(store_module._compute(work, be_killed, 2))


def test_as_many_processes_as_asked_for(tracks: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid_processes(*_: Any) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(store_module, "CLIPS_PER_CHUNK", 1)
    monkeypatch.setattr(store_module, "available_cores", lambda: 2)
    monkeypatch.setattr(store_module, "ProcessPoolExecutor", forbid_processes)
    assert open_store(tracks, CONFIG, cache, 1).tracks == tracks


def test_changed_file_makes_another_store(tracks: list[Track], cache: Path) -> None:
    before = np.array(open_store(tracks, CONFIG, cache).log_mel)
    status = tracks[1].path.stat()
    write_audio(tracks[1].path, tone(2))
    os.utime(tracks[1].path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    after = open_store(tracks, CONFIG, cache).log_mel
    assert len(stores(cache)) == 2
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    assert not np.array_equal(after[1], before[1])


@pytest.mark.parametrize("change", [{"n_mels": 64}, {"top_db": 60.0}, {"hop_length": 5292}])
def test_changed_front_end_makes_another_store(tracks: list[Track], cache: Path, change: dict[str, Any]) -> None:
    open_store(tracks, CONFIG, cache)
    config = AudioConfig(**change)
    log_mel = open_store(tracks, config, cache).log_mel
    assert len(stores(cache)) == 2
    assert log_mel.shape[1:] == (config.n_mels, round(30 / config.frame_seconds))
    assert log_mel.min() >= -config.top_db


def test_other_clips_make_another_store(tracks: list[Track], cache: Path) -> None:
    open_store(tracks, CONFIG, cache)
    assert len(open_store(tracks[:2], CONFIG, cache).tracks) == 2
    assert len(stores(cache)) == 2


def test_unusable_clips_are_left_out_with_a_reason(tracks: list[Track], cache: Path, tmp_path: Path) -> None:
    silent = write_audio(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    text, picture = tmp_path / "text.wav", tmp_path / "narrow.png"
    text.write_text("no audio")
    picture.write_bytes(b"no picture")
    bad = [Track(f"bad/{path.stem}", path, "noise", "bad", path.stem) for path in (silent, text, picture)]
    store = open_store([bad[0], tracks[0], bad[1], tracks[1], bad[2]], CONFIG, cache)
    assert store.tracks == tracks[:2]
    assert store.left_out.keys() == {"bad/silent", "bad/text", "bad/narrow"}
    assert store.left_out["bad/silent"] == "the clip is silent"
    assert "cannot identify image" in store.left_out["bad/narrow"]
    assert store.left_out["bad/text"]
    for row, track in zip(store.log_mel, store.tracks, strict=True):
        np.testing.assert_allclose(row, fit_frames(track_log_mel(track, CONFIG), 250), atol=0.04)


def test_nothing_usable_is_an_error(tmp_path: Path, cache: Path) -> None:
    path = write_audio(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    with pytest.raises(DataError, match="none of 1 clip could be read: the clip is silent"):
        open_store([Track("x/silent", path, "noise", "x", "x")], CONFIG, cache)
    assert stores(cache) == []


def test_failed_build_is_invisible_and_made_good(
    tracks: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(file: IO[bytes], **_: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full_disk)
        with pytest.raises(OSError, match="no space left"):
            open_store(tracks, CONFIG, cache)
    assert stores(cache) == []
    assert files(cache) == []
    assert open_store(tracks, CONFIG, cache).log_mel.shape[0] == 3


def test_interrupted_build_goes_on_where_it_stopped(
    many: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_store(many, CONFIG, cache / "at once")
    monkeypatch.setattr(store_module, "CLIPS_PER_CHUNK", 2)
    computed: list[str] = []

    def compute(track: Track, config: AudioConfig, n_frames: int) -> NDArray[np.float16] | str:
        computed.append(track.track_id)
        if len(computed) == 6:
            raise KeyboardInterrupt
        return _clip_or_reason(track, config, n_frames)

    monkeypatch.setattr(store_module, "available_cores", lambda: 1)
    monkeypatch.setattr(store_module, "_clip_or_reason", compute)
    with pytest.raises(KeyboardInterrupt):
        open_store(many, CONFIG, cache / "in two")
    assert stores(cache / "in two") == []
    assert files(cache / "in two") == ["chunk00000.npz", "chunk00001.npz"]
    store = open_store(many, CONFIG, cache / "in two")
    names = [track.track_id for track in many]
    assert computed == names[:6] + names[4:]  # of a chunk that was not finished, every clip is computed again
    assert same(store, expected)
    assert files(cache / "in two") == FINISHED


def test_half_written_files_are_ignored(many: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = open_store(many, CONFIG, cache / "undisturbed")
    monkeypatch.setattr(store_module, "CLIPS_PER_CHUNK", 4)
    monkeypatch.setattr(store_module, "available_cores", lambda: 1)
    folder = cache / "disturbed" / stores(cache / "undisturbed")[0].name
    folder.mkdir(parents=True)
    half = [f"{name}.1.tmp" for name in ("chunk00000.npz", *FINISHED)]
    for name in half:
        (folder / name).write_bytes(b"half")
    assert same(open_store(many, CONFIG, cache / "disturbed"), expected)
    assert files(cache / "disturbed") == sorted([*half, *FINISHED])


@pytest.mark.parametrize("when", [0, 3, 6])
def test_store_that_another_process_finishes_first_is_taken(
    many: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """It removes the chunks that were still to be joined here."""
    monkeypatch.setattr(store_module, "CLIPS_PER_CHUNK", 2)
    monkeypatch.setattr(store_module, "available_cores", lambda: 1)
    others: list[FeatureStore] = []

    def compute(track: Track, config: AudioConfig, n_frames: int) -> NDArray[np.float16] | str:
        if track == many[when] and not others:
            monkeypatch.setattr(store_module, "_clip_or_reason", _clip_or_reason)
            others.append(open_store(many, CONFIG, cache))
        return _clip_or_reason(track, config, n_frames)

    monkeypatch.setattr(store_module, "_clip_or_reason", compute)
    store = open_store(many, CONFIG, cache)
    assert same(store, others[0])
    assert store.left_out == {"x/silent": "the clip is silent"}
    assert files(cache) == FINISHED


def test_chunk_that_disappears_otherwise_is_an_error(
    tracks: list[Track], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(chunk: tuple[Path, list[Track]], **_: Any) -> int:
        return len(chunk[1])

    monkeypatch.setattr(store_module, "_write_chunk", lose)
    with pytest.raises(FileNotFoundError, match="chunk00000"):
        open_store(tracks, CONFIG, cache)


def test_two_processes_that_build_at_once_both_get_it(many: list[Track], cache: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(2, meet_at, (spawn.Barrier(2, timeout=PATIENCE_SECONDS),)) as pool:
        first, second = pool.map(build_at_once, [(many, cache)] * 2, chunksize=1)
    expected = open_store(many, CONFIG, cache / "alone")
    for kept, left_out, log_mel in (first, second):
        assert kept == [track.track_id for track in expected.tracks]
        assert left_out == expected.left_out
        assert np.array_equal(log_mel, expected.log_mel)
    assert files(next(cache.glob("*/index.json")).parent) == FINISHED


def test_names_need_not_be_utf8(tracks: list[Track], cache: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    try:
        path.write_bytes(tracks[0].path.read_bytes())
    except OSError:
        pytest.skip("file names are UTF-8 here")
    clip = Track(f"x/{path.stem}", path, "noise", "x", path.stem)
    for _ in range(2):
        store = open_store([tracks[0], clip], CONFIG, cache)
        assert store.tracks == [tracks[0], clip]
    assert len(stores(cache)) == 1


def test_fit_frames_cuts_and_repeats() -> None:
    clip = np.arange(3, dtype=np.float32)[None]
    assert fit_frames(clip, 2).tolist() == [[0, 1]]
    assert fit_frames(clip, 7).tolist() == [[0, 1, 2, 0, 1, 2, 0]]


def test_labels_become_numbers(tracks: list[Track]) -> None:
    assert label_indices(tracks, ("a", "noise")).tolist() == [1, 1, 1]
    with pytest.raises(DataError, match=r"\['noise'\]"):
        label_indices(tracks, ("a", "b"))
