"""Exercises of lesson 11, "train stage 1": references, and checks that name the mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.motion.features import HEADING, NO_TURN, ROOT_VELOCITY, VELOCITIES, decode_positions, encode
from motionlab.motion.normalizer import Normalizer
from motionlab.motion.skeleton import canonical_skeleton, forward_kinematics
from motionlab.teaching.exercise import Exercise, as_number, register


# ---- windows ---------------------------------------------------------------------------------------------------------
def take_window(features: Tensor, window: int, u: float) -> Tensor:
    """Cut `window` frames at a random place: `u` in 0..1 (1 excluded) chooses among all places. Reset row 0."""
    start = int(u * (len(features) - window + 1))
    cut = features[start : start + window].clone()
    cut[0, ROOT_VELOCITY] = 0
    cut[0, HEADING] = torch.tensor(NO_TURN, dtype=cut.dtype)
    cut[0, VELOCITIES] = 0
    return cut


def _diagnose_window(function: Callable[..., Any]) -> str | None:
    clip = _clip()
    before = clip.clone()
    last = len(clip) - 8
    cuts = {u: function(clip, 8, u) for u in (0.0, 0.5, 0.9999)}
    for cut in cuts.values():
        if not isinstance(cut, Tensor) or tuple(cut.shape[1:]) != (272,):
            return "the result should be a tensor [window, 272]."
    if not torch.equal(clip, before):
        return "your function changed the clip it was given: a slice is a view. Use .clone() before you write into it."
    if len(cuts[0.9999]) != 8:
        return f"with u = 0.9999 only {len(cuts[0.9999])} of 8 frames are left: the start may be at most T - window."
    begins = {u: _start_of(cut, clip) for u, cut in cuts.items()}
    if begins[0.0] != 0:
        return "u = 0 should start at frame 0."
    if begins[0.9999] == last - 1:
        return f"the last place is never drawn: a clip of {len(clip)} frames has {last + 1} places for a window of 8."
    if begins[0.9999] != last or begins[0.5] != int(0.5 * (last + 1)):
        return f"u should choose evenly among the {last + 1} places: u = 0.5 is frame {int(0.5 * (last + 1))}."
    first = cuts[0.5][0]
    if first[ROOT_VELOCITY].any() or first[VELOCITIES].any():
        return (
            "row 0 still has a velocity: it says how the body moved since a frame that is not in the window. "
            "Set 0:2 and 74:140 of row 0 to 0."
        )
    if not torch.equal(first[HEADING], torch.tensor(NO_TURN)):
        return "row 0 still has a turn in 2:8. No turn is (1, 0, 0, 0, 1, 0): zeros are no rotation at all."
    if not torch.equal(cuts[0.5], take_window(clip, 8, 0.5)):
        return "more than row 0 was changed, or more of row 0 than 0:8 and 74:140."
    return None


def _start_of(cut: Tensor, clip: Tensor) -> int:
    """Where a window was cut, read off its row 1, which must not change."""
    return int((clip - cut[1]).abs().sum(1).argmin()) - 1


def _clip() -> Tensor:
    """20 frames of a body that turns, walks and waves: features without any row twice."""
    frames = torch.arange(20, dtype=torch.float32)
    turn = 0.05 * frames + 0.002 * frames**2
    rotations = torch.eye(3).expand(20, 22, 3, 3).clone()
    cosine, sine, zero, one = turn.cos(), turn.sin(), torch.zeros(20), torch.ones(20)
    rotations[:, 0] = torch.stack([cosine, zero, sine, zero, one, zero, -sine, zero, cosine], dim=-1).view(
        20, 3, 3
    )  # about Y
    wave = 0.1 * frames
    rotations[:, 18] = torch.stack(
        [wave.cos(), -wave.sin(), zero, wave.sin(), wave.cos(), zero, zero, zero, one], dim=-1
    ).view(20, 3, 3)  # the left elbow about Z
    root = torch.stack([0.02 * frames, 0.9 + 0.01 * frames.sin(), 0.03 * frames], dim=-1)
    return encode(forward_kinematics(rotations, root, canonical_skeleton().offsets), rotations)


# ---- smooth L1 -------------------------------------------------------------------------------------------------------
def smooth_l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean of e^2 / 2 where |e| < 1, and of |e| - 1/2 elsewhere, with e = a - b."""
    size = (a - b).abs()
    return torch.where(size < 1, size**2 / 2, size - 0.5).mean()


