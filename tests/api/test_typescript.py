"""A TypeScript client generated from the OpenAPI description compiles."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

NPM = shutil.which("npm")
PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
PROGRAM = Path(__file__).with_name("client.ts")
SECONDS = 300


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(NPM), *command], cwd=folder, capture_output=True, text=True, timeout=SECONDS)


def test_every_reference_of_openapi_is_defined(client: TestClient) -> None:
    text = client.get("/openapi.json").text
    defined = json.loads(text)["components"]["schemas"]
    used = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert {"Problem", "NotReady", "Job", "JobRequest", "Prediction", "TrackResult"} <= used <= defined.keys()
    assert "HTTPValidationError" not in text


@pytest.mark.skipif(NPM is None, reason="needs Node.js")
def test_generated_client_compiles(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(client.get("/openapi.json").text)
    (tmp_path / "package.json").write_text("{}")
    shutil.copy(PROGRAM, tmp_path)
    installed = run(tmp_path, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", *PACKAGES)
    if installed.returncode:
        pytest.skip("the TypeScript compiler cannot be installed here")
    for command in (
        ("openapi-typescript", "openapi.json", "-o", "schema.ts"),
        (
            "tsc",
            "--noEmit",
            "--strict",
            "--target",
            "es2022",
            "--module",
            "esnext",
            "--moduleResolution",
            "bundler",
            "client.ts",
        ),
    ):
        result = run(tmp_path, "exec", "--offline", "--", *command)
        assert result.returncode == 0, result.stdout + result.stderr
