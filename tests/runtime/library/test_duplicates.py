"""`genre similar --duplicates` finds the same recording in other codecs, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from genre_runtime import FINE_AUDIO, GenreClassifier, GenreError, log_mel_spectrogram
from genre_runtime.library.duplicates import (
    LEAST_CORRELATION,
    Track,
    best_copy,
    correlation,
    find_duplicates,
    same_length,
)
from genre_runtime.prediction import Prediction
from tests.runtime.conftest import Genre
from tests.runtime.library.report.html_page import Page
from tests.runtime.library.results_files import predict

RATE = 32_000


def melody(seed: int, seconds: float = 12) -> NDArray[np.float32]:
    """Return notes of random pitch and loudness, with some noise."""
    random = np.random.default_rng(seed)
    n_note = RATE // 5
    time = np.arange(n_note) / RATE
    fade = np.exp(-time * 12)
    notes = [
        random.uniform(0.1, 0.5) * fade * np.sin(2 * np.pi * random.uniform(100, 5_000) * time)
        for _ in range(round(seconds * 5))
    ]
    samples = np.concatenate(notes)
    return (samples + random.normal(0, 1e-3, samples.size)).astype(np.float32)


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return log_mel_spectrogram(samples, FINE_AUDIO)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.9, -1.9])
def test_a_shifted_copy_correlates(seconds: float) -> None:
    whole, shift = melody(1, 16), round(seconds * RATE)
    first, second = whole[3 * RATE : 13 * RATE], whole[3 * RATE + shift : 13 * RATE + shift]
    assert correlation(log_mel(first), log_mel(0.3 * second)) > 0.9
    assert correlation(log_mel(second), log_mel(first)) > 0.9


def test_other_music_does_not_correlate() -> None:
    assert correlation(log_mel(melody(1, 10)), log_mel(melody(2, 10))) < LEAST_CORRELATION / 2
    assert correlation(log_mel(melody(1, 10)), log_mel(np.zeros(10 * RATE, np.float32))) == 0
    whole = melody(1, 16)
    assert correlation(log_mel(whole[: 10 * RATE]), log_mel(whole[5 * RATE : 15 * RATE])) < LEAST_CORRELATION


def test_short_clips_can_be_compared() -> None:
    samples = melody(1, 1)
    assert correlation(log_mel(samples), log_mel(samples)) == pytest.approx(1)
    assert correlation(log_mel(samples[:400]), log_mel(samples)) <= 1


@pytest.mark.parametrize(
    ("seconds", "other", "expected"),
    [(30, 31.9, True), (30, 32.1, False), (400, 407, True), (400, 409, False), (0.1, 1.0, True)],
)
def test_durations_agree_within_two_seconds_or_two_per_cent(seconds: float, other: float, expected: bool) -> None:
    assert same_length(seconds, other) is same_length(other, seconds) is expected


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A folder with a song in three formats and a copy of one, another song in two formats, and a third one."""
    folder = tmp_path / "music"
    folder.mkdir()
    soundfile.write(folder / "one.flac", melody(1), RATE)
    soundfile.write(folder / "one.mp3", melody(1), RATE, format="MP3")
    soundfile.write(folder / "one.ogg", melody(1), RATE, format="OGG", subtype="VORBIS")
    shutil.copyfile(folder / "one.mp3", folder / "same.mp3")
    soundfile.write(folder / "two.flac", melody(2), RATE)
    soundfile.write(folder / "two.mp3", melody(2), RATE, format="MP3")
    soundfile.write(folder / "three.flac", melody(3), RATE)
    return folder


EXPECTED = [{"one.flac", "one.mp3", "one.ogg", "same.mp3"}, {"two.flac", "two.mp3"}]


