"""Joining two branches: what is learnt, written and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genre_training.config import NetworkConfig, Recipe
from genre_training.data.folders import read_tracks
from genre_training.data.track import DataError
from genre_training.model.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from genre_training.model.fusion import FusedNetwork
from genre_training.model.network import GenreNetwork, front_end
from genre_training.model.tags import TAG_CLASSES
from genre_training.train.fuse import evaluate_fused, fuse_branches
from tests.synthetic import write_audio
from tests.training.miniature import GENRES, compose

CPU = torch.device("cpu")
AUDIO = NetworkConfig(kind="mobilenet", branch="audio", init="mn04_as", tags=True, width=0.1)
PICTURE = NetworkConfig(kind="mobilenet", init="mn04_as", stretch=4, width=0.1)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    for genre in GENRES:
        for i in range(12):
            path = folder / genre / f"artist {i}" / "a.wav"
            path.parent.mkdir(parents=True)
            write_audio(path, compose(genre, i, 3))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def branch(config: NetworkConfig, music: Path, n_held_out: int = 36) -> Checkpoint:
    """Return a checkpoint of random weights that held out some clips."""
    torch.manual_seed(0)
    names = [track.track_id for track in read_tracks(music)][:n_held_out]
    return Checkpoint(
        epoch=1,
        model_state_dict=GenreNetwork(3, 128, config).state_dict(),
        val_acc=0.5,
        val_loss=1.0,
        labels=tuple(sorted(GENRES)),
        audio=front_end(config.branch),
        network=config,
        recipe=Recipe(network=config).to_dict(),
        excerpt_seconds=10.0,
        history=[
            {"epoch": 1, "train_loss": 1.0, "val_loss": 1.0, "val_acc": 0.5, "val_macro_f1": 0.5, "learning_rate": 0.1}
        ],
        held_out={"test": names[1:], "validation": names[:1]},
        provenance={
            "init": {"name": "mn04_as", "licence": "MIT"},
            "split": {"split": "artists", "seed": 0, "fold": 0, "train": 0, "validation": 1, "test": 35},
            "clips_per_source": {"music": 36},
            "clips_without_artist": {},
            "clips_left_out": {},
            "versions": {},
            "device": "cpu",
            "precision": "torch.float32",
        },
    )


def saved(folder: Path, audio: Checkpoint, picture: Checkpoint) -> tuple[list[Path], list[Path]]:
    save_checkpoint(audio, folder / "audio.pt")
    save_checkpoint(picture, folder / "picture.pt")
    return [folder / "audio.pt"], [folder / "picture.pt"]


def test_both_branches_answer_in_one_model(music: Path, cache: Path, tmp_path: Path) -> None:
    audio, picture = branch(AUDIO, music), branch(PICTURE, music)
    path = fuse_branches(*saved(tmp_path, audio, picture), music, tmp_path / "models", cache, CPU)
    found = load_checkpoint(path)
    network = found.trained_network()
    assert isinstance(network, FusedNetwork)
    weights = network.state_dict()
    for name, part in (("audio", audio), ("picture", picture)):
        for key, tensor in part.model_state_dict.items():
            assert torch.equal(weights[f"{name}.{key}"], tensor)
    logits, tags, embedding = network(torch.rand(2, 128, 20) * -80, torch.rand(2, 128, 200))
    assert logits.shape == (2, 3)
    assert tags.shape == (2, len(TAG_CLASSES))
    assert torch.allclose(embedding.norm(dim=1), torch.ones(2))
    assert found.metrics["test"]["n_tracks"] == 36
    assert found.metrics["audio_branch"]["n_tracks"] == found.metrics["picture_branch"]["n_tracks"] == 36
    assert found.metrics["ending_lower"]["n_tracks"] == 36
    assert found.genre_set_threshold is not None
    assert found.tag_thresholds.keys() == {tag.name for tag in TAG_CLASSES}
    assert found.provenance["branches"]["audio"]["init"]["licence"] == "MIT"
    assert "without what lies above 10 kHz" in (path.parent / "run" / "report.html").read_text(encoding="utf-8")
    again = evaluate_fused(path, None, cache, CPU)
    assert again.metrics == found.metrics


def test_further_networks_answer_what_they_held_out(music: Path, cache: Path, tmp_path: Path) -> None:
    names = [track.track_id for track in read_tracks(music)]
    audio, picture = saved(tmp_path, branch(AUDIO, music), branch(PICTURE, music, n_held_out=20))
    more = replace(branch(PICTURE, music), held_out={"test": names[16:], "validation": []})
    save_checkpoint(more, tmp_path / "more.pt")
    path = fuse_branches(audio, [*picture, tmp_path / "more.pt"], music, tmp_path / "models", cache, CPU)
    found = load_checkpoint(path)
    assert found.metrics["test"]["n_tracks"] == 35
    assert sorted(found.held_out["test"]) == sorted(names[:20])  # of the networks that are joined
    assert len(list((path.parent / "folds" / "picture").glob("*.pt"))) == 2
    for part, shares in evaluate_fused(path, None, cache, CPU).metrics["test"]["per_source"].items():
        assert shares["n_tracks"] == found.metrics["test"]["per_source"][part]["n_tracks"]


def test_networks_of_a_branch_are_alike(music: Path, cache: Path, tmp_path: Path) -> None:
    audio, picture = saved(tmp_path, branch(AUDIO, music), branch(PICTURE, music))
    save_checkpoint(branch(replace(PICTURE, width=0.2), music), tmp_path / "wider.pt")
    with pytest.raises(CheckpointError, match="of the picture branch differ in network or genres"):
        fuse_branches(audio, [*picture, tmp_path / "wider.pt"], music, tmp_path / "models", cache, CPU)


def test_branches_are_not_confused(music: Path, cache: Path, tmp_path: Path) -> None:
    audio, picture = saved(tmp_path, branch(AUDIO, music), branch(PICTURE, music))
    with pytest.raises(CheckpointError, match=r"picture.pt is a network of the picture branch: expected the audio"):
        fuse_branches(picture, audio, music, tmp_path / "models", cache, CPU)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": ("a", "b", "c")}, "train both on the same genres"),
        ({"excerpt_seconds": 5.0}, "excerpts of different lengths"),
    ],
)
def test_branches_that_do_not_fit_are_refused(
    change: dict[str, object], words: str, music: Path, cache: Path, tmp_path: Path
) -> None:
    audio = replace(branch(AUDIO, music), **change)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=words):
        fuse_branches(*saved(tmp_path, audio, branch(PICTURE, music)), music, tmp_path / "models", cache, CPU)


def test_a_fusion_of_few_clips_is_refused(music: Path, cache: Path, tmp_path: Path) -> None:
    paths = saved(tmp_path, branch(AUDIO, music), branch(PICTURE, music, n_held_out=9))
    with pytest.raises(DataError, match=r"9 audio files of .* were trained on by neither branch: expected at least 30"):
        fuse_branches(*paths, music, tmp_path / "models", cache, CPU)
