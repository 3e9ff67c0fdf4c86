"""Exercises of lesson 09, mixed precision: references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from motionlab.teaching.exercise import Exercise, as_number, register


# ---- 1. the distance between neighbours ------------------------------------------------------------------------------
def spacing(x: float, mantissa_bits: int) -> float:
    """Distance from a normal number to the next larger one in size: 2^floor(log2 |x|) / 2^mantissa_bits."""
    return 2.0 ** (math.floor(math.log2(abs(x))) - mantissa_bits)


def _diagnose_spacing(function: Callable[..., Any]) -> str | None:
    value = as_number(function(5.0, 7))
    if value is None:
        return "the result should be one number."
    if value == 2.0**-7:
        return "this is the distance just above 1. It doubles with every power of two: for 5 it is that of 4 to 8."
    if abs(value - 5 * 2.0**-7) < 1e-9:
        return "this grows with the number itself. It is the same for all numbers from 4 to 8: take the power of two."
    if value == 2.0**-4:
        return "log2 of 5 is 2.3; you went up to 3. The leading digit of 5 is worth 4: round DOWN (math.floor)."
    if value == 2.0**-6:
        return "half of it: is the logarithm one of base 2? The leading 1 is not stored, the mantissa comes after it."
    if value != 2.0**-5:
        return f"with 7 mantissa bits the number after 5 is 5.03125, so spacing(5, 7) is 0.03125, got {value:g}."
    if as_number(function(0.75, 7)) != 2.0**-8:
        return "below 1 the exponent is negative: 0.75 is above 2^-1. int() cuts towards 0, math.floor does not."
    try:
        negative = as_number(function(-5.0, 7))
    except ValueError:
        return "a negative number has no logarithm: the spacing depends on the size, so take abs(x)."
    return None if negative == value else "the sign has its own bit: -5 has the spacing of 5."


# ---- 2. the rule of the scaler ---------------------------------------------------------------------------------------
def next_scale(scale: float, streak: int, overflow: bool, interval: int) -> tuple[float, int]:
    """The scale and the number of good steps in a row, after a step."""
    if overflow:
        return scale / 2, 0
    if streak + 1 == interval:
        return scale * 2, 0
    return scale, streak + 1


_STORIES = {  # name -> overflow at each step; interval 3, from 1024
    "calm": (False,) * 7,
    "burst": (False, False, True, False, False, False, False),
    "twice": (True, True, False, False, False),
}


def _diagnose_scale(function: Callable[..., Any]) -> str | None:
    first = function(1024.0, 0, False, 3)
    if not isinstance(first, Sequence) or len(first) != 2:
        return "return two things: the scale for the next step, and the number of good steps in a row."
    scale, streak = function(1024.0, 1, True, 3)
    if scale == 1024.0:
        return "after an overflow the scale stays: the next step would overflow as well. Halve it."
    if scale > 1024.0:
        return "after an overflow the scale grows. inf means that it was too large: halve it."
    if streak != 0:
        return "after an overflow the streak should begin again at 0: the smaller scale has proved nothing yet."
    if first[0] != 1024.0:
        return "one good step changes the scale. It waits for `interval` good steps in a row before it grows."
    if first[1] != 1:
        return f"a good step should add 1 to the streak: 0 becomes 1, got {first[1]}."
    scale, streak = function(1024.0, 2, False, 3)
    if scale == 1024.0:
        return "with interval 3 the third good step doubles the scale: the streak was 2 and this step counts too."
    if streak != 0:
        return "the streak is not set back when the scale grows: it would never be equal to the interval again."
    for name, story in _STORIES.items():
        got, wanted = _scales(function, story), _scales(next_scale, story)
        if got != wanted:
            return f"in the story {name!r} (overflow: {story}) the scales should be {wanted}, got {got}."
    return None


def _scales(function: Callable[..., Any], story: Sequence[bool]) -> list[float]:
    scale, streak, found = 1024.0, 0, []
    for overflow in story:
        scale, streak = function(scale, streak, overflow, 3)
        found.append(scale)
    return found


# ---- 3. a whole fp16 step --------------------------------------------------------------------------------------------
def amp_step(
    loss: Tensor, parameters: Any, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, clip: float
) -> bool:
    """From the loss to the next weights; True when a step was taken, False when it was skipped."""
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(parameters, clip)
    before = scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return scaler.get_scale() >= before


class _Bench:
    """One weight, SGD with rate 1, scale 1024: every order of calls leaves another weight."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.weight = nn.Parameter(torch.zeros(1))
        self.optimizer = torch.optim.SGD([self.weight], lr=1.0)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        self.function = function

    def step(self, slope: float, clip: float = 1.0) -> tuple[float, Any]:
        """Take a step on a loss with this slope; how far the weight went, and what the function returned."""
        before = float(self.weight.detach())
        loss = (self.weight * slope).sum()
        returned = self.function(loss, [self.weight], self.optimizer, self.scaler, clip)
        return before - float(self.weight.detach()), returned


