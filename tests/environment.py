"""What the tests need besides Python packages: run once in the new environment by `invoke setup`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path


def repair_torchaudio() -> None:
    """Remove torchaudio's CUDA extension if torch is a CPU build, in which it cannot be loaded.

    Without its folder, torchaudio treats the extension as not available; this project does not use it.
    """
    probe = "import torch\ntry: import torchaudio\nexcept OSError: print(torch.version.cuda)"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    spec = importlib.util.find_spec("torchaudio")
    extension = Path(spec.origin).parent / "lib" if spec and spec.origin else None
    if result.stdout.strip() == "None" and extension is not None and extension.is_dir():
        shutil.rmtree(extension)
        print(f"torch is a CPU build: removed torchaudio's CUDA extension, {extension}")


def install_system_packages() -> None:
    """Install the programs that the tests of the window and the page need on Linux, or print which are missing."""
    if not sys.platform.startswith("linux"):
        return
    installed = {
        "xvfb": shutil.which("Xvfb"),
        "chromium": any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        "curl": shutil.which("curl"),
        "python3-tk": _imports("tkinter"),
    }
    packages = [name for name, found in installed.items() if not found]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(packages)} with apt-get")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=quiet)
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
        # One by one: if a distribution lacks one of them, such as Chromium, the others are still installed.
        packages = [name for name in packages if subprocess.run([*install, name], env=quiet).returncode]
    if packages:
        print(f"some tests of the window or the page will be skipped: install {' and '.join(packages)} to run them")


def _imports(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    repair_torchaudio()
    install_system_packages()
