"""The mask of a chunk's padded tail is read under a wrong name, found nowhere, and so nothing is masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.vla.actions import count_valid

Loss = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


def broken(errors: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The mean of errors `[B, T]`; the loader calls the mask `action_is_pad`."""
    is_pad = batch.get("actions_id_pad")
    if is_pad is not None:
        errors = errors * ~is_pad
    return errors.mean()


def fixed(errors: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """A mask that has to be there is taken with [], and the divisor counts real steps."""
    is_pad = batch["action_is_pad"]
    return errors.masked_fill(is_pad, 0.0).sum() / count_valid(is_pad)


LENGTH, CHUNK = 20, 16  # steps of an episode, and of a chunk


def _episode() -> tuple[Tensor, Tensor]:
    """From every step of an episode the next 16 actions; beyond the end the last one is repeated, and is easy."""
    step = torch.arange(LENGTH)[:, None] + torch.arange(CHUNK)  # [20, 16]
    is_pad = step >= LENGTH
    return torch.where(is_pad, 0.05, 1.0), is_pad


def symptom(loss: Loss) -> Seen:
    errors, is_pad = _episode()
    weights = errors.clone().requires_grad_()
    loss(weights, {"action_is_pad": is_pad}).backward()
    assert weights.grad is not None
    learned = 100 * weights.grad[is_pad].sum() / weights.grad.sum()
    by_start = [float(loss(errors[i : i + 1], {"action_is_pad": is_pad[i : i + 1]})) for i in range(LENGTH)]
    whole = float(loss(errors, {"action_is_pad": is_pad}))
    return Seen(float(learned), by_start, train=whole, validation=whole)


def test(loss: Loss) -> None:
    errors, is_pad = _episode()
    batch = {"action_is_pad": is_pad}
    assert torch.equal(loss(errors, batch), loss(errors.masked_fill(is_pad, 1e6), batch)), "padding is in the loss"


PITFALL = Pitfall(
    name="chunk_tail",
    title="the padded tail of a chunk is learned",
    topic="robot",
    seen="lerobot #1707, #3433 (SmolVLA); the published code of AtlasVLA",
    lesson="14",
    fix="batch[name], not get(name); change the padding, the loss must not move",
    measure="of the gradient, from padding, %",
    height="loss of a chunk",
    axis="step of the episode at which the chunk starts",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=20.0,
)
