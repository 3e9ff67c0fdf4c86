"""Gradients are clipped while they still carry the loss scale: after dividing by it nearly nothing is left."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lessons.pitfalls.pitfall import Pitfall, Seen

Step = Callable[[nn.Parameter, torch.optim.Optimizer, torch.amp.GradScaler], None]


def broken(weight: nn.Parameter, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """After backward: clip to 1, step."""
    nn.utils.clip_grad_norm_([weight], 1.0)
    scaler.step(optimizer)
    scaler.update()


def fixed(weight: nn.Parameter, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Divide by the scale first."""
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_([weight], 1.0)
    scaler.step(optimizer)
    scaler.update()


def _train(step: Step, steps: int = 60) -> list[float]:
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer, scaler = torch.optim.SGD([weight], lr=0.1), torch.amp.GradScaler("cpu", init_scale=65536.0)
    losses = []
    for _ in range(steps):
        loss = weight.square().sum()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        step(weight, optimizer, scaler)
        losses.append(float(loss.detach()))
    return losses


def symptom(step: Step) -> Seen:
    losses = _train(step)
    return Seen(losses[-1], losses, train=losses[-1], validation=losses[-1])


def test(step: Step) -> None:
    first, second = _train(step, steps=2)
    assert first - second > 0.1, "with a limit of 1 a step of SGD should move the weights by 0.1"


PITFALL = Pitfall(
    name="clip_before_unscale",
    title="clipped before unscaled",
    topic="precision",
    seen="pytorch-lightning #9599; Pytorch-UNet #468",
    lesson="09",
    fix="scaler.unscale_(optimizer) before clip_grad_norm_",
    measure="loss after 60 steps",
    height="training loss",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=5.0,
)
