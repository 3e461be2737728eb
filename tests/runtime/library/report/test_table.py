"""The table of a report in Chromium: it sorts and filters, also by keyboard, and can be read without its script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from genre_runtime.cli import main
from genre_runtime.prediction import Doubt, FileResult, Neighbour
from tests.api.browser import chromium
from tests.runtime.library.results_files import HOSTILE, named, predict, small_library, written


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def library() -> list[FileResult]:
    hostile = [replace(predict(name, {name: 0.9, "rock": 0.1}), styles=(name,), moods=("sad",)) for name in HOSTILE]
    speech = replace(predict("/music/talk.mp3", {"rock": 0.9, "jazz": 0.1}), music="speech", confident=False)
    results = [*small_library(), *named([speech, *hostile])]
    results[0] = replace(results[0], doubt=Doubt((HOSTILE[0],), 0.04, (Neighbour(Path(HOSTILE[0]), ("<b>",), 0.9),)))
    results[1] = replace(results[1], same_as=Path("/music/a/one.mp3"))
    return results


def write_report(folder: Path, results: list[FileResult]) -> str:
    (folder / "all.jsonl").write_text(written(results), encoding="utf-8")
    words = ["report", folder / "all.jsonl", "--track", "one.mp3", "--output", folder / "page.html"]
    assert main([*map(str, words)]) == 0
    return (folder / "page.html").as_uri()


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Open the page; in the end it has asked for nothing else, and nothing stands in the console."""
    context = browser.new_context(**options)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("request", lambda request: None if request.url == address else wrong.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert wrong == []


def names(page: Page) -> list[str]:
    return [name.split("/")[-1] for name in page.locator("#files tbody th").all_inner_texts()]


def test_rows_are_compact(browser: Browser, tmp_path: Path) -> None:
    many = replace(predict("many.mp3", {"rock": 0.9, "jazz": 0.1}), instruments=("electric guitar", "violin") * 20)
    address = write_report(tmp_path, [*small_library(), *named([many])])
    row = "#files tbody tr:has-text('many.mp3')"

    def height(page: Page) -> float:
        box = page.locator(row).bounding_box()
        assert box is not None
        return box["height"]

    with opened(browser, address, viewport={"width": 1280, "height": 800}) as page:
        assert height(page) < 60
        page.hover(f"{row} div:has-text('violin')")
        expect(page.locator(f"{row} div[title*='violin, electric guitar']")).to_have_count(1)
        page.get_by_label("Whole lists").check()
        assert height(page) > 200
    with opened(browser, address, viewport={"width": 390, "height": 800}) as page:
        assert page.locator("#files").evaluate("table => table.scrollWidth") <= 390
        expect(page.locator(f"{row} td:has-text('violin')")).to_be_visible()
    with opened(browser, address, java_script_enabled=False, viewport={"width": 1280, "height": 800}) as page:
        assert height(page) > 200


def test_sort_and_filter(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write_report(tmp_path, library())) as page:
        head = page.locator("#files thead th")
        head.first.get_by_role("button").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(head.nth(2)).to_have_attribute("aria-sort", "descending")
        assert names(page)[-3:] == ["noise.mp3", "text.mp3", "talk.mp3"]  # without confidence, in their order
        page.keyboard.press("Enter")
        expect(head.nth(2)).to_have_attribute("aria-sort", "ascending")
        assert names(page)[:2] == ["five.mp3", "four.mp3"]
        page.select_option("#genre", "jazz")
        assert sorted(names(page)) == ["five.mp3", "four.mp3", "three.mp3"]
        page.select_option("#state", "confident")
        assert names(page) == ["three.mp3"]
        page.select_option("#state", "")
        page.select_option("#genre", "")
        page.fill("#words", "sad script")
        expect(page.locator("#shown")).to_have_text("1 of 14 rows")
        page.fill("#words", "")
        page.select_option("#state", "not music")
        assert names(page) == ["talk.mp3"]
        assert {HOSTILE[0], "speech"} <= set(page.locator("#genre option").all_inner_texts())


def test_few_of_many_rows_are_in_the_page(browser: Browser, tmp_path: Path) -> None:
    results = named([predict(f"/{number:04}.mp3", {"rock": 0.9, "jazz": 0.1}) for number in range(1200)])
    with opened(browser, write_report(tmp_path, [*results, *small_library()[:1]])) as page:
        expect(page.locator("#shown")).to_have_text("1201 of 1201 rows, the first 500 shown")
        page.locator("#files thead button").first.click()
        page.locator("#files thead button").first.click()
        assert (names(page)[0], len(names(page))) == ("one.mp3", 500)
        page.locator("#more").click()
        assert len(names(page)) == 1000
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert len(names(page)) == 1201
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert len(names(page)) == 500


def test_the_page_is_readable_without_its_script(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write_report(tmp_path, library()), java_script_enabled=False) as page:
        assert page.locator("#files tbody tr").count() == 14
        expect(page.locator("#tools")).to_be_hidden()
        expect(page.locator("#files tbody tr").last).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_accessible_on_any_screen(browser: Browser, tmp_path: Path, scheme: Any, width: int) -> None:
    address = write_report(tmp_path, library())
    with opened(
        browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
    ) as page:
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
