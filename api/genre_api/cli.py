"""Command `genre-api`: serve the model on this machine."""

from __future__ import annotations

import argparse
import logging
import logging.config
import os
import sys
from collections.abc import Sequence
from typing import Any

from genre_api.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="genre-api",
        description="Serve the genre classifier over HTTP. More settings come from GENRE_* environment variables.",
    )
    parser.add_argument("--host", help="address to listen on (default: $GENRE_HOST or 127.0.0.1)")
    parser.add_argument("--port", type=port, help="port (default: $GENRE_PORT or 8000)")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    return serve(given)


def serve(given: dict[str, Any]) -> int:
    """Serve with the settings of the environment, those given first; status 2 if a setting cannot be."""
    from pydantic import ValidationError

    from genre_api.app import create_app
    from genre_api.logs import log_config
    from genre_api.server import make_server, warn_of_exposure, with_safe_hosts
    from genre_api.settings import PREFIX, Settings, unknown_variables
    from genre_runtime.commands.arguments import silence_decoders

    try:
        settings = with_safe_hosts(Settings(**given))
    except ValidationError as error:
        for fault in error.errors():
            name = PREFIX + ".".join(map(str, fault["loc"][:1])).upper()
            print(f"genre-api: {name}: {fault['msg']}", file=sys.stderr)
        return 2
    silence_decoders()  # their remarks on a stranger's file are no lines of JSON, and there can be many
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    for name in unknown_variables(os.environ):
        logging.getLogger(__name__).warning("%s is no setting of this service: a typing error?", name)
    warn_of_exposure(settings)
    make_server(create_app(settings=settings), settings).run()
    return 0


def port(text: str) -> int:
    """Parse a port, for argparse, which names this function in its message."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: expected 0 to 65535")
    return number