def _diagnose_step(function: Callable[..., Any]) -> str | None:
    try:
        return _diagnose_calls(function)
    except AssertionError as error:
        if "_scale is None" not in str(error):
            raise
        return "the loss was never multiplied: scaler.scale(loss).backward() instead of loss.backward()."
    except RuntimeError as error:
        if "unscale_()" not in str(error):
            raise
        return "scaler.update() is missing after the step (or unscale_ comes twice): it ends a step for the scaler."


def _diagnose_calls(function: Callable[..., Any]) -> str | None:
    bench = _Bench(function)
    moved, returned = bench.step(0.25)
    if moved == 0:
        return "the weight does not move: scaler.step(optimizer) is missing, or zero_grad comes before it."
    if math.isclose(moved, 0.25 * 1024) or math.isclose(moved, 1.0):
        return (
            "the optimizer was given the gradient of the SCALED loss, 1024 times too large (clipped to 1). "
            "scaler.unscale_(optimizer) divides it; scaler.step steps."
        )
    if math.isclose(moved, 1 / 1024, rel_tol=1e-3):
        return _CLIPPED_SCALED
    if not math.isclose(moved, 0.25):
        return f"with a gradient of 0.25, rate 1 and clip 1 the weight should move by 0.25, got {moved:g}."
    second = bench.step(0.25)[0]
    if abs(second - 0.25) > 1e-6:  # the old gradient is unscaled, the new one not: 0.25 + 256
        return "the second step has the gradient of the first one in it: optimizer.zero_grad() is missing."
    large = _Bench(function).step(8.0)[0]
    if math.isclose(large, 8.0):
        return "a gradient of 8 is not clipped to 1: clip_grad_norm_(parameters, clip) is missing."
    if math.isclose(large, 1 / 1024, rel_tol=1e-3):
        return _CLIPPED_SCALED
    if not math.isclose(large, 1.0, rel_tol=1e-4):
        return f"a gradient of 8 with clip 1 should move the weight by 1, got {large:g}."
    return _diagnose_skip(function, returned)


_CLIPPED_SCALED = (
    "it was clipped while it was still multiplied by 1024: a gradient of 0.25 looked like 256 and was cut to 1, "
    "and then divided. Call scaler.unscale_(optimizer) before clip_grad_norm_."
)


def _diagnose_skip(function: Callable[..., Any], returned: Any) -> str | None:
    bench = _Bench(function)
    moved, skipped = bench.step(math.inf)
    if moved != 0:  # nan is not 0 either
        return "an inf gradient changed the weight: scaler.step(optimizer) skips such a step, optimizer.step() never."
    if bench.scaler.get_scale() != 512.0:
        return "after an inf gradient the scale should have been halved by scaler.update()."
    if bench.step(0.25)[0] != 0.25:
        return "after a skipped step the next one is wrong: clear the gradients, also when the step was skipped."
    if returned is None or skipped is None:
        return "the steps are right; return whether a step was taken, so that the schedule knows."
    if skipped or not returned:
        return (
            "the steps are right, but the returned value is not: False when the step was skipped. The scale tells: "
            "compare scaler.get_scale() before and after update()."
        )
    return None


