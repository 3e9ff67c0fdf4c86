"""Parameter groups are written by hand, module by module, and a parameter that belongs to none is never trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.training.optimizer import parameter_groups


class Model(nn.Module):
    """`[B, 6]` numbers to one: which place a number stands at has to be learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(1, 16), nn.Linear(16, 1)
        self.positions = nn.Parameter(torch.zeros(6, 16))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.encoder(x.unsqueeze(-1)) + self.positions)  # [B, 6, 16]
        return self.head(hidden.sum(1))[:, 0]  # type: ignore[no-any-return]


def broken(model: Model) -> list[dict[str, Any]]:
    """A group for each part, with its own learning rate."""
    return [{"params": model.encoder.parameters(), "lr": 0.01}, {"params": model.head.parameters(), "lr": 0.02}]


def fixed(model: Model) -> list[dict[str, Any]]:
    """Sort what the model HAS. (Groups of your own: assert that together they hold every parameter once.)"""
    return parameter_groups(model, weight_decay=0.01)


def _train(groups: Callable[[Model], list[dict[str, Any]]]) -> tuple[list[float], Model]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Model()
        optimizer = torch.optim.AdamW(groups(model), lr=0.01)
        losses = []
        for _ in range(250):
            x = torch.randn(64, 6)
            loss = (model(x) - (x[:, 0] - x[:, 5])).square().mean()  # first minus last
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses, model


def symptom(groups: Callable[[Model], list[dict[str, Any]]]) -> Seen:
    losses, _ = _train(groups)
    return Seen(sum(losses[-20:]) / 20, losses, train=sum(losses[-20:]) / 20, validation=sum(losses[-20:]) / 20)


def test(groups: Callable[[Model], list[dict[str, Any]]]) -> None:
    model = Model()
    held = {id(parameter) for group in groups(model) for parameter in group["params"]}
    forgotten = [name for name, parameter in model.named_parameters() if id(parameter) not in held]
    assert not forgotten, f"in no parameter group: {forgotten}"


PITFALL = Pitfall(
    name="missing_parameter",
    title="a parameter in no group",
    topic="training loop",
    seen="the published code of AtlasVLA (the position table of its language encoder)",
    lesson="14",
    fix="assert that the groups hold every trainable parameter",
    measure="loss of a task that needs positions",
    height="training loss",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.5,
)
