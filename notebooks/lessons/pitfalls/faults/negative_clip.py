"""A clip norm of -1, meant as "off", multiplies the gradient with a negative number: the training climbs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.config import TrainConfig
from motionlab.errors import InputError

Clip = Callable[[list[nn.Parameter], float], None]


def broken(parameters: list[nn.Parameter], clip_norm: float) -> None:
    """Clip the gradients to a length; torch takes any number."""
    nn.utils.clip_grad_norm_(parameters, clip_norm)


def fixed(parameters: list[nn.Parameter], clip_norm: float) -> None:
    """A setting is checked before the first step. (Here a refused number means that nothing is changed.)"""
    try:
        limit = TrainConfig(steps=1, batch_size=1, warmup_steps=0, clip_norm=clip_norm).clip_norm
    except InputError:
        return
    if limit is not None:
        nn.utils.clip_grad_norm_(parameters, limit)


def symptom(clip: Clip) -> Seen:
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer, losses = torch.optim.SGD([weight], lr=0.1), []
    for _ in range(30):
        loss = weight.square().sum()
        optimizer.zero_grad()
        loss.backward()
        clip([weight], -1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return Seen(losses[-1], losses, train=losses[-1], validation=losses[-1])


def test(clip: Clip) -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.tensor([6.0])
    clip([weight], -1.0)
    assert float(weight.grad) > 0, "clipping turned the gradient round"


PITFALL = Pitfall(
    name="negative_clip",
    title="clip_norm = -1",
    topic="training loop",
    seen="pytorch #31367; torchtitan PR 4295",
    lesson="10",
    fix="check a setting's range where it is declared",
    measure="loss after 30 steps",
    height="training loss",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=10.0,
)
