"""Distances between motions."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation.diversity import mean_distance, pose_distance
from motionlab.motion.features import POSITIONS, ROOT_VELOCITY


def motion(seed: int, frames: int = 20) -> torch.Tensor:
    return torch.randn(frames, 272, generator=torch.Generator().manual_seed(seed))


def test_the_distance_is_that_of_joints_in_millimetres() -> None:
    first = motion(0)
    second = first.clone()
    second[:, POSITIONS] += 0.001  # every coordinate of every joint by 1 mm: sqrt(3) mm
    assert pose_distance(first, second) == pytest.approx(3**0.5, rel=1e-3)
    assert pose_distance(first, first) == 0


def test_where_a_person_stands_does_not_count() -> None:
    first = motion(0)
    second = first.clone()
    second[:, ROOT_VELOCITY] += 5.0
    assert pose_distance(first, second) == 0


def test_common_frames_only_and_the_order_is_free() -> None:
    long, short = motion(0, 30), motion(1, 20)
    assert pose_distance(long, short) == pose_distance(short, long) == pose_distance(long[:20], short)


def test_the_mean_is_over_pairs() -> None:
    some = [motion(seed) for seed in range(3)]
    pairs = [pose_distance(some[a], some[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert mean_distance(some) == pytest.approx(sum(pairs) / 3)


def test_too_few_motions() -> None:
    with pytest.raises(InputError, match="two or more"):
        mean_distance([motion(0)])
    with pytest.raises(InputError, match="no frame"):
        mean_distance([motion(0), motion(0, 0)])
