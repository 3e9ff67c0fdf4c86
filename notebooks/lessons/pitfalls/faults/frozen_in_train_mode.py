"""A frozen backbone is put back into train mode by model.train(): its batch norm follows the new data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.training.freeze import freeze

Freeze = Callable[[nn.Sequential], None]


def broken(model: nn.Sequential) -> None:
    """Freeze the first part of a model; the training loop calls model.train() later."""
    model[0].requires_grad_(False)
    model[0].eval()


def fixed(model: nn.Sequential) -> None:
    """It has to stay in eval mode, whoever calls train()."""
    freeze(model, ["0"])


def _drift(freeze_it: Freeze) -> tuple[list[float], float]:
    """How far the features of one input move, in percent, over 60 steps on data with another mean; the last loss."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        for _ in range(50):
            backbone(torch.randn(64, 4))  # what it was trained on
        model = nn.Sequential(backbone, nn.Linear(8, 1))
        freeze_it(model)
        optimizer = torch.optim.SGD(model[1].parameters(), lr=0.05)
        probe, moved, losses = torch.randn(64, 4), [], []

        def features() -> Tensor:
            with torch.no_grad():
                return backbone.eval()(probe)  # type: ignore[no-any-return]

        before = features()
        for _ in range(60):
            model.train()
            x = 1.5 + 0.5 * torch.randn(64, 4)
            loss = (model(x)[:, 0] - x.sum(1) / 4).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            moved.append(100 * float((features() - before).norm() / before.norm()))
    return moved, sum(losses[-20:]) / 20


def symptom(freeze_it: Freeze) -> Seen:
    moved, loss = _drift(freeze_it)
    return Seen(moved[-1], moved, train=loss)


def test(freeze_it: Freeze) -> None:
    assert _drift(freeze_it)[0][-1] == 0, "a frozen part gives other features after the training than before"


PITFALL = Pitfall(
    name="frozen_in_train_mode",
    title="frozen, and put back into train mode",
    topic="training loop",
    seen="the published code of AtlasVLA",
    lesson="14",
    fix="let train() of the frozen part do nothing",
    measure="features of the frozen part moved by, %",
    height="features moved by, %",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=20.0,
)
