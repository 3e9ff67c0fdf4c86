"""Weights are kept in bf16, and AdamW's small steps are rounded away: a norm scale that starts at 1 never moves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lessons.pitfalls.pitfall import Pitfall, Seen


def broken(model: nn.Module) -> nn.Module:
    """Prepare a model for training in half the memory."""
    return model.bfloat16()


def fixed(model: nn.Module) -> nn.Module:
    """Weights stay in float32; autocast rounds copies of them for the products."""
    return model.float()


class Scale(nn.Module):
    """The scale of a norm layer: one number, 1 at the start. The best one is 1.2."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


def _train(prepare: Callable[[nn.Module], nn.Module]) -> tuple[list[float], float]:
    model = prepare(Scale())
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-4, weight_decay=0.0)
    values, loss = [], torch.zeros(())
    for _ in range(400):
        loss = (model.get_parameter("scale").float() - 1.2).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(model.get_parameter("scale").detach()))
    return values, float(loss.detach())


def symptom(prepare: Callable[[nn.Module], nn.Module]) -> Seen:
    values, loss = _train(prepare)
    return Seen(values[-1], values, train=loss, validation=loss)


def test(prepare: Callable[[nn.Module], nn.Module]) -> None:
    assert _train(prepare)[0][0] != 1.0, "after a step the weight is exactly what it was"


PITFALL = Pitfall(
    name="bf16_weights",
    title="weights in bf16 under AdamW",
    topic="precision",
    seen="MotionMillion-Codes, the recipe of its 3B model",
    lesson="09",
    fix="float32 weights with autocast; count the weights that never moved",
    measure="scale of a norm layer (best: 1.2)",
    height="scale of a norm layer",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.1,
)
