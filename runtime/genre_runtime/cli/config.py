"""`genre config`: the defaults of all options, and where they come from."""

from __future__ import annotations

import argparse
from typing import Any

from genre_runtime.cli import arguments
from genre_runtime.cli.configuration import apply_config, config_path, read_config, settings_of, verb_parsers
from genre_runtime.errors import UsageError

DESCRIPTION = """
Show the options that every verb uses by default, and where each value comes from. The configuration file need not
exist; `genre config --path` prints its name.
"""

EXAMPLES = """example of a configuration file:
  jobs = 2                                  every verb that has --jobs
  head = "/home/me/mine.genre"

  [tag]                                     only `genre tag`
  append = true
  map = "/home/me/names.txt"
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "config",
        help="show the defaults of all options, and where they come from",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=arguments.Formatter,
    )
    parser.add_argument("--path", action="store_true", help="print the name of the configuration file only")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the settings.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status.
    """
    from genre_runtime.cli import command_parser
    from genre_runtime.library.results.write import printable

    path = config_path()
    if path is None:
        raise UsageError("this user has no home folder for a configuration: set HOME or XDG_CONFIG_HOME")
    if options.path:
        print(path)
        return 0
    parser = command_parser()
    verbs = verb_parsers(parser)
    lines = [setting for verb, own in verbs.items() for setting in settings_of(verb, own, read_config(path))]
    apply_config(parser, path, verbs)  # names what is wrong
    print(f"{printable(path)}{'' if path.is_file() else ' (does not exist)'}")
    for setting in lines:
        shown = printable("" if setting.value is None else str(setting.value))
        print(f"{setting.verb:<11} {setting.option:<18} {shown:<28} {setting.source}")
    return 0
