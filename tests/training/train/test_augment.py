"""Augmentation: crops inside the clip, masks clip by clip, mixed targets that stay distributions, all seeded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genre_training.config import TrainingConfig
from genre_training.train.augment import (
    MASKS_PER_AXIS,
    Augmentation,
    SpecAugment,
    equalise,
    low_pass,
    mixup,
    random_crops,
    shift_bands,
)


def numbered_clips(n_clips: int = 5, n_frames: int = 30) -> Tensor:
    """Clips whose values tell clip and frame: 100 clip + frame, shape (n_clips, 4, n_frames)."""
    clip, frame = torch.arange(n_clips)[:, None, None], torch.arange(n_frames)[None, None]
    return (100 * clip + frame).expand(n_clips, 4, n_frames).float()


def random_clips(seed: int = 0) -> Tensor:
    return torch.rand(8, 128, 83, generator=torch.Generator().manual_seed(seed)) * -80


def test_crops_are_windows_of_their_own_clip() -> None:
    generator = torch.Generator().manual_seed(0)
    starts = set()
    for _ in range(60):
        crops = random_crops(numbered_clips(), 8, generator)
        assert crops.shape == (5, 4, 8)
        for i, crop in enumerate(crops):
            start = int(crop[0, 0]) - 100 * i
            assert 0 <= start <= 22
            assert torch.equal(crop, numbered_clips()[i, :, start : start + 8])
            starts.add(start)
    assert starts == set(range(23))  # the first and the last window among them


def test_crop_of_the_whole_clip_is_the_clip() -> None:
    assert torch.equal(random_crops(numbered_clips(), 30, torch.Generator()), numbered_clips())


def test_masks_hold_the_mean_and_spare_the_rest() -> None:
    torch.manual_seed(0)
    clips = random_clips()
    masked = SpecAugment(24, 16)(clips)
    assert masked.shape == clips.shape
    assert masked.min() >= clips.min() - 1e-4
    assert masked.max() <= clips.max() + 1e-4
    changed = (masked - clips).abs() > 1e-3
    assert changed.any(dim=(1, 2)).all()
    mean = clips.mean(dim=(1, 2), keepdim=True).expand_as(clips)
    torch.testing.assert_close(masked[changed], mean[changed], atol=1e-3, rtol=0)


def test_each_clip_has_its_own_masks_of_bounded_size() -> None:
    torch.manual_seed(0)
    clips = random_clips()
    changed = (SpecAugment(24, 16)(clips) - clips).abs() > 1e-3
    bands, frames = changed.all(dim=2), changed.all(dim=1)  # rows and columns that are masked throughout
    assert len({tuple(row.tolist()) for row in bands}) == len(clips)
    assert len({tuple(row.tolist()) for row in frames}) == len(clips)
    assert (bands.sum(dim=1) <= 24 * MASKS_PER_AXIS).all()
    assert (frames.sum(dim=1) <= 16 * MASKS_PER_AXIS).all()


def test_an_axis_has_two_masks() -> None:
    torch.manual_seed(0)
    clips = torch.rand(200, 128, 83, generator=torch.Generator().manual_seed(0)) * -80
    changed = (SpecAugment(24, 0)(clips) - clips).abs() > 1e-3
    n_masked = changed.all(dim=2).sum(dim=1)
    assert 24 < n_masked.max() <= 2 * 24


def test_noise_is_of_either_sign_and_bounded() -> None:
    config = TrainingConfig(noise_db=0.5, equaliser_db=0.0, low_pass_share=0.0, mixup_alpha=0.0)
    clips = torch.full((8, 128, 83), -40.0)
    crops, _ = Augmentation(config, 83, 3, torch.arange(128), (0,))(clips, torch.zeros(8, dtype=torch.int64))
    noise = crops + 40
    assert noise.abs().max() <= 0.5 + 1e-4
    assert noise.min() < -0.45
    assert noise.max() > 0.45
    assert noise.mean().abs() < 0.01


def test_masks_of_size_zero_change_nothing() -> None:
    torch.testing.assert_close(SpecAugment(0, 0)(random_clips()), random_clips(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("n_frames", [1, 3, 16])
def test_masks_longer_than_the_clip_do_no_harm(n_frames: int) -> None:
    masked = SpecAugment(300, 16)(random_clips()[:, :, :n_frames])
    assert masked.shape == (8, 128, n_frames)
    assert masked.isfinite().all()


def test_mixup_blends_clip_and_target_alike() -> None:
    clips = torch.arange(6.0)[:, None, None].expand(6, 2, 3)
    mixed, targets = mixup(clips, torch.eye(6), 0.3, np.random.default_rng(0))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    torch.testing.assert_close(mixed[:, 0, 0], targets @ torch.arange(6.0))  # a clip's value is its label here
    assert (targets.argmax(dim=1) == torch.arange(6)).all()  # the clip itself stays the greater part
    assert ((targets > 0).sum(dim=1) == 2).any()


def test_mixup_of_zero_leaves_the_batch_alone() -> None:
    clips, targets = random_clips(), torch.eye(8)
    mixed, same = mixup(clips, targets, 0.0, np.random.default_rng(0))
    assert mixed is clips
    assert same is targets


def test_whole_augmentation_is_seeded() -> None:
    clips, labels = random_clips().half(), torch.arange(8) % 3

    def batch(seed: int) -> tuple[Tensor, Tensor]:
        crops, targets = Augmentation(TrainingConfig(), 40, 3, torch.arange(128), (seed,))(clips, labels)
        return crops, targets

    (crops, targets), (same_crops, same_targets), (other_crops, _) = batch(1), batch(1), batch(2)
    assert crops.shape == (8, 128, 40)
    assert crops.dtype == targets.dtype == torch.float32
    assert torch.equal(crops, same_crops)
    assert torch.equal(targets, same_targets)
    assert not torch.equal(crops, other_crops)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(8))


def test_equaliser_shifts_whole_bands_smoothly() -> None:
    clips = random_clips()
    curve = equalise(clips, 3.0, torch.Generator().manual_seed(1)) - clips
    assert torch.allclose(curve, curve[:, :, :1].expand_as(curve), atol=1e-4)  # one gain a band, all frames alike
    assert curve[:, :, 0].diff(dim=1).abs().max() < 1.0
    assert 1.0 < curve.std() < 5.0
    assert equalise(clips, 0.0, torch.Generator()) is clips


def test_low_pass_cuts_the_top_of_some_clips() -> None:
    clips = random_clips()
    floor = clips.amin(dim=(1, 2), keepdim=True)
    cut = (low_pass(clips, 0.5, torch.Generator().manual_seed(0)) == floor).all(dim=2)
    touched = cut.any(dim=1)
    assert 0 < touched.sum() < len(clips)
    assert not cut[:, :85].any()  # never below two thirds of the bands
    assert cut[touched, -1].all()
    assert torch.equal(low_pass(clips, 0.0, torch.Generator()), clips)


def test_stretched_crops_are_faster_or_slower_and_never_averaged() -> None:
    generator = torch.Generator().manual_seed(0)
    clips = numbered_clips(n_clips=400, n_frames=100)
    crops = random_crops(clips, 40, generator, stretch=0.2)
    frames = crops[:, 0] - 100 * torch.arange(400)[:, None]
    assert torch.equal(frames, frames.round()), "a frame between two frames"
    assert frames.min() == 0
    assert frames.max() == 99
    lengths = (frames[:, -1] - frames[:, 0]) / 39
    assert lengths.min() < 0.85
    assert lengths.max() > 1.15
    assert (lengths > 0.79).all()
    assert (lengths < 1.25).all()
    assert (frames.diff(dim=1) >= 0).all()


def test_a_stretch_beyond_the_clip_takes_all_of_it() -> None:
    crops = random_crops(numbered_clips(n_frames=30), 30, torch.Generator().manual_seed(0), stretch=0.5)
    assert crops.shape == (5, 4, 30)
    assert (crops[:, 0].amax(dim=1) - 100 * torch.arange(5) <= 29).all()


def test_bands_move_along_those_that_are_looked_at() -> None:
    bands = torch.tensor([1, 3, 4, 7])
    clips = torch.arange(9.0)[None, :, None].expand(300, 9, 2)
    shifted = shift_bands(clips, bands, 1, torch.Generator().manual_seed(0))
    others = torch.tensor([0, 2, 5, 6, 8])
    assert torch.equal(shifted[:, others], clips[:, others])
    found = {tuple(row.tolist()) for row in shifted[:, bands, 0]}
    assert found == {(1, 3, 4, 7), (3, 4, 7, 7), (1, 1, 3, 4)}
    assert shift_bands(clips, bands, 0, torch.Generator()) is clips
