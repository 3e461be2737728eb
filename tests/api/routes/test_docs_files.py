"""What the service sends for its documentation, without a browser."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hatchling.builders.wheel import WheelBuilder

from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem

FOLDER = Path(__file__).parents[3] / "api"
SWAGGER_UI = FOLDER / "genre_api" / "swagger_ui"
PAGES = ("/docs", "/docs/oauth2-redirect")
CHECKSUMS = {
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "NOTICE": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
    "oauth2-redirect.js": "a5c8a34e09e49737382cc5019446eec7c3db3461963fc5bfe448361d3c5549e9",
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
    "swagger-ui-bundle.js.LICENSE.txt": "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb",
}
"""Of the files in swagger-ui-dist 5.35.0."""


@pytest.mark.parametrize("address", PAGES)
def test_policy_lets_nothing_in_but_the_services_own(client: TestClient, address: str) -> None:
    policy = client.get(address).headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("address", PAGES)
def test_pages_load_only_what_is_served(make_client: MakeClient, address: str) -> None:
    client = make_client(api_key="a-long-key")
    response = client.get(address)
    assert response.headers["content-type"].startswith("text/html")
    assert not re.search(r"<style|<script(?![^>]*src=)|\sstyle=|\son\w+=", response.text)
    loaded = re.findall(r'<(?:link|script)[^>]*(?:href|src)="([^"]*)"', response.text)
    assert loaded
    for name in loaded:
        assert not re.match(r"\w+:|/", name)
        file = client.get(str(response.url.join(name)))
        assert file.status_code == 200
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert file.headers["content-type"].partition(";")[0] in ("text/javascript", "text/css", "image/svg+xml")


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "..%2fapp.py", "%2e%2e/app.py", "docs.html", "none.js"])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert_problem(client.get(f"/docs/{name}"), 404, "unknown_address")


def test_documentation_is_not_in_the_schema(client: TestClient) -> None:
    assert not [path for path in client.get("/openapi.json").json()["paths"] if path.startswith("/docs")]


def test_files_are_those_that_were_published() -> None:
    found = {name: hashlib.sha256((SWAGGER_UI / name).read_bytes()).hexdigest() for name in CHECKSUMS}
    assert found == CHECKSUMS


def test_wheel_has_files_and_licences_and_little_else(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(FOLDER)).build(directory=str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"genre_api/swagger_ui/{name}" for name in CHECKSUMS} <= names
    licences = {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"}
    assert Path(wheel).stat().st_size < 2**20
