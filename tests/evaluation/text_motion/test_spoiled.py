"""Harmless changes keep a motion, spoiled copies do not, and both are drawn from the generator alone."""

from __future__ import annotations

import pytest
import torch

from motionlab.evaluation.text_motion import spoiled
from motionlab.evaluation.text_motion.inputs import encoder_inputs, padded
from motionlab.runtime import random_generator


@pytest.fixture(scope="module")
def block(splits) -> tuple[torch.Tensor, torch.Tensor]:
    return padded([splits.train[i].motion.joints() for i in range(12)])


@pytest.mark.parametrize("way", [spoiled.spoil, spoiled.tremble, spoiled.stutter, spoiled.slide])
def test_spoiled_copies_differ_and_can_be_drawn_again(block, way) -> None:
    joints, lengths = block
    before = joints.clone()
    worse = way(joints, lengths, random_generator(1))
    assert torch.equal(joints, before)
    assert torch.equal(worse, way(joints, lengths, random_generator(1)))
    assert bool(((worse - joints).abs().amax((1, 2, 3)) > 1e-3).all())


def test_trembling_has_the_degrees_that_are_named(block) -> None:
    joints, lengths = block
    noise = spoiled.tremble(joints, lengths, random_generator(0)) - joints
    deviation = noise.flatten(1).std(1)
    low, high = spoiled.TREMBLE
    assert low * 0.9 < float(deviation.min()) < float(deviation.max()) < high * 1.1


def test_stuttering_holds_poses_of_the_motion(block) -> None:
    joints, lengths = block
    held = spoiled.stutter(joints, lengths, random_generator(0))
    for row, source in zip(held, joints, strict=True):
        still = (row[1:] == row[:-1]).flatten(1).all(1).float().mean()
        assert still >= 0.45  # of each two frames or more the first is held
        assert bool((row[:, None] == source[None]).flatten(2).all(2).any(1).all())


def test_sliding_moves_the_whole_body_evenly_over_the_ground(block) -> None:
    joints, lengths = block
    way = spoiled.slide(joints, lengths, random_generator(0)) - joints
    assert float(way[..., 1].abs().max()) == 0
    torch.testing.assert_close(way, way[:, :, :1].expand_as(way), rtol=0, atol=1e-5)
    step = way[:, 1, 0] - way[:, 0, 0]
    low, high = spoiled.SLIDE
    assert bool(((step.norm(dim=-1) > 0.99 * low) & (step.norm(dim=-1) < 1.01 * high)).all())


def test_harmless_changes_are_small_and_padded_with_the_last_frame(block) -> None:
    joints, lengths = block
    kept, new = spoiled.harmless(joints, lengths, random_generator(0))
    assert bool((new >= (lengths - 2 * spoiled.CUT - 1) / spoiled.SPEED[1] - 1).all())
    assert bool((new <= lengths / spoiled.SPEED[0] + 1).all()) and kept.shape[1] == int(new.max())
    for row, length in zip(kept, new.tolist(), strict=True):
        assert bool((row[length - 1 :] == row[length - 1]).all())
    heights = kept[..., 1].amax((1, 2)) / joints[..., 1].amax((1, 2))
    assert bool(((heights > 0.9) & (heights < 1.06)).all())
    speeds = [encoder_inputs(some)[..., 66:132].abs().mean() for some in (joints, kept)]
    assert 0.8 < float(speeds[1] / speeds[0]) < 1.25


def test_a_single_frame_survives() -> None:
    one = torch.ones(1, 1, 22, 3)
    kept, lengths = spoiled.harmless(one, torch.tensor([1]), random_generator(0))
    assert kept.shape == (1, 1, 22, 3) and lengths.tolist() == [1]
