"""Learned action queries are handed to the head without having looked at anything."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lessons.pitfalls.pitfall import Pitfall, Seen

DIM, QUERIES = 16, 2


class broken(nn.Module):  # noqa: N801 (one of two versions)
    """Tokens of images and text `[B, N, D]` to actions `[B, 2]`; between tokens and queries something was left out."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
        self.queries = nn.Parameter(torch.randn(QUERIES, DIM))
        self.head = nn.Linear(DIM, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.tokens(x)  # computed, and not used
        return self.head(self.queries).expand(len(x), -1, -1)[..., 0]  # type: ignore[no-any-return]


class fixed(nn.Module):  # noqa: N801
    """The queries attend to the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
        self.queries = nn.Parameter(torch.randn(QUERIES, DIM))
        self.attend, self.head = nn.MultiheadAttention(DIM, 2, batch_first=True), nn.Linear(DIM, 1)

    def forward(self, x: Tensor) -> Tensor:
        memory = self.tokens(x)
        seen, _ = self.attend(self.queries.expand(len(x), -1, -1), memory, memory, need_weights=False)
        return self.head(seen)[..., 0]  # type: ignore[no-any-return]


def _train(make: Callable[[], nn.Module]) -> tuple[list[float], float]:
    """Actions that are means over the tokens; losses, and how much an action changes when the picture does."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, losses = make(), []
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(150):
            x = torch.randn(32, 4, DIM) + torch.randn(32, 1, DIM)
            loss = (model(x) - x.mean(1)[:, :2]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        with torch.no_grad():
            one, other = torch.randn(64, 4, DIM), torch.randn(64, 4, DIM)
            change = float((model(one) - model(other)).abs().max())
    return losses, change


def symptom(make: Callable[[], nn.Module]) -> Seen:
    losses, change = _train(make)
    last = sum(losses[-20:]) / 20
    return Seen(change, losses, train=last, validation=last)


def test(make: Callable[[], nn.Module]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
        one, other = model(torch.zeros(1, 4, DIM)), model(torch.ones(1, 4, DIM))
    assert not torch.equal(one, other), "another picture, the same action"


PITFALL = Pitfall(
    name="blind_queries",
    title="action queries that look at nothing",
    topic="robot",
    seen="the published code of AtlasVLA (its simple backbone)",
    lesson="14",
    fix="change the input: the output has to change",
    measure="largest change of an action by another picture",
    height="training loss",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.5,
)
