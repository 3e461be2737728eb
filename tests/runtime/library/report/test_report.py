"""`genre report`: figures that add up, and a page that nothing in the results can harm."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from genre_runtime import output_files
from genre_runtime.cli import main
from genre_runtime.cli import report as command
from genre_runtime.errors import UnreadableAudioError
from genre_runtime.library.report import page as page_module
from genre_runtime.library.report.figures import common_folder, confidence_bins
from genre_runtime.prediction import Doubt, FileResult, Neighbour
from tests.runtime.library.report.html_page import Page
from tests.runtime.library.results_files import HOSTILE, named, predict, small_library, written

Outcome = tuple[int, str, str]
GenreReport = Callable[..., Outcome]
MakePage = Callable[..., Page]


@pytest.fixture
def genre_report(capsys: pytest.CaptureFixture[str]) -> GenreReport:
    """Run the command."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())

    def run(*words: str | Path) -> Outcome:
        options = parser.parse_args(["report", *map(str, words)])
        status: int = options.run(options)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def make_page(genre_report: GenreReport, tmp_path: Path) -> MakePage:
    """Return a function that makes a page of results and takes it apart."""

    def make(results: list[FileResult], *words: str) -> Page:
        source, output = tmp_path / "all.jsonl", tmp_path / "page.html"
        source.write_text(written(results))
        assert genre_report(source, "--output", output, *words) == (0, f"{output}\n", "")
        return Page(output.read_bytes().decode("utf-8"))

    return make


def test_figures_add_up(make_page: MakePage) -> None:
    page = make_page(small_library())
    counts = dict(zip(page.texts["dt"], page.texts["dd"], strict=True))
    assert counts == {
        **{"Files": "7", "Confident": "3", "Unsure": "2", "Failed": "2"},
        **{"Genres": "2", "Playing time": "6:20"},
    }
    assert [row[:4] for row in page.table("Files by genre")] == [["rock", "3", "2", "1"], ["jazz", "2", "1", "1"]]
    assert [row[:4] for row in page.table("Time by genre")] == [
        ["rock", "5:10", "81%", "5:00"],
        ["jazz", "1:10", "19%", "0:50"],
    ]
    assert [row[:3] for row in page.table("Files by confidence")] == [
        ["50 to 55%", "0", "1"],
        ["55 to 60%", "0", "1"],
        ["70 to 75%", "1", "0"],
        ["80 to 85%", "1", "0"],
        ["90 to 95%", "1", "0"],
    ]
    assert page.table("The least sure first") == [
        ["b/five.mp3", "jazz 52%", "rock 48%", "jazz or rock"],
        ["b/four.mp3", "rock 55%", "jazz 45%", "rock or jazz"],
    ]
    assert page.table("Files") == [["b/noise.mp3", "damaged <b>mp3</b> file"], ["b/text.mp3", "no audio"]]
    assert [row[3] for row in page.table("files")] == ["confident"] * 3 + ["unsure"] * 2 + ["failed"] * 2


def test_bars_are_as_long_as_the_numbers(make_page: MakePage) -> None:
    page = make_page(small_library())
    bars = [
        (attributes["class"], float((attributes["width"] or "").rstrip("%")))
        for tag, attributes in page.tags
        if tag == "rect" and attributes["height"] == "100.000%" and attributes["width"] != "100.000%"
    ]
    assert bars[:4] == [("sure", 66.667), ("unsure", 33.333), ("sure", 33.333), ("unsure", 33.333)]


def test_the_last_answer_for_a_file_counts(make_page: MakePage) -> None:
    failed: list[FileResult] = [FileResult(Path("/music/a/one.mp3"), UnreadableAudioError("gone"))]
    page = make_page(failed + small_library())
    assert page.texts["dd"][:4] == ["7", "3", "2", "2"]
    assert page.table("files")[0][0] == "a/one.mp3"
    page = make_page(small_library() + failed)
    assert page.texts["dd"][:4] == ["7", "2", "2", "3"]


