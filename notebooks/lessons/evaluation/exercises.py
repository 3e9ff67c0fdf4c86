"""Exercises of lesson 13, "How good is it?": references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.teaching.exercise import Exercise, register


def _number(value: Any) -> float | str:
    """The result as a float, or words for one that is no number."""
    if isinstance(value, Tensor):
        good = value.numel() == 1 and value.device.type != "meta" and not value.is_complex()
        value = float(value) if good else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
        return f"the result should be one number, not {type(value).__name__}{shape}."
    return float(value)


# ---- 1. the distance of two clouds -----------------------------------------------------------------------------------
def fid(a: Tensor, b: Tensor) -> float:
    """Frechet distance of two tables `[N, D]`: squared distance of the means, and what the covariances differ."""
    s, t = torch.cov(a.T), torch.cov(b.T)
    # The trace of the root of S T: its eigenvalues are real and not negative, although S T is not symmetric.
    root = torch.linalg.eigvals(s @ t).real.clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + s.trace() + t.trace() - 2 * root)


def _diagnose_fid(function: Callable[..., Any]) -> str | None:
    random = torch.Generator().manual_seed(0)
    a = torch.randn(60, 3, generator=random, dtype=torch.float64) @ torch.diag(torch.tensor([1.0, 2.0, 0.5])).double()
    b = torch.randn(80, 3, generator=random, dtype=torch.float64) + torch.tensor([1.0, 0.0, 0.0])
    result = _number(function(a.clone(), b.clone()))
    if isinstance(result, str):
        return result
    right = fid(a, b)
    means, s, t = (a.mean(0) - b.mean(0)).square().sum(), torch.cov(a.T), torch.cov(b.T)
    if math.isclose(result, right, rel_tol=1e-4):
        same = _number(function(a.clone(), a.clone()))
        return (
            None
            if isinstance(same, float) and abs(same) < 1e-5
            else f"a table and itself should have distance 0, got {same}."
        )
    if math.isclose(result, float(means), rel_tol=1e-4):
        return "these are the means alone: two clouds of different shape around one point would have distance 0."
    entry_root = (s @ t).abs().sqrt().trace()
    if math.isclose(result, float(means + s.trace() + t.trace() - 2 * entry_root), rel_tol=1e-4):
        return "that is the root of each entry. The root of a MATRIX is needed: the roots of its eigenvalues."
    if math.isclose(result, float(means + s.trace() + t.trace()), rel_tol=1e-4):
        return "the root of S T is missing: a table and itself would have distance twice its variance."
    length = (a.mean(0) - b.mean(0)).norm()
    if math.isclose(result, right - float(means) + float(length), rel_tol=1e-4):
        return "the distance of the means is squared."
    biased = fid_with(a, b, correction=0)
    if math.isclose(result, biased, rel_tol=1e-6):
        return "the covariance divides by N - 1 (torch.cov does so by itself)."
    return f"expected {right:.3f}, got {result:.3f}."


def fid_with(a: Tensor, b: Tensor, correction: int) -> float:
    """`fid` with covariances that divide by N - correction."""
    s, t = torch.cov(a.T, correction=correction), torch.cov(b.T, correction=correction)
    root = torch.linalg.eigvals(s @ t).real.clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + s.trace() + t.trace() - 2 * root)


# ---- 2. is the right motion among the nearest? -----------------------------------------------------------------------
def r_at_k(text: Tensor, motion: Tensor, k: int) -> float:
    """Share of captions `[N, D]` of which fewer than k other motions `[N, D]` are nearer than their own."""
    distances = torch.cdist(text, motion)  # [N, N], row: caption
    nearer = (distances < distances.diagonal()[:, None]).sum(1)  # [N]
    return float((nearer < k).double().mean())


def _diagnose_r(function: Callable[..., Any]) -> str | None:
    random = torch.Generator().manual_seed(1)
    text = torch.randn(40, 4, generator=random)
    motion = text + 0.9 * torch.randn(40, 4, generator=random)
    right = [r_at_k(text, motion, k) for k in (1, 3)]
    results = [_number(function(text.clone(), motion.clone(), k)) for k in (1, 3)]
    if wrong := [one for one in results if isinstance(one, str)]:
        return wrong[0]
    found = [one for one in results if isinstance(one, float)]
    if all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(found, right, strict=True)):
        return None
    swapped = [r_at_k(motion, text, k) for k in (1, 3)]
    if all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(found, swapped, strict=True)):
        return "that looks for the caption of a motion. Asked is the other way: the motion of a caption."
    if math.isclose(found[0], found[1]) and math.isclose(found[0], right[0], abs_tol=1e-6):
        return "right for k = 1 only: use the argument."
    if math.isclose(found[0], 1 - right[0], abs_tol=1e-6) or found[0] > found[1]:
        return "the more motions may be nearer, the more captions count: R@3 is at least R@1."
    if math.isclose(found[0], r_at_k(text, motion, 2), abs_tol=1e-6):
        return "k = 1 means that NO other motion is nearer: fewer than k, not k or fewer."
    if any(value > 1 for value in found):
        return "a share is wanted, from 0 to 1: divide by the number of captions."
    return f"R@1 and R@3 should be {right[0]:.3f} and {right[1]:.3f}, got {found[0]:.3f} and {found[1]:.3f}."


# ---- 3. feet that slide ----------------------------------------------------------------------------------------------
TOES = (10, 11)


def sliding(joints: Tensor, fps: float) -> float:
    """Of the steps of a toe that is below 7 cm before and after, in joints `[T, 22, 3]`, the share above 0.3 m/s."""
    toes = joints[:, TOES]  # [T, 2, 3]
    speed = (toes[1:, :, [0, 2]] - toes[:-1, :, [0, 2]]).norm(dim=-1) * fps  # [T - 1, 2] m/s
    low = torch.maximum(toes[1:, :, 1], toes[:-1, :, 1]) < 0.07  # [T - 1, 2]
    return float((speed[low] > 0.3).double().mean())


def _toes(speeds: Sequence[float], heights: Sequence[float], fps: float, lift: float = 0.0) -> Tensor:
    """Joints of a body whose left toe has these speeds (m/s) and heights; its right toe stands."""
    joints = torch.zeros(len(heights), 22, 3)
    joints[:, :, 1] = 1.0
    joints[:, TOES, 1] = 0.01
    joints[:, TOES[0], 1] = torch.tensor(heights)
    joints[1:, TOES[0], 0] = torch.tensor(speeds[1:]).cumsum(0) / fps
    joints[:, TOES[0], 1] += lift
    return joints


def _diagnose_sliding(function: Callable[..., Any]) -> str | None:
    speeds, heights = [0.0, 0.5, 0.5, 2.0, 0.0, 0.5, 0.2], [0.01, 0.01, 0.3, 0.01, 0.01, 0.01, 0.01]
    joints = _toes(speeds, heights, 30.0)
    result = _number(function(joints.clone(), 30.0))
    if isinstance(result, str):
        return result
    right = sliding(joints, 30.0)
    if math.isclose(result, right, abs_tol=1e-6):
        slow = _toes(speeds, heights, 10.0)
        if not math.isclose(float(function(slow, 10.0)), sliding(slow, 10.0), abs_tol=1e-6):
            return "right at 30 frames a second only: speed is distance times fps."
        risen = joints.clone()
        risen[1:, TOES[0], 1] += torch.arange(1, 7) * 0.008  # rises by 24 cm/s, which is no sliding
        if not math.isclose(float(function(risen, 30.0)), sliding(risen, 30.0), abs_tol=1e-6):
            return "height is in this speed: a foot that is lifted does not slide. Take x and z."
        return None
    toes = joints[:, TOES]
    speed = (toes[1:, :, [0, 2]] - toes[:-1, :, [0, 2]]).norm(dim=-1) * 30
    if math.isclose(result, float((speed > 0.3).double().mean()), abs_tol=1e-6):
        return "toes in the air count here; a foot that is in the air may be fast."
    low = torch.maximum(toes[1:, :, 1], toes[:-1, :, 1]) < 0.07
    if math.isclose(result, float(((speed > 0.3) & low).double().mean()), abs_tol=1e-6):
        return "divide by the toes near the floor, not by all: who jumps a lot would slide less."
    if math.isclose(result, float((speed[low] / 30 > 0.3).double().mean()), abs_tol=1e-6):
        return "this is metres per frame: times fps gives metres per second."
    before = toes[:-1, :, 1] < 0.07
    if math.isclose(result, float((speed[before] > 0.3).double().mean()), abs_tol=1e-6):
        return "a toe that has left the floor by the end of the step counts here: it must be low in both frames."
    return f"of 12 toes and steps {int(low.sum())} are near the floor; expected {right:.3f}, got {result:.3f}."


# ---- 4. the right actions in any order -------------------------------------------------------------------------------
def order_blind(wanted: Sequence[str], found: Sequence[str]) -> float:
    """F1 of two lists as bags: twice what they share, divided by their lengths together."""
    shared = sum((Counter(wanted) & Counter(found)).values())
    return 2 * shared / (len(wanted) + len(found)) if wanted or found else 1.0


def _diagnose_blind(function: Callable[..., Any]) -> str | None:
    cases = [
        (["walk", "kick"], ["kick", "walk"]),
        (["walk", "kick"], ["walk"]),
        (["walk", "kick", "walk"], ["walk"]),
        (["walk"], ["kick", "kick"]),
        (["walk", "kick", "walk"], ["walk", "walk", "jump"]),
    ]
    right = [order_blind(*case) for case in cases]
    results = [_number(function(*(list(part) for part in case))) for case in cases]
    if wrong := [one for one in results if isinstance(one, str)]:
        return wrong[0]
    found = [one for one in results if isinstance(one, float)]
    if all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(found, right, strict=True)):
        return None
    if not math.isclose(found[0], 1.0):
        return "walk, kick and kick, walk have the same actions: order must not cost anything here."
    if math.isclose(found[1], 1.0):
        return "nothing found too much, but kick is missing: that has to cost something."
    if math.isclose(found[2], 1.0) or math.isclose(found[2], 2 / 3):
        return "walk is wanted twice: these are bags, not sets. Counter(a) & Counter(b) keeps the smaller counts."
    if math.isclose(found[1], 0.5):
        return "that is shared / the longer list. F1 is twice the shared ones over both lengths together."
    for case, a, b in zip(cases, found, right, strict=True):
        if not math.isclose(a, b, abs_tol=1e-6):
            return f"wanted {', '.join(case[0])}, found {', '.join(case[1])}: expected {b:.3f}, got {a:.3f}."
    return None


# ---- 5. does a difference count? -------------------------------------------------------------------------------------
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571)


def counts(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether the 95 % interval of the mean of a - b, seed by seed, leaves out 0."""
    d = torch.tensor(a, dtype=torch.float64) - torch.tensor(b, dtype=torch.float64)
    half = T_95[len(d) - 2] * float(d.std()) / math.sqrt(len(d))
    return abs(float(d.mean())) > half


