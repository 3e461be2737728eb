"""The service against its own OpenAPI description, by requests right and wrong that schemathesis makes up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.figures import add_figures
from tests.api.live import DEADLINE_SECONDS, Live, live
from tests.synthetic import write_model

COMMAND = Path(sys.executable).with_name("schemathesis")
EXAMPLES = 12
# Bytes at random are no music, and a path at random names no file: that a right request is refused says nothing.
EXCLUDED: dict[str, list[str]] = {"GET": [], "POST": ["--exclude-checks", "positive_data_acceptance"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("schema")
    model = write_model(folder)
    add_figures(model)
    with live(folder, model, audio_roots=folder, workers=2) as service:
        yield service
        assert service.process.poll() is None
        log = service.log.read_text()
    assert "Traceback" not in log
    assert '"traceback"' not in log


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_answers_are_as_described(service: Live, tmp_path: Path, method: str) -> None:
    phases = ["--phases", "examples,coverage,fuzzing", "--generation-deterministic", "--max-examples", str(EXAMPLES)]
    result = subprocess.run(
        [
            COMMAND,
            "run",
            f"{service.address}/openapi.json",
            "--no-color",
            "--include-method",
            method,
            *EXCLUDED[method],
            *phases,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE_SECONDS,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout.partition("Test cases:")[2]
