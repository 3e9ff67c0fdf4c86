"""The loss terms against their formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from motionlab.errors import InputError
from motionlab.motion.contacts import FEET
from motionlab.motion.features import POSITIONS, crop, decode_heading, decode_positions, decode_rotations, encode
from motionlab.motion.normalizer import Normalizer
from motionlab.motion.rotations import axis_angle_to_matrix, yaw_matrix
from motionlab.motion.skeleton import JOINT_NAMES, canonical_skeleton, forward_kinematics
from motionlab.quantizers.base import Quantized
from motionlab.tokenizer.kinematics import Body
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import TokenizerOutput


def output(reconstruction: torch.Tensor, loss: float = 0.0) -> TokenizerOutput:
    empty = torch.zeros(0)
    return TokenizerOutput(reconstruction, Quantized(empty, empty.long(), torch.tensor(loss)))


@pytest.mark.parametrize(("name", "block"), [("published", slice(8, 74)), ("true", slice(74, 140))])
def test_total_is_its_formula(name: str, block: slice) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 9, 272, requires_grad=True), torch.randn(2, 9, 272) * 3
    weights = LossWeights(velocity=0.5, velocity_loss=name, root=0.25)
    losses = tokenizer_losses(output(a, 0.125), b, weights)
    expected = (
        F.smooth_l1_loss(a, b)
        + 0.5 * F.smooth_l1_loss(a[..., block], b[..., block])
        + 0.25 * F.smooth_l1_loss(a[..., :8], b[..., :8])
        + 0.125
    )
    torch.testing.assert_close(losses["total"], expected)
    (found,) = torch.autograd.grad(losses["total"], a, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(expected, a)[0])
    assert set(losses) == {"total", "reconstruction", "velocity", "root", "quantizer"}


@pytest.mark.parametrize("name", ["published", "true"])
def test_which_block_the_velocity_loss_sees(name: str) -> None:
    block = {"published": slice(8, 74), "true": slice(74, 140)}[name]
    target = torch.zeros(1, 4, 272)
    inside, outside = target.clone(), torch.ones_like(target)
    inside[..., block], outside[..., block] = 1.0, 0.0
    weights = LossWeights(velocity_loss=name)
    assert float(tokenizer_losses(output(inside), target, weights)["velocity"]) == 0.5  # smooth L1 of 1
    assert float(tokenizer_losses(output(outside), target, weights)["velocity"]) == 0.0


def test_weight_zero_leaves_the_term_out() -> None:
    a, b = torch.randn(1, 5, 272), torch.randn(1, 5, 272)
    losses = tokenizer_losses(output(a), b, LossWeights(velocity=0.0))
    assert losses["total"] == losses["reconstruction"]


def test_padding_does_not_count() -> None:
    a, b = torch.randn(2, 8, 272), torch.randn(2, 8, 272)
    mask = torch.arange(8) < torch.tensor([[8], [3]])
    a[~mask], b[~mask] = float("nan"), 1e9
    losses = tokenizer_losses(output(a), b, LossWeights(), mask)
    real_a, real_b = a[mask], b[mask]
    torch.testing.assert_close(losses["reconstruction"], F.smooth_l1_loss(real_a, real_b))
    torch.testing.assert_close(losses["velocity"], F.smooth_l1_loss(real_a[:, 74:140], real_b[:, 74:140]))


def test_half_precision_is_summed_in_float32() -> None:
    a = torch.full((4, 64, 272), 0.1, dtype=torch.bfloat16)
    losses = tokenizer_losses(output(a), torch.zeros(4, 64, 272), LossWeights())
    assert losses["total"].dtype == torch.float32


def moving(frames: int = 12, batch: int = 2) -> torch.Tensor:
    """Features `[batch, frames, 272]` in metres of a body whose joints all move."""
    torch.manual_seed(0)
    swing = torch.randn(batch, 1, 22, 3) * 0.3 * torch.linspace(0, 3, frames).sin().view(1, frames, 1, 1)
    rotations = axis_angle_to_matrix(swing)  # [batch, frames, 22, 3, 3]
    root = torch.stack([torch.linspace(0, 1, frames), torch.full((frames,), 0.9), torch.zeros(frames)], dim=-1)
    joints = forward_kinematics(rotations, root.expand(batch, -1, -1), canonical_skeleton().offsets)
    return encode(joints, rotations, ground=False)


def turning() -> torch.Tensor:
    """The same, and its heading turns by 0.1 rad a frame."""
    features = moving()
    angle = torch.full((12,), 0.1)
    features[..., 2], features[..., 4] = angle.cos(), -angle.sin()
    return features


def normalizer() -> Normalizer:
    return Normalizer(moving().mean((0, 1)), torch.rand(272) + 0.5)


def test_joint_loss_is_the_distance_of_the_kinematic_joints() -> None:
    features, statistics = moving(), normalizer()
    other = features.clone()
    other[..., 140:] += torch.randn(2, 12, 132) * 0.1
    made, target = statistics.normalize(other), statistics.normalize(features)
    losses = tokenizer_losses(output(made), target, LossWeights(joint=2.0), body=Body(statistics))
    joints = []
    for x in (other, features):
        rotations, root = decode_rotations(x)
        joints.append(forward_kinematics(rotations, root, canonical_skeleton().offsets) - root.unsqueeze(-2))
    scale = statistics.std[POSITIONS].mean()
    torch.testing.assert_close(losses["joint"], F.smooth_l1_loss(joints[0] / scale, joints[1] / scale))
    plain = tokenizer_losses(output(made), target, LossWeights())
    torch.testing.assert_close(losses["total"], plain["total"] + 2.0 * losses["joint"])


def test_joint_loss_sees_rotations_and_heading_and_nothing_else() -> None:
    target = normalizer().normalize(moving())
    for part, moves in ((slice(140, 272), True), (slice(2, 8), True), (slice(0, 2), False), (slice(8, 140), False)):
        made = target.clone()
        made[..., part] += 0.1
        losses = tokenizer_losses(output(made), target, LossWeights(joint=1.0), body=Body(normalizer()))
        assert (float(losses["joint"]) > 1e-6) == moves, part


def test_joint_loss_in_metres_of_another_skeleton() -> None:
    skeleton = canonical_skeleton()
    double = type(skeleton)("double", skeleton.offsets * 2)
    target = normalizer().normalize(moving())
    made = target + 0.01
    weights = LossWeights(joint=1.0)
    once = tokenizer_losses(output(made), target, weights, body=Body(normalizer()))["joint"]
    twice = tokenizer_losses(output(made), target, weights, body=Body(normalizer(), double))["joint"]
    torch.testing.assert_close(twice, 4 * once, rtol=1e-3, atol=0)  # quadratic below 1


def test_acceleration_loss_is_the_second_difference_of_the_positions() -> None:
    features, statistics = moving(), normalizer()
    other = features + torch.randn(2, 12, 272) * 0.01
    made, target = statistics.normalize(other), statistics.normalize(features)
    losses = tokenizer_losses(output(made), target, LossWeights(acceleration=3.0), body=Body(statistics))
    one, two = (torch.diff(x[..., 8:74], n=2, dim=1) / statistics.std[74:140].mean() for x in (other, features))
    torch.testing.assert_close(losses["acceleration"], F.smooth_l1_loss(one, two), rtol=1e-3, atol=1e-7)
    plain = tokenizer_losses(output(made), target, LossWeights())
    torch.testing.assert_close(losses["total"], plain["total"] + 3.0 * losses["acceleration"])


def test_a_constant_or_steady_error_has_no_acceleration() -> None:
    target = torch.randn(1, 9, 272)
    steady = target + torch.arange(9.0).view(1, 9, 1) * 0.5 + 1
    losses = tokenizer_losses(output(steady), target, LossWeights(acceleration=1.0), body=Body(normalizer()))
    assert float(losses["acceleration"]) < 1e-9


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_clips_too_short_for_an_acceleration(frames: int) -> None:
    made = torch.randn(2, frames, 272, requires_grad=True)
    weights = LossWeights(acceleration=1.0, joint=1.0, foot=1.0)
    losses = tokenizer_losses(output(made), torch.randn(2, frames, 272), weights, body=Body(normalizer()))
    assert (losses["acceleration"].item() == 0.0) == (frames < 3)
    losses["total"].backward()
    assert made.grad is not None and torch.isfinite(made.grad).all()


def test_foot_steps_are_those_of_the_decoded_joints() -> None:
    features, statistics = turning(), normalizer()
    feet = decode_positions(features)[..., [JOINT_NAMES.index(name) for name in FEET], :]  # [B, T, 4, 3]
    facing = yaw_matrix(decode_heading(features))  # [B, T, 3, 3]
    expected = (feet[:, 1:] - feet[:, :-1]) @ facing[:, :-1]  # as seen from the heading of the frame before
    found = Body(statistics).foot_steps(statistics.normalize(features))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_foot_loss_is_the_distance_of_the_steps_of_standing_feet() -> None:
    features, statistics = turning(), normalizer()
    heights = features[..., 9:74:3]
    heights[:, :6] *= 0.01  # as low as a foot on the floor, and hardly moving
    features[:, :6, :2], features[:, :6, 4] = 0.0, 0.0
    features[:, :6, 8:74:3], features[:, :6, 10:74:3] = 0.1, 0.1
    features[:, :6, 8:74] += torch.arange(6.0)[:, None] * 1e-4
    other = features.clone()
    other[..., :140] += torch.randn(2, 12, 140) * 0.01
    made, target = statistics.normalize(other), statistics.normalize(features)
    body = Body(statistics)
    losses = tokenizer_losses(output(made), target, LossWeights(foot=3.0), body=body)
    error = (body.foot_steps(made) - body.foot_steps(target))[:, :5] * 30 / 0.1  # in 0.1 m/s at 30 frames a second
    torch.testing.assert_close(losses["foot"], F.smooth_l1_loss(error, torch.zeros_like(error)))
    plain = tokenizer_losses(output(made), target, LossWeights())
    torch.testing.assert_close(losses["total"], plain["total"] + 3.0 * losses["foot"])


def test_foot_loss_sees_a_slide_that_no_single_feature_shows() -> None:
    """The pelvis advances while the feet stay: its step and the feet's way back cancel, or they do not."""
    features, statistics = torch.zeros(1, 6, 272), normalizer()
    features[..., 2] = features[..., 6] = 1.0
    features[:, 1:, 1] = 0.01  # the pelvis goes 1 cm a frame along z
    back = 8 + 3 * torch.tensor([JOINT_NAMES.index(name) for name in FEET]) + 2
    features[..., back] -= torch.arange(6.0)[None, :, None] * 0.01
    standing = Body(statistics).foot_steps(statistics.normalize(features))
    assert standing.abs().max() < 1e-6
    features[..., back] += torch.arange(6.0)[None, :, None] * 0.02
    sliding = Body(statistics).foot_steps(statistics.normalize(features))
    torch.testing.assert_close(sliding[..., 2], torch.full((1, 5, 4), 0.02), rtol=0, atol=1e-6)


