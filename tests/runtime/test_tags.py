"""Tags, answer sets, and what is not music."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from genre_runtime import GenreClassifier, Prediction, Tag, log_mel_spectrogram
from genre_runtime.audio.excerpts import TrackLength
from genre_runtime.classifier import summarise
from genre_runtime.cli import main
from genre_runtime.errors import InvalidModelError
from genre_runtime.library.analysis import Library, plan_of
from genre_runtime.library.cache import LibraryState
from genre_runtime.library.results.write import TableWriter
from genre_runtime.library.similarity import KnownTracks
from genre_runtime.model.head import GenreHead
from genre_runtime.model.metadata import (
    FINE_AUDIO_METADATA_KEY,
    TAGS_METADATA_KEY,
    AudioConfig,
    ModelMetadata,
    read_metadata,
)
from genre_runtime.prediction import ExcerptPrediction, FileResult
from tests.synthetic import RATE, TAGS, noise, sign, tone, write_audio, write_model

QUIET = np.float32(0.1)
"""A tone of this share is speech to the tiny model."""


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    """A tiny model of two branches with tags."""
    folder = tmp_path / "model"
    folder.mkdir()
    return write_model(folder, tags=TAGS)


@pytest.fixture
def classifier(model_path: Path) -> GenreClassifier:
    return GenreClassifier.load(model_path, device="cpu", threads=1)


def assert_same_lists(a: Prediction, b: Prediction) -> None:
    for name in ("styles", "moods", "instruments", "voice", "genre_set", "music"):
        assert getattr(a, name) == getattr(b, name), name
    assert list(a.tags) == list(b.tags)
    assert a.tags == pytest.approx(b.tags, abs=1e-6)


def test_tags_that_reach_their_threshold_are_named(classifier: GenreClassifier) -> None:
    """The tiny model's logits are weight * a + bias for a mean level a, here 2 / pi."""
    prediction = classifier.classify(2 * tone(2), RATE)
    assert prediction.music == "music"
    assert prediction.is_music
    level = 2 / np.pi
    logits = {
        "music": 20 * level - 2,
        "house": 10 * level - 1,
        "happy": 10 * level - 2,
        "female singing": 10 * level - 4,
    }
    assert list(prediction.tags) == list(logits)
    assert prediction.tags == pytest.approx({name: 1 / (1 + np.exp(-x)) for name, x in logits.items()}, abs=1e-3)
    assert (prediction.styles, prediction.moods) == (("house",), ("happy",))
    assert (prediction.instruments, prediction.voice) == ((), ("female singing",))
    assert prediction.label == "tone", "a style does not change the genre"
    assert prediction.excerpts[0].tags is not None
    assert prediction.excerpts[0].tags.shape == (len(TAGS),)


def test_speech_has_no_confident_genre(classifier: GenreClassifier) -> None:
    prediction = classifier.classify(QUIET * tone(2), RATE)
    assert (prediction.music, prediction.is_music, prediction.is_silent) == ("speech", False, False)
    assert (prediction.confident, prediction.reason) == (False, "speech, not music")
    assert prediction.genre_set == ()
    assert list(prediction.tags) == ["speech"]
    assert prediction.confidence == max(prediction.probabilities.values()), "the genres stay what the graph says"


@pytest.mark.parametrize("tags", [TAGS, ()])
def test_silence_is_known_from_its_level(tmp_path: Path, tags: tuple[Tag, ...]) -> None:
    classifier = GenreClassifier.load(write_model(tmp_path, tags=tags), device="cpu")
    prediction = classifier.classify(np.zeros(RATE, np.float32), RATE)
    assert (prediction.music, prediction.reason) == ("silence", "the track is silent")
    assert (prediction.tags, prediction.genre_set, prediction.is_music) == ({}, (), False)


def test_silent_excerpts_have_no_part_in_the_tags(classifier: GenreClassifier) -> None:
    alone = classifier.classify(tone(10), RATE)
    half = classifier.classify(np.concatenate([tone(10), np.zeros(10 * RATE, np.float32)]), RATE, excerpts=2)
    assert [excerpt.silent for excerpt in half.excerpts] == [False, True]
    assert_same_lists(alone, half)


def test_a_spectrogram_is_answered_by_the_picture_branch(classifier: GenreClassifier) -> None:
    prediction = classifier.classify_log_mel(log_mel_spectrogram(noise(10), AudioConfig()))
    assert (prediction.tags, prediction.styles, prediction.music, prediction.embedding) == ({}, (), None, None)
    assert prediction.genre_set
    assert prediction.is_music
    assert classifier.classify(tone(1), RATE).embedding is not None


