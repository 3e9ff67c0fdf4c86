"""Counts, sums and the start flag of a codebook are plain attributes: a resumed run draws its codebook anew."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.quantizers.vq_ema import VQEMA

CODES, DIM = 16, 4


class broken(nn.Module):  # noqa: N801 (one of two versions)
    """A codebook of moving averages. Only a buffer is in the state dict."""

    codebook: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.zeros(CODES, DIM))
        self.begun, self.count, self.sum = False, torch.ones(CODES), torch.zeros(CODES, DIM)

    def forward(self, x: Tensor) -> Tensor:
        if not self.begun:  # the first batch is the first codebook
            self.codebook, self.begun = x[:CODES].clone(), True
            self.sum = self.codebook.clone()
        nearest = torch.cdist(x, self.codebook).argmin(1)
        codes = self.codebook[nearest]
        self.count = self.count.lerp(torch.bincount(nearest, minlength=CODES).float(), 0.1)
        self.sum = self.sum.lerp(torch.zeros(CODES, DIM).index_add_(0, nearest, x), 0.1)
        self.codebook = self.sum / self.count[:, None]
        return codes


class fixed(nn.Module):  # noqa: N801
    """The package's: all of it is buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = VQEMA(CODES, DIM, decay=0.9)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).codes


def _run(make: Callable[[], nn.Module]) -> list[float]:
    """The error of 40 steps, with a checkpoint and a new process after 30."""
    random, errors = torch.Generator().manual_seed(0), []
    places = 3 * torch.randn(CODES, DIM, generator=random)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().train()
        for step in range(40):
            if step == 30:
                saved, model = model.state_dict(), make().train()
                model.load_state_dict(saved)
            x = places[torch.randint(CODES, (64,), generator=random)] + 0.1 * torch.randn(64, DIM, generator=random)
            errors.append(float((model(x) - x).square().mean()))
    return errors


def symptom(make: Callable[[], nn.Module]) -> Seen:
    errors = _run(make)
    return Seen(errors[30] / max(errors[29], 1e-9), errors, train=sum(errors[30:35]) / 5)


def test(make: Callable[[], nn.Module]) -> None:
    errors = _run(make)
    assert errors[30] < 1.5 * errors[29] + 1e-3, "the first step after resuming knows less than the last one before"


PITFALL = Pitfall(
    name="codebook_not_saved",
    title="a codebook that begins anew when a run is resumed",
    topic="tokenizer",
    seen="ema_reset of T2M-GPT, MotionMillion-Codes",
    lesson="02",
    fix="register_buffer for all that has to survive",
    measure="error after resuming / before",
    height="training loss",
    axis="step (a new process after 30)",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.5,
)
