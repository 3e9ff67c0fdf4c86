"""Exercises of lesson 02, "How does VQ-VAE turn motion into tokens?": references, and checks that name the mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lessons.shared.answers import normal
from motionlab.teaching.exercise import Exercise, register


def _close(a: Any, b: Tensor, atol: float = 1e-5) -> bool:
    return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.to(b.dtype), b, atol=atol)


# ---- the nearest code ------------------------------------------------------------------------------------------------
def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code for each vector, with one matrix product: `[n, D]`, `[K, D]` -> `[n]`."""
    scores = z @ codebook.T - codebook.square().sum(1) / 2  # [n, K]; |z - c|^2 = |z|^2 - 2 scores
    return scores.argmax(1)


def _diagnose_nearest(function: Callable[..., Any]) -> str | None:
    z, codebook = normal(50, 3), normal(7, 3, seed=1) * torch.linspace(0.2, 3, 7)[:, None]  # short and long codes
    expected = torch.cdist(z, codebook).argmin(1)
    result = function(z, codebook)
    if not isinstance(result, Tensor):
        return f"the result should be a tensor of indices, got {type(result).__name__}."
    if result.shape == (len(codebook),):
        return "this finds the nearest VECTOR for each code: take the best over the codes, dimension 1."
    if result.shape != (len(z),):
        return f"the result should have shape ({len(z)},), one index per vector; got {tuple(result.shape)}."
    if result.is_floating_point():
        return "the result holds distances; return the place of the smallest one (argmin), not its value."
    for wrong, name in (
        (torch.cdist(z, codebook).argmax(1), "this is the FARTHEST code: a small distance is a large score."),
        (
            (z @ codebook.T).argmax(1),
            "the largest product z.c favours long codes: subtract |c|^2 / 2.",
        ),
        ((z @ codebook.T - codebook.square().sum(1)).argmax(1), "the length counts twice: subtract |c|^2 / 2."),
        ((z @ codebook.T - codebook.norm(dim=1) / 2).argmax(1), "subtract half the SQUARED length, |c|^2 / 2."),
        (torch.cdist(z, codebook, p=1).argmin(1), "this is nearest by |a| + |b| + |c|; use squared distances."),
    ):
        if torch.equal(result, wrong) and not torch.equal(wrong, expected):
            return name
    wrong_rows = int((result != expected).sum())
    if wrong_rows:
        return f"{wrong_rows} of {len(z)} vectors get a code that is not the nearest."
    return None


# ---- two losses, two detaches ----------------------------------------------------------------------------------------
def vq_losses(z: Tensor, codes: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """The decoder's input, and the loss of the quantizer; `codes` are the nearest codes, both `[n, D]`."""
    codebook_loss = (z.detach() - codes).square().mean()
    commitment_loss = (z - codes.detach()).square().mean()
    seen = z + (codes - z).detach()
    return seen, codebook_loss + beta * commitment_loss


def _diagnose_losses(function: Callable[..., Any]) -> str | None:
    z, codes, beta = normal(6, 4).requires_grad_(), normal(6, 4, seed=1).requires_grad_(), 0.25
    result = function(z, codes, beta)
    if not (isinstance(result, tuple) and len(result) == 2 and all(isinstance(part, Tensor) for part in result)):
        return "return two tensors: what the decoder sees, and the loss."
    seen, loss = result
    if seen.shape != z.shape:
        return f"what the decoder sees should have the shape of z, {tuple(z.shape)}; got {tuple(seen.shape)}."
    if torch.allclose(seen, z):
        return "the decoder sees z, not the code: nothing is quantized."
    if not torch.allclose(seen, codes, atol=1e-6):
        return "the VALUE that the decoder sees must be the code."
    weights = normal(6, 4, seed=2)
    to_z, to_codes = _gradients((seen * weights).sum(), z, codes)
    if not to_z.any():
        return "no gradient of the decoder reaches z: the encoder cannot learn. Use straight-through."
    if to_codes.any():
        return "the decoder's gradient moves the codes too: with straight-through it goes to z only."
    if not torch.allclose(to_z, weights, atol=1e-6):
        return "the decoder's gradient should reach z unchanged."
    if loss.ndim != 0:
        return f"the loss should be one number (a mean), got shape {tuple(loss.shape)}."
    return _diagnose_routes(loss, z, codes, beta)


def _diagnose_routes(loss: Tensor, z: Tensor, codes: Tensor, beta: float) -> str | None:
    """Does each loss reach the one that it should move, and with the right strength?"""
    unit = 2 * (codes - z).detach() / z.numel()  # gradient of the mean square to the codes; minus it, to z
    to_z, to_codes = _gradients(loss, z, codes)
    if not to_codes.any():
        return "no loss moves the codes: detach z, not the codes, in the codebook loss."
    if not to_z.any():
        return "no loss pulls z to its code: detach the codes, not z, in the commitment loss."
    on_codes, on_z = float((to_codes / unit).mean()), float((-to_z / unit).mean())
    if abs(on_codes - beta) < 1e-4 and abs(on_z - 1) < 1e-4:
        return "beta is at the wrong loss: it weighs the commitment, the one that moves z."
    if abs(on_codes - 1 - beta) < 1e-4 and abs(on_z - 1 - beta) < 1e-4:
        return "both losses move both: each needs a detach."
    if abs(on_z - 1) < 1e-4:
        return "z is pulled with weight 1: multiply the commitment loss by beta."
    if abs(on_codes - z.numel()) < 1e-2 or abs(on_codes - z.shape[1]) < 1e-3:
        return "the losses are sums; take the mean over all numbers, or the learning rate depends on the batch."
    if abs(on_codes - 1) > 1e-4 or abs(on_z - beta) > 1e-4:
        return f"the codes should be pulled with weight 1 and z with beta; got {on_codes:.3g} and {on_z:.3g}."
    expected = (1 + beta) * float((z - codes).detach().square().mean())
    if abs(float(loss.detach()) - expected) > 1e-5:
        return f"the gradients are right, but the loss should be {expected:.4f}, got {float(loss.detach()):.4f}."
    return None


def _gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    """Gradients, zero where nothing flows."""
    if not loss.requires_grad:
        return [torch.zeros_like(tensor) for tensor in inputs]
    found = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, inputs, strict=True)]


