"""Genre folders and manifests: what is read from them, and what is said of broken ones."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from genre_training.data.folders import read_genre_folders, read_manifest, read_tracks
from genre_training.data.track import DataError, Track


def touch(folder: Path, *names: str) -> Path:
    """Write empty files: only decoding looks inside."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def manifest(folder: Path, *lines: str, name: str = "manifest.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def ids(tracks: Iterable[Track]) -> list[str]:
    return [track.track_id for track in tracks]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return tmp_path / "music"


def test_folder_of_a_genre_holds_its_clips(music: Path) -> None:
    touch(music, "Blues/blues.00000.wav", "Blues/Ada/LP/x.MP3", "rock/a.flac", "rock/a.txt", "rock/cover.png", "b.wav")
    assert read_tracks(music) == [
        Track("music/Blues/blues.00000", music / "Blues/blues.00000.wav", "blues", "music", "music/Blues/blues.00000"),
        Track("music/Blues/Ada/LP/x", music / "Blues/Ada/LP/x.MP3", "blues", "music", "music/Ada"),
        Track("music/rock/a", music / "rock/a.flac", "rock", "music", "music/rock/a"),
    ]


def test_artist_of_two_genres_is_one_group(music: Path) -> None:
    touch(music, "pop/Ada/1.wav", "pop/Bob/1.wav", "rock/Ada/2.wav")
    assert [track.group for track in read_tracks(music)] == ["music/Ada", "music/Bob", "music/Ada"]


def test_suffix_stays_where_it_alone_tells_two_files_apart(music: Path) -> None:
    touch(music, "rock/a.wav", "rock/a.mp3", "rock/a.wav.flac", "rock/b.wav", "pop/a.wav")
    expected = ["music/pop/a", "music/rock/a.mp3", "music/rock/a.wav", "music/rock/a.wav.flac", "music/rock/b"]
    assert ids(read_genre_folders(music)) == expected


def test_hidden_files_and_linked_folders_are_passed_over(music: Path) -> None:
    touch(music, "rock/a.wav", "rock/.b.wav", ".trash/c.wav", "rock/.d/e.wav")
    (music / "again").symlink_to(music)
    (music / "rock" / "self").symlink_to(music / "rock")
    assert ids(read_tracks(music)) == ["music/rock/a"]


def test_folder_is_named_however_it_is_reached(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(music, "rock/a.wav")
    monkeypatch.chdir(music)
    assert ids(read_tracks(Path())) == ids(read_tracks(Path("../music"))) == ids(read_tracks(music))
    manifest(music, "path,label", f"{music / 'rock' / 'a.wav'},rock")
    for path in (Path("manifest.csv"), Path("../music/manifest.csv"), music / "manifest.csv"):
        assert ids(read_manifest(path)) == ["music/rock/a"]


def test_file_is_no_genre_folder(music: Path) -> None:
    touch(music, "a.wav")
    assert read_genre_folders(music) == []
    assert read_genre_folders(music / "a.wav") == []


def test_manifest_names_files_groups_and_parts(music: Path) -> None:
    touch(music, "a.wav", "in/b.mp3", "in/b.wav")
    elsewhere = touch(music.parent / "elsewhere", "c.opus") / "c.opus"
    path = manifest(
        music,
        "label,split,path,year,group",
        "Rock,train,a.wav,1999,Ada",
        "rock,,./in/b.mp3",
        f' Pop ,Validation,"{elsewhere}",,Bob',
        "",
        "pop,test,in/b.wav,,",
    )
    outside = f"music/{elsewhere.with_suffix('')}"
    assert read_manifest(path) == [
        Track("music/a", music / "a.wav", "rock", "music", "music/Ada", "train"),
        Track("music/in/b.mp3", music / "in/b.mp3", "rock", "music", "music/in/b.mp3"),
        Track(outside, elsewhere, "pop", "music", "music/Bob", "validation"),
        Track("music/in/b.wav", music / "in/b.wav", "pop", "music", "music/in/b.wav", "test"),
    ]


def test_sub_genres_of_every_index_and_manifest_are_kept(music: Path) -> None:
    touch(music, "audio/x_1.wav", "gtzan/logmel/a.png", "fma_small/logmel/2.png", "own.wav", "other.wav")
    manifest(music / "audio", "file,genre,artist,source,sub_genre", "x_1.wav,pop,Ada,x, Synth Pop ", name="index.csv")
    manifest(music / "gtzan", "clip,genre,split,artist,sub_genre", "a,reggae,train,,Dub", name="index.csv")
    columns = "track_id,genre,block,artist_id,official,sub_genre"
    manifest(music / "fma_small", columns, "2,hiphop,0,1,test,Hip-Hop", name="index.csv")
    manifest(music, "path,label,sub_genre", "own.wav,Rock,Surf", "other.wav,rock,")
    assert {track.track_id: track.sub_genre for track in read_tracks(music)} == {
        "x/1": "synth pop",
        "gtzan/a": "dub",
        "fma_small/2": "hip-hop",
        "music/own": "surf",
        "music/other": None,
    }


@pytest.mark.parametrize("again", ["pop,surf", "Pop, SURF "])
def test_sub_genre_of_two_genres_is_named_by_both_lines(music: Path, again: str) -> None:
    touch(music, "a.wav", "b.wav", "c.wav")
    path = manifest(music, "path,label,sub_genre", "a.wav,rock,Surf", "b.wav, Rock,surf", f"c.wav,{again}")
    with pytest.raises(
        DataError, match=r"line 4: found the sub-genre 'surf' for the genre 'pop', but for 'rock' in line 2; expected"
    ):
        read_manifest(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_manifest_may_begin_with_a_byte_order_mark(music: Path, encoding: str) -> None:
    touch(music, "ä.wav")
    (music / "manifest.csv").write_text("path,label\nä.wav,Ö\n", encoding=encoding)
    assert [(track.track_id, track.label) for track in read_tracks(music)] == [("music/ä", "ö")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav,rock,,training", r"found the split 'training'; expected train, validation, test or nothing"),
        ("lost.wav,rock,,", r"found no file .*lost\.wav; expected an absolute path"),
        ("in,rock,,", r"found no file .*in; expected"),
        ("a.wav,,,", r"has no value for \['label'\]"),
        ("a.wav, ,,", r"has no value for \['label'\]"),
        (",rock,,", r"has no value for \['path'\]"),
        ("a.wav", r"has no value for \['label'\]"),
        ("a.wav,rock,,,more", r"has more values than the columns"),
        ("./in/../first.wav,rock,,", r"names \./in/\.\./first\.wav as line 2 does: expected each"),
        ("link.wav,rock,,", r"names link\.wav as line 2 does"),
        ("picture.PNG,rock,,", r"names the picture picture\.PNG: expected an audio file"),
        ("a.wav,rock,Ada,test", r"found the split 'test' for the group 'Ada', but 'train' in line 2; expected one"),
        ("a.wav,rock,Ada,", r"found the split '' for the group 'Ada', but 'train' in line 2"),
    ],
)
def test_broken_row_is_named_by_its_line(music: Path, row: str, message: str) -> None:
    touch(music, "first.wav", "a.wav", "picture.PNG", "in/b.wav")
    (music / "link.wav").symlink_to(music / "first.wav")
    path = manifest(music, "path,label,group,split", "first.wav,rock,Ada,train", row)
    with pytest.raises(DataError, match=rf"manifest\.csv, line 3.*{message}"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"lacks the columns \['path', 'label'\]: found \[\]"),
        (b"path;label\n", r"lacks the columns \['path', 'label'\]: found \['path;label'\]"),
        (b"path,label\n", r"has no rows: expected a line with path and label"),
        (b"path,label\n\xe9.wav,rock\n", r"is not a CSV file in UTF-8"),
        (b"path,label\n" + b"a" * 200_000, r"is not a CSV file in UTF-8"),
    ],
)
def test_broken_manifest_says_what_is_wrong(music: Path, content: bytes, message: str) -> None:
    path = manifest(music)
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_tracks(music)


