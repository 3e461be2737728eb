"""`genre model`: models that are downloaded and then known by name."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from genre_runtime.cli import arguments
from genre_runtime.errors import UsageError

DESCRIPTION = """
List, download and remove models. A downloaded model is kept in the folder for caches and needs no network afterwards:
`--model NAME` of every command takes it, as does GENRE_MODEL. The shipped model is always there and is taken without
--model.
"""

EXAMPLES = """examples:
  genre model list --index https://host/models.json         what is there, and what can be downloaded
  genre model fetch int8 --index https://host/models.json   download a model of an index
  genre model fetch 'https://host/best_model.json#sha256=...' --name mine
                                                            download any model, by the checksum of its sidecar
  genre classify --model int8 ~/Music                       use it
  genre model remove int8

An index is a JSON file such as `invoke release` writes.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "model",
        help="list, download and remove models",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="the shipped model, the downloaded ones, and those of an index")
    listed.add_argument("--format", choices=("table", "json"), default="table")
    fetch = actions.add_parser("fetch", help="download a model")
    fetch.add_argument("model", metavar="NAME|ADDRESS", help="name in the index, or address of a sidecar with #sha256=")
    fetch.add_argument("--name", help="what the model is called from now on (default: as in the index, or its file)")
    for one in (listed, fetch):
        one.add_argument("--index", metavar="ADDRESS|FILE", help="JSON file that names models")
    removed = actions.add_parser("remove", help="remove a downloaded model")
    removed.add_argument("model", metavar="NAME")
    parser.set_defaults(run=run, kept=lambda _: "nothing was changed")


def run(options: argparse.Namespace) -> int:
    """List, download or remove.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status.
    """
    from genre_runtime.model.installed import fetch_model, read_index, remove_model

    if options.action == "remove":
        remove_model(options.model)
        print(f"{options.model} was removed")
        return 0
    offered = read_index(options.index) if options.index else {}
    if options.action == "list":
        _list(offered, options.format)
        return 0
    address, name = options.model, options.name
    if "://" not in address:
        if address not in offered:
            where = f"the index has {', '.join(offered) or 'none'}" if options.index else "name the index with --index"
            raise UsageError(f"no model {address!r} is known: {where}, or give the address of a sidecar with #sha256=")
        address, name = offered[address], name or address
    path = fetch_model(address, name)
    print(f"{path.parent.name} is in {path.parent}; use it with --model {path.parent.name}")
    return 0


def _list(offered: dict[str, str], form: str) -> None:
    from genre_runtime.model.installed import installed_models
    from genre_runtime.model.metadata import default_model_path

    models = installed_models()
    there = {model.name for model in models}
    more = {name: address for name, address in offered.items() if name not in there}
    if form == "json":
        values = [asdict(model) | {"path": str(model.path)} for model in models]
        print(json.dumps({"default": str(default_model_path()), "downloaded": values, "offered": more}, indent=2))
        return
    rows = [("(default)", "", str(default_model_path()))]
    rows += [(model.name, f"{model.n_bytes / 1e6:.1f} MB", model.address) for model in models]
    rows += [(name, "not here", address) for name, address in more.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, size, place in rows:
        print(f"{name:<{widths[0]}}  {size:>{widths[1]}}  {place}")