def _diagnose_smooth(function: Callable[..., Any]) -> str | None:
    zero = torch.zeros(())

    def at(error: float) -> float:
        return float(function(torch.full((2, 3), error), torch.zeros(2, 3)))

    value = function(torch.ones(2, 3), torch.zeros(2, 3))
    if not isinstance(value, Tensor) or value.shape != ():
        return f"the result should be one number (a tensor without dimensions), got {_form(value)}."
    small, large, negative = at(0.5), at(3.0), at(-3.0)
    if abs(small - 0.125 * 6) < 1e-6:
        return "this is the sum. Take the mean: otherwise the loss grows with the batch and the window."
    if negative < 0 or abs(negative - large) > 1e-6:
        return f"errors of +3 and -3 should cost the same, got {large:g} and {negative:g}: use .abs()."
    if abs(large - 9) < 1e-6 or abs(large - 4.5) < 1e-6:
        return "an error of 3 is squared. Beyond 1 the loss grows linearly, so that one bad frame cannot rule a batch."
    if abs(small - 0.5) < 1e-6 or abs(small) < 1e-6:
        return "an error of 0.5 should be squared (and halved): 0.125. The linear part begins at 1."
    if abs(small - 0.25) < 1e-6:
        return "the half is missing: an error of 0.5 costs 0.5 * 0.5^2 = 0.125. Without it the two parts do not fit."
    if abs(large - 3) < 1e-6:
        return "the two parts do not meet: at 1 the first gives 0.5 and yours jumps to 1. The second part is |e| - 1/2."
    if abs(small - 0.125) > 1e-6 or abs(large - 2.5) > 1e-6:
        return f"errors of 0.5 and 3 should cost 0.125 and 2.5, got {small:g} and {large:g}."
    error = torch.tensor([[-2.0, 0.3], [0.9, 1.5]])
    if not torch.allclose(function(error, zero.expand(2, 2)), F.smooth_l1_loss(error, zero.expand(2, 2)), atol=1e-6):
        return "single sizes are right, but a mixture is not: decide for each number, for example with torch.where."
    return None


