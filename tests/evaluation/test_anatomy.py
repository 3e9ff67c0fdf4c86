"""Errors put into one place on purpose are found there and nowhere else."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.evaluation.anatomy import (
    Pair,
    along_clip,
    border_errors,
    explained,
    explained_by_slice,
    explained_by_spread,
    pose_errors,
    with_truth,
)
from motionlab.evaluation.reconstruction import mpjpe
from motionlab.motion.features import FEATURE_SLICES, HEADING, POSITIONS, ROOT_VELOCITY, decode_positions
from motionlab.motion.rotations import matrix_to_6d, yaw_matrix
from motionlab.motion.skeleton import JOINT_NAMES


@pytest.fixture(scope="module")
def walk() -> torch.Tensor:
    return next(sample for sample in load_samples() if sample.name == "walk_forward").motion.features.double()


def turning_too_far(real: torch.Tensor, degrees: float) -> torch.Tensor:
    """Every frame but the first turns by `degrees` too much; the features store the turn that takes it away."""
    wrong = real.clone()
    steps = torch.full((len(real),), math.radians(degrees), dtype=real.dtype)
    cosine, sine = real[:, HEADING.start], real[:, HEADING.start + 2]
    angle = torch.atan2(sine, cosine) - steps
    wrong[1:, HEADING] = matrix_to_6d(yaw_matrix(angle))[1:]
    return wrong


def test_one_joint(walk: torch.Tensor) -> None:
    wrong, wrist = walk.clone(), JOINT_NAMES.index("left_wrist")
    wrong[:, POSITIONS.start + 3 * wrist + 1] += 0.022
    errors = pose_errors([Pair(walk, wrong)])
    assert errors.shape == (22,)
    assert errors[wrist].item() == pytest.approx(22.0)
    assert errors.sum().item() == pytest.approx(22.0)


def test_long_clips_count_by_their_frames(walk: torch.Tensor) -> None:
    wrong = walk.clone()
    wrong[:, POSITIONS.start + 3 * 5] += 0.01
    pairs = [Pair(walk, wrong), Pair(walk[:10], walk[:10])]
    share = len(walk) / (len(walk) + 10)
    assert pose_errors(pairs)[5].item() == pytest.approx(10 * share)


def test_a_heading_error_is_not_in_the_pose_and_grows(walk: torch.Tensor) -> None:
    pair = Pair(walk, turning_too_far(walk, 0.5))
    assert pose_errors([pair]).max().item() == pytest.approx(0, abs=1e-9)
    along = along_clip([pair], 30)
    assert along.clips == 1 and along.pose_mm.max().item() == pytest.approx(0, abs=1e-9)
    assert torch.allclose(along.heading_deg, torch.arange(30, dtype=torch.float64) * 0.5, atol=1e-6)
    assert 0 == along.pelvis_mm[0] < along.pelvis_mm[:10].mean() < along.pelvis_mm[20:].mean()
    whole = mpjpe(decode_positions(pair.restored), decode_positions(pair.real))
    assert along_clip([pair], len(walk)).pelvis_mm.mean().item() == pytest.approx(float(whole))


def test_a_full_turn_too_many_is_no_heading_error(walk: torch.Tensor) -> None:
    steps = 30
    along = along_clip([Pair(walk[: steps + 1], turning_too_far(walk[: steps + 1], 360 / steps))], steps + 1)
    assert along.heading_deg[-1].item() == pytest.approx(0, abs=1e-4)
    assert along.heading_deg[steps // 2].item() == pytest.approx(180, abs=1e-4)


def test_travel_adds_up(walk: torch.Tensor) -> None:
    wrong = walk.clone()
    wrong[1:, ROOT_VELOCITY.start] += 0.001
    along = along_clip([Pair(walk, wrong)], 30)
    assert torch.allclose(along.travel_mm, torch.arange(30).double(), rtol=3e-3)  # he turns a little as he walks
    assert along.pelvis_mm.max().item() == pytest.approx(0, abs=1e-6)


def test_only_clips_that_are_long_enough_count(walk: torch.Tensor) -> None:
    wrong = walk.clone()
    wrong[:, POSITIONS] += 1.0  # a shift of the whole body: no pose error, but seen if this clip were counted elsewhere
    wrong[:, HEADING] = turning_too_far(walk, 3)[:, HEADING]
    short = Pair(walk[:20], wrong[:20])
    assert along_clip([Pair(walk, walk), short], 21).clips == 1
    assert along_clip([Pair(walk, walk), short], 21).heading_deg.max() == 0
    assert along_clip([Pair(walk, walk), short], 20).clips == 2
    with pytest.raises(InputError, match="the longest clip"):
        along_clip([short], 21)


def test_explained_is_one_zero_or_nan(walk: torch.Tensor) -> None:
    mean = walk.mean(0)
    perfect = explained([Pair(walk, walk)], mean)
    constant = walk.std(0) < 1e-5
    assert constant.any() and perfect[constant].isnan().all()
    assert (perfect[~perfect.isnan()] == 1).all()
    useless = explained([Pair(walk, mean.expand_as(walk))], mean)
    assert useless[~useless.isnan()].abs().max() < 1e-9
    half = explained_by_slice([Pair(walk, (walk + mean) / 2)], mean)
    assert set(half) == set(FEATURE_SLICES)
    assert all(value == pytest.approx(0.75) for value in half.values())  # half the error has a quarter of the square


def test_a_feature_that_hardly_moves_does_not_decide_the_share_of_its_slice(walk: torch.Tensor) -> None:
    still = POSITIONS.start + 1
    real = walk.clone()
    real[:, still] = 0.001 * torch.arange(len(walk)).double().sin()
    wrong = real.clone()
    wrong[:, still] += 0.01
    mean = real.mean(0)
    assert explained([Pair(real, wrong)], mean)[still] < -20
    assert 0.99 < explained_by_slice([Pair(real, wrong)], mean)["positions"] < 1


def test_features_that_vary_little_come_first(walk: torch.Tensor) -> None:
    """The same error everywhere: the less a feature varies, the less of it survives."""
    wrong = walk.clone()
    wrong[:, FEATURE_SLICES["rotations"]] += 0.05
    shares = explained_by_spread([Pair(walk, wrong)], walk.mean(0), "rotations", parts=3)
    assert len(shares) == 3 and shares == sorted(shares) and shares[0] < 0 < shares[2] < 1
    assert explained_by_spread([Pair(walk, walk)], walk.mean(0), "positions") == [1.0] * 4
    with pytest.raises(InputError, match="root_velocity"):
        explained_by_spread([Pair(walk, walk)], walk.mean(0), "root")


def test_errors_at_the_ends(walk: torch.Tensor) -> None:
    wrong = walk.clone()
    wrong[0, POSITIONS.start + 3] += 0.022
    wrong[-2, POSITIONS.start + 3] += 0.044
    first, last = border_errors([Pair(walk, wrong), Pair(walk, walk), Pair(walk[:2], walk[:2])], 4)
    assert first.tolist() == pytest.approx([0.5, 0, 0, 0]) and last.tolist() == pytest.approx([0, 0, 1.0, 0])
    with pytest.raises(InputError, match="at most 2"):
        border_errors([Pair(walk[:2], walk[:2])], 4)


def test_truth_in_one_slice(walk: torch.Tensor) -> None:
    pair = Pair(walk, turning_too_far(walk, 2))
    assert torch.equal(with_truth(pair, "heading").restored, walk)
    assert torch.equal(with_truth(pair, "positions").restored, pair.restored)
    assert not torch.equal(pair.restored, walk), "the pair that was given is not changed"
    with pytest.raises(InputError, match="root_velocity"):
        with_truth(pair, "root")


@pytest.mark.parametrize(
    "pairs", [[], [Pair(torch.zeros(5, 272), torch.zeros(4, 272))], [Pair(*[torch.zeros(5, 3)] * 2)]]
)
def test_wrong_pairs_are_named(pairs: list[Pair]) -> None:
    with pytest.raises(InputError, match="pairs"):
        pose_errors(pairs)