def test_padding_does_not_count_in_metres_either() -> None:
    statistics = normalizer()
    target = statistics.normalize(moving())
    made = target + torch.randn_like(target) * 0.1
    mask = torch.arange(12) < torch.tensor([[12], [5]])
    weights, body = LossWeights(acceleration=1.0, joint=1.0, foot=1.0), Body(statistics)
    spoiled = torch.where(mask.unsqueeze(2), made, torch.nan).requires_grad_()
    together = tokenizer_losses(output(spoiled), torch.where(mask.unsqueeze(2), target, torch.inf), weights, mask, body)
    alone = [
        tokenizer_losses(output(made[i : i + 1, :n]), target[i : i + 1, :n], weights, body=body)
        for i, n in enumerate((12, 5))
    ]
    for term, (a, b) in {"joint": (12, 5), "acceleration": (10, 3), "reconstruction": (12, 5)}.items():
        torch.testing.assert_close(together[term], (a * alone[0][term] + b * alone[1][term]) / (a + b))
    together["total"].backward()
    assert spoiled.grad is not None and torch.isfinite(spoiled.grad).all()
    assert spoiled.grad[~mask].abs().max() == 0 and spoiled.grad[mask].abs().min(0).values.max() > 0


def test_autocast_does_not_touch_the_terms_in_metres() -> None:
    made = normalizer().normalize(moving())
    target = made + 0.01
    weights, body = LossWeights(acceleration=1.0, joint=1.0, foot=1.0), Body(normalizer())
    exact = tokenizer_losses(output(made), target, weights, body=body)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tokenizer_losses(output(made), target, weights, body=body)
    for term in ("joint", "acceleration", "foot"):
        torch.testing.assert_close(found[term], exact[term])