def test_partly_readable_files_are_listed_and_marked(make_page: MakePage) -> None:
    part = replace(predict("/music/a/part.mp3", {"rock": 0.9, "jazz": 0.1}, seconds=30), announced_seconds=60)
    less = replace(predict("/music/b/less.mp3", {"rock": 0.4, "jazz": 0.6}, seconds=3), announced_seconds=30)
    page = make_page(small_library() + named([part, less]))
    assert page.table("The least readable first") == [
        ["b/less.mp3", "jazz 60%", "only 3.0 of 30.0 s could be read"],
        ["a/part.mp3", "rock 90%", "only 30.0 of 60.0 s could be read"],
    ]
    assert [row[3] for row in page.table("files")][-2:] == ["confident, partly readable"] * 2
    assert "Partly readable files" not in make_page(small_library()).texts["h2"]


def test_what_is_not_music_has_no_genre(make_page: MakePage) -> None:
    speech = replace(predict("/music/talk.mp3", {"polka": 0.9, "jazz": 0.1}), music="speech", confident=False)
    old = predict("/music/quiet.mp3", {"polka": 0.6, "jazz": 0.4}, silent=[0])  # as before results said what they are
    page = make_page([*small_library(), *named([speech, replace(old, music=None)])])
    assert page.table("Silence, speech, noise and tones") == [
        ["quiet.mp3", "silence", "0:10"],
        ["talk.mp3", "speech", "0:10"],
    ]
    assert [row[1:5] for row in page.table("files")[-2:]] == [
        ["speech", "", "not music", ""],
        ["silence", "", "not music", ""],
    ]
    counts = dict(zip(page.texts["dt"], page.texts["dd"], strict=True))
    assert {counts["Files"], counts["Not music"], counts["Genres"], counts["Unsure"]} == {"9", "2"}
    assert "polka" not in {row[0] for row in page.table("Files by genre") + page.table("Time by genre")}
    page = make_page(named([speech]), "--track", "talk.mp3")
    assert ". It has no genres over time." in page.texts["p"]
    assert page.texts["strong"] == ["speech"]


def test_answer_sets_are_shown(make_page: MakePage) -> None:
    page = make_page(small_library(), "--track", "five.mp3")
    assert [row[1] for row in page.table("files")] == ["rock", "rock", "jazz", "rock or jazz", "jazz or rock", "", ""]
    assert "jazz, 52%, unsure: jazz or rock" in page.texts["strong"]


def test_styles_moods_instruments_and_voices_are_counted(make_page: MakePage) -> None:
    rock = {"rock": 0.9, "jazz": 0.1}
    tracks = [replace(predict(f"/music/{n}.mp3", rock), styles=("grunge", f"style {n}")) for n in range(14)]
    tracks[0] = replace(tracks[0], moods=("<b>sad", "tender"), voice=("choir",))
    page = make_page([*named(tracks), *small_library()[-1:]])
    assert page.table("Styles")[0][:2] == ["grunge", "14"]
    assert (len(page.table("Styles")), len(page.table("More styles"))) == (page_module.FREQUENT, 3)
    assert [row[:2] for row in page.table("Moods")] == [["<b>sad", "1"], ["tender", "1"]]
    assert "Styles, moods and voices" in page.texts["h2"]
    rows = page.table("files")
    assert rows[0] == ["0.mp3", "rock", "90%", "confident", "grunge, style 0", "<b>sad, tender", "choir", "0:10"]
    assert {len(row) for row in rows} == {8}


def test_files_with_the_same_bytes_are_duplicates(make_page: MakePage) -> None:
    results = small_library()
    results[1] = replace(results[1], same_as=Path("/music/a/one.mp3"))
    page = make_page(results)
    assert [(row[0], row[1], row[3], row[4]) for row in page.table("Copies")] == [
        ("a/one.mp3", "rock", "gone", "best copy"),
        ("a/two.mp3", "rock", "gone", "the same bytes as another copy"),
    ]
    assert "2 files hold 1 recording" in " ".join(page.texts["p"])


def test_failed_files_alone_make_a_page(make_page: MakePage) -> None:
    page = make_page(small_library()[-2:])
    assert page.texts["dd"] == ["2", "0", "0", "2", "0", "0:00"]
    assert page.texts["h2"] == ["Failed files", "All files"]


