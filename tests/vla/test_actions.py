"""Losses and metrics of action chunks, and the two heads."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.vla.actions import (
    Actions,
    ActionTargets,
    ActionUnits,
    action_losses,
    action_metrics,
    angle_between,
    count_valid,
)
from motionlab.vla.backbone.pose_encoding import matrix_from_quaternion
from motionlab.vla.head import FlowMatchingHead, Head, RegressionHead, draw_times


def some_targets(batch: int = 4, steps: int = 3) -> ActionTargets:
    torch.manual_seed(0)
    pad = torch.arange(steps) >= torch.tensor([steps, 1, 2, steps])[:batch, None]  # chunks of 3, 1, 2, 3 real steps
    gripper = torch.where(torch.rand(batch, steps, 1) > 0.5, 1.0, -1.0)
    return ActionTargets(torch.randn(batch, steps, 6), gripper, pad)


def rows(targets: ActionTargets, index: list[int]) -> ActionTargets:
    return ActionTargets(targets.pose[index], targets.gripper[index], targets.action_is_pad[index])


def test_losses_by_hand() -> None:
    targets = ActionTargets(torch.zeros(1, 2, 6), torch.tensor([[[1.0], [-1.0]]]), torch.tensor([[False, True]]))
    pose = torch.tensor([[[0.2] * 6, [9.0] * 6]])
    losses = action_losses(Actions(pose, torch.tensor([[[0.5], [9.0]]])), targets)
    assert float(losses.pose) == pytest.approx(0.02) and float(losses.gripper) == pytest.approx(0.5)
    assert float(losses.total) == pytest.approx(0.02 + 0.5 * 0.5)
    bce = action_losses(Actions(pose, torch.tensor([[[0.5], [9.0]]])), targets, gripper_loss="bce")
    assert float(bce.gripper) == pytest.approx(math.log(1 + math.exp(-0.5)))
    weighted = action_losses(Actions(pose, pose[..., :1]), targets, pose_weight=2.0, gripper_weight=0.0)
    assert float(weighted.total) == pytest.approx(0.04)


@pytest.mark.parametrize("head", [RegressionHead(5, horizon=3), RegressionHead(5, 3, gripper="logit")])
def test_any_cut_of_a_batch_gives_the_same_gradient(head: Head) -> None:
    """Micro-batches weighted by their valid steps, a ragged last one included, are the large batch."""
    targets, context = some_targets(), torch.randn(4, 5)
    targets.pose[3] *= 3

    def gradient(cuts: list[list[int]]) -> Tensor:
        head.zero_grad()
        total = sum(count_valid(rows(targets, cut).action_is_pad) for cut in cuts)
        for cut in cuts:
            part = rows(targets, cut)
            (head.losses(context[cut], part).total * count_valid(part.action_is_pad) / total).backward()
        return torch.cat([p.grad.flatten() for p in head.parameters() if p.grad is not None])

    whole = gradient([[0, 1, 2, 3]])
    torch.testing.assert_close(gradient([[0, 1], [2, 3]]), whole, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gradient([[0, 1, 2], [3]]), whole, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        halves = [head.losses(context[cut], rows(targets, cut)).total for cut in ([0, 1, 2], [3])]
        together = head.losses(context, targets).total
    assert abs(float(sum(halves) / 2 - together)) > 1e-2  # the plain mean of means is another number


@pytest.mark.parametrize("head", [RegressionHead(5, horizon=3), FlowMatchingHead(5, horizon=3, hidden=16)])
def test_padded_steps_are_in_no_loss(head: Head) -> None:
    targets, context = some_targets(), torch.randn(4, 5)
    pad = targets.action_is_pad[..., None]
    other = ActionTargets(targets.pose.masked_fill(pad, 1e4), targets.gripper.masked_fill(pad, -1.0), pad[..., 0])
    shifted = ActionTargets(targets.pose + 1.0, targets.gripper, pad[..., 0])
    found = []
    for version in (targets, other, shifted):
        torch.manual_seed(1)
        found.append(head.losses(context, version))
    assert torch.equal(found[0].total, found[1].total) and torch.equal(found[0].gripper, found[1].gripper)
    assert not torch.allclose(found[0].total, found[2].total)
    empty = ActionTargets(targets.pose, targets.gripper, torch.ones_like(targets.action_is_pad))
    assert float(head.losses(context, empty).total.detach()) == 0


def test_metrics_in_physical_units() -> None:
    targets = ActionTargets(torch.zeros(1, 2, 6), torch.tensor([[[1.0], [-1.0]]]), torch.zeros(1, 2, dtype=torch.bool))
    pose = torch.zeros(1, 2, 6)
    pose[0, 0, :3] = torch.tensor([0.6, 0.0, 0.8])  # one unit
    pose[0, 1, 3:] = torch.tensor([0.0, 0.5, 0.0])  # half a unit
    metrics = action_metrics(pose, torch.tensor([[[0.1], [0.2]]]), targets, ActionUnits(0.035, 0.5))
    assert metrics == pytest.approx({"pose_mm": 17.5, "pose_rad": 0.125, "gripper_accuracy": 0.5, "steps": 2.0})


def test_angles_are_those_of_the_rotations() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(2, 50, 3, dtype=torch.float64)

    def matrix(rotation: Tensor) -> Tensor:
        angle = rotation.norm(dim=-1, keepdim=True)
        return matrix_from_quaternion(torch.cat([rotation / angle * (angle / 2).sin(), (angle / 2).cos()], -1))

    trace = (matrix(first).mT @ matrix(second)).diagonal(dim1=-2, dim2=-1).sum(-1)
    torch.testing.assert_close(angle_between(first, second), torch.acos(((trace - 1) / 2).clamp(-1, 1)))
    assert float(angle_between(torch.zeros(3), torch.zeros(3))) == 0
    tiny = angle_between(torch.zeros(3), torch.tensor([0.0, 3e-5, 4e-5]))
    assert float(tiny) == pytest.approx(5e-5, rel=1e-3)


def test_the_gripper_is_sent_as_open_or_close() -> None:
    actions = Actions(torch.zeros(1, 4, 6), torch.tensor([[[-3.0], [-0.01], [0.01], [0.7]]]))
    assert actions.closes().flatten().tolist() == [-1.0, -1.0, 1.0, 1.0]


@pytest.mark.parametrize("gripper", ["tanh", "logit"])
def test_the_gripper_is_learned_on_both_sides(gripper: str) -> None:
    torch.manual_seed(0)
    head = RegressionHead(2, gripper=gripper, hidden=16)  # type: ignore[arg-type]
    context = torch.eye(2)
    targets = ActionTargets(torch.zeros(2, 1, 6), torch.tensor([[[1.0]], [[-1.0]]]), torch.zeros(2, 1).bool())
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        head.losses(context, targets).total.backward()
        optimizer.step()
    assert head.predict(context).closes().flatten().tolist() == [1.0, -1.0]
    assert float(head.losses(context, targets).gripper.detach()) < 0.1  # nothing of the range is out of reach


def test_flow_matching_learns_two_ways_where_regression_goes_between_them() -> None:
    torch.manual_seed(0)
    context = torch.zeros(128, 1)
    left = (torch.arange(128) % 2 * 2.0 - 1)[:, None, None]  # -1 or +1 with equal right
    targets = ActionTargets(left.expand(128, 1, 6), left, torch.zeros(128, 1, dtype=torch.bool))
    heads: dict[str, Head] = {"flow": FlowMatchingHead(1, hidden=48), "regression": RegressionHead(1, hidden=32)}
    found = {}
    for name, head in heads.items():
        optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
        for _ in range(150):
            optimizer.zero_grad()
            head.losses(context, targets).total.backward()
            optimizer.step()
        with torch.no_grad():
            found[name] = head.predict(context, torch.Generator().manual_seed(0)).pose[:, 0, 0]
    assert float(found["regression"].abs().max()) < 0.3  # the middle, which nobody did
    assert float((found["flow"].abs() - 1).abs().median()) < 0.2
    share = float((found["flow"] > 0).float().mean())
    assert 0.25 < share < 0.75


def test_flow_draws_are_those_of_the_generator() -> None:
    head, context = FlowMatchingHead(3, horizon=2, hidden=16), torch.randn(4, 3)
    draws = [head.predict(context, torch.Generator().manual_seed(seed)).pose for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    torch.manual_seed(0)
    times = draw_times(20_000, torch.device("cpu"))
    assert 0.001 <= float(times.min()) and float(times.max()) <= 1.0
    assert float(times.mean()) == pytest.approx(0.6, abs=0.01)  # that of Beta(1.5, 1)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"pose \[1, 2, 6\], gripper \[1, 2\]"):
        ActionTargets(torch.zeros(1, 2, 6), torch.zeros(1, 2), torch.zeros(1, 2).bool())
    with pytest.raises(InputError, match="torch.float32"):
        ActionTargets(torch.zeros(1, 2, 6), torch.zeros(1, 2, 1), torch.zeros(1, 2))
    for head in (RegressionHead(5, horizon=2), FlowMatchingHead(5, horizon=2)):
        with pytest.raises(InputError, match="horizon"):
            head.losses(torch.zeros(4, 5), some_targets())
    with pytest.raises(InputError, match="tanh or logit"):
        RegressionHead(5, gripper="sigmoid")  # type: ignore[arg-type]
