"""Command `genre-api`: serve the model on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; returns the exit status."""
    parser = argparse.ArgumentParser(prog="genre-api", description="Serve the genre classifier over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8000, help="port (default: %(default)s)")
    options = parser.parse_args(arguments)
    import uvicorn

    uvicorn.run("genre_api:create_app", factory=True, host=options.host, port=options.port)
    return 0


def port(text: str) -> int:
    """Parse a port, for argparse, which names this function in its message."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: expected 0 to 65535")
    return number
