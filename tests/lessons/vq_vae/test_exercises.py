"""The checks of lesson 02: the references pass and agree with the package, and each typical mistake is named."""

from __future__ import annotations

import torch

from lessons.vq_vae.exercises import ema_step, nearest, vq_losses
from motionlab.quantizers.codebook import nearest_codes
from motionlab.quantizers.vq import VQ
from motionlab.quantizers.vq_ema import VQEMA
from motionlab.teaching.exercise import run_check

NEAREST_MUTANTS = {
    "the product alone": (lambda z, c: (z @ c.T).argmax(1), "favours long codes"),
    "the length twice": (lambda z, c: (z @ c.T - c.square().sum(1)).argmax(1), "counts twice"),
    "the length not squared": (lambda z, c: (z @ c.T - c.norm(dim=1) / 2).argmax(1), "SQUARED"),
    "the farthest": (lambda z, c: torch.cdist(z, c).argmax(1), "FARTHEST"),
    "over the wrong dimension": (lambda z, c: torch.cdist(z, c).argmin(0), "nearest VECTOR"),
    "the distance itself": (lambda z, c: torch.cdist(z, c).min(1).values, "distances"),
    "one index": (lambda z, c: torch.cdist(z, c).argmin(), "shape"),
    "absolute differences": (lambda z, c: torch.cdist(z, c, p=1).argmin(1), "squared distances"),
    "a list": (lambda z, c: torch.cdist(z, c).argmin(1).tolist(), "tensor of indices"),
    "always the first": (lambda z, c: torch.zeros(len(z), dtype=torch.long), "not the nearest"),
    "broken": (lambda z, c: z @ c, "raised RuntimeError"),
}


def _seen(z, codes):
    return z + (codes - z).detach()


def _mean(a, b):
    return (a - b).square().mean()


LOSS_MUTANTS = {
    "beta at the wrong loss": (
        lambda z, c, b: (_seen(z, c), b * _mean(z.detach(), c) + _mean(z, c.detach())),
        "wrong loss",
    ),
    "no detach": (lambda z, c, b: (_seen(z, c), _mean(z, c) + b * _mean(z, c)), "both losses move both"),
    "codes detached twice": (
        lambda z, c, b: (_seen(z, c), _mean(z, c.detach()) + b * _mean(z, c.detach())),
        "no loss moves the codes",
    ),
    "z detached twice": (
        lambda z, c, b: (_seen(z, c), _mean(z.detach(), c) + b * _mean(z.detach(), c)),
        "no loss pulls z",
    ),
    "beta forgotten": (
        lambda z, c, b: (_seen(z, c), _mean(z.detach(), c) + _mean(z, c.detach())),
        "multiply the commitment loss",
    ),
    "sums": (
        lambda z, c, b: (_seen(z, c), (z.detach() - c).square().sum() + b * (z - c.detach()).square().sum()),
        "take the mean",
    ),
    "no straight-through": (lambda z, c, b: (c.detach(), vq_losses(z, c, b)[1]), "encoder cannot learn"),
    "gradient to both": (lambda z, c, b: (z + c - z.detach(), vq_losses(z, c, b)[1]), "moves the codes too"),
    "codes themselves": (lambda z, c, b: (c, vq_losses(z, c, b)[1]), "encoder cannot learn"),
    "nothing quantized": (lambda z, c, b: (z, vq_losses(z, c, b)[1]), "nothing is quantized"),
    "loss not reduced": (
        lambda z, c, b: (_seen(z, c), (z.detach() - c).square() + b * (z - c.detach()).square()),
        "one number",
    ),
    "a constant added": (lambda z, c, b: (_seen(z, c), vq_losses(z, c, b)[1] + 1), "gradients are right"),
    "the loss alone": (lambda z, c, b: vq_losses(z, c, b)[1], "two tensors"),
}


def _hits(indices, count):
    return torch.bincount(indices, minlength=len(count)).float()


def _sums(indices, total, z):
    return torch.zeros_like(total).index_add(0, indices, z)


def _in_place(count, total, z, indices, decay):
    count.mul_(decay).add_(_hits(indices, count) * (1 - decay))
    total.mul_(decay).add_(_sums(indices, total, z) * (1 - decay))
    return count, total, total / count[:, None]


def _mean_not_sum(count, total, z, indices, decay):
    hits = _hits(indices, count)
    count = decay * count + (1 - decay) * hits
    total = decay * total + (1 - decay) * _sums(indices, total, z) / hits.clamp(min=1)[:, None]
    return count, total, total / count[:, None]


def _only_hit_decay(count, total, z, indices, decay):
    hit = _hits(indices, count) > 0
    new = ema_step(count, total, z, indices, decay)
    count, total = torch.where(hit, new[0], count), torch.where(hit[:, None], new[1], total)
    return count, total, total / count[:, None]


def _one_for_each(count, total, z, indices, decay):
    count = decay * count + (1 - decay) * (_hits(indices, count) > 0)
    total = ema_step(count, total, z, indices, decay)[1]
    return count, total, total / count[:, None]