def _form(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{type(value).__name__}"


# ---- a training step -------------------------------------------------------------------------------------------------
def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> float:
    """One step on normalised windows `x [B, T, 272]`; returns the loss as a plain number."""
    output = model(x)
    loss: Tensor = F.smooth_l1_loss(output.reconstruction, x) + output.quantized.loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


class _ToyOutput(NamedTuple):
    reconstruction: Tensor
    quantized: _ToyQuantized


class _ToyQuantized(NamedTuple):
    codes: Tensor
    loss: Tensor


class _Toy(nn.Module):
    """One weight: small enough that every mistake gives a different number. Its quantizer has a loss, unlike FSQ's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> _ToyOutput:
        return _ToyOutput(self.weight * x, _ToyQuantized(x, 0.1 * self.weight**2))


def _three_steps(function: Callable[..., Any]) -> tuple[list[Any], list[float]]:
    model = _Toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    x = torch.tensor([0.5, -1.0, 0.25, 0.8]).view(1, 4, 1)
    returned, weights = [], []
    for _ in range(3):
        returned.append(function(model, optimizer, x))
        weights.append(model.weight.item())
    return returned, weights


def _diagnose_step(function: Callable[..., Any]) -> str | None:
    try:
        returned, weights = _three_steps(function)
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        return "optimizer.step() changed the weights before loss.backward() had used them. Backward first, then step."
    expected_losses, expected = _three_steps(train_step)
    if weights[2] == 0.5:
        return (
            "the weights never change: optimizer.step() is missing, or it finds no gradient. "
            "The order is zero_grad, backward, step."
        )

    def same(a: list[float]) -> bool:
        return all(abs(x - y) < 1e-6 for x, y in zip(a, weights, strict=True))

    if same(_three_steps(_accumulating)[1]):
        return "the second step goes too far: gradients of earlier steps are added up. Call optimizer.zero_grad()."
    if same(_three_steps(_without_quantizer)[1]):
        return (
            "the quantizer's own loss is missing. It is 0 for FSQ, so it goes unnoticed; a VQ-VAE would lose its "
            "commitment. Add output.quantized.loss."
        )
    if same(_three_steps(_squared)[1]):
        return "this is the step of the squared error (mse_loss). Stage 1 compares by smooth L1: F.smooth_l1_loss."
    if not same(expected):
        return f"after one step the weight of the test should be {expected[0]:.4f}, got {weights[0]:.4f}."
    if isinstance(returned[0], Tensor):
        return (
            "the step is right, but it returns a tensor. A list of such losses keeps the graph of every step in memory "
            "(or waits for the GPU later): return loss.item()."
        )
    if not isinstance(returned[0], float) or abs(returned[0] - expected_losses[0]) > 1e-6:
        return f"return the loss before the step as a number: {expected_losses[0]:.4f}, got {returned[0]!r}."
    return None


def _accumulating(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    output = model(x)
    (F.smooth_l1_loss(output.reconstruction, x) + output.quantized.loss).backward()
    optimizer.step()


def _squared(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    output = model(x)
    optimizer.zero_grad()
    (F.mse_loss(output.reconstruction, x) + output.quantized.loss).backward()
    optimizer.step()


def _without_quantizer(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    optimizer.zero_grad()
    F.smooth_l1_loss(model(x).reconstruction, x).backward()
    optimizer.step()


# ---- millimetres -----------------------------------------------------------------------------------------------------
def error_mm(restored: Tensor, real: Tensor, normalizer: Normalizer) -> float:
    """Mean joint error in mm, pelvis aligned, of two NORMALISED motions `[T, 272]`."""
    a, b = (decode_positions(normalizer.denormalize(x)) for x in (restored, real))  # [T, 22, 3] metres
    a, b = a - a[:, :1], b - b[:, :1]
    return float((a - b).norm(dim=-1).mean() * 1000)


def _diagnose_mm(function: Callable[..., Any]) -> str | None:
    real = _clip()
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    normalizer = Normalizer(real.mean(0) * 0.5, torch.linspace(0.005, 0.2, 272))
    a, b = normalizer.normalize(real + 0.01 * noise), normalizer.normalize(real)
    value = as_number(function(a, b, normalizer))
    expected = error_mm(a, b, normalizer)
    if value is None:
        return "the result should be one number: average over the joints and over the frames."

    def near(other: float) -> bool:
        return abs(value - other) <= 1e-3 * abs(other)

    if near(expected):
        return None
    if near(expected / 1000):
        return "this is in metres. Millimetres are 1000 times as many."
    x, y = decode_positions(a), decode_positions(b)
    raw = float(((x - x[:, :1]) - (y - y[:, :1])).norm(dim=-1).mean() * 1000)
    world = float((x - y).norm(dim=-1).mean() * 1000)
    if near(raw) or near(world):
        return (
            "these are not metres: decode_positions was given normalised features. Call normalizer.denormalize on both "
            "first. (The numbers look plausible, and that is why this mistake is so common.)"
        )
    p, q = (decode_positions(normalizer.denormalize(z)) for z in (a, b))
    if near(float((p - q).norm(dim=-1).mean() * 1000)):
        return "the pelvis is not put in place: subtract joint 0 from every joint of its frame, in both motions."
    p, q = p - p[:, :1], q - q[:, :1]
    if near(float((p - q).abs().mean() * 1000)):
        return "this averages x, y and z. The error of a joint is a distance: .norm(dim=-1) over its three numbers."
    if near(float((p - q).square().sum(-1).mean().sqrt() * 1000)):
        return "this is the root of the mean square, which large errors rule. Take the mean of the distances."
    if near(float((p - q).norm(dim=-1).sum(-1).mean() * 1000)) or near(float((p - q).norm(dim=-1).sum() * 1000)):
        return "this adds the joints up. Take the mean over the joints and over the frames."
    return f"for the motions of the test the error is {expected:.2f} mm, got {value:.2f}."


EXERCISES = register(
    Exercise(
        "stage1.take_window",
        take_window,
        _diagnose_window,
        "Every place has the same chance, and the window begins at rest.",
        (
            "How many places are there for a window of 8 in a clip of 8 frames? And of 9? Multiply u by that number.",
            "Clone the cut. In its row 0 set 0:2 and 74:140 to 0, and 2:8 to (1, 0, 0, 0, 1, 0).",
        ),
        form="features [T, 272], window: int, 0 <= u < 1 -> [window, 272]",
    ),
    Exercise(
        "stage1.smooth_l1",
        smooth_l1,
        _diagnose_smooth,
        "This is the whole reconstruction loss of stage 1.",
        (
            "Draw it: a parabola in the middle, straight lines outside, and no jump at 1.",
            "size = (a - b).abs(); torch.where(size < 1, ..., ...); then the mean.",
        ),
        form="a, b of the same shape -> tensor without dimensions",
    ),
    Exercise(
        "stage1.train_step",
        train_step,
        _diagnose_step,
        "All training in this project is this, a few hundred times or a few million.",
        (
            "Five lines: the output, the loss with two parts, and three calls in the right order.",
            "loss = smooth_l1(output.reconstruction, x) + output.quantized.loss; zero_grad, backward, step; .item().",
        ),
        form="x [B, T, 272] -> float",
    ),
    Exercise(
        "stage1.error_mm",
        error_mm,
        _diagnose_mm,
        "Now your numbers can be compared with those of a paper.",
        (
            "The network's numbers are standard deviations. What has to happen before they are metres?",
            "denormalize, decode_positions, subtract joint 0 of each frame, norm over the last axis, mean, times 1000.",
        ),
        form="restored, real [T, 272] (normalised) -> float",
    ),
)