# ---- moving averages -------------------------------------------------------------------------------------------------
def ema_step(count: Tensor, total: Tensor, z: Tensor, indices: Tensor, decay: float) -> tuple[Tensor, Tensor, Tensor]:
    """New running counts `[K]`, running sums `[K, D]` and codes `[K, D]` after a batch `z [n, D]` with its tokens."""
    hits = torch.bincount(indices, minlength=len(count)).to(z.dtype)  # [K]
    sums = torch.zeros_like(total).index_add(0, indices, z)  # [K, D]
    count = decay * count + (1 - decay) * hits
    total = decay * total + (1 - decay) * sums
    return count, total, total / count.unsqueeze(1)


def _diagnose_ema(function: Callable[..., Any]) -> str | None:
    z, indices, decay = normal(9, 3), torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 3]), 0.9  # code 2 gets nothing
    count, total = torch.tensor([2.0, 1.0, 4.0, 0.5]), normal(4, 3, seed=1)
    before = count.clone(), total.clone()
    result = function(count, total, z, indices, decay)
    if not (isinstance(result, tuple) and len(result) == 3 and all(isinstance(part, Tensor) for part in result)):
        return "return three tensors: counts, sums, codes."
    if not (torch.equal(count, before[0]) and torch.equal(total, before[1])):
        return "the function changes its inputs: make new tensors (no +=, no .mul_())."
    right = ema_step(count, total, z, indices, decay)
    for part, expected, name in zip(result, right, ("counts", "sums", "codes"), strict=True):
        if part.shape != expected.shape:
            return f"the {name} should have shape {tuple(expected.shape)}, got {tuple(part.shape)}."
    swapped = ema_step(count, total, z, indices, 1 - decay)
    if _close(result[0], swapped[0]) or _close(result[1], swapped[1]):
        return "decay is the share of the OLD value that stays: decay * old + (1 - decay) * new."
    hits = torch.bincount(indices, minlength=4)
    if _close(result[0], decay * count + (1 - decay) * (hits > 0)):
        return "the counts should grow by the number of hits, not by one for every code that is hit."
    if _close(result[0], torch.where(hits > 0, right[0], count)):
        return "code 2 got no vector and its count stayed: it must decay, or the code's death goes unnoticed."
    if _close(result[0], decay * count + hits):
        return "the hits of this batch are added in full: they weigh 1 - decay, or the counts grow without end."
    if not _close(result[0], right[0]):
        wanted, got = ([round(value, 3) for value in part.tolist()] for part in (right[0], result[0]))
        return f"the counts should be {wanted}, got {got}."
    means = torch.zeros_like(total).index_add(0, indices, z) / hits.clamp(min=1).unsqueeze(1)
    if _close(result[1], decay * total + (1 - decay) * means):
        return "the running sum takes the SUM of the vectors of a code, not their mean: the division comes last."
    if not _close(result[1], right[1]):
        return "the counts are right, the sums are not: add each vector to the row of its code (index_add)."
    if _close(result[2], result[1]):
        return "the codes are still sums: divide each by its count."
    if not _close(result[2], right[2]):
        return "counts and sums are right, the codes are not: each code is its sum divided by its count."
    return None