def test_logits_of_any_size_are_probabilities(classifier: GenreClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    run = classifier._model.run
    monkeypatch.setattr(classifier._model, "run", lambda waveforms: 1e4 * run(waveforms))
    tags = classifier.classify(tone(1), RATE).excerpts[0].tags
    assert tags is not None
    assert set(tags.tolist()) == {0.0, 1.0}


def of_sound(tags: tuple[Tag, ...], *rows: tuple[float, ...]) -> Prediction:
    metadata = ModelMetadata(("a", "b"), AudioConfig(), {}, tags=tags)
    excerpts = [ExcerptPrediction(0, 10, {"a": 0.9, "b": 0.1}, tags=np.array(row, np.float32)) for row in rows]
    return summarise(excerpts, metadata=metadata, length=TrackLength(10.0), device="cpu", path=None)


SOUNDS = (
    Tag("music", "music", 0.6),
    Tag("speech", "speech", 0.5),
    Tag("rain", "noise", 0.5),
    Tag("engine", "noise", 0.5),
    Tag("beep", "tone", 0.5),
)


@pytest.mark.parametrize(
    ("row", "music", "reason"),
    [
        ((0.7, 0.9, 0.9, 0.9, 0.9), "music", None),
        ((0.1, 0.05, 0.05, 0.05, 0.05), "music", None),
        ((0.3, 0.3, 0.1, 0.1, 0.1), "music", None),
        ((0.5, 0.6, 0.1, 0.2, 0.1), "speech", "speech, not music"),
        ((0.1, 0.1, 0.2, 0.3, 0.1), "noise", "noise, not music"),
        ((0.1, 0.2, 0.2, 0.2, 0.3), "tone", "a tone, not music"),
    ],
)
def test_what_is_more_probable_than_music_is_not_music(row: tuple[float, ...], music: str, reason: str | None) -> None:
    prediction = of_sound(SOUNDS, row)
    assert (prediction.music, prediction.reason) == (music, reason)
    assert prediction.confident == (music == "music")
    assert prediction.genre_set == (("a", "b") if music == "music" else ())
    assert prediction.label == "a"


def test_the_mean_over_excerpts_decides() -> None:
    prediction = of_sound(SOUNDS, (0.2, 0.9, 0, 0, 0), (0.4, 0.3, 0, 0, 0))
    assert prediction.music == "speech"
    assert prediction.tags == pytest.approx({"speech": 0.6})


def test_tags_without_music_say_nothing_of_it() -> None:
    styles = (Tag("house", "style", 0.5), Tag("techno", "style", 0.5), Tag("trance", "style", 0.8))
    prediction = of_sound(styles, (0.6, 0.9, 0.7))
    assert (prediction.styles, prediction.music) == (("techno", "house"), None)
    assert of_sound((Tag("music", "music", 0.9),), (0.1,)).music == "music", "nothing else is known"


@pytest.mark.parametrize(
    ("threshold", "values", "size"),
    [
        (0.1, (0.95, 0.03, 0.02), 1),
        (0.1, (0.6, 0.3, 0.09), 2),
        (0.1, (0.5, 0.3, 0.2), 3),
        (0.9, (0.4, 0.3, 0.3), 1),
        (0.3, (0.4, 0.3, 0.3), 3),
    ],
)
def test_the_answer_set_has_the_genres_above_its_threshold(
    threshold: float, values: tuple[float, ...], size: int
) -> None:
    labels = ("c", "a", "b")
    metadata = ModelMetadata(labels, AudioConfig(), {}, genre_set_threshold=threshold)
    excerpt = ExcerptPrediction(0, 10, dict(zip(labels, values, strict=True)))
    prediction = summarise([excerpt], metadata=metadata, length=TrackLength(10.0), device="cpu", path=None)
    assert prediction.genre_set == labels[:size]


def test_results_are_written_and_read(classifier: GenreClassifier) -> None:
    prediction = classifier.classify(2 * tone(2), RATE)
    values = json.loads(json.dumps(prediction.to_dict()))
    assert values["styles"] == ["house"]
    assert values["tags"]["house"] == round(prediction.tags["house"], 6)
    assert_same_lists(Prediction.from_dict(values), prediction)
    brief = prediction.brief()
    assert (brief.styles, brief.genre_set, brief.music) == (prediction.styles, prediction.genre_set, "music")
    assert (brief.tags, brief.is_silent, brief.is_music) == ({}, False, True)
    for name in ("tags", "styles", "moods", "instruments", "voice", "genre_set", "music"):
        del values[name]
    old = Prediction.from_dict(values)
    assert (old.tags, old.styles, old.genre_set, old.music, old.label) == ({}, (), (), None, "tone")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("music", "song"),
        ("music", []),
        ("styles", "house"),
        ("voice", [1]),
        ("genre_set", None),
        ("tags", ["house"]),
        ("tags", {"house": 2}),
        ("tags", {"house": "0.5"}),
    ],
)
def test_values_that_no_result_has_are_refused(classifier: GenreClassifier, name: str, value: Any) -> None:
    values = classifier.classify(tone(1), RATE).to_dict()
    with pytest.raises((ValueError, TypeError), match=r"music|styles|voice|genre_set|tags|house"):
        Prediction.from_dict({**values, name: value})


