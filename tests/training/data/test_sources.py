"""What holds for every kind of data folder, whoever reads it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from genre_runtime.model.metadata import AudioConfig
from genre_training.data.features import open_store
from genre_training.data.folders import read_tracks
from genre_training.data.splits import split_tracks
from genre_training.data.track import PARTS, Track, label_names
from tests.synthetic import write_audio
from tests.training.miniature import GENRES, compose, write_index
from tests.training.miniature_fma import Row, clip_name, mp3, write_metadata

CLIPS = 16
"""A genre; fewer could not be divided by eight after a fifth has gone."""


@dataclass(frozen=True)
class Data:
    """A data folder: what to give `read_tracks`, what that returned and which clips cannot be used."""

    place: Path
    tracks: list[Track]
    truncated: Track
    silent: Track


def fma_download(folder: Path, _: Path) -> Path:
    splits = ("training",) * 6 + ("validation", "test")
    genres = ("Rock", "Old-Time / Historic", "Folk")
    rows = [Row(10 * i + 2, genre, splits[i % 8], artist=i) for i, genre in enumerate(np.repeat(genres, 8).tolist())]
    for row in rows:
        path = write_metadata(folder, rows) / "fma_small" / clip_name(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mp3(frequency=200.0 + row.number))
    return folder


def pictures_and_audio(folder: Path, miniature: Path) -> Path:
    return shutil.copytree(miniature, folder, dirs_exist_ok=True)


def genre_folders(folder: Path, _: Path) -> Path:
    for genre in GENRES:
        for i in range(CLIPS):
            path = folder / genre.title() / (f"{i}.wav" if i % 2 else f"{genre} {i // 2}/song.flac")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, compose(genre, i, 0.3))
    return folder


def manifest(folder: Path, _: Path) -> Path:
    names = [f"{genre}/{i}.wav" for genre in GENRES for i in range(CLIPS)]
    rows = []
    for i, name in enumerate(names):
        genre = name.split("/")[0]
        (folder / genre).mkdir(exist_ok=True)
        write_audio(folder / name, compose(genre, i, 0.3))
        rows.append((name, genre.upper(), f"artist {i}" if i % 3 else "", "test" if i % CLIPS == 0 else ""))
    write_index(folder / "my music.csv", ("path", "label", "group", "split"), rows)
    return folder / "my music.csv"


LOADERS: tuple[Callable[[Path, Path], Path], ...] = (fma_download, pictures_and_audio, genre_folders, manifest)


@pytest.fixture(scope="module", params=LOADERS, ids=lambda write: write.__name__)
def data(request: pytest.FixtureRequest, miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """One data folder of each kind, with a truncated clip and a silent one."""
    place = request.param(tmp_path_factory.mktemp("data"), miniature)
    tracks = read_tracks(place)
    truncated, silent = tracks[0], tracks[-1]
    truncated.path.write_bytes(truncated.path.read_bytes()[:40])
    write_audio(silent.path, np.zeros(8192, np.float32))
    return Data(place, tracks, truncated, silent)


def test_every_track_is_whole(data: Data) -> None:
    ids = [track.track_id for track in data.tracks]
    assert len(ids) == len(set(ids)) >= 24
    for track in data.tracks:
        assert track.path.is_file()
        assert track.label
        assert track.label == track.label.lower()
        assert track.source
        assert track.track_id.startswith(f"{track.source}/")
        assert track.group
        assert track.part is None or track.part in PARTS
    assert len(label_names(data.tracks)) == 3


def test_order_is_the_same_again(data: Data) -> None:
    assert read_tracks(data.place) == data.tracks


@pytest.mark.parametrize("fold", [0, 4])
def test_split_keeps_groups_whole_and_parts_their_clips(data: Data, fold: int) -> None:
    split = split_tracks(data.tracks, "grouped", seed=0, fold=fold)
    positions = {part: getattr(split, part).tolist() for part in PARTS}
    assert sorted(i for members in positions.values() for i in members) == list(range(len(data.tracks)))
    groups = [{data.tracks[i].group for i in members} for members in positions.values()]
    assert all(groups)
    assert not any(first & second for first, second in combinations(groups, 2))
    assert {i for i, track in enumerate(data.tracks) if track.part == "test"} <= set(positions["test"])


def test_store_holds_every_clip_but_the_unusable_ones(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "genre_training.data.features.available_cores", lambda: 1
    )  # to start a process would take longer than these clips
    store = open_store(data.tracks, AudioConfig(), tmp_path)
    assert store.left_out.keys() == {data.truncated.track_id, data.silent.track_id}
    assert all(store.left_out.values())
    assert store.left_out[data.silent.track_id] == "the clip is silent"
    assert store.tracks == [track for track in data.tracks if track not in (data.truncated, data.silent)]
    assert store.log_mel.shape[0] == len(store.tracks)
    assert np.isfinite(store.log_mel).all()