# ---- the rescue ------------------------------------------------------------------------------------------------------
def rescue(count: Tensor, total: Tensor, z: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """Running counts `[K]` and sums `[K, D]` in which every code with a count below `limit` restarts on a vector."""
    dead = count < limit  # [K]
    chosen = z[torch.randperm(len(z))[: len(count)]]  # [K, D], K different vectors
    return torch.where(dead, 1.0, count), torch.where(dead.unsqueeze(1), chosen, total)


def _diagnose_rescue(function: Callable[..., Any]) -> str | None:
    z, codebook = normal(40, 3, seed=3), 5 + normal(6, 3, seed=1)
    count = torch.tensor([3.0, 0.01, 2.0, 0.02, 0.03, 8.0])
    total = codebook * count.unsqueeze(1)
    before = count.clone(), total.clone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        result = function(count, total, z, 0.5)
    if not (isinstance(result, tuple) and len(result) == 2 and all(isinstance(part, Tensor) for part in result)):
        return "return two tensors: the new counts and the new sums."
    if not (torch.equal(count, before[0]) and torch.equal(total, before[1])):
        return "the function changes its inputs: make new tensors (torch.where)."
    new_count, new_total = result
    if new_count.shape != count.shape or new_total.shape != total.shape:
        return f"the shapes should stay {tuple(count.shape)} and {tuple(total.shape)}."
    dead = count < 0.5
    if not torch.equal(new_total[~dead], total[~dead]) or not torch.equal(new_count[~dead], count[~dead]):
        return "a code that is alive was changed: only codes with a count below the limit restart."
    if torch.equal(new_total[dead], total[dead]):
        return "the sums of the dead codes are unchanged: at the next step sum / count puts each back in its old place."
    if torch.equal(new_count[dead], count[dead]):
        return (
            "the counts of the dead codes are unchanged: the code is vector / 0.01, a hundred times too far out, and "
            "still counts as dead. Give it a new count too."
        )
    places = new_total[dead] / new_count[dead].unsqueeze(1)
    # Without a matrix product: |a|² + |b|² - 2ab leaves 1e-3 of rounding where the distance is 0, more on some CPUs.
    distance = torch.cdist(places, z, compute_mode="donot_use_mm_for_euclid_dist")
    if float(distance.min(1).values.max()) > 1e-4:
        return "sum / count of a rescued code is not a vector of the batch: the sum must be the vector times the count."
    if bool((new_count[dead] < 0.5).any()):
        return "a rescued code is below the limit still: it would be moved again at the next step. Let it begin at 1."
    if len(distance.argmin(1).unique()) < int(dead.sum()):
        return "several dead codes were put onto the same vector: only one of them can win. Draw different ones."
    return None


EXERCISES = register(
    Exercise(
        "vq.nearest",
        nearest,
        _diagnose_nearest,
        "One matrix product instead of n x K differences of D numbers.",
        (
            "|z - c|^2 = |z|^2 - 2 z.c + |c|^2. Which of the three terms is the same for every code?",
            "The nearest code has the largest z.c - |c|^2 / 2; z @ codebook.T holds all products. Take the argmax.",
        ),
        form="z [n, D], codebook [K, D] -> int64 [n]",
    ),
    Exercise(
        "vq.losses",
        vq_losses,
        _diagnose_losses,
        "Three gradients, three routes: this is the whole of VQ-VAE.",
        (
            "Ask for each loss: which one should it move? Detach the other one.",
            "z.detach() - codes moves the codes, z - codes.detach() moves z. The rest is straight-through.",
        ),
        form="z, codes [n, D], beta: float -> [n, D] and a tensor without dimensions",
    ),
    Exercise(
        "vq.ema_step",
        ema_step,
        _diagnose_ema,
        "No optimizer moves these codes, and no learning rate has to be tuned for them.",
        (
            "Counts and sums are averaged over time, separately; only at the end is one divided by the other.",
            "hits: torch.bincount(indices, minlength=K). sums: torch.zeros_like(total).index_add(0, indices, z).",
        ),
        form="count [K], total [K, D], z [n, D], indices int64 [n], decay: float -> [K], [K, D], [K, D]",
    ),
    Exercise(
        "vq.rescue",
        rescue,
        _diagnose_rescue,
        "A code that restarts forgets everything: place, sum and count.",
        (
            "A code IS its sum divided by its count. So what must both be, for the code to be a vector of the batch?",
            "dead = count < limit; torch.where(dead, 1.0, count), and the drawn vectors themselves as sums.",
        ),
        form="count [K], total [K, D], z [n, D], limit: float -> [K] and [K, D]",
    ),
)
