"""What the service sends a browser, without a browser."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hatchling.builders.wheel import WheelBuilder

from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem

FOLDER = Path(__file__).parents[3] / "api"
PAGE = FOLDER / "genre_api" / "page"
HTML = {"Accept": "text/html"}


def files_of(html: str) -> list[str]:
    """Everything that the browser loads with the page."""
    return re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]*)"', html)


def test_policy_lets_nothing_in_but_the_services_own(client: TestClient) -> None:
    policy = client.get("/", headers=HTML).headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert directives["media-src"] == "blob:"
    assert "unsafe" not in policy
    assert "http" not in policy


def test_page_has_nothing_inline_and_nothing_from_elsewhere(client: TestClient) -> None:
    html = client.get("/", headers=HTML).text
    assert not re.search(r"<style|<script(?![^>]*src=)|\sstyle=|\son\w+=", html)
    assert all(not re.match(r"\w+:|/", address) for address in files_of(html))


def test_every_file_of_the_page_is_served_with_its_type(make_client: MakeClient) -> None:
    client = make_client(api_key="a-long-key")
    types = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    names = {path.name for path in PAGE.iterdir() if path.suffix in types}
    assert {address.removeprefix("page/") for address in files_of(client.get("/", headers=HTML).text)} <= names
    for name in names:
        response = client.get(f"/page/{name}")
        assert response.content == (PAGE / name).read_bytes()
        assert response.headers["content-type"].partition(";")[0] == types[Path(name).suffix]
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["none.js", "index.html", "..%2fpages.py", "__init__.py", "%2e%2e/%2e%2e/app.py"])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert_problem(client.get(f"/page/{name}"), 404, "unknown_address")


def test_scripts_never_make_markup_of_text() -> None:
    for path in PAGE.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()), path


def test_scripts_import_what_is_there() -> None:
    for path in PAGE.glob("*.js"):
        for names, module in re.findall(r"^import \{(.*?)\} from \"\./(.*?)\"", path.read_text(), re.MULTILINE):
            text = (PAGE / module).read_text()
            for name in names.split(","):
                assert re.search(rf"^export (async )?(function|class|const) {name.strip()}\b", text, re.MULTILINE), name


def test_page_knows_how_much_may_be_sent(make_client: MakeClient) -> None:
    assert 'data-max-body-bytes="12345"' in make_client(max_body_bytes=12345).get("/", headers=HTML).text


def test_wheel_has_the_page(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(FOLDER)).build(directory=str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        assert {f"genre_api/page/{path.name}" for path in PAGE.iterdir()} <= set(archive.namelist())