def test_copies_are_groups(genre: Genre, copies: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in copies.iterdir()}
    command = ["similar", "--duplicates", "--in", copies, "--state", tmp_path / "state"]
    status, out, err = genre(*command, "--format", "jsonl")
    assert status == 0
    assert "6 of 7 files in 2 groups" in err
    rows = [json.loads(line) for line in out.splitlines()]
    groups = [{Path(row["path"]).name for row in rows if row["group"] == number} for number in (1, 2)]
    assert groups == EXPECTED
    for row in rows:
        assert row["similarity"] > 0.9
        assert LEAST_CORRELATION <= row["confirmed"] <= 1.0001
        assert row["size_bytes"] == Path(row["path"]).stat().st_size
        assert row["duration_seconds"] == pytest.approx(12, abs=0.2)
    status, out, _ = genre(*command)
    assert status == 0
    assert [len(group.splitlines()) for group in out.split("\n\n")] == [4, 2]
    assert {path: path.read_bytes() for path in copies.iterdir()} == before


def test_playlists_and_reports_know_copies(genre: Genre, copies: Path, tmp_path: Path) -> None:
    results, read = tmp_path / "all.jsonl", ["--state", tmp_path / "state"]
    # Another number of excerpts is no hindrance.
    genre("classify", copies, *read, "--excerpts", 2, "--format", "jsonl", "--output", results)
    playlist = ["playlist", results, "--output", tmp_path / "lists", "--unsure", "--name", "all"]
    status, out, err = genre(*playlist, *read)
    assert (status, out) == (0, f"{tmp_path / 'lists' / 'all.m3u8'}: 3 files\n")
    assert err == "left out: 4 duplicate\n"
    lines = (tmp_path / "lists" / "all.m3u8").read_text(encoding="utf-8").splitlines()
    assert [Path(line).name for line in lines if line[0] != "#"] == ["one.flac", "three.flac", "two.flac"]
    assert genre(*playlist, *read, "--keep-duplicates")[1].endswith("7 files\n")
    page = tmp_path / "page.html"
    assert genre("report", results, *read, "--output", page) == (0, f"{page}\n", "")
    rows = Page(page.read_text(encoding="utf-8")).table("Copies")
    assert [(row[0], row[4]) for row in rows if row[4] == "best copy"] == [
        ("one.flac", "best copy"),
        ("two.flac", "best copy"),
    ]
    assert {row[0] for row in rows} == set().union(*EXPECTED)
    assert [row[4] for row in rows if row[0] == "same.mp3"] == ["the same bytes as another copy"]
    (copies / "two.mp3").unlink()
    status, _, err = genre(*playlist, *read)
    assert status == 0
    assert "1 file was not compared: it is not there any more, or cannot be decoded" in err


def test_a_state_file_of_other_files(genre: Genre, copies: Path, music: Path, tmp_path: Path) -> None:
    genre("classify", music / "tone.wav", "--state", tmp_path / "state")
    genre("classify", copies, "--format", "jsonl", "--output", tmp_path / "all.jsonl")
    words = ["playlist", tmp_path / "all.jsonl", "--output", tmp_path / "lists", "--unsure"]
    _, _, err = genre(*words, "--state", tmp_path / "state")
    assert "8 files were not compared: the state file" in err
    assert "left out: 1 duplicate" in err
    status, _, err = genre(*words, "--state", tmp_path / "none")
    assert status == 1
    assert "no state file at" in err


def test_the_best_copy_is_whole_lossless_and_large(tmp_path: Path) -> None:
    def copy(name: str, n_bytes: int, announced: float | None = None) -> Prediction:
        (tmp_path / name).write_bytes(bytes(n_bytes))
        return replace(predict(str(tmp_path / name), {"rock": 1.0}), announced_seconds=announced)

    flac, mp3, small, cut = copy("a.flac", 50), copy("b.mp3", 90), copy("c.mp3", 10), copy("d.flac", 99, 60.0)
    gone = predict("/nowhere/e.flac", {"rock": 1.0})
    assert best_copy([small, cut, gone, mp3, flac]) is flac
    assert best_copy([small, cut, gone, mp3]) is mp3
    assert best_copy([cut, gone, small]) is small
    assert best_copy([gone, cut]) is gone
    equal = copy("f.mp3", 10)
    assert best_copy([equal, small]) is equal