def _diagnose_counts(function: Callable[..., Any]) -> str | None:
    clear = ([0.80, 0.82, 0.81, 0.83], [0.70, 0.73, 0.70, 0.72])
    lucky = ([0.90, 0.70, 0.81], [0.75, 0.74, 0.73])  # 5 points ahead, by one lucky seed
    border = ([0.80, 0.76, 0.78, 0.84], [0.76, 0.75, 0.76, 0.75])  # beyond one standard deviation, within t of them
    few = ([0.82, 0.78], [0.75, 0.75])  # beyond 2 standard errors, within the 12.7 of two seeds
    worse = (clear[1], clear[0])
    results = [function(list(a), list(b)) for a, b in (clear, lucky, border, few, worse)]
    for one in results:
        if not isinstance(one, bool | np.bool_) and not (
            isinstance(one, Tensor) and one.dtype == torch.bool and one.numel() == 1
        ):
            return f"the result should be True or False, not {type(one).__name__}."
    answers = [bool(one) for one in results]
    right = [counts(*case) for case in (clear, lucky, border, few, worse)]
    if answers == right:
        return None
    if not answers[0]:
        return "ten points ahead with every seed, and the seeds are within three points of each other: that counts."
    if answers[1]:
        return "one lucky seed of three: the mean is 5 points ahead, and the seeds differ by more than that."
    if not answers[4]:
        return "being worse counts as well: use the absolute value."
    if answers[3]:
        return "with two seeds t is 12.7, not 2: two numbers say little about how much seeds differ. T_95[n - 2]."
    return "divide the standard deviation of the n differences by the root of n, and multiply by t for n - 1."


