"""Every fault does what its name says, and leaves the rest."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.evaluation import corruption as c
from motionlab.evaluation.physics import rotations_gap
from motionlab.motion.features import (
    POSITIONS,
    ROTATIONS,
    VELOCITIES,
    decode_heading,
    decode_positions,
    decode_rotations,
    encode,
)
from motionlab.motion.skeleton import PARENTS


@pytest.fixture(scope="module")
def walk() -> torch.Tensor:
    return next(s for s in load_samples(check=False) if s.action == "walk").motion.features


@pytest.fixture(scope="module")
def other() -> torch.Tensor:
    samples = [sample for sample in load_samples(check=False) if sample.action != "walk"]
    return max((sample.motion.features for sample in samples), key=len)


def bones(features: torch.Tensor) -> torch.Tensor:
    joints = decode_positions(features)
    return (joints[:, 1:] - joints[:, list(PARENTS[1:])]).norm(dim=-1)


@pytest.mark.parametrize("name", list(c.CORRUPTIONS))
def test_all_give_features_again(name: str, walk: torch.Tensor, other: torch.Tensor) -> None:
    before = walk.clone()
    spoiled = c.corrupt(name, walk, other, seed=3)
    assert torch.equal(walk, before), "the input was changed"
    assert torch.equal(spoiled, c.corrupt(name, walk, other, seed=3))
    assert spoiled.ndim == 2 and spoiled.shape[1] == 272 and torch.isfinite(spoiled).all()
    if name not in ("swapped_halves", "wrong_order"):
        assert spoiled.shape == walk.shape and not torch.allclose(spoiled, walk, atol=1e-3)
    six = spoiled[:, ROTATIONS].unflatten(1, (22, 2, 3))
    torch.testing.assert_close(six @ six.mT, torch.eye(2).expand(len(six), 22, 2, 2), rtol=0, atol=2e-3)
    rows = spoiled[:, POSITIONS]  # velocities belong to positions, so that the features are those of one motion
    scale = 100 if name == "wrong_unit" else 1
    torch.testing.assert_close(spoiled[1:, VELOCITIES], rows.diff(dim=0), rtol=0, atol=2e-3 * scale)


def test_noise_has_its_size(walk: torch.Tensor) -> None:
    moved = decode_positions(c.noise(walk, mm=40)) - decode_positions(walk)
    moved = moved - moved[:1, :1]  # the first pelvis is put back over the start
    still = (decode_positions(c.noise(walk, mm=40, seed=1))[:, 5] - decode_positions(walk)[:, 5]).std(0)
    assert float(still.mean()) == pytest.approx(0.040 / math.sqrt(3), rel=0.25)
    assert not torch.equal(c.noise(walk), c.noise(walk, seed=1))
    torch.testing.assert_close(decode_rotations(c.noise(walk))[0], decode_rotations(walk)[0], rtol=0, atol=1e-4)


def test_hold_shows_a_quarter(walk: torch.Tensor) -> None:
    real, held = decode_positions(walk), decode_positions(c.hold(walk, 4))
    shown = torch.arange(len(walk)) // 4 * 4
    torch.testing.assert_close(held, real[shown], rtol=0, atol=1e-4)
    torch.testing.assert_close(c.hold(walk, 1), walk, rtol=0, atol=2e-3)


def test_slide_keeps_every_pose(walk: torch.Tensor) -> None:
    spoiled = c.slide(walk, 3)
    torch.testing.assert_close(spoiled[:, 2:], walk[:, 2:])
    real, far = (decode_positions(x)[-1, 0, [0, 2]].norm() for x in (walk, spoiled))
    assert float(far / real) == pytest.approx(3, rel=1e-4)


def test_random_angles_leave_the_joints(walk: torch.Tensor) -> None:
    spoiled = c.random_angles(walk)
    torch.testing.assert_close(decode_positions(spoiled), decode_positions(walk))
    assert rotations_gap(spoiled) > 200 > 5 > rotations_gap(walk)


def test_wrong_order_and_swapped_halves(walk: torch.Tensor, other: torch.Tensor) -> None:
    half = len(walk) // 2
    spoiled = c.wrong_order(walk)
    assert len(spoiled) == len(walk) - 1
    torch.testing.assert_close(spoiled[-5:, POSITIONS], walk[half - 5 : half, POSITIONS], rtol=0, atol=0.02)
    mixed = c.swapped_halves(walk, other)
    torch.testing.assert_close(mixed[: half // 2, POSITIONS], walk[: half // 2, POSITIONS], rtol=0, atol=0.02)
    torch.testing.assert_close(mixed[-5:, POSITIONS], other[-5:, POSITIONS], rtol=0, atol=0.05)
    steps = decode_positions(mixed).diff(dim=0).norm(dim=-1).amax()
    assert float(steps) < 0.4  # nothing jumps at the seam


def test_mirrored_twice_is_nothing(walk: torch.Tensor) -> None:
    assert torch.equal(c.mirrored(c.mirrored(walk)), walk)


def test_wrong_unit(walk: torch.Tensor) -> None:
    torch.testing.assert_close(decode_positions(c.wrong_unit(walk)), 100 * decode_positions(walk))
    torch.testing.assert_close(decode_rotations(c.wrong_unit(walk))[0], decode_rotations(walk)[0])


def test_heading_drift_is_a_sum_of_nothing(walk: torch.Tensor) -> None:
    spoiled = c.heading_drift(walk, degrees=30, fps=30)
    turned = (decode_heading(spoiled) - decode_heading(walk)).rad2deg()
    torch.testing.assert_close(turned, torch.arange(len(walk)).float(), rtol=0, atol=0.02)
    torch.testing.assert_close(spoiled[:, 8:], walk[:, 8:])


def test_tremble_keeps_the_bones(walk: torch.Tensor) -> None:
    spoiled = c.tremble(walk, degrees=3)
    torch.testing.assert_close(bones(spoiled), bones(walk), rtol=0, atol=3e-3)
    assert rotations_gap(spoiled) < 5  # positions and rotations tell of one motion
    third = [decode_positions(x).diff(n=3, dim=0).norm(dim=-1).mean() for x in (walk, spoiled)]
    assert third[1] > 3 * third[0]


def test_scaled_bones(walk: torch.Tensor) -> None:
    spoiled = c.scaled_bones(walk, 1.2)
    torch.testing.assert_close(bones(spoiled), 1.2 * bones(walk), rtol=0, atol=5e-3)
    paths = [decode_positions(x)[:, 0, [0, 2]] for x in (spoiled, walk)]
    torch.testing.assert_close(*paths, rtol=0, atol=1e-4)


def test_the_start_is_kept(walk: torch.Tensor) -> None:
    from motionlab.motion.transforms import place

    placed = place(walk, (2.0, -1.0), 0.5)
    for spoiled in (c.hold(placed), c.tremble(placed), c.scaled_bones(placed)):
        torch.testing.assert_close(
            decode_positions(spoiled)[0, 0, [0, 2]], torch.tensor([2.0, -1.0]), rtol=0, atol=1e-5
        )
        torch.testing.assert_close(decode_heading(spoiled)[0], torch.tensor(0.5), rtol=0, atol=1e-4)


def test_wrong_input(walk: torch.Tensor) -> None:
    with pytest.raises(InputError, match="corruption: found 'blur', expected noise, hold"):
        c.corrupt("blur", walk)
    with pytest.raises(InputError, match="swapped_halves: found one motion"):
        c.corrupt("swapped_halves", walk)
    with pytest.raises(InputError, match="every: found 0"):
        c.hold(walk, 0)
    with pytest.raises(InputError, match="4 or more"):
        c.wrong_order(walk[:3])
    with pytest.raises(InputError, match=r"expected \(T, 272\)"):
        c.slide(walk[None])
    with pytest.raises(InputError, match="HumanML3D"):
        c.slide(torch.zeros(4, 263))
    assert encode(torch.rand(3, 22, 3), torch.eye(3).expand(3, 22, 3, 3)).shape == (3, 272)
