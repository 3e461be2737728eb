"""The documentation in a real Chromium: everything that it loads comes from the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.browser import chromium, opened, payload, wait_until
from tests.api.live import Live, live
from tests.api.requests import audio_bytes
from tests.synthetic import write_model


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("docs")
    with live(folder, write_model(folder)) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def docs(browser: Browser, service: Live) -> Iterator[Page]:
    """The documentation; a request to another host, or an error in the console, fails the test."""
    with opened(browser, service.address) as page:
        page.goto(f"{service.address}/docs")
        expect(page.locator(".opblock").first).to_be_visible()
        yield page


def test_every_endpoint_is_shown(docs: Page) -> None:
    expect(docs.locator(".info .title")).to_contain_text("Music genre classification")
    for address in ("/api/predict", "/api/genres", "/livez"):
        expect(docs.locator(f'.opblock [data-path="{address}"]').first).to_be_visible()
    for section in docs.locator(".opblock-summary-control").all():
        section.click()
    expect(docs.locator(".opblock.is-open .response-col_status").first).to_be_visible()


def test_schemas_are_shown(docs: Page) -> None:
    models = docs.locator(".models")
    expect(models).to_be_visible()
    models.locator("button").first.click()


def test_an_upload_is_tried_out(docs: Page) -> None:
    operation = docs.locator(".opblock-post", has=docs.locator('[data-path="/api/predict"]'))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("input[type=file]").first.set_input_files([payload("song.wav", audio_bytes())])
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    expect(answer).to_contain_text("200")
    expect(answer).to_contain_text("probabilities")


def test_an_address_is_tried_out(docs: Page) -> None:
    operation = docs.locator(".opblock-get", has=docs.locator('[data-path="/api/genres"]'))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text("confidence_threshold")


def test_the_page_links_here(browser: Browser, service: Live) -> None:
    with opened(browser, service.address) as page:
        page.get_by_text("For programs").click()
        page.get_by_role("link", name="Documentation").click()
        expect(page.locator(".opblock").first).to_be_visible()


@pytest.mark.parametrize("words", ["", "?code=1&state=2", "#token=3"])
def test_the_redirect_of_oauth2_loads(browser: Browser, service: Live, words: str) -> None:
    with opened(browser, service.address) as page:
        page.goto(f"{service.address}/docs/oauth2-redirect{words}")
        expect(page.locator("body")).to_contain_text("finished")
        page.wait_for_load_state("networkidle")


def test_the_redirect_of_oauth2_hands_its_answer_over(browser: Browser, service: Live) -> None:
    """The service has no OAuth 2 of its own; one whose application extends it may."""
    with opened(browser, service.address) as page:
        page.evaluate("""() => {
            window.answers = [];
            window.swaggerUIRedirectOauth2 = {
                state: "2", redirectUrl: "", auth: {name: "a", schema: {get: () => "implicit"}},
                callback: (answer) => window.answers.push(answer), errCb: (error) => window.answers.push(error),
            };
        }""")
        with page.expect_popup():
            page.evaluate(f"() => void window.open('{service.address}/docs/oauth2-redirect#access_token=1&state=2')")
        wait_until(page, "window.answers.length === 1")
        assert page.evaluate("window.answers[0].token.access_token") == "1"
        assert page.evaluate("window.answers[0].isValid")
