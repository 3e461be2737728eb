"""What a figure was measured on: processor, cores, versions; nothing that names a host or a user."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("genre-runtime", "onnxruntime", "onnxruntime-gpu", "numpy", "soundfile", "soxr", "av", "librosa", "torch")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def pin(cores: int) -> None:
    """Keep this process and its children on the first `cores` of its cores, where the system can.

    To be called before NumPy is imported: its threads are counted then.
    """
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def describe(cores: int) -> dict[str, Any]:
    """Return `cpu, cores, cores_available, system, load_average` and `versions`."""
    return {
        "cpu": _cpu(),
        "cores": cores,
        "cores_available": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    table = Path("/proc/cpuinfo")
    if table.is_file():
        models = [line.partition(":")[2] for line in table.read_text().splitlines() if line.startswith("model name")]
        if models:
            return models[0].strip()
    if sys.platform == "darwin":
        command = ("sysctl", "-n", "machdep.cpu.brand_string")
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or platform.processor()
    return platform.processor() or platform.machine()
