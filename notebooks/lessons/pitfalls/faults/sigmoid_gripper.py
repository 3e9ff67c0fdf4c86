"""A sigmoid, from 0 to 1, is trained against labels -1 and +1: the hand never opens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.vla.actions import Actions, ActionTargets, action_losses

Output = Callable[[Tensor], Tensor]


def broken(score: Tensor) -> Tensor:
    """The gripper `[B, 1]` from what the last layer gives."""
    return torch.sigmoid(score)


def fixed(score: Tensor) -> Tensor:
    """tanh has the range of the labels."""
    return torch.tanh(score)


def _train(output: Output) -> tuple[list[float], float]:
    """A gripper that should close where x > 0. Losses, and how many of the open commands are sent, in percent."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(256, 1, generator=random)
    label = torch.where(x > 0, 1.0, -1.0)
    layer = nn.Linear(1, 1)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer, losses = torch.optim.Adam(layer.parameters(), lr=0.1), []
    pose, real = torch.zeros(256, 1, 6), torch.zeros(256, 1, dtype=torch.bool)
    for _ in range(150):
        gripper = output(layer(x))[:, None]
        loss = action_losses(Actions(pose, gripper), ActionTargets(pose, label[:, None], real)).gripper
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        opened = Actions(pose, output(layer(x))[:, None]).closes()[:, 0] < 0
    return losses, 100 * float(opened[label < 0].float().mean())


def symptom(output: Output) -> Seen:
    losses, opened = _train(output)
    return Seen(opened, losses, train=losses[-1], validation=losses[-1])


def test(output: Output) -> None:
    assert float(output(torch.tensor([[-20.0]]))) < -0.9, "the output cannot reach the label -1"


PITFALL = Pitfall(
    name="sigmoid_gripper",
    title="a sigmoid against labels -1 and +1",
    topic="robot",
    seen="the published code of AtlasVLA",
    lesson="14",
    fix="tanh, or a logit and cross-entropy; assert that labels can be reached",
    measure="open commands that open the hand, %",
    height="training loss",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=80.0,
)
