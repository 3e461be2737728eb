"""Recipes: TOML files read into frozen, validated dataclasses. An unknown key is an error."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from genre_runtime.errors import GenreError

CONFIG_FOLDER = Path(__file__).parent / "configs"

TEST_FOLDS = 5
VALIDATION_FOLDS = 8
HEAD_WIDTH = 16
"""Features per attention head of the transformer."""
SMALLEST_HEIGHT = 20
"""Bands of a transformer's patch: ten rows, after the first convolution has halved the bands."""

NetworkKind = Literal["mobilenet", "residual", "crnn", "transformer", "plain"]
Branch = Literal["picture", "audio"]
SplitMethod = Literal["grouped", "artists", "official", "stratified"]

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_Positive = Annotated[int, Field(ge=1, le=100_000)]
_Count = Annotated[int, Field(ge=0, le=100_000)]
_Seconds = Annotated[float, Field(ge=0.1, le=30)]
_Decibels = Annotated[float, Field(ge=0, le=40)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Strength = Annotated[float, Field(ge=0, le=2)]
_UpTo100 = Annotated[float, Field(ge=0, le=100)]
_UpToHalf = Annotated[float, Field(ge=0, le=0.5)]

T = TypeVar("T")


class ConfigError(GenreError, ValueError):
    """A recipe cannot be read."""

    code = "config"


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """Which clips are used.

    Attributes
    ----------
    split : {"grouped", "artists", "official", "stratified"}
        See `genre_training.data.splits`.
    seed : int
        Seed of the split and of the training.
    fold : int
        Which fifth of the clips is the test part, 0 to 4.
    validation_folds : int
        One of so many parts of the other clips validates. More parts leave more clips for training, and fewer for the
        choice of the epoch and the calibration.
    """

    split: SplitMethod = "grouped"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    fold: Annotated[int, Field(ge=0, lt=TEST_FOLDS)] = 0
    validation_folds: Annotated[int, Field(ge=2, le=100)] = VALIDATION_FOLDS


@dataclass(frozen=True, config=_STRICT)
class NetworkConfig:
    """Shape of a network.

    Attributes
    ----------
    kind : {"mobilenet", "residual", "crnn", "transformer", "plain"}
        Its backbone, see `genre_training.model.backbones` and `genre_training.model.mobilenet`.
    branch : {"picture", "audio"}
        What it reads: `picture`, a coarse log-mel spectrogram, which the pictures of FMA and GTZAN are as well, or
        `audio`, a fine one, which only audio files give.
    init : str
        Weights to start from: a name of `genre_training.model.pretrained`, or nothing. Kind `mobilenet` only.
    tags : bool
        Whether the network answers AudioSet's classes as well. It learns to answer as the weights of `init` do, so
        these need such a head.
    reads : {"features", "classes"}
        What the last layer, which answers genres, reads: the features of the backbone, or the answers on AudioSet's
        classes, which needs `tags`. These say less of a recording, so that few clips teach more that others share.
    stretch : int
        Each frame of a picture is repeated so many times. Kind `mobilenet` only: its weights know frames of 10 ms.
    width : float
        Fraction of MobileNetV3's full width. Kind `mobilenet` only.
    widths : tuple of int
        Channels of each stage; as `blocks`, not for kind `mobilenet`.
    blocks : int
        Residual blocks per stage, convolutions per stage (plain) or layers (transformer).
    dropout : float
        Probability of dropping a feature before the last layer.
    statistics : int
        Width of a second branch that reads the clip's statistics (`genre_training.model.backbones`); 0 leaves it out.
    n_bands : int
        Mel bands that the network sees, evenly picked. FMA's pictures keep 100 of 128 bands. Seeing only these makes
        all sources alike: interpolated bands would tell the network which data set a clip is from.
    top_band : int
        Bands from this one on are left out. The highest bands tell codecs and resamplers apart rather than genres: a
        network that saw them recognised the data set and lost 20 points on the same clips at low bit rates.
    """

    kind: NetworkKind = "residual"
    branch: Branch = "picture"
    init: str = ""
    tags: bool = False
    reads: Literal["features", "classes"] = "features"
    stretch: Annotated[int, Field(ge=1, le=12)] = 1
    width: Annotated[float, Field(ge=0.1, le=4)] = 0.4
    widths: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (32, 64, 128, 256)
    blocks: Annotated[int, Field(ge=1)] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    statistics: Annotated[int, Field(ge=0)] = 0
    n_bands: Annotated[int, Field(ge=1)] = 100
    top_band: Annotated[int, Field(ge=SMALLEST_HEIGHT)] = 128

    def __post_init__(self) -> None:
        last = self.widths[-1]
        if self.kind != "mobilenet" and (self.init or self.stretch > 1 or self.branch == "audio"):
            raise ValueError(
                f"init is {self.init!r}, stretch {self.stretch} and branch {self.branch!r} of a {self.kind} network: "
                "expected these changed for kind 'mobilenet' only"
            )
        if self.tags and not self.init:
            raise ValueError("tags is true and init is empty: expected weights that know AudioSet's classes")
        if self.reads == "classes" and not self.tags:
            raise ValueError("reads is 'classes' and tags is false: expected tags true, for the network to answer them")
        if self.kind == "crnn" and last % 2:
            raise ValueError(f"widths ends in {last}: expected an even number for a crnn, half for each direction")
        if self.kind == "transformer" and (last % HEAD_WIDTH or self.n_bands < SMALLEST_HEIGHT):
            raise ValueError(
                f"widths ends in {last}, n_bands is {self.n_bands}: expected a multiple of {HEAD_WIDTH} and at least "
                f"{SMALLEST_HEIGHT} bands for a transformer"
            )


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """How a network is trained.

    Attributes
    ----------
    epochs, batch_size : int
    optimizer : {"adamw", "adam"}
    learning_rate : float
        The peak rate.
    schedule : {"cosine", "plateau"}
        `cosine`: linear warm-up over `warmup_epochs`, then a cosine down to zero. `plateau`: the peak rate, halved
        whenever the validation loss has stopped falling.
    probe : float
        Before the first epoch, the last layer is fitted to the embeddings of the starting weights, as a logistic
        regression of this inverse strength of regularisation; 0 starts from a random last layer. Fine-tuning then
        changes less of what the weights know (Kumar et al., 2022).
    probe_cutoff : float
        In Hz. The last layer is fitted to the clips as they are and, as much, to the clips without what lies above
        this frequency: where the files of a data set end tells nothing of their genre. 0 takes them only as they are.
        For the audio branch only, and only if `probe` is not 0.
    style_prior : float
        What the fitted layer adds to a genre's logit, before clips change it, where all AudioSet styles of this genre
        are one standard deviation more likely than in the mean: their names tell what they mean. 0 leaves everything
        to the clips. Only if `network.reads` is `classes` and `probe` is not 0.
    init_rate : float
        Share of the learning rate for the layers that start from `network.init`: 0 keeps their weights.
    init_statistics : bool
        Whether these layers keep their normalisation statistics: right for few clips of the sort that they know.
    tag_weight : float
        Weight of the mean squared difference from the starting weights' own answers on AudioSet's classes
        (self-distillation), if `network.tags`.
    layer_decay : float
        Each of these layers learns at this share of the rate of the next one (AdamW only).
    weight_decay : float
        AdamW's.
    warmup_epochs : float
    label_smoothing : float
        Share of the target spread over all labels.
    crop_seconds : float
        Length of a training crop.
    picture_seconds : float
        Length of the part of the crop that the backbone sees: shorter parts are more different pictures.
    excerpt_seconds : float
        Length of the excerpts that classify a track, three of them in a clip of 30 seconds.
    mixup_alpha : float
        Beta parameter of mixup; 0 turns it off.
    frequency_mask, time_mask : int
        Largest SpecAugment mask in bands and frames, two of each; 0 turns it off.
    time_stretch : float
        Largest change of a crop's speed, as a share; 0 turns it off.
    gain_db : float
        Largest change of a clip's level, for the audio branch: pictures have no level.
    band_shift : int
        Largest shift of a crop in bands, as another key would shift it; 0 turns it off.
    equaliser_db : float
        Deviation of the random gain curve added to a clip's spectrum; 0 turns it off.
    low_pass_share : float
        Share of the clips that lose their highest bands, as at low bit rates.
    noise_db : float
        Range of uniform noise added to every value: hides which clips came as pictures, which are rounded to whole
        decibels.
    source_exponent : float
        A data set of n clips is drawn in proportion to n to this power: 1 draws all clips equally often, 0 all data
        sets.
    label_exponent : float
        The same for the genres within a data set: below 1, rare genres are drawn more often than they occur.
    class_weights : float
        The weight of a genre of n clips in the loss is n to the power of minus this: 0 weights all clips alike.
    prior_correction : float
        Share of each genre's log frequency added to its logit in training only (Menon et al., 2021): at 1 the network
        answers as if all genres were equally frequent, at 0 it prefers the frequent ones.
    outlier_share : float
        Share of each batch that is not music (see `genre_training.train.augment`); its target is all genres alike.
    ema_decay : float
        Decay per step of the running average of the weights, which is validated and kept; 0 turns it off.
    start_share : float
        Share of the weights that the training started from in those that are validated and kept; the rest is the
        running average (Wortsman et al., 2022). With few clips it keeps more of what the starting weights know.
    compile : bool
        Compile the network with `torch.compile`: pays on a GPU over many epochs.
    """

    epochs: _Positive = 40
    batch_size: Annotated[int, Field(ge=2, le=100_000)] = 64
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: Annotated[float, Field(ge=1e-9, le=100)] = 2e-3
    schedule: Literal["cosine", "plateau"] = "cosine"
    probe: _UpTo100 = 0.0
    probe_cutoff: Annotated[float, Field(ge=0, le=20_000)] = 0.0
    style_prior: _UpTo100 = 0.0
    init_rate: _Share = 1.0
    init_statistics: bool = False
    layer_decay: _Share = 1.0
    tag_weight: _UpTo100 = 0.05
    weight_decay: _UpTo100 = 0.05
    warmup_epochs: Annotated[float, Field(ge=0, le=100_000)] = 2
    label_smoothing: Annotated[float, Field(ge=0, le=0.99)] = 0.1
    crop_seconds: _Seconds = 10.0
    picture_seconds: _Seconds = 5.0
    excerpt_seconds: _Seconds = 10.0
    mixup_alpha: _UpTo100 = 0.3
    frequency_mask: _Count = 24
    time_mask: _Count = 16
    time_stretch: _UpToHalf = 0.0
    gain_db: _Decibels = 0.0
    band_shift: Annotated[int, Field(ge=0, le=20)] = 0
    equaliser_db: _Decibels = 3.0
    low_pass_share: _Share = 0.3
    noise_db: _Decibels = 0.5
    source_exponent: _Share = 0.5
    label_exponent: _Share = 1.0
    class_weights: _Strength = 0.0
    prior_correction: _Strength = 0.0
    outlier_share: _UpToHalf = 0.05
    ema_decay: Annotated[float, Field(ge=0, le=0.999999)] = 0.998
    start_share: _Share = 0.0
    compile: bool = False


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """A whole recipe; its parts are the TOML file's tables."""

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        prior, probe, reads = self.training.style_prior, self.training.probe, self.network.reads
        if prior and not (probe and reads == "classes"):
            raise ValueError(
                f"training.style_prior is {prior}, training.probe {probe} and network.reads {reads!r}: expected a last "
                "layer that is fitted (probe above 0) to AudioSet's classes (reads 'classes'), or style_prior 0"
            )
        cutoff, branch = self.training.probe_cutoff, self.network.branch
        if cutoff and not (probe and branch == "audio"):
            raise ValueError(
                f"training.probe_cutoff is {cutoff}, training.probe {probe} and network.branch {branch!r}: expected a "
                "last layer that is fitted (probe above 0) in the branch 'audio', or probe_cutoff 0"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return asdict(self)


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe.

    Parameters
    ----------
    path : Path
        A TOML file, or the bare name of a recipe of this package.
    changes : sequence of str
        Values that replace those of the recipe, each `table.key=value`; the file has to be valid without them.

    Raises
    ------
    ConfigError
        The file is missing or not TOML, a table or key is unknown, or a value is out of range.
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
    recipe = _parse(Recipe, tables, str(path))  # by itself, so that an error below is due to the changes
    places: dict[tuple[str | int, ...], str] = {}
    for change in changes:
        table, key, value = _parse_change(change)
        if isinstance(tables.setdefault(table, {}), dict):
            tables[table][key] = value
        places[table, key] = f"change {change}"
    return _parse(Recipe, tables, "changes", places) if changes else recipe


def parse_recipe(tables: Mapping[str, Any]) -> Recipe:
    """Build a recipe from its tables, as a TOML file or a checkpoint holds them.

    Parameters
    ----------
    tables : mapping
        `data`, `network` and `training`, each optional.

    Raises
    ------
    ConfigError
        An unknown table or key, or a value of the wrong type or out of range.
    """
    return _parse(Recipe, tables, "recipe")


def parse_network(values: Mapping[str, Any]) -> NetworkConfig:
    """Build a network's config from plain values, as a checkpoint holds them.

    Parameters
    ----------
    values : mapping
        The attributes of `NetworkConfig`, each optional.

    Raises
    ------
    ConfigError
    """
    return _parse(NetworkConfig, values, "network")


def _parse_change(change: str) -> tuple[str, str, Any]:
    name, equals, text = change.partition("=")
    table, dot, key = name.partition(".")
    if not equals or not dot:
        raise ConfigError(f"change {change}: expected table.key=value, such as training.epochs=5")
    try:
        return table, key, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:  # a word without quotes
        return table, key, text


def _parse(
    kind: type[T], values: Mapping[str, Any], place: str, places: Mapping[tuple[str | int, ...], str] | None = None
) -> T:
    try:
        # By way of JSON, since pydantic's strict mode takes lists for tuples and objects for dataclasses only there.
        return TypeAdapter(kind).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        first = error.errors()[0]
    place_of, loc = places or {}, first["loc"]
    where = " and ".join(text for key, text in place_of.items() if key[: len(loc)] == loc[:2]) or place
    name = ".".join(map(str, loc))
    if first["type"] == "unexpected_keyword_argument":
        owner: Any = kind()
        for part in loc[:-1]:
            owner = getattr(owner, str(part))
        message = f"unknown key {name}: expected one of {', '.join(item.name for item in fields(owner))}"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
    else:
        message = f"{name} is {first['input']!r}: {first['msg'].replace('Input should be', 'expected')}"
    raise ConfigError(f"{where}: {message}")