def test_no_duplicates_is_no_error(genre: Genre, music: Path) -> None:
    (music / "broken.mp3").write_text("no music")
    status, out, err = genre("similar", "--duplicates", "--in", music)
    assert (status, out) == (1, "")
    assert "broken.mp3" in err
    (music / "broken.mp3").unlink()
    status, out, err = genre("similar", "--duplicates", "--in", music)
    assert (status, out) == (0, "")
    assert "0 groups" in err


def test_silence_has_only_equal_duplicates(genre: Genre, tmp_path: Path) -> None:
    for name, seconds in (("a.wav", 5.0), ("b.wav", 5.1), ("c.wav", 5.0)):
        soundfile.write(tmp_path / name, np.zeros(round(RATE * seconds)), RATE)
    _, out, err = genre("similar", "--duplicates", "--in", tmp_path, "--format", "jsonl")
    assert [Path(json.loads(line)["path"]).name for line in out.splitlines()] == ["a.wav", "c.wav"], err


def test_track_or_duplicates(genre: Genre, music: Path) -> None:
    status, _, err = genre("similar", music / "tone.wav", "--duplicates", "--in", music)
    assert status == 2
    assert "leave TRACK out" in err
    status, _, err = genre("similar", "--in", music)
    assert status == 2
    assert "--duplicates" in err
    status, _, err = genre("similar", "--duplicates", "--in", music / "sub" / ".hidden" / "none")
    assert status == 1
    assert "check the path" in err


def tracks(paths: Sequence[Path], angles: Sequence[float]) -> list[Track]:
    return [
        Track(path, 12.0, np.array([np.cos(angle), np.sin(angle)], np.float32))
        for path, angle in zip(paths, angles, strict=True)
    ]


@pytest.fixture
def decoded(copies: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that finds duplicates and returns the names of the files that were decoded for it."""
    classifier = GenreClassifier.load(model_path, device="cpu")
    opened: list[str] = []
    open_stream = GenreClassifier.open_stream

    def counted(self: GenreClassifier, source: Path, **rest: object) -> object:
        opened.append(source.name)
        return open_stream(self, source, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(GenreClassifier, "open_stream", counted)

    def find(names: Sequence[str], angles: Sequence[float], **rest: object) -> list[str]:
        opened.clear()
        files = tracks([copies / name for name in names], angles)
        find_duplicates(files, classifier, jobs=1, **rest)  # type: ignore[arg-type]
        return sorted(opened)

    return find


def test_only_candidates_are_decoded_and_each_once(decoded: Callable[..., list[str]]) -> None:
    assert decoded(["one.flac", "two.flac", "three.flac"], [0.0, 0.8, 1.6]) == []
    assert decoded(["one.flac", "one.mp3", "three.flac"], [0.0, 0.1, 1.6]) == ["one.flac", "one.mp3"]
    names = ["one.flac", "one.mp3", "one.ogg", "same.mp3"]
    assert decoded(names, [0.0, 0.0, 0.0, 0.0]) == names


def test_equal_files_need_no_second_look(copies: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tracks([copies / "one.mp3", copies / "same.mp3"], [0.0, 0.0])
    second = Track(second.path, second.duration_seconds, second.embedding, first.path)
    monkeypatch.delattr(GenreClassifier, "open_stream")
    (group,) = find_duplicates([first, second], GenreClassifier.load(model_path, device="cpu"))
    assert [one.track for one in group] == [first, second]
    assert [one.correlation for one in group] == [1.0, 1.0]


def test_a_file_that_went_away_is_named(copies: Path, model_path: Path) -> None:
    files = tracks([copies / "gone.mp3", copies / "one.mp3", copies / "one.flac"], [0.0, 0.0, 0.0])
    failed: list[tuple[str, GenreError]] = []
    groups = find_duplicates(
        files,
        GenreClassifier.load(model_path, device="cpu"),
        failed=lambda path, error: failed.append((path.name, error)),
    )
    assert [[one.track.path.name for one in group] for group in groups] == [["one.mp3", "one.flac"]]
    assert {name for name, _ in failed} == {"gone.mp3"}
