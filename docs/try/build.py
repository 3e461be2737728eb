"""Build the page that classifies in the browser: `python docs/try/build.py --output site/try`.

The folder is complete: the page, the shipped model, and ONNX Runtime Web, which npm fetches in a pinned version. Any
file server can serve it; opened as a file, browsers refuse its modules.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"
VERSION = "1.30.0"
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def build(output: Path, package: Path | None = None) -> None:
    """Write the folder.

    Parameters
    ----------
    output : Path
        Made if necessary; files of the same names are replaced.
    package : Path, optional
        The archive of onnxruntime-web; by default npm fetches it.

    Raises
    ------
    SystemExit
        npm is missing or fails, or the archive is another one.
    """
    for folder in ("ort", "model"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    for source in HERE.iterdir():
        if source.suffix in (".html", ".css", ".js"):
            shutil.copyfile(source, output / source.name)
    sidecar = MODELS / "best_model.json"
    graph = json.loads(sidecar.read_text(encoding="utf-8"))["graphs"]["waveform"]["file"]
    for name in (sidecar.name, graph):
        shutil.copyfile(MODELS / name, output / "model" / name)
    unpack("onnxruntime-web", VERSION, SHA512, [f"dist/{name}" for name in RUNTIME], output / "ort", package)


def unpack(
    name: str, version: str, sha512: str, files: Sequence[str], output: Path, archive: Path | None = None
) -> None:
    """Write files of a package of npm into a folder.

    Parameters
    ----------
    name, version, sha512 : str
        The package, and the checksum of its archive.
    files : sequence of str
        By their places in the package.
    output : Path
    archive : Path, optional
        By default npm fetches it.

    Raises
    ------
    SystemExit
        npm is missing or fails, or the archive is another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = archive or fetch_package(name, version, Path(folder))
        if hashlib.sha512(archive.read_bytes()).hexdigest() != sha512:
            raise SystemExit(f"{archive.name} is not the pinned one: expected {name} {version}")
        with tarfile.open(archive) as bundle:
            for file in files:
                content = bundle.extractfile(f"package/{file}")
                assert content is not None
                (output / Path(file).name).write_bytes(content.read())


def fetch_package(name: str, version: str, folder: Path) -> Path:
    """Let npm fetch a package into a folder, and return its archive.

    Parameters
    ----------
    name, version : str
    folder : Path

    Raises
    ------
    SystemExit
        npm is missing or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(f"npm is not installed: it fetches {name}")
    command = [npm, "pack", f"{name}@{version}", "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"npm could not fetch {name} {version}: {done.stderr.strip()}")
    return next(folder.glob("*.tgz"))


def main() -> int:
    """Build the page, and say how to look at it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("site/try"))
    options = parser.parse_args()
    build(options.output)
    print(f"{options.output} is complete; try it: python -m http.server --bind 127.0.0.1 --directory {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