EXERCISES = register(
    Exercise(
        "evaluation.fid",
        fid,
        _diagnose_fid,
        "Two clouds as two Gaussians. Write it once, and you no longer trust it with 100 clips.",
        (
            "Means, torch.cov(a.T), traces; the only hard part is the trace of the root of S T.",
            "The trace of a root is the sum of the roots of the eigenvalues: torch.linalg.eigvals(S @ T).real.",
        ),
        form="a [N, D], b [M, D] -> float",
    ),
    Exercise(
        "evaluation.r_at_k",
        r_at_k,
        _diagnose_r,
        "No sorting is needed: count who is nearer than the true one.",
        (
            "torch.cdist(text, motion) is [N, N]; the true pairs stand on its diagonal.",
            "For each row, how many entries are smaller than its diagonal entry? Fewer than k is a hit.",
        ),
        form="text [N, D], motion [N, D], k: int -> float",
    ),
    Exercise(
        "evaluation.sliding",
        sliding,
        _diagnose_sliding,
        "A network may like anything, but everybody sees feet that slide.",
        (
            "Joints 10 and 11 are the toes; y is up. A step has two frames: the toe must be low in both.",
            "low = torch.maximum(height[1:], height[:-1]) < 0.07, then the mean of speed[low] > 0.3.",
        ),
        form="joints [T, 22, 3] metres, fps: float -> float",
    ),
    Exercise(
        "evaluation.order_blind",
        order_blind,
        _diagnose_blind,
        "Next to the score that looks at the order it tells which of the two went wrong: the actions, or their order.",
        (
            "collections.Counter counts; & keeps the smaller count of each.",
            "2 * shared / (len(wanted) + len(found)).",
        ),
        form="wanted, found: lists of str -> float",
    ),
    Exercise(
        "evaluation.counts",
        counts,
        _diagnose_counts,
        "The rule of every table here, in its plainest form: the same seeds for both, no clips.",
        (
            "Work with the differences, seed by seed: their mean, and how sure it is.",
            "Standard error: standard deviation / root of n. Times t for n - 1, which is T_95[n - 2].",
        ),
        form="a, b: lists of n scores, one per seed -> bool",
    ),
)
