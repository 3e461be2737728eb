"""A tree of music as people have it: classified, killed, gone on with, tagged, and everything undone.

`GENRE_TEST_FILES=2000` makes it as large as a library is; the tests' own size is smaller.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.runtime.library.conftest import SUFFIXES

N_FILES = int(os.environ.get("GENRE_TEST_FILES", "90"))
BROKEN = (b"", b"no music at all", b"ID3\x04\0\0\0\0\0\x0a", b"RIFF\xff\xff\xff\xffWAVEfmt ")
PROGRAM = "import sys; from genre_runtime.cli import main; sys.exit(main(sys.argv[1:]))"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def grow(folder: Path, originals: dict[str, Path]) -> None:
    """Fill a tree: every container in turn, a tenth broken, odd names, copies as there are in any large library."""
    rng = random.Random(0)
    for i in range(N_FILES):
        suffix = SUFFIXES[i % len(SUFFIXES)]
        path = folder / f"artist {i % 7}" / f"album '{i % 3}'" / f"{i:04} &c. été{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if i % 10 == 3:
            path.write_bytes(rng.choice(BROKEN))
        else:
            content = originals[suffix].read_bytes()
            path.write_bytes(content[: len(content) - i % 5] if suffix in (".mp3", ".flac") else content)
        os.utime(path, (1_500_000_000 + i, 1_500_000_000 + i))


def digests(folder: Path) -> dict[str, tuple[str, float]]:
    """Content and modification time of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime) for path in files}


def genre(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def test_a_library_is_as_it_was(originals: dict[str, Path], model_path: Path, tmp_path: Path) -> None:
    music, state, journal = tmp_path / "music", tmp_path / "state", tmp_path / "journal"
    grow(music, originals)
    before = digests(music)
    listen = ("classify", music, "--state", state, "--format", "jsonl", "--model", model_path)

    killed = subprocess.Popen([sys.executable, "-c", PROGRAM, *map(str, listen)], stdout=subprocess.PIPE)
    assert killed.stdout is not None
    for _ in range(N_FILES // 3):
        killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    resumed = genre(*listen, "--output", tmp_path / "all.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert resumed.returncode == 1
    assert [row["path"] for row in rows] == sorted(before)
    broken = {row["path"] for row in rows if "error" in row}
    # The .ape file is made by hand: its tags are real, its sound is not.
    assert len(broken) == len([i for i in range(N_FILES) if i % 10 == 3 or SUFFIXES[i % len(SUFFIXES)] == ".ape"])
    assert int(resumed.stderr.split(" known from the state file")[0].split()[-1]) > 1

    tagged = genre(
        "tag", "--from", tmp_path / "all.jsonl", "--write", "--unsure", "--journal", journal, "--state", state
    )
    words = Counter(line.split()[0] for line in tagged.stdout.splitlines())
    after = digests(music)
    changed = {path for path in before if before[path] != after[path]}
    assert words["written"] == len(changed) > N_FILES // 2
    assert not changed & broken

    again = genre(*listen)
    assert " classified on " not in again.stderr, "tagged files are not analysed again"
    assert [json.loads(line)["path"] for line in again.stdout.splitlines()] == sorted(before)

    undone = genre("tag", "--undo", journal)
    assert undone.returncode == 0, undone.stderr
    assert digests(music) == before
    assert not [path for path in tmp_path.rglob(".*") if path.name.startswith(".genre")]
