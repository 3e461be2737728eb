"""What Prometheus is told."""

from __future__ import annotations

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from genre_api.observability import Meters
from tests.api.requests import audio_bytes, upload


def values(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_decoding_and_model_are_measured_apart() -> None:
    meters = Meters()
    meters.classified(decode_seconds=2.0, model_seconds=0.25)
    families = text_string_to_metric_families(meters.text().decode())
    found = {sample.name: sample.value for family in families for sample in family.samples}
    assert (found["genre_decode_seconds_sum"], found["genre_model_seconds_sum"]) == (2.0, 0.25)


def test_requests_times_and_rejections_are_counted(client: TestClient, client_without_model: TestClient) -> None:
    upload(client, audio_bytes())
    upload(client, b"words")
    for path in ("/a", "/b?c=d"):
        client.request("BREW", path)
    found = values(client)
    assert found["genre_requests_total", "POST", "/api/predict", "200"] == 1
    assert found["genre_requests_total", "POST", "/api/predict", "415"] == 1
    assert found["genre_requests_total", "other", "unmatched", "404"] == 2
    assert found["genre_rejections_total", "unreadable_audio"] == 1
    assert found["genre_request_seconds_count", "/api/predict"] == 2
    assert found["genre_decode_seconds_count",] == found["genre_model_seconds_count",] == 1
    assert found["genre_decode_seconds_sum",] > 0
    assert found["genre_queue_seconds_count",] == 2
    assert (found["genre_queue_waiting",], found["genre_body_bytes",], found["genre_ready",]) == (0, 0, 1)
    assert values(client_without_model)["genre_ready",] == 0
    assert ("genre_requests_total", "POST", "/api/predict", "200") not in values(client_without_model)
