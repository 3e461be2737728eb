"""A server on a free port that answers as the test says, for services that real ones are only by accident."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from genre_runtime import AudioConfig

Reply = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON object, headers."""

READY: dict[str, dict[str, Any]] = {
    "/readyz": {"status": "ready"},
    "/api/health": {"model": "odd.onnx", "device": "cpu", "device_requested": "auto"},
    "/api/genres": {"genres": ["noise", "quiet", "tone"]},
    "/api/input": {"excerpt_seconds": 10.0, "n_excerpts": 3, "audio": asdict(AudioConfig())},
    "/api/metrics": {"val_acc": 0.5, "provenance": {"split": {"split": "grouped"}}},
    "/api/metrics/history": {"history": []},
    "/api/metrics/confusion": {"matrix": [[1, 0, 0], [0, 1, 1], [0, 0, 2]]},
}
PREDICTION: dict[str, Any] = {
    "path": "track",
    "label": "tone",
    "confidence": 0.9,
    "confident": True,
    "reason": None,
    "probabilities": {"tone": 0.9, "noise": 0.1, "quiet": 0.0},
    "excerpts": [
        {"start_seconds": 0.0, "end_seconds": 1.0, "silent": False, "probabilities": {"tone": 0.9, "noise": 0.1}}
    ],
    "duration_seconds": 1.0,
    "device": "cpu",
    "top": [],
    "timings": {},
}


def problem(status: int, code: str, detail: str = "", **headers: str) -> Reply:
    """Return a refusal."""
    values = {"status": status, "code": code, "detail": detail, "request_id": "0a1b"}
    return status, values, {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def odd_service(predict: Callable[[bytes], Reply], pages: dict[str, Any] | None = None) -> Iterator[str]:
    """Serve `pages`, JSON objects or replies, and predictions that `predict` makes of the body; yield the address."""
    shown = READY if pages is None else pages

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path in shown:
                page = shown[self.path]
                self._send(*page if isinstance(page, tuple) else (200, page, {}))
            else:
                self._send(*problem(404, "unknown_address"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(*predict(body))

        def _send(self, status: int, values: dict[str, Any], headers: dict[str, str]) -> None:
            content = json.dumps(values).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are what is tested
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
