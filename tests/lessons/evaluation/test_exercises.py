"""The checks of lesson 13: the reference passes, and each typical mistake gets the message that names it."""

from __future__ import annotations

import math
from collections import Counter

import torch

from lessons.evaluation.exercises import TOES, counts, fid, fid_with, order_blind, r_at_k, sliding
from motionlab.evaluation.distribution import frechet_distance, r_precision
from motionlab.evaluation.physics import physics


def _cov(a):
    return torch.cov(a.T)


def _means(a, b):
    return (a.mean(0) - b.mean(0)).square().sum()


FID_MUTANTS = {
    "means alone": (lambda a, b: _means(a, b), "means alone"),
    "root of entries": (
        lambda a, b: _means(a, b) + (_cov(a) + _cov(b) - 2 * (_cov(a) @ _cov(b)).abs().sqrt()).trace(),
        "root of each entry",
    ),
    "no root": (lambda a, b: _means(a, b) + _cov(a).trace() + _cov(b).trace(), "twice its variance"),
    "not squared": (lambda a, b: fid(a, b) - _means(a, b) + _means(a, b).sqrt(), "is squared"),
    "N": (lambda a, b: fid_with(a, b, correction=0), "N - 1"),
    "table": (lambda a, b: a, "one number"),
}

R_MUTANTS = {
    "motion to text": (lambda text, motion, k: r_at_k(motion, text, k), "motion of a caption"),
    "k unused": (lambda text, motion, k: r_at_k(text, motion, 1), "k = 1 only"),
    "misses": (lambda text, motion, k: 1 - r_at_k(text, motion, k), "at least R@1"),
    "k or fewer": (lambda text, motion, k: r_at_k(text, motion, k + 1), "fewer than k"),
    "number": (lambda text, motion, k: len(text) * r_at_k(text, motion, k), "share is wanted"),
}


def _speed(joints, fps, axes=(0, 2)):
    toes = joints[:, TOES]
    step = toes[1:][..., list(axes)] - toes[:-1][..., list(axes)]
    return step.norm(dim=-1) * fps, torch.maximum(toes[1:, :, 1], toes[:-1, :, 1]) < 0.07


def _share(speed, where):
    return float((speed[where] > 0.3).double().mean())


def _with_height(joints, fps):
    return _share(*_speed(joints, fps, (0, 1, 2)))


SLIDING_MUTANTS = {
    "in the air": (lambda joints, fps: float((_speed(joints, fps)[0] > 0.3).double().mean()), "in the air"),
    "of all": (
        lambda joints, fps: float(((_speed(joints, fps)[0] > 0.3) & _speed(joints, fps)[1]).double().mean()),
        "near the floor",
    ),
    "a frame": (lambda joints, fps: _share(_speed(joints, fps)[0] / fps, _speed(joints, fps)[1]), "metres per frame"),
    "30 fps": (lambda joints, fps: sliding(joints, 30.0), "distance times fps"),
    "first frame": (
        lambda joints, fps: _share(_speed(joints, fps)[0], joints[:-1][:, TOES, 1] < 0.07),
        "low in both frames",
    ),
    "with height": (_with_height, "height is in this speed"),
}

BLIND_MUTANTS = {
    "in order": (lambda a, b: float(a == b), "order must not cost"),
    "precision": (lambda a, b: sum((Counter(a) & Counter(b)).values()) / len(b), "kick is missing"),
    "sets": (lambda a, b: 2 * len(set(a) & set(b)) / (len(set(a)) + len(set(b))), "walk is wanted twice"),
    "longer list": (lambda a, b: sum((Counter(a) & Counter(b)).values()) / max(len(a), len(b)), "the longer list"),
}


def _differences(a, b):
    return torch.tensor(a, dtype=torch.float64) - torch.tensor(b, dtype=torch.float64)


COUNTS_MUTANTS = {
    "never": (lambda a, b: False, "that counts"),
    "always": (lambda a, b: True, "one lucky seed"),
    "only better": (lambda a, b: counts(a, b) and sum(a) > sum(b), "being worse counts"),
    "two standard errors": (
        lambda a, b: (
            abs(float(_differences(a, b).mean())) > 2 * float(_differences(a, b).std()) / math.sqrt(len(a))
            or len(a) == 2
        ),
        "t is 12.7",
    ),
}


def test_each_typical_mistake_gets_its_message(missed_mistakes):
    mutants = {
        "evaluation.fid": FID_MUTANTS,
        "evaluation.r_at_k": R_MUTANTS,
        "evaluation.sliding": SLIDING_MUTANTS,
        "evaluation.order_blind": BLIND_MUTANTS,
        "evaluation.counts": COUNTS_MUTANTS,
    }
    assert missed_mistakes(mutants) == {}


def test_references_equal_the_package():
    random = torch.Generator().manual_seed(3)
    a, b = (torch.randn(n, 5, generator=random, dtype=torch.float64) for n in (50, 70))
    assert math.isclose(fid(a, b), frechet_distance(a, b), rel_tol=1e-6)
    text, motion = torch.randn(2, 30, 6, generator=random)
    for k in (1, 2, 3):
        assert math.isclose(r_at_k(text, motion, k), r_precision(text, motion, ks=(k,))[k].value, abs_tol=1e-9)
    joints = torch.rand(40, 22, 3, generator=random) * 0.1
    assert math.isclose(sliding(joints, 30.0), physics(joints).sliding, abs_tol=1e-6)
    assert order_blind([], []) == 1.0
