"""`genre learn` and `genre audit` end to end, on generated files with tags and the tiny model."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import mutagen
import pytest

from genre_runtime import GenreClassifier
from genre_runtime.cli.audit import _preferring
from genre_runtime.library.tags import read_genres
from genre_runtime.library.tags.names import TrackNames, read_names
from genre_runtime.model.head import read_head
from genre_runtime.prediction import Doubt, FileResult, Neighbour
from tests.runtime.conftest import Genre
from tests.synthetic import tone, write_audio

LEVELS = {"Quiet Wave": 0.08, "Hiphop": 0.9}


def tagged(folder: Path, name: str, genre: str, artist: str, level: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = write_audio(folder / f"{name}.flac", tone(12) * level)
    file = mutagen.File(path)
    file["genre"], file["artist"] = genre, artist
    file.save()
    return path


@pytest.fixture
def tagged_music(tmp_path: Path) -> Path:
    """Two genres of six artists with two tracks each; the tiny model's embedding is the level."""
    folder = tmp_path / "music"
    for genre, level in LEVELS.items():
        for artist in range(6):
            for track in range(2):
                own = level * (1 + 0.02 * artist + 0.005 * track)
                tagged(folder, f"{genre} {artist} {track}", genre, f"{genre} artist {artist}", own)
    return folder


def test_learn_use_tag_undo(genre: Genre, tagged_music: Path, tmp_path: Path) -> None:
    head, state = tmp_path / "mine.genre", tmp_path / "state"
    status, out, err = genre("learn", tagged_music, "--output", head, "--state", state)
    assert status == 0, err
    assert "2 genres from 24 tracks by 12 artists" in out
    assert "right           100%" in out
    assert read_head(head).labels == ("Hiphop", "Quiet Wave")
    new = tmp_path / "new"
    new.mkdir()
    song = write_audio(new / "song.flac", tone(11))
    status, out, _ = genre("classify", new, "--head", head, "--format", "jsonl")
    assert json.loads(out)["label"] == "Hiphop"
    before = song.read_bytes()
    status, out, err = genre("tag", new, "--head", head, "--unsure", "--write", "--journal", tmp_path / "journal")
    assert status == 0
    assert read_genres(song) == ("Hiphop",)
    assert genre("tag", "--undo", tmp_path / "journal")[0] == 0
    assert song.read_bytes() == before


