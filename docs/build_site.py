"""Build the documentation site into `site/`: `invoke docs`.

MkDocs and its forty packages are installed into `.cache/docs`, apart from `.venv`, which only has what the members and
their tests need. The links between pages are checked; the page in the browser and the diagrams need npm.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".cache" / "docs"
MERMAID, MERMAID_SHA512 = (
    "11.12.0",
    "66e755c7bdc1c2b3097c2166492253f38cbabb96eb12857c0ce22d747a2634bc"
    "f7dae06336b7a59bb9a0f795fb83e0ba528407fd6ea604b183103bfbdc977106",
)
"""Draws the diagrams of pages; the theme would load it from another host in the reader's browser."""
PINS = ("mkdocs==1.6.1", "mkdocs-material==9.8.2", "mkdocstrings==1.0.8", "mkdocstrings-python==2.0.11")


def main() -> int:
    """Install the tools unless they are there, and build; return the exit status."""
    stamp = TOOLS / "pins.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != "\n".join((*PINS, MERMAID)):
        install = (
            "-m",
            "pip",
            "install",
            "--quiet",
            "--upgrade",
            "--disable-pip-version-check",
            "--target",
            str(TOOLS),
        )
        if status := subprocess.run([sys.executable, *install, *PINS], cwd=ROOT).returncode:
            return status
        unpack = runpy.run_path(str(ROOT / "docs" / "try" / "build.py"))["unpack"]
        unpack("mermaid", MERMAID, MERMAID_SHA512, ["dist/mermaid.min.js"], TOOLS)
        stamp.write_text("\n".join((*PINS, MERMAID)), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(TOOLS), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet"], cwd=ROOT, env=environment)
    if done.returncode == 0:
        print("site/ is complete; look at it: python -m http.server --bind 127.0.0.1 --directory site")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
