"""Spectrograms as JSON and as `.npy` bodies."""

from __future__ import annotations

import io
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from genre_api.problems import ServiceError
from genre_api.request_body import parse_json
from genre_runtime import GenreClassifier
from genre_runtime.model.features import log_mel_spectrogram
from tests.api.conftest import MakeClient
from tests.api.requests import assert_problem
from tests.synthetic import noise

NPY = "application/x-npy"


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def send(client: TestClient, content: bytes, content_type: str = NPY, query: str = "") -> Any:
    return client.post(f"/api/predict{query}", content=content, headers={"Content-Type": content_type})


@pytest.fixture
def log_mel(classifier: GenreClassifier) -> Any:
    return log_mel_spectrogram(noise(23), classifier.metadata.audio)


def test_all_ways_give_the_packages_numbers(client: TestClient, classifier: GenreClassifier, log_mel: Any) -> None:
    expected = classifier.classify_log_mel(log_mel).to_dict()
    answers = [
        client.post("/api/predict", json={"spec": log_mel.tolist()}),
        send(client, npy(log_mel)),
        send(client, npy(np.asfortranarray(log_mel)), "application/octet-stream"),
        send(client, npy(log_mel.astype(">f8"))),
    ]
    for response in answers:
        assert response.status_code == 200
        assert {name: response.json()[name] for name in expected} == expected
        assert response.json()["path"] is None


def test_whole_numbers_are_numbers(client: TestClient) -> None:
    response = client.post("/api/predict", json={"spec": [[-3] * 9] * 128})
    assert response.status_code == 200
    assert response.json()["excerpts"][0]["silent"]


@pytest.mark.parametrize(
    "content",
    [
        b'{"spec": [[1, 2], [3]]}',
        b'{"spec": [["1", "2"]]}',
        b'{"spec": [[true]]}',
        b'{"spec": [[null, 1.0]]}',
        b'{"spec": [[1e999]]}',
        b'{"spec": [[]' + b",[1]" * 127 + b"]}",
        b'{"spec": [' + b"1," * 10**6 + b"1]}",
        b'{"spec": [[' + b"[1],[2],[3]" + b"]" + b",[1]" * 125 + b"]}",
        b'{"spec": ["' + b"],[" * 127 + b'"]}',
        b'{"' + b"x" * 10**6 + b'": 1}',
        b'{"spec": null}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"spec": 1}',
        b'{"spec": []}',
        b'{"spec": {}}',
        b'{"spec": [[]]}',
        b'{"spec": [[[1]]]}',
        b'{"spec": [[1' + b"0" * 400 + b"]" + b",[1]" * 127 + b"]}",
        b'{"spec": [["' + b"x" * 10**6 + b'"' + b",1" * 100_000 + b"]" + b",[]" * 127 + b"]}",
        b'{"spec": [[1]], "path": "a"}',
        b'{"path": 1}',
        b"[]",
        b"null",
        b"{}",
    ],
)
def test_wrong_json_is_invalid(client: TestClient, content: bytes) -> None:
    response = send(client, content, "application/json")
    assert response.json()["code"] in ("invalid_request", "invalid_input")
    assert_problem(response, 422, response.json()["code"])
    assert len(response.content) < 1000


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 10**6 + b"[]]",
        b'{"spec": [' + b"[]," * 10**6 + b"[]]}",
        b'{"spec": [[' + b"1," * 10**6 + b"1]]}",
    ],
    ids=["lists", "rows", "numbers"],
)
def test_hostile_json_becomes_no_python_objects(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ServiceError):
            parse_json(body, 128)
        assert tracemalloc.get_traced_memory()[1] < 6 * len(body)  # the objects would need twenty times as much or more
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"path": "\\ud800"}',
        '{"path": "a"}'.encode("utf-16"),
        b'{"spec": ' + b"[" * 100_000,
        b'{"spec": [[NaN]]}',
        b'{"path": "\xff"}',
        b"\xff\xfe",
    ],
)
def test_no_json_is_a_broken_body(client: TestClient, content: bytes) -> None:
    assert_problem(send(client, content, "application/json"), 400, "invalid_body")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 9)),
        np.zeros((128, 0)),
        np.zeros(128),
        np.full((128, 9), np.nan),
        np.full((128, 9), 1e300),
        np.zeros((128, 9), complex),
        np.full((128, 9), "x"),
        np.zeros((2, 128, 9)),
        np.zeros((128, 9), bool),
    ],
    ids=["bands", "no frames", "one axis", "nan", "large", "complex", "text", "three axes", "bool"],
)
def test_wrong_array_is_invalid(client: TestClient, array: Any) -> None:
    response = send(client, npy(array))
    assert response.json()["code"] in ("invalid_request", "invalid_input")
    assert_problem(response, 422, response.json()["code"])


class Bomb:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('unpickled')",))


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy(np.zeros((128, 9)))[:-1],
        npy(np.zeros((128, 9))) + b"x",
        pickle.dumps(Bomb()),
        b"PK\x03\x04" + bytes(100),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (128, 1000000000000)}"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-128, -9)}") + bytes(128 * 9 * 4),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1180591620717411303424)}"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, True)}") + bytes(4),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (128, 9" + b"9" * 5000 + b")}"),
        header(b"(" * 9000),
        header(b"__import__('os').system('true')"),
        b"\x93NUMPY\x09\x00" + bytes(100),
    ],
    ids=[
        "nothing",
        "magic",
        "short",
        "long",
        "pickle",
        "zip",
        "claims",
        "negative",
        "empty and large",
        "truth values",
        "digits",
        "deep",
        "code",
        "version",
    ],
)
def test_no_npy_is_a_broken_body(client: TestClient, content: bytes) -> None:
    assert_problem(send(client, content), 400, "invalid_body")


def test_objects_are_not_unpickled(client: TestClient) -> None:
    array = np.empty((1, 1), object)
    array[0, 0] = Bomb()
    assert_problem(send(client, npy(array, allow_pickle=True)), 422, "invalid_request")


@pytest.mark.parametrize("query", ["?whole=true", "?excerpts=2"])
def test_options_for_audio_are_refused(client: TestClient, log_mel: Any, query: str) -> None:
    assert_problem(send(client, npy(log_mel), query=query), 422, "invalid_request")


def test_length_is_bounded_like_decoded_audio(make_client: MakeClient) -> None:
    client = make_client(max_decode_seconds=20)
    assert send(client, npy(np.zeros((128, 160), "int8"))).status_code == 200
    assert_problem(send(client, npy(np.zeros((128, 170), "int8"))), 413, "audio_limit")


def test_odd_values_in_otherwise_right_rows(client: TestClient) -> None:
    for value in ('"1"', "true", "null", "[1]", "1e999", "1" + "0" * 400):
        content = '{"spec": [' + ",".join([f"[{value}]", *["[1]"] * 127]) + "]}"
        response = send(client, content.encode(), "application/json")
        assert response.json()["code"] in ("invalid_request", "invalid_input"), value
        assert_problem(response, 422, response.json()["code"])
