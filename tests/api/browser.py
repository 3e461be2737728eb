"""The page in a real Chromium, under watch: what it may not do fails the test that it does it in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, Response, expect, sync_playwright

from tests.patience import PATIENCE_SECONDS

NAMES = ("chromium", "chromium-browser", "google-chrome")
EXPECTED = "Failed to load resource: "
"""What Chromium itself writes into its console about an answer that is an error; which may be one, `_is_right` says."""

_REPORT = """
addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective}`));
"""

expect.set_options(timeout=PATIENCE_SECONDS * 1_000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium of the system without a window; skip the tests where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Open the page; in the end it has asked no other origin, and nothing stands in the console.

    Parameters
    ----------
    browser : Browser
    address : str
    **options
        Of `Browser.new_context`.
    """
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_SECONDS * 1_000)
    page = context.new_page()
    wrong: list[str] = []
    page.add_init_script(_REPORT)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: None if message.text.startswith(EXPECTED) else wrong.append(message.text))
    page.on("request", lambda request: None if _is_own(request.url, address) else wrong.append(request.url))
    page.on("response", lambda response: None if _is_right(response) else wrong.append(response.url))
    page.goto(f"{address}/")
    yield page
    context.close()
    assert wrong == []


def choose(page: Page, **files: bytes) -> None:
    """Pick files as a user does; `song=...` is song.wav."""
    named = {f"{name}.wav": content for name, content in files.items()}
    choose_named(page, named)


def choose_named(page: Page, files: dict[str, bytes]) -> None:
    """Pick files of any name."""
    page.set_input_files("#picker", [payload(name, content) for name, content in files.items()])


def payload(name: str, content: bytes) -> FilePayload:
    """A file as Playwright hands it to the page."""
    return {"name": name, "mimeType": "audio/wav", "buffer": content}


def card(page: Page, state: str, n: int = 0) -> Locator:
    """Wait for the n-th card in a state and return its locator."""
    found = page.locator(f"#results > [data-state={state}]").nth(n)
    found.wait_for()
    return found


def _is_own(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", f"blob:{address}/")) or urlsplit(url).scheme == "data"


def _is_right(response: Response) -> bool:
    """Only the endpoints may refuse: a file of the page that is missing is a fault."""
    return response.ok or urlsplit(response.url).path.startswith("/api/")


def wait_until(page: Page, expression: str) -> None:
    """Wait until an expression is true; the browser's own waiting compiles text, which the page's policy forbids."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not true within {PATIENCE_SECONDS:g} s: {expression}"
        page.wait_for_timeout(50)