def test_learning_again_analyses_only_what_is_new(
    genre: Genre, tagged_music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genre_runtime import GenreClassifier

    head, state = tmp_path / "mine.genre", tmp_path / "state"
    assert genre("classify", tagged_music, "--state", state)[0] == 0
    analysed = []
    analyse = GenreClassifier.analyse_or_error

    def counted(self: GenreClassifier, path: Path, **rest: object) -> object:
        analysed.append(path)
        return analyse(self, path, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(GenreClassifier, "analyse_or_error", counted)
    assert genre("learn", tagged_music, "--output", head, "--state", state)[0] == 0
    assert analysed == []
    new = tagged(tagged_music, "new", "Hiphop", "somebody else", 0.95)
    assert genre("learn", tagged_music, "--output", head, "--state", state)[0] == 0
    assert analysed == [new]
    assert read_head(head).provenance["n_tracks"] == 25


def test_folders_and_lists_teach_the_same(genre: Genre, tmp_path: Path) -> None:
    sorted_music, rows = tmp_path / "sorted", ["path,genre,artist"]
    for name, level in LEVELS.items():
        for artist in range(4):
            path = sorted_music / name / f"artist {artist}" / "song.wav"
            path.parent.mkdir(parents=True)
            write_audio(path, tone(12) * level * (1 + 0.02 * artist))
            rows.append(f"{path.relative_to(tmp_path)},{name},{name} {artist}")
    listed = tmp_path / "labels.csv"
    listed.write_text("\n".join(rows), encoding="utf-8")
    assert genre("learn", sorted_music, "--folders", "--output", tmp_path / "a.genre")[0] == 0
    assert genre("learn", "--from", listed, "--output", tmp_path / "b.genre")[0] == 0
    heads = [read_head(tmp_path / f"{name}.genre") for name in "ab"]
    assert heads[0].labels == heads[1].labels == ("Hiphop", "Quiet Wave")
    assert heads[0].provenance["examples"] == heads[1].provenance["examples"] == dict.fromkeys(heads[0].labels, 4)


def test_names_are_joined_proposed_and_mapped(genre: Genre, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    names = ("Hip-Hop", "hip hop", "Rap", "Ska", "Ska", "Ska")
    for i, name in enumerate(names):
        tagged(folder, str(i), name, f"artist {i}", 0.9 if name == "Ska" else 0.1)
    status, out, _ = genre("learn", folder, "--output", tmp_path / "a.genre", "--min-tracks", "1")
    assert status == 0
    assert "joined          hip hop with Hip-Hop" in out
    assert "  Rap = Hip-Hop" in out
    assert read_head(tmp_path / "a.genre").labels == ("Hip-Hop", "Rap", "Ska")
    (tmp_path / "names.txt").write_text("Rap = Hip-Hop\nSka =\nhip hop = Hop\nHip-Hop = Hop\n", encoding="utf-8")
    status, _, err = genre("learn", folder, "--output", tmp_path / "b.genre", "--map", tmp_path / "names.txt")
    assert status == 1
    assert "expected two" in err  # Ska is left out, which leaves one genre with three tracks


def test_audit_finds_the_wrong_tag_and_tag_mends_it(genre: Genre, tagged_music: Path, tmp_path: Path) -> None:
    wrong = tagged(tagged_music, "wrong", "Quiet Wave", "a further artist", 0.92)
    doubtful = tmp_path / "doubtful.jsonl"
    status, out, err = genre("audit", tagged_music, "--output", doubtful)
    assert (status, out) == (0, "")
    assert err == "1 of 25 files doubtful\n"
    (row,) = [json.loads(line) for line in doubtful.read_text(encoding="utf-8").splitlines()]
    assert (row["path"], row["label"], row["doubt"]["genres"]) == (str(wrong), "Hiphop", ["Quiet Wave"])
    status, out, _ = genre("audit", tagged_music)
    assert out.splitlines()[1].split() == ["Quiet", "Wave", *out.splitlines()[1].split()[2:]]
    assert len(out.splitlines()) == 5  # heading, file, three neighbours
    words = ["tag", "--from", doubtful, wrong, "--overwrite", "--write", "--journal", tmp_path / "journal"]
    status, out, _ = genre(*words)
    assert status == 0
    assert "(the file has Quiet Wave, which is preferred to the audio's Hiphop)" in out
    assert read_genres(wrong) == ("Quiet Wave",)
    assert genre(*words, "--unsure")[0] == 0
    assert read_genres(wrong) == ("Hiphop",)


def test_audit_that_prefers_the_audio_proposes_confident_answers(
    genre: Genre, tagged_music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tagged(tagged_music, "wrong", "Quiet Wave", "a further artist", 0.92)
    better = tmp_path / "better.jsonl"
    words = ["audit", tagged_music, "--prefer", "audio"]
    assert "1 of 25 files doubtful, 0 with a confident answer" in genre(*words)[2], "of too few artists to be sure"
    monkeypatch.setattr("genre_runtime.library.learning.heads.confidence_threshold", lambda *_: 0.5)
    assert "1 of 25 files doubtful, 1 with a confident answer" in genre(*words, "--output", better)[2]
    assert genre("tag", "--from", better, "--overwrite", "--write", "--journal", tmp_path / "journal")[0] == 0
    assert read_genres(wrong) == ("Hiphop",)


@pytest.mark.parametrize(
    ("alike", "sure"), [(("b", "b", "a"), True), (("a", "b", "c"), True), (("a", "a", "b"), False)]
)
def test_audio_is_not_preferred_where_similar_files_have_the_genre_of_the_tag(
    classifier: GenreClassifier, tmp_path: Path, alike: tuple[str, ...], sure: bool
) -> None:
    prediction = classifier.classify(tone(2), 22_050)
    prediction = replace(prediction, label="b", confidence=0.9, confident=True, reason=None)
    doubt = Doubt(("a",), 0.1, tuple(Neighbour(Path(f"{i}.mp3"), (genre,), 0.9) for i, genre in enumerate(alike)))
    result = _preferring(FileResult("song.mp3", prediction, doubt=doubt), 0.8).prediction
    assert result is not None
    assert result.confident is sure
    assert result.reason == (None if sure else "2 of the 3 files that sound most like it have a, too")


@pytest.mark.parametrize("verb", ["learn", "audit"])
def test_wrong_usage_is_said_in_one_line(genre: Genre, music: Path, tmp_path: Path, verb: str) -> None:
    output = ["--output", tmp_path / "out.genre"]
    for words, said in (
        ([], "name files or folders"),
        ([tmp_path / "none"], "no audio files"),
        ([music], "none of 2 files has a genre in its tags"),
        ([music, "--folders", "--from", music / "tone.wav"], "not allowed with"),
        (["--from", tmp_path / "none.csv"], "cannot be read"),
        ([music, "--from", tmp_path / "none.csv"], "leave PATH out"),
        ([music, "--folders"], "expected two"),
    ):
        status, out, err = genre(verb, *words, *output)
        assert status in (1, 2)
        assert out == ""
        assert said in err.splitlines()[-1]
    assert not (tmp_path / "out.genre").exists()


def test_a_foreign_file_is_not_overwritten(genre: Genre, tagged_music: Path, tmp_path: Path) -> None:
    song = tagged_music / "Hiphop 0 0.flac"
    before = song.read_bytes()
    status, _, err = genre("learn", tagged_music, "--output", song)
    assert status != 0
    assert "was not written by this program" in err
    assert song.read_bytes() == before
    head = tmp_path / "mine.genre"
    assert genre("learn", tagged_music, "--output", head)[0] == 0
    assert genre("learn", tagged_music, "--output", head)[0] == 0  # one's own head may be replaced


def test_a_broken_file_costs_itself_only(genre: Genre, tagged_music: Path, tmp_path: Path) -> None:
    broken = tagged_music / "Hiphop 9.flac"
    content = (tagged_music / "Hiphop 0 0.flac").read_bytes()
    tags = content[: content.index(b"\xff\xf8")]
    broken.write_bytes(tags + bytes(2000))
    status, out, err = genre("learn", tagged_music, "--output", tmp_path / "mine.genre")
    assert status == 1
    assert "Hiphop 9.flac" in err
    assert "24 tracks" in out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("verb", ["learn", "audit"])
def test_pipes_and_dead_links_are_named_and_not_opened(
    genre: Genre, tagged_music: Path, tmp_path: Path, verb: str
) -> None:
    os.mkfifo(tagged_music / "pipe.wav")
    (tagged_music / "dead.mp3").symlink_to(tmp_path / "nowhere.mp3")
    status, _, err = genre(verb, tagged_music, "--output", tmp_path / "out.genre")
    assert status == 1
    assert "pipe.wav: not a file" in err
    assert "dead.mp3: a link to a file that does not exist" in err
    assert read_names(tagged_music / "pipe.wav") == TrackNames()