def _edit(model_path: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    graph = onnx.load(model_path)
    change(graph)
    onnx.save(graph, model_path)
    sign(model_path)


def _without_tags(graph: onnx.ModelProto) -> None:
    del graph.graph.output[2]


def _with_fewer_tags(graph: onnx.ModelProto) -> None:
    for constant in graph.graph.initializer:
        if constant.name.startswith("tag_"):
            shape = [1, 7] if constant.name == "tag_weights" else [7]
            values = onnx.numpy_helper.to_array(constant).reshape(-1)[:7]
            constant.CopyFrom(onnx.numpy_helper.from_array(values.reshape(shape), constant.name))
    graph.graph.output[2].type.tensor_type.shape.dim[1].dim_value = 7


def _without(key: str) -> Callable[[onnx.ModelProto], None]:
    def change(graph: onnx.ModelProto) -> None:
        kept = [entry for entry in graph.metadata_props if entry.key != key]
        del graph.metadata_props[:]
        graph.metadata_props.extend(kept)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_tags, "has the outputs logits, embedding: expected tags among them"),
        (_with_fewer_tags, "has 7 tags but the sidecar names 8"),
        (_without(TAGS_METADATA_KEY), r"has no metadata genre\.tags"),
        (_without(FINE_AUDIO_METADATA_KEY), r"has no metadata genre\.fine_audio"),
    ],
)
def test_a_graph_with_other_tags_is_refused(
    model_path: Path, change: Callable[[onnx.ModelProto], None], words: str
) -> None:
    _edit(model_path, change)
    with pytest.raises(InvalidModelError, match=words):
        GenreClassifier.load(model_path, device="cpu")


def test_tags_in_another_order_are_refused(model_path: Path) -> None:
    metadata = read_metadata(model_path)
    model_path.with_suffix(".json").write_text(replace(metadata, tags=TAGS[::-1]).to_json())
    with pytest.raises(InvalidModelError, match=r"disagree on genre\.tags"):
        GenreClassifier.load(model_path, device="cpu")


def test_a_stored_answer_keeps_its_tags_until_the_model_changes(
    model_path: Path, classifier: GenreClassifier, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / "tone.wav", 1.9 * tone(2))

    def answer(classifier: GenreClassifier) -> tuple[bool, Prediction]:
        state = LibraryState(tmp_path / "state", plan_of(classifier, None))
        (result,) = Library(classifier, state=state).classify([path])
        state.close()
        assert result.prediction is not None
        return result.known, result.prediction

    is_known, first = answer(classifier)
    is_known_again, again = answer(classifier)
    assert (is_known, is_known_again) == (False, True)
    assert first.voice == ("female singing",)
    assert_same_lists(first, again)
    metadata = read_metadata(model_path)
    strict = tuple(replace(tag, threshold=1.0) for tag in TAGS)
    for changes in ({"tags": strict}, {"genre_set_threshold": 0.5}):
        model_path.with_suffix(".json").write_text(replace(metadata, **changes).to_json())
        is_known, other = answer(GenreClassifier.load(model_path, device="cpu"))
        assert not is_known
    assert other.tags
    _edit(model_path, lambda graph: graph.metadata_props.add(key="another", value="model"))
    assert not answer(GenreClassifier.load(model_path, device="cpu"))[0]


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir()
    write_audio(folder / "a_song.wav", 1.9 * tone(2))
    write_audio(folder / "b_speech.wav", QUIET * tone(2))
    write_audio(folder / "c_silence.wav", 0 * tone(2))
    write_audio(folder / "d_unsure.wav", 0.4 * tone(2))
    return folder


