"""The service against its own OpenAPI description, by requests right and wrong that schemathesis makes up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from genre_runtime.model.metadata import read_metadata
from tests.api.figures import add_figures
from tests.api.live import Live, live, wait_until_known, write_state
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import tone, write_audio, write_model

COMMAND = Path(sys.executable).with_name("schemathesis")
HOOKS = Path(__file__).with_name("schema_files.py")
EXAMPLES = 12
KEY = "a-long-key"
# A path at random names no file, and rows at random are no spectrogram of this model's height.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2XX", 404, 422]
"""


@pytest.fixture(scope="module", params=[None, KEY], ids=["open", "key"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, str]]:
    """A service, and the key that it asks for or nothing."""
    folder = tmp_path_factory.mktemp("schema")
    model, key = write_model(folder), request.param
    add_figures(model)
    write_state(folder / "state", model, write_audio(folder / "song.wav", tone(2)))
    options = {
        "audio_roots": folder,
        "state": folder / "state",
        "jobs": folder / "jobs",
        "workers": 2,
        **({"api_key": key} if key else {}),
    }
    with live(folder, model, **options) as service:
        wait_until_known(service, key or "")
        yield service, key or ""
        assert service.process.poll() is None
        log = service.log.read_text()
    assert "Traceback" not in log
    assert '"traceback"' not in log


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_answers_are_as_described(service: tuple[Live, str], tmp_path: Path, method: str) -> None:
    running, key = service
    n_mels = read_metadata(Path(running.log.parent, "best_model.onnx")).audio.n_mels
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    result = subprocess.run(
        [
            *(str(COMMAND), "--no-color", "run", f"{running.address}/openapi.json", "--include-method", method),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing"),
            *("--generation-deterministic", "--max-examples", str(EXAMPLES)),
            *(("--header", f"X-API-Key: {key}") if key else ()),
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "TEST_N_MELS": str(n_mels)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout.partition("Test cases:")[2]
    entries = [json.loads(line) for line in running.log.read_text().splitlines()]
    fine = Counter(entry.get("route") for entry in entries if entry.get("status") == 200 and entry["method"] == method)
    if method == "POST":  # it has not only been refused
        assert min(fine["/api/predict"], fine["/api/predict/batch"]) > EXAMPLES, fine