def test_manifest_of_any_name_stands_for_a_folder(music: Path) -> None:
    touch(music, "a.wav", "gtzan/b.wav")
    assert ids(read_tracks(manifest(music, "path,label", "a.wav,rock", name="Best of.CSV"))) == ["music/a"]
    with pytest.raises(DataError, match=r"none\.csv does not exist: expected a CSV file with the columns path, label"):
        read_tracks(music / "none.csv")


def test_manifest_adds_to_what_else_is_there(music: Path) -> None:
    touch(music, "audio/x_1.wav", "own/2.wav", "rock/3.wav")
    manifest(music / "audio", "file,genre,artist,source", "x_1.wav,pop,Ada,x", name="index.csv")
    manifest(music, "path,label", "own/2.wav,rock")
    assert ids(read_tracks(music)) == ["x/1", "music/own/2"]


def test_manifest_must_not_name_what_is_there_already(music: Path) -> None:
    touch(music, "audio/x_1.wav")
    manifest(music / "audio", "file,genre,artist,source", "x_1.wav,pop,Ada,x", name="index.csv")
    manifest(music, "path,label", f"{music}/audio/../audio/x_1.wav,pop")
    with pytest.raises(DataError, match=r"manifest\.csv names 1 file of another part .*the first is .*x_1\.wav"):
        read_tracks(music)


@pytest.mark.parametrize("name", ["fma_metadata", "fma_small", "fma_large", "gtzan", "audio"])
def test_half_a_download_is_not_taken_for_genres(music: Path, name: str) -> None:
    touch(music, f"{name}/000/a.wav", "rock/b.wav")
    with pytest.raises(DataError, match=rf"found {name}, rock; expected fma_metadata/tracks\.csv"):
        read_tracks(music)


def test_what_is_there_instead_of_data_is_said(music: Path) -> None:
    with pytest.raises(DataError, match=r"music has no training data: it does not exist; expected"):
        read_tracks(music)
    touch(music, ".hidden")
    with pytest.raises(
        DataError, match=r"it is empty; expected .* manifest\.csv \(path, label\), or only folders .* one per genre"
    ):
        read_tracks(music)
    touch(music, *(f"{i}.wav" for i in range(7)))
    with pytest.raises(DataError, match=r"found 0\.wav, 1\.wav, 2\.wav, 3\.wav, 4\.wav and 2 more; expected"):
        read_tracks(music)
    with pytest.raises(DataError, match=r"it is a file, but not a \.csv; expected"):
        read_tracks(music / "0.wav")


@pytest.mark.skipif(os.name != "posix", reason="needs links that lead nowhere")
def test_link_to_nothing_is_a_missing_file(music: Path) -> None:
    touch(music, "rock/a.wav")
    (music / "rock" / "b.wav").symlink_to(music / "gone.wav")
    with pytest.raises(DataError, match=r"names 1 missing file, the first is .*b\.wav"):
        read_tracks(music)
