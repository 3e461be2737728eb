"""Recipes: what is unknown, of the wrong type or out of range is an error before anything is computed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from genre_training.config import (
    CONFIG_FOLDER,
    ConfigError,
    DataConfig,
    NetworkConfig,
    Recipe,
    TrainingConfig,
    parse_recipe,
    read_recipe,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(CONFIG_FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_bundled_recipes_read_by_path_and_by_name(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe == read_recipe(Path(path.stem))
    assert recipe.data.split == {"report": "stratified", "fma_medium": "official", "residual": "grouped"}.get(
        path.stem, "artists"
    )


def test_there_is_a_default_recipe() -> None:
    assert read_recipe(Path("residual")).network.statistics > 0


def test_tables_override_single_values(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(tmp_path, "[data]\nseed = 7\n[network]\nwidths = [4, 8]\n[training]\nwarmup_epochs = 0.5")
    )
    assert recipe.data == DataConfig(seed=7)
    assert recipe.network == NetworkConfig(widths=(4, 8))
    assert recipe.training == TrainingConfig(warmup_epochs=0.5)


def test_empty_recipe_is_the_defaults(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, "")) == Recipe()


def test_round_trip_through_plain_values() -> None:
    recipe = Recipe(
        DataConfig("stratified", 5, 2), NetworkConfig("crnn", widths=(3, 6), dropout=0.1), TrainingConfig(epochs=3)
    )
    assert parse_recipe(recipe.to_dict()) == recipe
    assert parse_recipe(json.loads(json.dumps(recipe.to_dict()))) == recipe  # tuples come back as lists


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainig]\nepochs = 3", "unknown key trainig: expected one of data, network, training"),
        ("epochs = 3", "unknown key epochs: expected one of data, network, training"),
        ("[training]\nlr = 0.1", r"recipe\.toml: unknown key training\.lr: expected one of epochs, batch_size"),
        ("[network]\ndepth = 3", r"unknown key network\.depth"),
        ("[data]\nfolds = 3", r"unknown key data\.folds: expected one of split, seed, fold"),
        ("[training\n", "is not TOML"),
        ("data = 5", r"recipe\.toml: data is 5: expected an object"),
    ],
)
def test_what_is_unknown_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(write(tmp_path, text))


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("training", {"epochs": 0}),
        ("training", {"epochs": 2.5}),
        ("training", {"epochs": True}),
        ("training", {"epochs": "3"}),
        ("training", {"batch_size": 0}),
        ("training", {"learning_rate": 0.0}),
        ("training", {"learning_rate": float("nan")}),
        ("training", {"weight_decay": -0.1}),
        ("training", {"warmup_epochs": -1.0}),
        ("training", {"crop_seconds": 31.0}),
        ("training", {"label_smoothing": 1.0}),
        ("training", {"mixup_alpha": "much"}),
        ("training", {"frequency_mask": -1}),
        ("training", {"time_mask": 1.5}),
        ("training", {"ema_decay": 1.0}),
        ("network", {"widths": []}),
        ("network", {"widths": 32}),
        ("network", {"widths": [8, 0]}),
        ("network", {"blocks": 0}),
        ("network", {"dropout": 1.0}),
        ("network", {"reads": "classes"}),
        ("training", {"style_prior": 1.0}),
        ("training", {"probe_cutoff": 8000.0}),
        ("data", {"validation_folds": 1}),
        ("data", {"seed": -1}),
        ("data", {"split": 1}),
    ],
)
def test_wrong_values_are_errors_that_name_the_key(table: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        parse_recipe({table: values})


def test_wrong_value_in_a_file_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.toml: training\.epochs is 0: expected greater than or equal to 1"):
        read_recipe(write(tmp_path, "[training]\nepochs = 0"))


def test_missing_recipe_names_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe at .*nothing: give a TOML file or one of .*default") as error:
        read_recipe(tmp_path / "nothing")
    assert error.value.code == "config"


def test_folder_and_binary_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_recipe(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_recipe(tmp_path / "binary.toml")


def test_single_values_can_be_changed() -> None:
    recipe = read_recipe(Path("residual"), ["data.fold=3", "network.kind=crnn", "network.widths=[4, 8]"])
    assert (recipe.data.fold, recipe.network.kind, recipe.network.widths) == (3, "crnn", (4, 8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs=3", "expected table.key=value"),
        ("training.epochs", "expected table.key=value"),
        ("training.epoch=3", "^change training.epoch=3: unknown key training.epoch: expected one of epochs"),
        ("training.epochs=many", "^change training.epochs=many: training.epochs is 'many': expected a valid integer"),
        ("training.optimizer=sgd", "optimizer is 'sgd': expected 'adamw' or 'adam'"),
        ("training.schedule=steps", "schedule is 'steps': expected 'cosine' or 'plateau'"),
        ("network.kind=dense", "kind is 'dense': expected 'mobilenet', 'residual', 'crnn', 'transformer' or 'plain'"),
        ("data.fold=5", "fold is 5: expected less than 5"),
        ("network.widths=[8, 0]", "^change network.widths=.8, 0.: network.widths.1 is 0: expected greater than 0"),
        (
            "network.kind=crnn network.widths=[8, 9]",
            "^change network.kind=crnn and change network.widths=.8, 9.: widths ends",
        ),
        ("data.split=random", "split is 'random': expected 'grouped', 'artists', 'official' or 'stratified'"),
    ],
)
def test_change_that_makes_no_sense_is_an_error(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(Path("residual"), re.split(" (?=network)", change))


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        ("[training]\nepoch = 3", "training.epochs=4", r"recipe\.toml: unknown key training\.epoch:"),
        ("[training]\nepochs = 0", "training.batch_size=4", r"recipe\.toml: training\.epochs is 0"),
        ("training = 5", "training.epochs=4", r"recipe\.toml: training is 5"),
        ("[training]\nepochs = 3", "training.epoch=4", "^change training.epoch=4: unknown key"),
        ("[training]\nepochs = 3", "trainig.epochs=4", "^change trainig.epochs=4: unknown key trainig"),
        ("[network]\nkind = 'crnn'\nwidths = [7]", "network.blocks=2", r"recipe\.toml: widths ends in 7"),
        ("[network]\nwidths = [7]", "network.kind=crnn", "^change network.kind=crnn: widths ends in 7"),
    ],
)
def test_error_names_the_file_or_the_change_that_caused_it(
    tmp_path: Path, text: str, change: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(write(tmp_path, text), [change])
