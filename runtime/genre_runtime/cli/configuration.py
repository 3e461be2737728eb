"""The configuration file: defaults of the user's own for every verb.

The file is TOML. A key outside of tables holds for every verb that has the option; a key in a table such as `[tag]`
holds for that verb and wins. What is given on the command line wins over both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genre_runtime.cli import arguments
from genre_runtime.errors import UsageError

FILE_NAME = "config.toml"

_NOT_HERE = {"help", "undo", "version"}
"""Options that ask for one thing now, and are not a habit."""


class Setting(NamedTuple):
    """An option of a verb, with the value that holds.

    Attributes
    ----------
    verb : str
    option : str
        As on the command line, such as `--jobs`.
    value : Any
    source : str
        `default`, or the part of the file that has it.
    """

    verb: str
    option: str
    value: Any
    source: str


def config_path() -> Path | None:
    """Return the path of the configuration file, in the platform's folder for settings; None without a home folder."""
    from platformdirs import user_config_path

    try:
        return user_config_path("genre", appauthor=False) / FILE_NAME
    except RuntimeError:  # the user of a container may not be in the list of users
        return None


def read_config(path: Path) -> dict[str, Any]:
    """Return the values of the configuration file; an empty mapping if it does not exist.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UsageError
        The file cannot be read, or is not TOML.
    """
    import tomllib  # most users have no configuration

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"the configuration {str(path)!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML
        raise UsageError(f"the configuration {str(path)!r} is not TOML ({error}): correct or remove it") from error


def apply_config(
    parser: argparse.ArgumentParser, path: Path, every_verb: Mapping[str, argparse.ArgumentParser]
) -> None:
    """Make the values of the configuration file the defaults of verbs.

    Parameters
    ----------
    parser : ArgumentParser
        Of the command; its verbs get the defaults.
    path : Path
        The configuration file.
    every_verb : mapping of str to ArgumentParser
        All verbs, to check the whole file.

    Raises
    ------
    UsageError
        A key is not the name of a verb or option, or a value does not fit.
    """
    config = read_config(path)
    _check_names(config, path, every_verb)
    chosen = verb_parsers(parser)
    for verb, own in every_verb.items():
        configured: dict[str, Any] = {}
        for action in _options(own):
            value, source = _configured(verb, action, config)
            if source is not None:
                configured[action.dest] = _converted(verb, action, value, source, path)
        for group in own._mutually_exclusive_groups:
            both = [_key(action) for action in group._group_actions if configured.get(action.dest)]
            if len(both) > 1:
                raise UsageError(f"{str(path)!r} sets {' and '.join(both)} for `genre {verb}`: expected one of them")
        if verb in chosen and configured:
            chosen[verb].set_defaults(**configured, configured=configured)
            for action in _options(chosen[verb]):
                action.required = action.required and action.dest not in configured


def drop_excluded(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Drop what is configured and excludes an option of the command line, such as `append` beside `--overwrite`.

    Parameters
    ----------
    options : Namespace
        As parsed; is changed.
    parser : ArgumentParser
        Of the command.
    """
    configured = getattr(options, "configured", {})
    for own in verb_parsers(parser).values() if configured else ():
        for group in own._mutually_exclusive_groups:
            names = [action.dest for action in group._group_actions]
            if any(getattr(options, name, None) and name not in configured for name in names):
                for name in configured.keys() & names:
                    setattr(options, name, False if isinstance(configured[name], bool) else None)


def verb_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the verbs by name.

    Parameters
    ----------
    parser : ArgumentParser
        Of the command.
    """
    for action in parser._actions:  # argparse has no public way to its verbs
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def settings_of(verb: str, parser: argparse.ArgumentParser, config: Mapping[str, Any]) -> Iterator[Setting]:
    """Yield the options of a verb with the values that hold.

    Parameters
    ----------
    verb : str
    parser : ArgumentParser
        Of the verb.
    config : mapping
        Values of the configuration file.
    """
    for action in _options(parser):
        value, source = _configured(verb, action, config)
        default = parser.get_default(action.dest)
        yield Setting(
            verb, max(action.option_strings, key=len), default if source is None else value, source or "default"
        )


def _options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if action.option_strings and action.dest not in _NOT_HERE:
            yield action


def _key(action: argparse.Action) -> str:
    return max(action.option_strings, key=len).removeprefix("--")


def _configured(verb: str, action: argparse.Action, config: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Return the value of an option in the file and the part that has it; (None, None) if it has none."""
    key, table = _key(action), config.get(verb)
    if isinstance(table, Mapping) and key in table:
        return table[key], f"[{verb}]"
    if key in config and not isinstance(config[key], Mapping):
        return config[key], "all verbs"
    return None, None


def _check_names(config: Mapping[str, Any], path: Path, verbs: Mapping[str, argparse.ArgumentParser]) -> None:
    keys = {verb: sorted(_key(action) for action in _options(parser)) for verb, parser in verbs.items()}
    for name, value in config.items():
        if isinstance(value, Mapping):
            if name not in keys:
                raise UsageError(f"{str(path)!r} has a table [{name}]: expected a verb, {', '.join(keys)}")
            unknown = sorted(set(value) - set(keys[name]))
            if unknown:
                known = ", ".join(keys[name])
                raise UsageError(f"{str(path)!r} has {unknown[0]!r} in [{name}]: expected an option of it, {known}")
        elif not any(name in of_verb for of_verb in keys.values()):
            known = ", ".join(sorted({key for of_verb in keys.values() for key in of_verb}))
            raise UsageError(f"{str(path)!r} has the key {name!r}: expected an option, {known}")


def _converted(verb: str, action: argparse.Action, value: Any, source: str, path: Path) -> Any:
    """Return a value as the option's own type gives it; `~/` begins a path in the home folder."""
    shared = source == "all verbs"
    wrong = f"{str(path)!r}: {'' if shared else f'{source} '}{_key(action)} is {value!r}: "
    flag = isinstance(action, argparse._StoreTrueAction)
    several = action.nargs in ("+", "*") or isinstance(action, arguments.Repeated)
    values = value if several and isinstance(value, list) else [value]
    if flag != isinstance(value, bool) or not values or not all(isinstance(one, str | int | float) for one in values):
        expected = "true or false" if flag else "a list of texts" if several else "a text or a number"
        raise UsageError(f"{wrong}expected {expected}")
    if flag:
        return value
    try:
        texts = [Path(one).expanduser() if str(one).startswith("~/") else one for one in values]
        found = [one if action.type is None else action.type(str(one)) for one in texts]  # type: ignore[operator]
    except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
        raise UsageError(f"{wrong}{error}") from error
    for one in found:
        if action.choices is not None and one not in action.choices:
            advice = f" for `genre {verb}`: write the key into the tables of the verbs that it is for" if shared else ""
            raise UsageError(f"{wrong}expected {', '.join(map(str, action.choices))}{advice}")
    return found if several else found[0]
