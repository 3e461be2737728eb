"""Build the documentation site into `site/`: `invoke docs`.

MkDocs and its forty packages are installed into `.cache/docs`, apart from `.venv`, which only has what the members and
their tests need. The links between pages are checked; the page in the browser needs npm.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".cache" / "docs"
PINS = ("mkdocs==1.6.1", "mkdocs-material==9.8.2", "mkdocstrings==1.0.8", "mkdocstrings-python==2.0.11")


def main() -> int:
    """Install the tools unless they are there, and build; return the exit status."""
    stamp = TOOLS / "pins.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != "\n".join(PINS):
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
        stamp.write_text("\n".join(PINS), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(TOOLS), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet"], cwd=ROOT, env=environment)
    if done.returncode == 0:
        print("site/ is complete; look at it: python -m http.server --bind 127.0.0.1 --directory site")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