# ---- 4. weights that cannot move -------------------------------------------------------------------------------------
def frozen_share(weights: Tensor, change: float) -> float:
    """The share of bf16 weights that are the same after `change` was added to them in bf16."""
    stored = weights.bfloat16()
    return float((stored + torch.tensor(change, dtype=torch.bfloat16) == stored).double().mean())


def _diagnose_frozen(function: Callable[..., Any]) -> str | None:
    ones = torch.ones(8)
    value = as_number(function(ones, 1e-4))
    if value is None:
        return "the result should be one number, a share from 0 to 1."
    if value == 0.0:
        return (
            "a weight of 1 that gets 0.0001 should count as frozen: in bf16 the next number after 1 is 1.0078. "
            "Was the sum done in float32, or did you count those that moved?"
        )
    if value == 8:
        return "this is a number of weights. Divide by how many there are, or take the mean."
    if as_number(function(ones, 0.01)) == 1.0:
        return "adding 0.01 does move a bf16 weight of 1 (to 1.0078). Do you compare the right two tensors?"
    if as_number(function(ones, 1e-3)) != 1.0:
        return "adding 0.001 moves a weight of 1 in fp16, which has three digits more; the question is about bf16."
    mixed = torch.tensor([1.0, 1.0, 0.5, 0.02, 0.02, 0.02, 0.001, 0.0])
    got, wanted = as_number(function(mixed, 1e-4)), frozen_share(mixed, 1e-4)
    if got is None or abs(got - wanted) > 1e-6:
        return (
            f"of {mixed.tolist()} the share {wanted:g} cannot move by 0.0001, got {got}: small weights have near "
            "neighbours."
        )
    unrounded = torch.full((4,), 1.001)  # rounds to 1
    if as_number(function(unrounded, 1e-4)) != 1.0:
        return "round the weights to bf16 first, and compare the sum with the ROUNDED weights: 1.001 is stored as 1."
    up, down = (as_number(function(ones, change)) for change in (0.003, -0.003))
    if up != 1.0 or down != 0.0:
        return "below 1 the numbers are twice as close: -0.003 moves a weight of 1 and +0.003 does not. Keep the sign."
    return None


EXERCISES = register(
    Exercise(
        "amp.spacing",
        spacing,
        _diagnose_spacing,
        "With 10, 7 and 23 in place of mantissa_bits this is fp16, bf16 and fp32.",
        (
            "All numbers between two powers of two have the same distance. How many are there in between?",
            "2 ** (floor(log2(size)) - mantissa_bits)",
        ),
        form="x: float, mantissa_bits: int -> float",
    ),
    Exercise(
        "amp.next_scale",
        next_scale,
        _diagnose_scale,
        "This is the whole rule of torch's GradScaler, with its two factors 2 and 1/2.",
        (
            "Three cases: it overflowed; this good step completes the row; it is just one more good step.",
            "overflow: (scale / 2, 0); streak + 1 == interval: (scale * 2, 0); else (scale, streak + 1).",
        ),
        form="scale: float, streak: int, overflow: bool, interval: int -> (float, int)",
    ),
    Exercise(
        "amp.amp_step",
        amp_step,
        _diagnose_step,
        "The order is scale, backward, unscale, clip, step, update, zero_grad; and the scale tells what happened.",
        (
            "Which of the calls change the gradients? The clipping threshold applies to the true gradient.",
            "scale(loss).backward(); unscale_; clip_grad_norm_; scaler.step; update; zero_grad; compare get_scale().",
        ),
        form="loss: tensor without dimensions, parameters: list, clip: float -> bool",
    ),
    Exercise(
        "amp.frozen_share",
        frozen_share,
        _diagnose_frozen,
        "Now you can ask of any checkpoint which of its weights a learning rate can still move.",
        (
            "Round the weights to bf16, add the change in bf16, and see which came out the same.",
            "stored = weights.bfloat16(); (stored + torch.tensor(change).bfloat16() == stored), then the mean.",
        ),
        form="weights [n] in float32, change: float -> float",
    ),
)
