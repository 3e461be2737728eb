"""Files on the page: chosen, dropped, sent, shown, played, refused, tried again and saved."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Route, expect

from genre_runtime.library.results.write import CsvWriter
from tests.api.browser import card, choose, choose_named, chromium, opened, wait_until
from tests.api.live import Live, live, wait_until_known, write_state
from tests.api.requests import audio_bytes
from tests.synthetic import LABELS, RATE, TAGS, noise, tone, write_audio, write_model

HOSTILE = """=cmd|' /C x'!A0, "<img src=x onerror=alert(1)>" \u202egpj.wav"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("page")
    with live(folder, write_model(folder), workers=2) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, service: Live) -> Iterator[Page]:
    with opened(browser, service.address) as page:
        yield page


def wav(samples: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV")
    return buffer.getvalue()


def saved(page: Page, button: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_genres_of_a_file(page: Page) -> None:
    choose(page, song=wav(tone(25)))
    done = card(page, "done")
    assert done.locator(".verdict").inner_text().startswith("tone ")
    assert done.locator(".badge").count() == 0
    shares = done.locator(".bars .share").all_inner_texts()
    assert len(shares) == len(LABELS)
    widths = done.locator(".bar").evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
    assert [f"{width:.0f}%" for width in widths] == shares
    assert done.locator(".timeline svg g").count() == 3
    wait_until(page, "document.querySelector('.spectrogram img').naturalWidth > 100")
    done.get_by_text("Excerpts as a table").click()
    assert done.locator("tbody th").all_inner_texts() == ["0:00 to 0:10", "0:07 to 0:17", "0:15 to 0:25"]
    expect(page.get_by_role("status")).to_contain_text("song.wav: tone")


def test_of_many_files_the_answers_stand_close_together(page: Page) -> None:
    choose(page, **{name: wav(tone(2)) for name in "abcde"})
    card(page, "done", 4)
    assert page.locator("#results .verdict").count() == 5
    first = page.locator("#results > li").first
    expect(first.locator("audio")).to_be_hidden()
    first.get_by_text("Genres, timeline and player").click()
    expect(first.locator("audio")).to_be_visible()
    wait_until(page, "document.querySelector('.spectrogram img').naturalWidth > 0")


def test_uncertain_answers_say_why(page: Page) -> None:
    choose(page, silence=wav(np.zeros(3 * RATE, np.float32)))
    done = card(page, "done")
    assert done.locator(".verdict").inner_text() == "Silence"
    expect(done).to_contain_text("The track is silent.")
    assert done.locator(".bars, .timeline, table").count() == 0
    assert done.locator("summary").inner_text().startswith("Spectrogram and player")
    expect(page.get_by_role("status")).to_contain_text("silence.wav: silence.")


def test_tags_answer_set_and_speech(browser: Browser, tmp_path: Path) -> None:
    model = write_model(tmp_path, tags=TAGS, threshold=0.95)
    with live(tmp_path, model) as service, opened(browser, service.address) as page:
        choose(page, song=wav(tone(3)))
        song = card(page, "done")
        expect(page.get_by_role("status")).to_contain_text("song.wav: not sure, perhaps tone or noise.")
        expect(song.locator(".verdict")).to_have_text("Not sure perhaps tone or noise")
        assert song.locator(".labels li").all_inner_texts() == ["house", "happy"]
        choose(page, talk=wav(noise(3)))
        talk = card(page, "done", 1)
        assert talk.locator(".verdict").inner_text() == "Speech, not music"
        assert talk.locator(".labels, .bars, .timeline, table").count() == 0
        expect(page.get_by_role("status")).to_contain_text("talk.wav: speech, not music.")
        rows = list(csv.DictReader(io.StringIO(saved(page, "Download CSV"))))
        assert [row["music"] for row in rows] == ["music", "speech"]
        assert (rows[0]["genre_set"], rows[0]["styles"]) == ("tone; noise", "house")


def test_more_like_this(browser: Browser, tmp_path: Path, model_path: Path) -> None:
    path = write_audio(tmp_path / "<b>known song.wav", tone(65))
    state = tmp_path / "state"
    write_state(state, model_path, path)
    with live(tmp_path, model_path, state=state) as service, opened(browser, service.address) as page:
        wait_until_known(service)
        choose_named(page, {"song.wav": wav(tone(3)), "silence.wav": wav(np.zeros(3 * RATE, np.float32))})
        card(page, "done", 1)
        button = page.get_by_role("button", name="More like this")
        expect(button).to_have_count(1)  # not for silence
        page.route("**/api/similar", lambda route: route.fulfill(status=503, json={"detail": "it is busy"}), times=1)
        button.click()
        expect(page.locator(".alike .error")).to_have_text("It is busy.")
        button.click()
        row = page.locator(".alike tbody tr")
        expect(row.locator("th, td")).to_have_text(["<b>known song.wav", "1.00", "tone", "1:05"])
        expect(page.locator(".alike h4")).to_be_focused()
        expect(page.get_by_role("status")).to_contain_text("Similar tracks of song.wav are listed.")


def test_page_of_a_service_without_known_tracks_offers_none(page: Page) -> None:
    choose(page, song=wav(tone(3)))
    card(page, "done")
    expect(page.get_by_role("button", name="More like this")).to_have_count(0)


def test_a_partly_readable_file_says_so(page: Page) -> None:
    content = wav(tone(30))
    choose(page, part=content[: len(content) // 10])
    expect(card(page, "done").locator(".partly")).to_have_text("Only 3.0 of 30.0 s could be read.")
    expect(page.get_by_role("status")).to_contain_text("Only 3.0 of 30.0 s could be read.")
    rows = list(csv.DictReader(io.StringIO(saved(page, "Download CSV"))))
    assert rows[0]["announced_seconds"] == "30"


def test_names_are_no_markup_and_no_formula(page: Page) -> None:
    choose_named(page, {HOSTILE: audio_bytes(), "broken.mp3": b"<html>" * 9})
    done, failed = card(page, "done"), card(page, "failed")
    assert done.locator("h3").text_content() == HOSTILE
    assert page.locator("#results h3 *:not(bdi)").count() == 0
    expect(failed).to_contain_text("Failed: Not an audio file")
    table = csv.DictReader(io.StringIO(saved(page, "Download CSV")))
    by_name = {row["path"]: row for row in table}
    assert table.fieldnames == [*CsvWriter.COLUMNS, *(f"probability of {label}" for label in sorted(LABELS))]
    assert set(by_name) == {f"'{HOSTILE}", "broken.mp3"}
    assert (by_name[f"'{HOSTILE}"]["label"], by_name[f"'{HOSTILE}"]["confident"]) == ("tone", "true")
    assert by_name["broken.mp3"]["error"].startswith("not an audio file")
    answers = {answer["path"]: answer for answer in json.loads(saved(page, "Download JSON"))}
    assert set(answers[HOSTILE]["probabilities"]) == set(LABELS)
    assert answers["broken.mp3"]["error"]["code"] == "unreadable_audio"


def test_markup_cannot_be_made_at_all(browser: Browser, service: Live) -> None:
    with browser.new_context() as context:  # not under watch: this is about what the watch would see
        page = context.new_page()
        page.goto(service.address)
        message = page.evaluate("try { document.body.innerHTML = '<b>' } catch (error) { error.message }")
        assert "TrustedHTML" in message
        refused = """new Promise((resolve) => {
            addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
            const picture = document.createElement("img");
            picture.src = "https://elsewhere.example/";
            document.body.append(picture);
        })"""
        assert page.evaluate(refused) == "img-src"


def test_dropped_files_and_whole_tracks(page: Page) -> None:
    page.get_by_label("Analyse whole tracks").check()
    transfer = page.evaluate_handle(
        """(encoded) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
            for (const name of ["a.wav", "b.wav"]) transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        base64.b64encode(wav(tone(45))).decode(),
    )
    with page.expect_request("**/api/predict?*whole=true"):
        page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    card(page, "done", 1)
    assert page.locator("#results h3").all_inner_texts() == ["a.wav", "b.wav"]
    assert page.locator("#results > li").first.locator(".timeline svg g").count() == 5
    assert page.locator("#summary").inner_text() == "2 of 2 finished"


def test_cursor_follows_the_player(page: Page) -> None:
    choose(page, song=wav(tone(10)), other=wav(tone(10)))
    card(page, "done", 1)
    first = page.locator("#results > li").first
    first.locator("audio").evaluate("async (player) => { player.muted = true; await player.play(); }")
    page.locator("audio").nth(1).evaluate("async (player) => { player.muted = true; await player.play(); }")
    wait_until(page, "document.querySelector('audio').paused")
    box = first.locator("svg").bounding_box()
    assert box
    first.locator("svg").click(position={"x": box["width"] * 0.8, "y": 10})
    wait_until(page, "Number(document.querySelector('.cursor').getAttribute('x1')) >= 790")
    first.locator("audio").evaluate("(player) => player.pause()")


def test_unplayable_file_keeps_its_genres(page: Page) -> None:
    page.route("**/api/predict?*", lambda route: route.fulfill(json=ANSWER))
    choose_named(page, {"song.wma": b"no browser plays this"})
    done = card(page, "done")
    page.evaluate("document.querySelector('audio')?.load()")  # it may have found out by itself
    expect(done).to_contain_text("This browser cannot play this file.")
    assert done.locator(".verdict").inner_text() == "rock 90%"


def test_failed_file_is_tried_again(page: Page) -> None:
    page.route("**/api/predict?*", lambda route: route.abort("connectionreset"), times=1)
    choose(page, song=audio_bytes())
    expect(card(page, "failed")).to_contain_text("The connection was lost")
    page.get_by_role("button", name="Try again: song.wav").click()
    card(page, "done")
    assert page.evaluate("document.activeElement.textContent") == "song.wav"
    assert page.get_by_role("button", name="Try failed files again").is_hidden()


def test_no_other_try_is_offered_where_it_cannot_help(page: Page) -> None:
    choose_named(page, {"cover.jpg": b"\xff\xd8\xff\xe0" + bytes(1000)})
    failed = card(page, "failed")
    expect(failed).to_contain_text("Not an audio file")
    assert failed.get_by_role("button").all_inner_texts() == ["Remove"]
    assert page.get_by_role("button", name="Try failed files again").is_hidden()


@pytest.mark.parametrize("status", [429, 503])
def test_busy_service_is_asked_again_when_it_said(page: Page, status: int) -> None:
    problem = {"status": status, "code": "busy", "detail": "every place is taken"}
    asked: list[str] = []

    def busy(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=status, headers={"Retry-After": "30"}, json=problem)

    page.clock.install()
    page.route("**/api/predict?*", busy, times=1)
    choose(page, song=audio_bytes())
    expect(page.locator("#results .state")).to_have_text("every place is taken. Sent again after 30 s")
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.clock.run_for(29_000)
    assert len(asked) == 1
    page.clock.run_for(2_000)
    card(page, "done")
    assert len(asked) == 2


def test_answer_of_a_proxy_is_told_in_words(page: Page) -> None:
    page.route("**/api/predict?*", lambda route: route.fulfill(status=502, body="<html>Bad Gateway</html>"))
    choose(page, song=audio_bytes())
    expect(card(page, "failed")).to_contain_text("answered with status 502")


def test_cancelled_and_removed(page: Page) -> None:
    page.route("**/api/predict?*", lambda route: None)
    choose(page, a=audio_bytes(), b=audio_bytes(), c=audio_bytes())
    assert page.locator("#results > [data-state=waiting]").count() == 1
    page.get_by_role("button", name="Cancel: a.wav").click()
    expect(card(page, "failed")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Remove: a.wav").click()
    assert page.locator("#results h3").all_inner_texts() == ["b.wav", "c.wav"]
    assert page.evaluate("document.activeElement.textContent") == "b.wav"
    page.get_by_role("button", name="Remove all").click()
    assert page.get_by_role("heading", name="Results").is_hidden()


ANSWER = {
    "path": "song.wma",
    "label": "rock",
    "confidence": 0.9,
    "confident": True,
    "reason": None,
    "probabilities": {"rock": 0.9, "pop": 0.1},
    "excerpts": [
        {"start_seconds": 0, "end_seconds": 10, "silent": False, "probabilities": {"rock": 0.9, "pop": 0.1}},
    ],
    "duration_seconds": 10,
    "device": "cpu",
}