def test_hostile_names_are_harmless(make_page: MakePage) -> None:
    clean = make_page(small_library(), "--track", "one.mp3")
    results = named([predict(name, {name: 0.5, "rock": 0.5}) for name in HOSTILE])
    results += [FileResult(Path(name + "2"), UnreadableAudioError(name)) for name in HOSTILE]
    page = make_page(results, "--track", HOSTILE[0])
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in clean.tags}
    assert page.texts["script"] == clean.texts["script"]
    assert page.texts["style"] == clean.texts["style"]
    shown = [row[0] for row in page.table("files")]
    assert shown[:6] == [
        "<script>alert(1)</script>.mp3",
        "\"onmouseover='x' & co.mp3",
        "new\\nline\\r.mp3",
        "\\udcff\\udcfe latin.mp3",
        "\\u202egnp.mp3",
        "--> ]]> </table></svg>.mp3",
    ]
    names = {name for _, attributes in page.tags for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "srcdoc", "action")]


def test_nothing_comes_from_outside(make_page: MakePage) -> None:
    page = make_page([*small_library(), *named([predict("/music/long.mp3", *[{"rock": 0.6, "jazz": 0.4}] * 5)])])
    assert all(link.startswith("#") for link in page.attributes("href"))
    style, script = "".join(page.texts["style"]), "".join(page.texts["script"])
    assert not re.search(r"url\(|@import|https?:|//\w", style)
    assert not re.search(r"https?:|fetch|XMLHttp|import\(|innerHTML|eval", script)
    policy = next(a["content"] or "" for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    hashes = [b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    rules = policy.split("; ")
    assert rules[:3] == ["default-src 'none'", f"style-src 'sha256-{hashes[0]}'", f"script-src 'sha256-{hashes[1]}'"]


def test_references_within_the_page_lead_somewhere(make_page: MakePage) -> None:
    page = make_page([*small_library(), *named([predict("/music/long.mp3", *[{"rock": 0.6, "jazz": 0.4}] * 5)])])
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.attributes("href")} <= set(ids)
    assert set(page.attributes("aria-labelledby")) <= set(ids)
    wanted = set(re.findall(r'getElementById\("(\w+)"\)|"(\w+)"', "".join(page.texts["script"]).split("const step")[0]))
    assert {"files", "tools", "words", "state", "shown", "more"} <= set(ids) & {
        word for pair in wanted for word in pair
    }
    for tag, attributes in page.tags:  # a picture is either described or said in text beside it
        if tag == "svg" and attributes.get("class") in ("picture", "bar", "swatch"):
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"


def test_long_lists_are_cut_and_say_so(make_page: MakePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_LISTED", 2)
    results = named([predict(f"/m/{number}.mp3", {"rock": 0.55, "jazz": 0.45}) for number in range(9)])
    page = make_page(results, "--rows", "4")
    assert len(page.table("files")) == 4
    assert len(page.table("The least sure first")) == 2
    assert page.texts["dd"][0] == "9"
    said = " ".join(page.texts["p"])
    assert "the first 4 of 9 files" in said
    assert "7 more are in the results" in said
    assert len(make_page(results, "--rows", "all").table("files")) == 9
    failed: list[FileResult] = [FileResult(Path(f"/{number}.mp3"), UnreadableAudioError("no")) for number in range(5)]
    page = make_page(failed)
    assert len(page.table("Files")) == 2
    assert "3 more are in the results" in " ".join(page.texts["p"])


def test_torn_lines_are_named_in_the_page_too(genre_report: GenreReport, tmp_path: Path) -> None:
    source, output = tmp_path / "all.jsonl", tmp_path / "page.html"
    source.write_text(written(small_library()) + '{"path": "/music/b/torn')
    status, _, err = genre_report(source, "--output", output)
    assert status == 0
    assert "entry 8 was skipped" in err
    assert "entry 8 was skipped" in output.read_text(encoding="utf-8")


def test_a_file_of_somebody_else_is_left_alone(genre_report: GenreReport, tmp_path: Path) -> None:
    source, output = tmp_path / "all.jsonl", tmp_path / "page.html"
    source.write_text(written(small_library()))
    output.write_text("<!doctype html><p>mine")
    status, out, err = genre_report(source, "--output", output)
    assert (status, out) == (2, "")
    assert "add --force" in err
    assert output.read_text() == "<!doctype html><p>mine"
    assert genre_report(source, "--output", source)[0] == 2  # the results themselves
    status, _, err = genre_report(source, "--output", output, "--state", output, "--force")
    assert status == 2
    assert "is the state file: name another file" in err
    assert genre_report(source, "--output", output, "--force")[0] == 0
    source.write_text(written(small_library()[:1]))
    assert genre_report(source, "--output", output)[0] == 0  # a former report
    assert "Genres of 1 file<" in output.read_text(encoding="utf-8")
    assert genre_report(source, "--output", tmp_path, "--force")[0] == 2
    status, _, err = genre_report(source, "--output", tmp_path / "none" / "page.html")
    assert status == 2
    assert "does not exist: create it" in err


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_kept(genre_report: GenreReport, tmp_path: Path) -> None:
    source, output, link = tmp_path / "all.jsonl", tmp_path / "page.html", tmp_path / "link.html"
    source.write_text(written(small_library()))
    output.write_text("")
    link.symlink_to(output)
    assert genre_report(source, "--output", link)[0] == 0
    assert link.is_symlink()
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def parts() -> Iterator[str]:
        yield "half"
        raise KeyboardInterrupt

    path = tmp_path / "page.html"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        output_files.write_whole(path, parts())
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("page.html", "before")]


def test_each_confidence_has_its_step() -> None:
    answers = [predict("/a.mp3", {"rock": p, "jazz": 1 - p}) for p in (1.0, 0.95, 0.949, 0.6, 0.55, 0.5)]
    bins = confidence_bins(answers)
    found = {number: (parts.confident, parts.unsure) for number, parts in enumerate(bins) if parts.total}
    assert found == {19: (2, 0), 18: (1, 0), 12: (1, 0), 11: (0, 1), 10: (0, 1)}


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["/music/a/1.mp3", "/music/b/2.mp3"], "/music/"),
        (["/music/ab/1.mp3", "/music/ac/2.mp3"], "/music/"),
        (["/music/a.mp3"], "/music/"),
        (["/a.mp3", "/b/c.mp3"], ""),
        (["C:\\Music\\a.mp3", "C:\\Music\\b\\c.mp3"], "C:\\Music\\"),
        (["C:\\a.mp3", "C:\\b.mp3"], ""),
        (["music/a.mp3", "music/b.mp3"], "music/"),
        (["a.mp3"], ""),
        ([], ""),
    ],
)
def test_common_folder(paths: list[str], folder: str) -> None:
    assert common_folder(paths) == folder


