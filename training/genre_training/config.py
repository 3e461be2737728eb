"""A recipe: a TOML file read into frozen dataclasses. Unknown keys are errors, never ignored."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from genre_runtime.errors import GenreError
from genre_training.data.splits import METHODS, TEST_FOLDS
from genre_training.model.network import NetworkConfig

CONFIG_FOLDER = Path(__file__).parent / "configs"

_TYPES: dict[Any, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


class ConfigError(GenreError, ValueError):
    """A recipe cannot be read."""

    code = "config"


@dataclass(frozen=True)
class DataConfig:
    """Which clips train: `split` is grouped, official or stratified, `fold` (0 to 4) names the fifth that tests."""

    split: str = "grouped"
    seed: int = 0
    fold: int = 0

    def __post_init__(self) -> None:
        _check_ranges(self, ("seed", 0, 2**32 - 1), ("fold", 0, TEST_FOLDS - 1))
        _check_choice(self, "split", *METHODS)


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found.

    Attributes
    ----------
    epochs, batch_size : int
    optimizer : {"adamw", "adam"}
    learning_rate : float
        The peak rate.
    schedule : {"cosine", "plateau"}
        Linear warm-up over `warmup_epochs`, then a cosine down to zero; or the peak rate, halved whenever the
        validation loss has stopped falling.
    weight_decay : float
        AdamW's.
    warmup_epochs : float
    label_smoothing : float
        Share of the target spread over all labels.
    crop_seconds : float
        Length of a training crop.
    picture_seconds : float
        Length of the part of the crop that a network's body is shown: shorter pictures are more pictures.
    excerpt_seconds : float
        Length of the excerpts a track is judged by, three of them in a clip of 30 seconds.
    mixup_alpha : float
        Beta parameter of mixup; 0 turns it off.
    frequency_mask, time_mask : int
        Largest SpecAugment mask in bands and frames, two of each; 0 turns it off.
    time_stretch : float
        Share by which a crop is played faster or slower at most; 0 turns it off.
    band_shift : int
        Bands by which a crop is moved up or down at most, as another key would; 0 turns it off.
    equaliser_db : float
        Deviation of the random gain curve laid over a clip's spectrum; 0 turns it off.
    low_pass_share : float
        Share of the clips that lose their highest bands, as low bit rates take them.
    noise_db : float
        Uniform noise of as many decibels laid over every value: hides which clips came as pictures, rounded to
        whole decibels.
    source_exponent : float
        A data set of n clips is drawn from in proportion to n to this power: 1 takes every clip as often as any
        other, 0 every data set.
    label_exponent : float
        The same for the genres within a data set: below 1, rare genres are drawn more often than they occur.
    class_weights : float
        Weight of a genre of n clips in the loss, n to the power of minus this: 0 weighs all clips alike.
    prior_correction : float
        Share of each genre's log frequency added to its logit in training and left out afterwards (Menon et al., 2021):
        at 1 the network answers as if all genres were equally frequent, at 0 it prefers those it saw more of.
    outlier_share : float
        Share of each batch that is no music (see `genre_training.train.outliers`) and shall get every genre alike.
    ema_decay : float
        Decay a step of the running average of the weights that is validated and kept; 0 turns it off.
    compile : bool
        Compile the network with `torch.compile`: pays on a GPU over many epochs.
    """

    epochs: int = 40
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    weight_decay: float = 0.05
    warmup_epochs: float = 2
    label_smoothing: float = 0.1
    crop_seconds: float = 10.0
    picture_seconds: float = 5.0
    excerpt_seconds: float = 10.0
    mixup_alpha: float = 0.3
    frequency_mask: int = 24
    time_mask: int = 16
    time_stretch: float = 0.0
    band_shift: int = 0
    equaliser_db: float = 3.0
    low_pass_share: float = 0.3
    noise_db: float = 0.5
    source_exponent: float = 0.5
    label_exponent: float = 1.0
    class_weights: float = 0.0
    prior_correction: float = 0.0
    outlier_share: float = 0.05
    ema_decay: float = 0.998
    compile: bool = False

    def __post_init__(self) -> None:
        _check_ranges(
            self,
            ("epochs", 1, 100_000),
            ("batch_size", 2, 100_000),
            ("learning_rate", 1e-9, 100.0),
            ("weight_decay", 0.0, 100.0),
            ("warmup_epochs", 0.0, 100_000.0),
            ("crop_seconds", 0.1, 30.0),
            ("picture_seconds", 0.1, 30.0),
            ("excerpt_seconds", 0.1, 30.0),
            ("label_smoothing", 0.0, 0.99),
            ("mixup_alpha", 0.0, 100.0),
            ("frequency_mask", 0, 100_000),
            ("time_mask", 0, 100_000),
            ("time_stretch", 0.0, 0.5),
            ("band_shift", 0, 20),
            ("equaliser_db", 0.0, 40.0),
            ("low_pass_share", 0.0, 1.0),
            ("noise_db", 0.0, 40.0),
            ("source_exponent", 0.0, 1.0),
            ("label_exponent", 0.0, 1.0),
            ("class_weights", 0.0, 2.0),
            ("prior_correction", 0.0, 2.0),
            ("outlier_share", 0.0, 0.5),
            ("ema_decay", 0.0, 0.999999),
        )
        _check_choice(self, "optimizer", "adamw", "adam")
        _check_choice(self, "schedule", "cosine", "plateau")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe; its parts are the TOML file's tables."""

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return asdict(self)


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe; `path` may also be the bare name of one that comes with the package.

    Parameters
    ----------
    path : Path
    changes : sequence of str
        Values to put in place of the recipe's, each `table.key=value`.

    Raises
    ------
    ConfigError
        Not there, not TOML, an unknown table or key, or a value out of range.
    """
    if not path.exists() and (CONFIG_FOLDER / f"{path}.toml").is_file():
        path = CONFIG_FOLDER / f"{path}.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in CONFIG_FOLDER.glob("*.toml")))
        raise ConfigError(f"no recipe at {path}: give a TOML file or one of {known}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    try:
        for change in changes:
            table, key, value = _parse_change(change)
            tables.setdefault(table, {})[key] = value
        return recipe_from_tables(tables)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _parse_change(change: str) -> tuple[str, str, Any]:
    name, equals, text = change.partition("=")
    table, dot, key = name.partition(".")
    if not equals or not dot:
        raise ValueError(f"{change!r} changes nothing: expected table.key=value, such as training.epochs=5")
    try:
        return table, key, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:  # a word without quotes
        return table, key, text


def recipe_from_tables(tables: dict[str, dict[str, Any]]) -> Recipe:
    """Build a recipe from its tables, as a TOML file or a checkpoint holds them.

    Raises
    ------
    ValueError, TypeError
        An unknown table or key, or a value of the wrong type or out of range.
    """
    kinds = {"data": DataConfig, "network": NetworkConfig, "training": TrainingConfig}
    if unknown := set(tables) - set(kinds):
        raise ValueError(f"unknown tables {sorted(unknown)}: expected {sorted(kinds)}")
    for table, kind in kinds.items():
        names = {item.name for item in fields(kind)}
        if unknown := set(tables.get(table, {})) - names:
            raise ValueError(f"unknown keys {sorted(unknown)} in [{table}]: expected {sorted(names)}")
        _check_types(table, kind, tables.get(table, {}))
    return Recipe(
        data=DataConfig(**tables.get("data", {})),
        network=NetworkConfig.from_dict(tables.get("network", {})),
        training=TrainingConfig(**tables.get("training", {})),
    )


def _check_types(table: str, kind: type, values: dict[str, Any]) -> None:
    for item in fields(kind):
        value = values.get(item.name, item.default)
        wanted = _TYPES.get(item.type, (list, tuple))
        if (isinstance(value, bool) and item.type != "bool") or not isinstance(value, wanted):
            raise ValueError(f"{item.name} in [{table}] is {value!r}: expected {item.type}")


def _check_choice(config: object, name: str, *choices: str) -> None:
    if getattr(config, name) not in choices:
        raise ValueError(f"{name} is {getattr(config, name)!r}: expected {', '.join(choices)}")


def _check_ranges(config: object, *ranges: tuple[str, float, float]) -> None:
    for name, low, high in ranges:
        if not low <= getattr(config, name) <= high:
            raise ValueError(f"{name} is {getattr(config, name)!r}: expected {low} to {high}")