def test_the_table_names_tags_sets_and_sounds(
    model_path: Path, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", str(sounds), "--model", str(model_path), "--min-confidence", "90%"]) == 0
    out, err = capsys.readouterr()
    heading, *rows = out.splitlines()
    assert heading.split() == ["genre", "sure", "otherwise", "also", "file"]
    edges = (0, 14, 18, 22, 59, 93)
    cells = [[row[i:j].strip() for i, j in pairwise(edges)] for row in rows]
    assert [cell[0] for cell in cells] == ["tone", "speech", "silence", "tone"]
    assert [cell[1] == "" for cell in cells] == [False, True, True, False]
    assert [cell[2] for cell in cells] == ["", "?", "?", "?"]
    assert [cell[3] for cell in cells[1:]] == ["speech, not music", "the track is silent", "tone or noise"]
    assert cells[0][4] == "house, happy, female singing"
    assert [row[93:] for row in rows] == [str(path) for path in sorted(sounds.iterdir())]
    assert err.startswith("? 1 file below the confidence threshold of 90%, 1 silent file, 1 file without music\n")


def test_tags_are_cut_to_the_width_of_the_table(classifier: GenreClassifier) -> None:
    prediction = classifier.classify(2 * tone(2), RATE)
    styles = ("tone", "psychedelic rock", "Middle Eastern music", "techno")
    stream = io.StringIO()
    writer = TableWriter(stream)
    unsure = replace(prediction, styles=styles, genre_set=("a" * 40, "b"), confident=False)
    writer.write(FileResult(Path("song"), unsure))
    (_, row) = stream.getvalue().splitlines()
    assert row[59:].split("  ")[0] == "psychedelic rock, happy"
    assert row[93:] == "song"
    assert "noise" in row[22:59], "a set that does not fit is left out"


def test_csv_joins_lists(model_path: Path, sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(sounds), "--model", str(model_path), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["music"] for row in rows] == ["music", "speech", "silence", "music"]
    assert (rows[0]["styles"], rows[0]["moods"], rows[0]["voice"]) == ("house", "happy", "female singing")
    assert (rows[0]["instruments"], rows[1]["genre_set"]) == ("", "")
    assert rows[3]["genre_set"] == "tone; noise"


def test_info_counts_tags(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(model_path), "--device", "cpu"]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert facts["tags"] == "1 music, 1 style, 1 mood, 1 instrument, 1 voice, 1 speech, 1 noise, 1 tone"
    assert "5.0%" in facts["answer"]
    assert main(["info", "--model", str(model_path), "--format", "json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["tags"][1] == {"name": "house", "kind": "style", "threshold": 0.5, "genre": "electronic"}
    assert (values["genre_set_threshold"], values["fine_audio"]["hop_length"]) == (0.05, 320)


def head_on_tags(model_path: Path) -> GenreHead:
    """A head whose answer is that of a style and of an instrument."""
    return GenreHead(
        labels=("Shuffled", "Played"),
        weights=np.zeros((2, 1), np.float32),
        bias=np.zeros(2, np.float32),
        known_as=(TAGS[1].name, TAGS[4].name),
        model_sha256=read_metadata(model_path).graphs["waveform"].sha256,
    )


def test_known_files_get_the_same_answer_by_a_head_that_builds_on_tags(model_path: Path, tmp_path: Path) -> None:
    path, silent = write_audio(tmp_path / "a.wav", tone(3)), write_audio(tmp_path / "silent.wav", 0 * tone(3))
    plain = GenreClassifier.load(model_path, device="cpu")
    own = GenreClassifier.load(model_path, device="cpu", head=head_on_tags(model_path))
    with closing(LibraryState(tmp_path / "state", plan_of(plain, None))) as state:
        list(Library(plain, None, state).classify([path, silent]))
        for known in (*Library(own, None, state).classify([silent]), *Library(own, None, state).classify([path])):
            assert known.known
            assert known.prediction is not None
            assert known.prediction.to_dict() == own.classify_file(known.path).to_dict()
    shares = plain.classify_file(path).excerpts[0].tags
    assert shares is not None
    answer = own.classify_file(path)
    ratio = answer.probabilities["Shuffled"] / answer.probabilities["Played"]
    assert ratio == pytest.approx(shares[1] / shares[4], rel=2e-3)


@pytest.mark.parametrize("damage", [0, 3, 9, -1, 2.5, "8", None])
def test_stored_answers_without_right_tags_are_found_again(model_path: Path, tmp_path: Path, damage: object) -> None:
    """Such as those of earlier versions, which have none."""
    path = write_audio(tmp_path / "a.wav", tone(3))
    own = GenreClassifier.load(model_path, device="cpu", head=head_on_tags(model_path))
    with closing(LibraryState(tmp_path / "state", plan_of(own, None))) as state:
        list(Library(own, None, state).classify([path]))
    with closing(sqlite3.connect(tmp_path / "state")) as database, database:
        values = json.loads(zlib.decompress(database.execute("SELECT answer FROM answers").fetchone()[0]))
        assert values["n_tags"] == len(TAGS)
        values["n_tags"] = damage
        database.execute("UPDATE answers SET answer = ?", (zlib.compress(json.dumps(values).encode()),))
    assert not KnownTracks.read(tmp_path / "state", own).tracks
    with closing(LibraryState(tmp_path / "state", plan_of(own, None))) as state:
        (result,) = Library(own, None, state).classify([path])
    assert not result.known
    assert result.prediction is not None
    assert result.prediction.to_dict() == own.classify_file(path).to_dict()
