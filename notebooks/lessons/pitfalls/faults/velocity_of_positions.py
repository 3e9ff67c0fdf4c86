"""An extra loss called "velocity" is taken over the columns that hold positions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.motion.features import VELOCITIES
from motionlab.quantizers.base import Quantized
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import TokenizerOutput


def broken(made: Tensor, wanted: Tensor) -> Tensor:
    """The extra term, for normalised `[B, T, 272]`."""
    return torch.nn.functional.smooth_l1_loss(made[..., 8:74], wanted[..., 8:74])


def fixed(made: Tensor, wanted: Tensor) -> Tensor:
    """Velocities are columns 74 to 139."""
    nothing = Quantized(made, torch.zeros(made.shape[:2], dtype=torch.long), made.new_zeros(()))
    return tokenizer_losses(TokenizerOutput(made, nothing), wanted, LossWeights())["velocity"]


def _term(term: Callable[..., Tensor], error: float) -> tuple[float, float]:
    """The term, and the whole loss with it at weight 0.5, when velocities alone are wrong by `error`."""
    wanted = torch.zeros(1, 8, 272)
    made = wanted.clone()
    made[..., VELOCITIES] += error
    extra = float(term(made, wanted))
    return extra, float(torch.nn.functional.smooth_l1_loss(made, wanted)) + 0.5 * extra


def symptom(term: Callable[..., Tensor]) -> Seen:
    curve = [_term(term, error / 10)[0] for error in range(11)]
    extra, whole = _term(term, 1.0)
    return Seen(extra, curve, train=whole)


def test(term: Callable[..., Tensor]) -> None:
    assert _term(term, 0.5)[0] > 0, "a velocity loss that does not see a wrong velocity"


PITFALL = Pitfall(
    name="velocity_of_positions",
    title="a velocity loss on the columns of positions",
    topic="tokenizer",
    seen="MotionMillion-Codes, loss_vel; T2M-GPT before it",
    lesson="11",
    fix="name the slices once (ml.FEATURE_SLICES)",
    measure="what the term says to a velocity that is wrong by 1",
    height="the velocity term",
    axis="error of the velocities",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.3,
    at=[error / 10 for error in range(11)],
)
