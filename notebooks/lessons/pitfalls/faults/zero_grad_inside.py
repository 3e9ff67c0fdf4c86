"""Gradients are cleared before every micro-batch: of the four that a step is made for, it learns from the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.training.micro_batches import read_group

Step = Callable[[nn.Module, Sequence[Tensor], torch.optim.Optimizer], float]


def broken(model: nn.Module, micro_batches: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> float:
    """One step on several `[n, 5]`, four inputs and a target a row; returns the loss that is printed."""
    printed = 0.0
    for batch in micro_batches:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch[:, :4])[:, 0], batch[:, 4])
        (loss / len(micro_batches)).backward()
        printed += float(loss.detach()) / len(micro_batches)
    optimizer.step()
    return printed


def fixed(model: nn.Module, micro_batches: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> float:
    """Cleared once a step; each micro-batch with its share of the rows."""
    printed = 0.0
    optimizer.zero_grad()
    for batch, share, _ in read_group(micro_batches.__getitem__, len, 0, len(micro_batches)):
        loss = share * nn.functional.mse_loss(model(batch[:, :4])[:, 0], batch[:, 4])
        loss.backward()
        printed += float(loss.detach())
    optimizer.step()
    return printed


TRUE = torch.tensor([1.0, -2.0, 0.5, 1.5])


def _rows(n: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=random)
    return torch.cat([x, (x @ TRUE + torch.randn(n, generator=random))[:, None]], dim=1)


def _model() -> nn.Linear:
    model = nn.Linear(4, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


def symptom(step: Step) -> Seen:
    """300 steps of 4 micro-batches of 2 rows; how far the weights end from the true ones."""
    model, held_out = _model(), _rows(500, seed=99)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    printed = [step(model, list(_rows(8, seed=i).split(2)), optimizer) for i in range(300)]
    loss = float((held_out[:, :4] @ model.weight.detach()[0] - held_out[:, 4]).square().mean())
    curve = [sum(printed[i : i + 10]) / 10 for i in range(0, 300, 10)]
    return Seen(_share_of_rows(step), curve, train=sum(printed[-100:]) / 100, validation=loss)


def _share_of_rows(step: Step) -> float:
    """Of 8 rows, in percent, those whose change moves the step."""
    rows, after = _rows(8, seed=0), []
    for changed in range(-1, 8):
        model, mine = _model(), rows.clone()
        if changed >= 0:
            mine[changed, 4] += 10
        step(model, list(mine.split(2)), torch.optim.SGD(model.parameters(), lr=0.1))
        after.append(model.weight.detach().clone())
    return 100 * sum(not torch.equal(after[0], one) for one in after[1:]) / 8


def test(step: Step) -> None:
    rows, small, big = _rows(8, seed=0), _model(), _model()
    step(small, list(rows.split(2)), torch.optim.SGD(small.parameters(), lr=0.1))
    step(big, [rows], torch.optim.SGD(big.parameters(), lr=0.1))
    assert torch.allclose(small.weight, big.weight, atol=1e-5), "four micro-batches are not one big batch"


PITFALL = Pitfall(
    name="zero_grad_inside",
    title="zero_grad() before every micro-batch",
    topic="training loop",
    seen="MotionMillion-Codes, inside accumulate()",
    lesson="10",
    fix="clear once a step; test micro-batches against the big batch",
    measure="rows that a step learns from, %",
    height="training loss",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=50.0,
    at=range(0, 300, 10),
)
