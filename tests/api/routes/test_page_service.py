"""What the page shows of the service: its model, its key, its bounds; for keyboards, screen readers and phones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.api.browser import card, choose, choose_named, chromium, opened, payload, wait_until
from tests.api.figures import MATRIX, add_figures
from tests.api.live import Live, live
from tests.api.requests import audio_bytes
from tests.synthetic import TAGS, write_model

KEY = "a-long-key"
HISTORY = [
    {"epoch": 1, "val_acc": 0.5, "val_macro_f1": 0.4, "train_loss": 2.0, "val_loss": 1.5},
    {"epoch": 2, "val_acc": 0.6, "val_macro_f1": None, "train_loss": 1.0, "val_loss": 1.2},
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("page")
    model = write_model(folder, tags=TAGS)
    add_figures(model, history=HISTORY, confusion_matrix=MATRIX)
    with live(folder, model, max_body_bytes=1_000_000) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_model_card(browser: Browser, service: Live) -> None:
    with opened(browser, service.address) as page:
        figures = page.locator("#model dl")
        expect(figures).to_contain_text("75.0%")
        expect(figures).to_contain_text("best_model.onnx")
        expect(page.locator("#model")).to_contain_text("It distinguishes 3 genres: noise, quiet, tone.")
        assert page.locator("#model polyline").count() == 4
        expect(page.locator("#model")).to_contain_text("Most often confused: noise taken for quiet (1)")
        wait_until(page, "document.querySelector('.confusion img').naturalWidth > 0")


def test_model_without_figures(browser: Browser, tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path) as service, opened(browser, service.address) as page:
        expect(page.locator("#model")).to_contain_text("history of its training is not recorded")
        expect(page.locator("#model")).to_contain_text("confusion matrix is not recorded")


def test_service_without_a_model_says_so(browser: Browser, tmp_path: Path, model_path: Path) -> None:
    model_path.write_bytes(b"broken")
    with live(tmp_path, model_path) as service, opened(browser, service.address) as page:
        expect(page.locator("#notice")).to_contain_text("not ready (invalid_model)")
        choose(page, song=audio_bytes())
        expect(page.locator("#results .state")).to_contain_text("no model is loaded")


def test_key_is_asked_for(browser: Browser, tmp_path: Path, model_path: Path) -> None:
    with live(tmp_path, model_path, api_key=KEY) as service, opened(browser, service.address) as page:
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        choose(page, song=audio_bytes())
        assert page.locator("#results > [data-state=waiting]").count() == 1
        field.fill("wröng")
        field.press("Enter")
        expect(page.locator("#key-help")).to_contain_text("did not accept this key")
        field.fill(KEY)
        field.press("Enter")
        card(page, "done")
        expect(field).to_be_hidden()
        expect(page.locator("#model")).to_contain_text("It distinguishes 3 genres")


def test_full_service_gets_every_file_in_the_end(browser: Browser, tmp_path: Path, model_path: Path) -> None:
    with (
        live(tmp_path, model_path, workers=1, queue_length=0) as service,
        opened(browser, service.address) as page,
    ):
        refused: list[int] = []
        page.on("response", lambda response: refused.append(1) if response.status == 503 else None)
        page.get_by_label("Analyse whole tracks").check()
        choose_named(page, {f"song_{i}.mp3": audio_bytes(120, "MP3") for i in range(4)})
        card(page, "done", 3)
        assert page.locator("#summary").inner_text() == "4 of 4 finished"
        assert refused


def test_file_beyond_the_bound_is_not_sent(browser: Browser, service: Live) -> None:
    with opened(browser, service.address) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method))
        choose(page, song=bytes(1_000_001))
        expect(card(page, "failed")).to_contain_text("takes at most 1.0 MB")
        assert "POST" not in sent


def test_keyboard_alone(browser: Browser, service: Live) -> None:
    with opened(browser, service.address) as page:
        # From now on Chromium hands its file dialog to the test; a listener that comes with the key may be too late.
        page.on("filechooser", lambda chooser: chooser.set_files([payload("song.wav", audio_bytes())]))
        expect(page.locator("#model dl")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.locator("#picker")).to_be_focused()
        outline = "getComputedStyle(document.querySelector('label.button')).outlineStyle"
        assert page.evaluate(outline) == "solid"
        page.keyboard.press("Enter")
        card(page, "done")
        order = [tab(page) for _ in range(5)]
        assert order == ["whole", "csv", "json", "clear", "Remove: song.wav"]
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == "genres.json"


def tab(page: Page) -> Any:
    page.keyboard.press("Tab")
    return page.evaluate("document.activeElement.id || document.activeElement.ariaLabel")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1100])
def test_accessible_on_any_screen(browser: Browser, service: Live, scheme: str, width: int) -> None:
    size = {"width": width, "height": 800}
    # axe itself comes in from outside; the other tests hold the policy.
    with opened(browser, service.address, viewport=size, color_scheme=scheme, bypass_csp=True) as page:
        choose_named(page, {"song" + 99 * "g" + ".wav": audio_bytes(), "broken.mp3": b"<html>"})
        card(page, "done")
        card(page, "failed")
        expect(page.locator("#model figure")).to_have_count(3)
        expect(page.locator(".labels")).to_have_count(1)
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