def _last_one_wins(count, total, z, indices, decay):
    sums = torch.zeros_like(total)
    sums[indices] += z  # adds only one of several rows with the same index
    count = ema_step(count, total, z, indices, decay)[0]
    total = decay * total + (1 - decay) * sums
    return count, total, total / count[:, None]


EMA_MUTANTS = {
    "decay turned round": (lambda n, s, z, i, m: ema_step(n, s, z, i, 1 - m), "share of the OLD value"),
    "means averaged": (_mean_not_sum, "not their mean"),
    "unused counts stay": (_only_hit_decay, "must decay"),
    "one for each code": (_one_for_each, "number of hits"),
    "hits in full": (
        lambda n, s, z, i, m: (m * n + torch.bincount(i, minlength=len(n)), *ema_step(n, s, z, i, m)[1:]),
        "weigh 1 - decay",
    ),
    "sums[indices] += z": (_last_one_wins, "index_add"),
    "sums as codes": (lambda n, s, z, i, m: (*ema_step(n, s, z, i, m)[:2], ema_step(n, s, z, i, m)[1]), "still sums"),
    "divided by the batch's hits": (
        lambda n, s, z, i, m: (*ema_step(n, s, z, i, m)[:2], ema_step(n, s, z, i, m)[1] / _hits(i, n)[:, None]),
        "divided by its count",
    ),
    "in place": (_in_place, "changes its inputs"),
    "codes alone": (lambda n, s, z, i, m: ema_step(n, s, z, i, m)[2], "three tensors"),
    "row instead of column": (lambda n, s, z, i, m: (ema_step(n, s, z, i, m)[0], s[:2], s), "shape"),
}


def _rescue(keep_count=False, keep_sum=False, new=1.0, same=False, everyone=False, times_count=True):
    def mutant(count, total, z, limit):
        dead = torch.ones_like(count, dtype=torch.bool) if everyone else count < limit
        rows = torch.zeros(len(count), dtype=torch.long) if same else torch.randperm(len(z))[: len(count)]
        fresh = z[rows] * (new if times_count else 1.0)
        return (
            count if keep_count else torch.where(dead, new, count),
            total if keep_sum else torch.where(dead[:, None], fresh, total),
        )

    return mutant


def _rescue_in_place(count, total, z, limit):
    dead = count < limit
    total[dead], count[dead] = z[: int(dead.sum())], 1.0
    return count, total


RESCUE_MUTANTS = {
    "as published: nothing begins anew": (lambda n, s, z, limit: (n, s), "puts each back"),
    "sum kept": (_rescue(keep_sum=True), "puts each back"),
    "count kept": (_rescue(keep_count=True), "hundred times too far out"),
    "sum does not fit the count": (_rescue(new=2.0, times_count=False), "vector times the count"),
    "still dead": (_rescue(new=0.1), "moved again"),
    "all onto one vector": (_rescue(same=True), "same vector"),
    "everyone rescued": (_rescue(everyone=True), "alive was changed"),
    "in place": (_rescue_in_place, "changes its inputs"),
    "count alone": (lambda n, s, z, limit: n, "two tensors"),
}
MUTANTS = {
    "vq.nearest": NEAREST_MUTANTS,
    "vq.losses": LOSS_MUTANTS,
    "vq.ema_step": EMA_MUTANTS,
    "vq.rescue": RESCUE_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_other_right_answers_pass() -> None:
    assert run_check("vq.nearest", lambda z, c: torch.cdist(z, c).argmin(1)).startswith("✓")
    assert run_check("vq.rescue", _rescue(new=2.0)).startswith("✓")

    def losses(z, codes, beta):
        loss = torch.nn.functional.mse_loss
        return codes.detach() + z - z.detach(), loss(codes, z.detach()) + beta * loss(z, codes.detach())

    assert run_check("vq.losses", losses).startswith("✓")


def test_references_agree_with_the_package() -> None:
    z, codebook = torch.randn(30, 4), torch.randn(6, 4)
    assert torch.equal(nearest(z, codebook), nearest_codes(z, codebook))

    vq = VQEMA(6, 4, reset=False)
    vq(z)
    before = vq.cluster_size.clone(), vq.cluster_sum.clone()
    indices = vq(z * 1.1).indices
    count, total, codes = ema_step(*before, z * 1.1, indices, vq.decay)
    assert torch.allclose(vq.cluster_size, count, atol=1e-6) and torch.allclose(vq.cluster_sum, total, atol=1e-6)
    assert torch.allclose(vq.codebook, codes, atol=1e-5)

    learned = VQ(6, 4, commitment=0.3)
    out = learned(z)
    seen, loss = vq_losses(z, learned.codebook[out.indices], 0.3)
    assert torch.allclose(out.codes, seen, atol=1e-6) and torch.allclose(out.loss, loss, atol=1e-6)
