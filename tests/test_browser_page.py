"""The page that classifies in the browser answers as the command does, and sends nothing anywhere."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page

from genre_runtime import FloatArray, GenreClassifier
from genre_runtime.audio.waveform import resample as soxr_resample
from tests.api.browser import chromium, opened
from tests.runtime.av_files import CONTAINERS, write_with_pyav

FOLDER = Path(__file__).parents[1] / "docs" / "try"
LARGEST_DIFFERENCE = 0.02
RESAMPLE = """(async () => {
  const { resample } = await import(process.argv[1]);
  const { samples, rate, wanted } = JSON.parse(require("fs").readFileSync(0, "utf8"));
  console.log(JSON.stringify(Array.from(resample(Float32Array.from(samples), rate, wanted))));
})()"""
SAMPLE_RATES = """(async () => {
  const { sampleRate } = await import(process.argv[1]);
  const { readFileSync } = require("fs");
  const rates = process.argv.slice(2).map((file) => sampleRate(new Uint8Array(readFileSync(file)).buffer));
  console.log(JSON.stringify(rates));
})()"""

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which fetches ONNX Runtime Web, is missing")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"try_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page on a plain file server; needs the browser first, so that nothing is fetched without one."""
    folder = tmp_path_factory.mktemp("try")
    try:
        load("build").build(folder)
    except SystemExit as error:
        pytest.skip(str(error))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address, accept_downloads=True) as page:
        page.get_by_text("Ready.", exact=True).wait_for()
        yield page


def music(rate: int, seconds: float, seed: int) -> FloatArray:
    """Chords, a bass and drums: something with energy in all bands."""
    rng, time = np.random.default_rng(seed), np.arange(round(rate * seconds)) / rate
    notes = 220 * 2 ** (rng.integers(0, 24, (8, 3)) / 12)
    beat = (time * 2).astype(int)
    tones = sum(np.sin(2 * np.pi * notes[beat % 8, k] * time) for k in range(3))
    drums = rng.standard_normal(time.size) * np.exp(-(time * 2 % 1) * 12)
    mixed: FloatArray = (0.1 * np.stack([tones + drums, 0.8 * tones + 0.3 * drums], axis=1)).astype(np.float32)
    return mixed


def rows(page: Page, n: int) -> dict[str, tuple[str, dict[str, float], str]]:
    """Wait until n files are done; return the genre, the probabilities that are shown and the tags, by file."""
    page.locator("#status", has_text=f"{n} file").wait_for()
    found = {}
    for row in page.locator("#results tr").all():
        cells = row.locator("td")
        meters = {
            one.get_attribute("aria-label") or "": float(one.get_attribute("value") or 0)
            for one in row.locator("meter").all()
        }
        head = cells.nth(1).locator("summary")
        text = head.inner_text() if head.count() else cells.nth(1).inner_text()
        found[cells.nth(0).inner_text()] = text, meters, cells.nth(3).inner_text()
    return found


def test_answers_are_those_of_the_command(page: Page, tmp_path: Path) -> None:
    kinds = (
        ("a.wav", 44_100, 40.0),
        ("b.wav", 8_000, 12.0),
        ("c.flac", 22_050, 31.0),
        ("d.ogg", 48_000, 9.0),  # no seek: libsndfile misses some places in Ogg files by 10 ms
        ("e.mp3", 44_100, 25.0),
        ("f.wav", 32_000, 3.0),
    )
    for seed, (name, rate, seconds) in enumerate(kinds):
        soundfile.write(tmp_path / name, music(rate, seconds, seed), rate)
    one = music(44_100, 12, 9)[:, 0]
    soundfile.write(tmp_path / "inverted.wav", np.stack([one, -one], axis=1), 44_100)
    soundfile.write(
        tmp_path / "late.wav", np.concatenate([np.zeros((32_000 * 60, 2), np.float32), music(32_000, 8, 7)]), 32_000
    )
    soundfile.write(tmp_path / "silent.wav", np.zeros(44_100 * 12, np.float32), 44_100)
    paths = sorted(tmp_path.iterdir())
    page.set_input_files("#files", paths)
    shown = rows(page, len(paths))
    classifier = GenreClassifier.load(device="cpu", threads=1)
    for path in paths:
        expected, (text, probabilities, tags) = classifier.classify_file(path), shown[path.name]
        assert probabilities
        for genre, share in probabilities.items():
            assert share == pytest.approx(expected.probabilities[genre], abs=LARGEST_DIFFERENCE), path.name
        if expected.confident:
            assert text == expected.label
        elif not expected.is_music:
            assert text == expected.music
        assert bool(tags) <= (expected.music != "silence")


def test_what_cannot_be_read_gets_a_sentence_and_the_next_file_is_classified(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.mp3").write_bytes(b"ID3" + bytes(2000))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.flac").write_text("no music <script>alert(1)</script>", encoding="utf-8")
    soundfile.write(tmp_path / "z.wav", music(16_000, 11, 1), 16_000)
    page.set_input_files("#files", sorted(tmp_path.iterdir()))
    shown = rows(page, 4)
    assert "3 could not be read" in page.inner_text("#status")
    assert "empty" in shown["empty.wav"][0]
    assert all("cannot decode" in shown[name][0] for name in ("broken.mp3", "text.flac"))
    assert shown["z.wav"][1]
    with page.expect_download() as download:
        page.click("#save")
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("path,label,confidence,confident")
    assert len(lines) == 5


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_is_that_of_the_command(rate: int) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    samples = music(rate, 1.0, rate)[:, 0]
    given = json.dumps({"samples": samples.tolist(), "rate": rate, "wanted": 32_000})
    command = [node, "-e", RESAMPLE, (FOLDER / "resample.js").as_uri()]
    printed = subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout
    made, wanted = np.array(json.loads(printed)), soxr_resample(samples, rate, 32_000)
    assert made.size == wanted.size
    middle = slice(2_000, -2_000)
    assert np.abs(made[middle] - wanted[middle]).max() < 0.01 * np.abs(wanted).max()


def test_rate_is_found_in_the_header_of_every_kind_that_browsers_decode(tmp_path: Path) -> None:
    """At another rate the browser resamples, and what it lets through changes answers by up to 0.4."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    rates = {".wav": 22_050, ".flac": 96_000, ".ogg": 44_100, ".opus": 48_000, ".mp3": 24_000}
    rates |= {".m4a": 44_100, ".mp4": 48_000, ".aac": 22_050, ".webm": 48_000, ".mka": 44_100}
    paths = []
    for suffix, rate in rates.items():
        paths.append(tmp_path / f"a{suffix}")
        if suffix in CONTAINERS:
            write_with_pyav(paths[-1], music(rate, 2, 0)[:, 0].copy(), rate)
        else:
            kind = {"format": "OGG", "subtype": "OPUS"} if suffix == ".opus" else {}
            soundfile.write(paths[-1], music(rate, 2, 0), rate, **kind)
    command = [node, "-e", SAMPLE_RATES, (FOLDER / "sample_rate.js").as_uri(), *map(str, paths)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert dict(zip(rates, json.loads(printed), strict=True)) == rates
