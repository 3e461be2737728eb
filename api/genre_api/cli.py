"""Command `genre-api`: serve the model on this machine."""

from __future__ import annotations

import argparse
import logging
import logging.config
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from genre_api.version import __version__
from genre_runtime.terminal import escaped_streams


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
    with escaped_streams():
        return serve(given)


def serve(given: dict[str, Any]) -> int:
    """Serve with the settings of the environment, those given first; status 2 if a setting or the address cannot be."""
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
    for root in settings.audio_roots:
        if not os.path.isdir(root):  # noqa: PTH112  # it may be mounted later
            logging.getLogger(__name__).warning("%s in GENRE_AUDIO_ROOTS is no folder: its paths answer 404", root)
    warn_of_exposure(settings)
    try:
        check_address(settings.host, settings.port)
    except OSError as error:
        where = f"port {settings.port} of {settings.host}"
        print(f"genre-api: cannot listen at {where} ({error}): choose another with --port", file=sys.stderr)
        return 2
    make_server(create_app(settings=settings), settings).run()
    return 0


def check_address(host: str, number: int) -> None:
    """Listen for a moment: uvicorn would say only after its start that it cannot, as a line of the log.

    Raises
    ------
    OSError
        The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, number), family=family).close()


def port(text: str) -> int:
    """Parse a port, for argparse, which names this function in its message."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: expected 0 to 65535")
    return number