def test_without_jinja2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all.jsonl").write_text(written(small_library()))
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "genre_runtime.library.report.page")
    assert main(["report", str(tmp_path / "all.jsonl"), "--output", str(tmp_path / "page.html")]) == 2
    assert "install genre-runtime[library]" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_doubtful_tags_have_a_section(make_page: MakePage) -> None:
    results = small_library()
    assert "Doubtful tags" not in make_page(results).texts["h2"]
    near = (
        Neighbour(Path("/music/a/two.mp3"), ("rock", "metal"), 0.97),
        Neighbour(Path("/other/six.mp3"), (), 0.9),
        Neighbour(Path(HOSTILE[0]), ("<b>",), -0.1),
    )
    results[0] = replace(results[0], doubt=Doubt(("jazz", "blues"), 0.04, near))
    results[4] = replace(results[4], doubt=Doubt(("rock",), 0.4))
    page = make_page(results)
    assert "Doubtful tags" in page.texts["h2"]
    rows = page.table("The most certain first")
    assert rows[0][:3] == ["a/one.mp3", "jazz; blues 4%", "rock 90%"]
    assert rows[0][3].startswith("0.97 rock; metal a/two.mp30.90  /other/six.mp3-0.10 <b> ")
    assert rows[1] == ["b/five.mp3", "rock 40%", "jazz 52%", ""]
    assert len(rows) == 2
