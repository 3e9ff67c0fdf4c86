"""Exercises of lesson 10, accumulation and schedules: references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from motionlab.teaching.exercise import Exercise, as_numbers, register


# ---- 1. how much each micro-batch counts -----------------------------------------------------------------------------
def shares(counts: Sequence[int]) -> list[float]:
    """The factor of each micro-batch's mean loss; `counts` are the items that each mean runs over."""
    return [n / sum(counts) for n in counts]


def _diagnose_shares(function: Callable[..., Any]) -> str | None:
    counts = [6, 3, 3]
    found = as_numbers(function(counts))
    if found is None or len(found) != 3:
        return "return one number for each micro-batch."
    if _near(found, [1.0] * 3):
        return "with 1 for each, the gradient is that of the SUM of the means: three times too long."
    if _near(found, [1 / 3] * 3):
        return (
            "1 / A treats every micro-batch alike, so a token of a short one counts more than one of a long one. "
            "Weigh each mean by its items: n_i / N."
        )
    if _near(found, [1 / 6, 1 / 3, 1 / 3]):
        return "dividing by the own count turns a mean into something smaller: the losses ARE means already."
    if _near(found, [6.0, 3.0, 3.0]):
        return "these are sums now: divide by the total number of items, or the learning rate depends on the batch."
    if not math.isclose(sum(found), 1.0):
        return f"the shares should add up to 1, got {sum(found):g}."
    if not _near(found, [0.5, 0.25, 0.25]):
        return f"for counts {counts} the shares should be 0.5, 0.25, 0.25, got {found}."
    zero = as_numbers(function([4, 0]))
    return None if zero is not None and _near(zero, [1.0, 0.0]) else "an empty micro-batch should have the share 0."


