"""API key, Host header, CORS, safe headers and request ids."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient

from genre_api.observability import JsonFormatter
from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem, audio_bytes

KEY = "correct horse battery"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": KEY + "x"},
        {"X-API-Key": "ü".encode()},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {KEY}x"},
    ],
    ids=str,
)
def test_without_the_key_nothing_is_told(make_client: MakeClient, headers: dict[str, Any]) -> None:
    client = make_client(api_key=KEY)
    files = {"file": ("a.wav", audio_bytes())}
    for response in (
        client.get("/api/genres", headers=headers),
        client.get("/metrics", headers=headers),
        client.post("/api/predict", files=files, headers=headers),
    ):
        assert_problem(response, 401, "unauthorized")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_with_the_key_everything_is_served(make_client: MakeClient) -> None:
    client = make_client(api_key=KEY)
    for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
        assert client.get("/api/genres", headers=headers).status_code == 200
    for address in ("/", "/livez", "/readyz", "/docs", "/openapi.json"):
        assert client.get(address).status_code == 200


def test_key_is_checked_before_the_body_is_read(make_client: MakeClient) -> None:
    client = make_client(api_key=KEY, max_body_bytes=10)
    assert_problem(client.post("/api/predict", files={"file": ("a.wav", audio_bytes())}), 401, "unauthorized")


def test_other_names_of_this_machine_are_refused(make_client: MakeClient) -> None:
    client = make_client(allowed_hosts=("localhost", "[::1]", "Music.example"))
    for host in ("localhost", "LOCALHOST:8000", "[::1]:8000", "music.example"):
        assert client.get("/livez", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "", "[::2]:1"):
        assert_problem(client.get("/livez", headers={"Host": host}), 400, "invalid_host")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.0.7", 200),
        ("genre-api:8000", 200),
        ("evil.example", 400),
        ("evil.example:8000", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
    ],
)
@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0"])
def test_names_of_web_pages_are_refused_by_default(
    make_client: MakeClient, host: str, status: int, listens_on: str
) -> None:
    client = make_client(host=listens_on)
    assert client.get("/api/genres", headers={"Host": host}).status_code == status


def test_any_name_is_allowed_with_a_key_or_a_star(make_client: MakeClient) -> None:
    for settings in ({"api_key": KEY}, {"allowed_hosts": ("*",)}, {"host": "music.example"}):
        assert make_client(**settings).get("/livez", headers={"Host": "music.example"}).status_code == 200


@pytest.mark.parametrize("where", ["query", "header", "many headers"])
def test_large_heads_are_refused(client: TestClient, where: str) -> None:
    query = "&".join(f"a{i}=1" for i in range(3000)) if where == "query" else ""
    many = {f"A{i}": "b" for i in range(5000)} if where == "many headers" else {}
    headers = {"Accept": "a/b;q=0.5," * 2000} if where == "header" else many
    assert_problem(client.get(f"/api/genres?{query}", headers=headers), 431, "head_too_large")


def test_answer_tells_few_faults(client: TestClient) -> None:
    response = client.post("/api/predict?" + "&".join(f"a{i}=1" for i in range(1000)))
    assert_problem(response, 422, "invalid_request")
    assert len(response.json()["detail"].split("; ")) == 5


def test_log_and_metrics_name_known_methods_only(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.request("A" * 60_000, "/livez")
    assert "AAAA" not in "".join(JsonFormatter().format(record) for record in caplog.records if "genre" in record.name)
    assert 'method="other"' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://LOCALHOST"}, 200),
        ({"Origin": "https://music.example"}, 200),
        ({}, 200),
    ],
)
def test_pages_of_others_get_no_answers(make_client: MakeClient, headers: dict[str, str], status: int) -> None:
    client = make_client(cors_origins=("https://music.example",))
    headers = {"Host": "localhost", **headers}
    files = {"file": ("a.wav", audio_bytes())}
    for address in ("/api/genres", "/api/metrics/confusion", "/metrics"):
        assert client.get(address, headers=headers).status_code in (status, 404 if status == 200 else status)
    assert client.head("/api/genres", headers=headers).status_code in (status, 405)
    assert client.post("/api/predict", files=files, headers=headers).status_code == status
    for address in ("/", "/docs", "/livez"):  # a link of another page may lead here
        assert client.get(address, headers=headers).status_code == 200


def test_pages_of_others_may_not_read_answers_by_default(client: TestClient) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert_problem(client.options("/api/predict", headers=headers), 405, "method_not_allowed")
    response = client.get("/api/genres", headers=headers)
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_pages_of_others_may_not_put_the_service_to_work(make_client: MakeClient) -> None:
    client = make_client(cors_origins=("https://music.example",))
    files = {"file": ("a.wav", audio_bytes())}
    for site, origin, status in (
        ("cross-site", "https://evil.example", 403),
        ("same-site", "http://localhost:3000", 403),
        ("cross-site", "https://music.example", 200),
        ("same-origin", "http://testserver", 200),
        ("none", "null", 200),
    ):
        headers = {"Sec-Fetch-Site": site, "Origin": origin}
        response = client.post("/api/predict", files=files, headers=headers)
        assert response.status_code == status, (site, origin)
        assert client.get("/", headers=headers).status_code == 200
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert_problem(client.post("/api/predict", files=files, headers=headers), 403, "cross_site")


def test_cors_for_the_origins_named(make_client: MakeClient) -> None:
    client = make_client(cors_origins=("https://music.example",))
    for origin, allowed in (("https://music.example", "https://music.example"), ("https://evil.example", None)):
        response = client.get("/api/genres", headers={"Origin": origin})
        assert response.headers.get("Access-Control-Allow-Origin") == allowed
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("address", ["/", "/api/genres", "/none", "/metrics"])
def test_headers_are_safe(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_request_id_is_the_clients_if_harmless(client: TestClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "a-1_b.2"}).headers["X-Request-ID"] == "a-1_b.2"
    for given in ("", "a b", "x" * 65, 'a"}', "a\t"):
        answered = client.get("/livez", headers=[("X-Request-ID", given)]).headers["X-Request-ID"]
        assert len(answered) == 32
        assert answered.isalnum()


def test_log_has_one_object_a_request(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[dict[str, Any]] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    access, keeper = logging.getLogger("genre_api.access"), Keeper()
    access.addHandler(keeper)
    try:
        with caplog.at_level(logging.INFO):
            client.get("/none/../x?key=secret", headers={"X-Request-ID": "one"})
            client.get("/api/genres", headers={"X-Request-ID": "two"})
    finally:
        access.removeHandler(keeper)
    assert [(line["request_id"], line["route"], line["status"]) for line in lines] == [
        ("one", "unmatched", 404),
        ("two", "/api/genres", 200),
    ]
    assert "secret" not in json.dumps(lines)


def test_traceback_stays_in_one_line_of_the_log() -> None:
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError as error:
        record = logging.LogRecord("name", logging.ERROR, "path", 1, "failed", (), (RuntimeError, error, None))
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "two\nlines" in json.loads(line)["traceback"]