@pytest.mark.parametrize("term", ["acceleration", "joint", "foot"])
def test_metres_need_a_body(term: str) -> None:
    x = torch.randn(1, 5, 272)
    weights: dict[str, Any] = {term: 0.1}
    with pytest.raises(InputError, match=rf"{term} loss: found no body.*body=Body\(normalizer\)"):
        tokenizer_losses(output(x), x, LossWeights(**weights))
    assert term not in tokenizer_losses(output(x), x, LossWeights())


def test_gradients_of_the_terms_in_metres() -> None:
    body, target = Body(normalizer()), normalizer().normalize(moving(5, 1)).double()
    body.normalizer = Normalizer(body.normalizer.mean.double(), body.normalizer.std.double())
    body.offsets = body.offsets.double()
    made = (target + torch.randn_like(target) * 0.05).requires_grad_()
    assert torch.autograd.gradcheck(body.joints, made, atol=1e-5, fast_mode=True)


def test_a_window_of_a_clip_is_seen_from_its_pelvis() -> None:
    """Joints by kinematics equal those by positions where features are exact, up to the pelvis."""
    window = crop(moving(), 4, 6)
    body = Body(normalizer())
    joints = body.joints(body.normalizer.normalize(window))
    positions = decode_positions(window)
    torch.testing.assert_close(joints, positions - positions[..., :1, :], rtol=0, atol=1e-5)


def test_unknown_velocity_loss() -> None:
    with pytest.raises(InputError, match="found 'wrong', expected true or published"):
        LossWeights(velocity_loss="wrong")