# ---- 2. accumulate ---------------------------------------------------------------------------------------------------
def accumulate(model: nn.Module, batches: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
    """One step on several micro-batches `[n_i, 3]`; `model(x)` gives a loss for each row, `[n_i]`."""
    total = sum(len(x) for x in batches)
    optimizer.zero_grad()
    for x in batches:
        (model(x).sum() / total).backward()
    optimizer.step()


class _Rows(nn.Module):
    """A loss for each row; notices rows joined into one batch, and forward passes that wait for one backward."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -1.0, 0.5]))
        self.largest = self.waiting = self.most_waiting = 0
        self.weight.register_hook(self._backward)

    def _backward(self, gradient: Tensor) -> None:
        self.waiting = 0

    def forward(self, x: Tensor) -> Tensor:
        self.largest = max(self.largest, len(x))
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        return (x @ self.weight - 1) ** 2  # [n]


def _after(function: Callable[..., Any], sizes: Sequence[int], steps: int = 1, dirty: bool = False) -> _Rows:
    model = _Rows()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    if dirty:
        model.weight.grad = torch.full((3,), 5.0)
    for _ in range(steps):
        function(model, [torch.randn(n, 3, generator=generator) for n in sizes], optimizer)
    return model


def _diagnose_accumulate(function: Callable[..., Any]) -> str | None:
    sizes = (2, 2, 1)
    model, right = _after(function, sizes), _after(accumulate, sizes)
    got = model.weight.detach()
    if torch.equal(got, _Rows().weight.detach()):
        return "the weights did not move: backward for every micro-batch, then one optimizer.step()."
    for wrong, words in _WRONG.items():
        if torch.allclose(got, _after(_mistake(wrong), sizes).weight, atol=1e-6):
            return words
    if not torch.allclose(got, right.weight, atol=1e-6):
        return "the step is not that of one big batch. What does each ROW count? It should be 1 / N for all of them."
    if model.largest > 2:
        return "the rows were joined into one big batch: then nothing is saved. One forward pass for each micro-batch."
    if model.most_waiting > 1:
        return (
            "the step is right, but the graphs of all micro-batches are kept until one backward: that is the memory of "
            "the big batch. Call backward for each micro-batch, inside the loop."
        )
    if not torch.allclose(_after(function, sizes, dirty=True).weight, right.weight, atol=1e-6):
        return "gradients of an earlier step were still there: clear them before the first backward."
    if not torch.allclose(_after(function, sizes, 2).weight, _after(accumulate, sizes, 2).weight, atol=1e-6):
        return "the first step is right and the second is not: are the gradients cleared between the steps?"
    return None


_WRONG = {
    "zero inside": (
        "only the last micro-batch counts: zero_grad() is inside the loop and forgets the others. (A published "
        "training script does this as soon as accumulation is above 1.)"
    ),
    "mean of means": (
        "each mean is divided by the number of micro-batches: the row of the short one counts twice. Divide the SUM of "
        "the losses by the number of all rows."
    ),
    "no divisor": "the means are added up: the gradient is about three times too long. Divide.",
    "sum": "the losses of all rows are added up and never divided: the gradient grows with the batch.",
    "step inside": "optimizer.step() is inside the loop: these are three small steps, not one with a big batch.",
}


def _mistake(name: str) -> Callable[..., None]:
    def function(model: nn.Module, batches: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
        total = sum(len(x) for x in batches)
        optimizer.zero_grad()
        for x in batches:
            losses = model(x)
            if name == "zero inside":
                optimizer.zero_grad()
            loss = losses.sum() / total if name == "zero inside" else losses.mean()
            loss = losses.sum() if name == "sum" else loss / len(batches) if name == "mean of means" else loss
            loss.backward()
            if name == "step inside":
                optimizer.step()
                optimizer.zero_grad()
        if name != "step inside":
            optimizer.step()

    return function


# ---- 3. how many steps there are -------------------------------------------------------------------------------------
def total_steps(clips: int, batch_size: int, accumulation: int, processes: int, epochs: int) -> int:
    """Optimizer steps of a run in which the last group of an epoch may be short, and nothing is dropped."""
    micro_batches = math.ceil(clips / (batch_size * processes))  # of each process, in an epoch
    return epochs * math.ceil(micro_batches / accumulation)


def _diagnose_total(function: Callable[..., Any]) -> str | None:
    found = function(100, 8, 4, 1, 10)
    if isinstance(found, float) and found != int(found):
        return f"{found:g} steps? A number of steps is whole: a short last group is a step as well (math.ceil)."
    if found == 130:
        return "130 are the micro-batches. A step uses `accumulation` of them: with this total a cosine never gets low."
    if found == 30:
        return "the short last group of each epoch was dropped: 13 micro-batches make groups of 4, 4, 4 and 1."
    if found in (1000 // 32, math.ceil(1000 / 32)):
        return "here groups run across epochs. In this loop each epoch ends with its own step: round up per epoch."
    if found == 4:
        return "this is one epoch."
    if found != 40:
        return f"100 clips in batches of 8, 4 per step: 13 micro-batches, 4 steps per epoch; 40 in 10, got {found}."
    many = function(100, 8, 1, 4, 1)
    if many == 13:
        return "four processes share the clips: each sees a quarter of them, so an epoch has fewer steps."
    if many != 4:
        return f"100 clips, batches of 8 on four processes: 4 steps per epoch, got {many}."
    if function(96, 8, 4, 1, 1) != 3:
        return "96 clips make exactly 12 micro-batches and 3 steps: round up only the remainder."
    return None


# ---- 4. warm-up and cosine -------------------------------------------------------------------------------------------
def warmup_cosine(step: int, steps: int, warmup: int, floor: float) -> float:
    """The share of the peak rate at step number `step` (from 0): a line up to 1, then half a cosine to the floor."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def _diagnose_cosine(function: Callable[..., Any]) -> str | None:
    first = float(function(0, 100, 10, 0.0))
    if first == 0:
        return "the first step has the rate 0: it costs as much as any other and changes nothing. Use (step + 1)."
    if not math.isclose(first, 0.1):
        return f"with a warm-up of 10 the first step should use 0.1 of the peak, got {first:g}."
    peak = float(function(10, 100, 10, 0.0))
    if not math.isclose(peak, 1.0):
        return f"after the warm-up the rate is the peak: step 10 should give 1, got {peak:g}."
    middle, end, after = (float(function(s, 100, 10, 0.0)) for s in (55, 100, 145))
    if not math.isclose(middle, 0.5):
        return (
            "halfway between the warm-up and the end the rate should be 0.5. Is the progress "
            "(step - warmup) / (steps - warmup)?"
        )
    if not math.isclose(end, 0.0, abs_tol=1e-9):
        return f"at the end the rate should be the floor, here 0, got {end:g}."
    if after > 0.01:
        return "after the end the cosine climbs again: hold the progress at 1. (A published run ends on such a climb.)"
    floor = float(function(100, 100, 10, 0.2))
    if math.isclose(floor, 0.0, abs_tol=1e-9):
        return "the floor is not used: with a floor of 0.2 the last rate is 0.2 of the peak."
    if not math.isclose(float(function(55, 100, 10, 0.2)), 0.6):
        return "the floor is cut off, not mixed in: halfway from 1 to 0.2 is 0.6. floor + (1 - floor) * cosine."
    if not math.isclose(floor, 0.2):
        return f"with a floor of 0.2 the last rate is 0.2 of the peak, got {floor:g}."
    return None


def _near(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, abs_tol=1e-9) for x, y in zip(a, b, strict=True))


EXERCISES = register(
    Exercise(
        "accum.shares",
        shares,
        _diagnose_shares,
        "With these shares accumulation IS the big batch, whatever the sizes.",
        ("Write the mean over all items as a sum over micro-batches of (something) times (their mean).", "n / sum"),
        form="counts: list of A ints -> list of A floats",
    ),
    Exercise(
        "accum.accumulate",
        accumulate,
        _diagnose_accumulate,
        "This is the inner loop of every training in this project.",
        (
            "What belongs inside the loop over micro-batches, and what only before or after it?",
            "zero_grad; for each x: (model(x).sum() / total).backward(); then step.",
        ),
        form="model(x): x [n, 3] -> losses [n]; batches: list of [n_i, 3] -> None",
    ),
    Exercise(
        "schedule.total_steps",
        total_steps,
        _diagnose_total,
        "This is the number that a schedule wants, and not len(loader) * epochs.",
        (
            "First the micro-batches that one process sees in an epoch, then the steps they make.",
            "epochs * ceil(ceil(clips / (batch_size * processes)) / accumulation)",
        ),
        form="five ints -> int",
    ),
    Exercise(
        "schedule.warmup_cosine",
        warmup_cosine,
        _diagnose_cosine,
        "This is the schedule of nearly every run here; the package's has four more shapes.",
        (
            "Two pieces: step < warmup, and the rest. In the second, progress runs from 0 to 1 and stays there.",
            "(step + 1) / warmup; progress = min(1, (step - warmup) / (steps - warmup)); floor + (1 - floor) * ...",
        ),
        form="three ints, floor: float -> float",
    ),
)
