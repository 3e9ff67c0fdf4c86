"""A loss scale meets the gradients of a training: it grows, it hits the ceiling, a step is skipped, it falls back.

Rule of `torch.amp.GradScaler`, after Micikevicius et al., "Mixed Precision Training" (2018), section 3.2: gradients
that are not finite multiply the scale by `backoff` and the step is skipped; `interval` good steps in a row multiply it
by `growth`. Which scale is too large is a property of the gradients of a step. It is a `Gradients` here, measured on a
real training or made by a formula.
"""

from __future__ import annotations

import bisect
import json
import math
from pathlib import Path

from motionlab.errors import InputError
from motionlab.plots.loss_scale import Gradients, ScaleLife
from motionlab.views.number_formats import FORMATS

LOG2_LARGEST = math.log2(FORMATS["fp16"].largest)
LOG2_ZERO = math.log2(FORMATS["fp16"].smallest / 2)  # at or below it a number becomes 0


def lost_at(gradients: Gradients, step: int, log2_scale: float) -> float:
    """Share of the numbers of a step that become 0, interpolated between the scales that were tried."""
    tried, row = gradients.exponents, gradients.lost[step]
    place = min(max(log2_scale, tried[0]), tried[-1])
    i = min(bisect.bisect_right(tried, place) - 1, len(tried) - 2)
    part = (place - tried[i]) / (tried[i + 1] - tried[i])
    return (1 - part) * row[i] + part * row[i + 1]


def simulate_gradients(kind: str, steps: int = 120) -> Gradients:
    """Gradients by formula: log2 of their size is normal, with a centre that moves.

    Args:
        kind: "calm" (nothing happens), "shrinking" (the gradients become 2^12 times smaller) or "bursts" (every 25th
            step has gradients 2^9 times larger).

    Raises:
        InputError: another kind.

    >>> calm = simulate_gradients("calm", steps=3)
    >>> [round(c, 1) for c in calm.ceiling]
    [17.0, 17.0, 17.0]
    """
    if kind not in SIMULATED:
        raise InputError("gradients", found=repr(kind), expected=" or ".join(SIMULATED), fix="Choose one of these.")
    exponents, spread = tuple(range(-16, 33)), 3.0
    ceiling, lost = [], []
    for step in range(steps):
        centre = -13.0
        if kind == "shrinking":
            centre -= 12 * step / max(1, steps - 1)
        elif kind == "bursts" and step % 25 == 24:
            centre += 9
        ceiling.append(LOG2_LARGEST - (centre + 4 * spread))  # the largest number is four deviations out
        lost.append(tuple(_normal_cdf((LOG2_ZERO - e - centre) / spread) for e in exponents))
    return Gradients(kind, exponents, tuple(ceiling), tuple(lost))


SIMULATED = ("calm", "shrinking", "bursts")


def _normal_cdf(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def load_gradients(path: str | Path) -> Gradients:
    """Gradients that were measured and kept as JSON."""
    kept = json.loads(Path(path).read_text(encoding="utf-8"))["gradients"]
    rows = tuple(tuple(row) for row in kept["lost"])
    return Gradients(kept["name"], tuple(kept["exponents"]), tuple(kept["ceiling"]), rows)


def live(
    gradients: Gradients,
    *,
    init_scale: float = 2.0**16,
    growth_factor: float = 2.0,
    backoff_factor: float = 0.5,
    growth_interval: int = 2000,
) -> ScaleLife:
    """Let a scale meet these gradients; the defaults are torch's.

    Raises:
        InputError: a factor that does not grow, or does not fall.
    """
    if not (growth_factor > 1 and 0 < backoff_factor < 1 and growth_interval >= 1 and init_scale > 0):
        raise InputError(
            "loss scale",
            found=f"growth {growth_factor}, backoff {backoff_factor}, interval {growth_interval}, start {init_scale}",
            expected="growth > 1, 0 < backoff < 1, interval >= 1, start > 0",
            fix="The scale has to be able to go both ways.",
        )
    scale, streak, grown = init_scale, 0, 0
    scales, skipped, lost = [], [], []
    for step, ceiling in enumerate(gradients.ceiling):
        overflow = math.log2(scale) > ceiling
        scales.append(math.log2(scale))
        skipped.append(overflow)
        lost.append(1.0 if overflow else lost_at(gradients, step, math.log2(scale)))
        streak = 0 if overflow else streak + 1
        if overflow:
            scale *= backoff_factor
        elif streak == growth_interval:
            scale, streak, grown = scale * growth_factor, 0, grown + 1
    return ScaleLife(gradients, tuple(scales), tuple(skipped), tuple(lost), grown)


def compute_life(
    gradients: str, *, start: int, interval: int, growth: float, backoff: float, measured: str | Path | None = None
) -> ScaleLife:
    """Let a scale live that begins with 2^start.

    Args:
        gradients: a kind of `simulate_gradients`, or "measured" for those of the file `measured`.
        interval, growth, backoff: the rule of the scaler, as in `live`.
    """
    found = load_gradients(measured) if gradients == "measured" and measured else simulate_gradients(gradients)
    return live(found, init_scale=2.0**start, growth_factor=growth, backoff_factor=backoff, growth_interval=interval)


def worst_loss(life: ScaleLife) -> float | None:
    """The largest share of the numbers that became 0 in a step that was taken; None when all were skipped."""
    return max((lost for lost, skipped in zip(life.lost, life.skipped, strict=True) if not skipped), default=None)
