"""Intervals: against formulas, against simulation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.evaluation.intervals import (
    Interval,
    bootstrap,
    bootstrap_mean,
    differs,
    means_differ,
    over_seeds,
    wilson,
)


def test_wilson_holds_the_share_and_stays_within_0_and_1():
    for n in (1, 7, 64):
        for right in range(n + 1):
            interval = wilson(right, n)
            assert 0 <= interval.low <= right / n <= interval.high <= 1
    assert wilson(10, 10).low == pytest.approx(0.7225, abs=1e-4)  # a value of the literature


def test_bootstrap_of_a_mean_is_near_its_normal_interval():
    rows = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    interval = bootstrap(rows)
    half = 1.96 * rows.std(ddof=1) / 20
    assert interval.value == pytest.approx(rows.mean())
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.1)


def test_copies_of_a_clip_do_not_make_a_score_surer():
    rows = np.random.default_rng(1).normal(size=20)
    alone = bootstrap(rows)
    copied = np.repeat(rows, 30)
    grouped = bootstrap(copied, groups=np.repeat(np.arange(20), 30))
    naive = bootstrap(copied)
    assert grouped.n == 20
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert naive.high - naive.low < 0.4 * (alone.high - alone.low)


def _scores(random, seeds, clips, seed_spread, clip_spread, rest):
    return (
        seed_spread * random.normal(size=(seeds, 1))
        + clip_spread * random.normal(size=(1, clips))
        + rest * random.normal(size=(seeds, clips))
    )


@pytest.mark.parametrize("spreads", [(1, 0, 0.5), (0, 1, 0.5), (0.2, 1, 1), (0, 0, 1)])
def test_the_interval_over_seeds_and_clips_holds_the_truth_about_95_times_in_100(spreads):
    random = np.random.default_rng(2)
    held = [0.0 in over_seeds(_scores(random, 5, 64, *spreads)) for _ in range(400)]
    assert 0.91 <= np.mean(held) <= 1.0


def test_no_difference_counts_about_one_time_in_twenty_at_most():
    random = np.random.default_rng(3)
    false = 0
    for _ in range(400):
        clips = random.normal(size=(1, 64))
        a, b = (_scores(random, 4, 64, 0.2, 0, 0.5) + clips for _ in "ab")
        false += differs(a, b).counts
    assert false <= 0.08 * 400


def test_a_large_difference_counts_although_clips_are_hard_for_both():
    random = np.random.default_rng(4)
    clips = 5 * random.normal(size=(1, 64))
    a, b = (_scores(random, 5, 64, 0.1, 0, 0.3) + clips for _ in "ab")
    found = differs(a + 1.0, b)
    assert found.counts and found.value == pytest.approx(1.0, abs=0.3)
    assert (found.n, found.clips) == (5, 64)


def test_means_alone_give_an_interval_that_holds_that_of_every_clip():
    random = np.random.default_rng(5)
    for _ in range(100):
        hard = random.uniform(0.1, 0.9, size=(1, 64))  # the same clips for both
        a, b = ((random.random((3, 64)) < hard + shift).astype(float) for shift in (0.0, random.uniform(0, 0.3)))
        whole, means = differs(a, b), means_differ(a.mean(1), b.mean(1), clips=64)
        assert means.value == pytest.approx(whole.value) and (means.n, means.clips) == (3, 64)
        assert not means.counts or whole.counts


def test_means_without_clips_are_judged_over_their_seeds_alone():
    a, b = [1.0, 1.1, 1.2], [3.0, 3.2, 3.1]
    found = means_differ(a, b)
    assert found == means_differ(np.asarray(a), b) and str(found).endswith("3 seeds): counts")
    plain = differs([[x] for x in a], [[x] for x in b])
    assert (found.low, found.high) == (plain.low, plain.high)
    with pytest.raises(InputError, match="from 0 to 1"):
        means_differ(a, b, clips=64)


def test_equal_scores_have_an_interval_of_no_width():
    assert over_seeds([[0.5, 0.5], [0.5, 0.5]]) == Interval(0.5, 0.5, 0.5, 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(3, 2),
        lambda: wilson(0, 0),
        lambda: bootstrap([]),
        lambda: bootstrap([1.0, 2.0], groups=["a"]),
        lambda: over_seeds([[1.0], [1.0, 2.0]]),
        lambda: over_seeds([[float("nan")]]),
        lambda: differs([[1.0, 2.0]], [[1.0, 2.0]]),
        lambda: differs([[1.0], [2.0]], [[1.0, 2.0], [1.0, 2.0]]),
        lambda: means_differ([1.0], [2.0, 3.0]),
    ],
)
def test_what_is_refused(call):
    with pytest.raises(InputError):
        call()


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(8), 5)])
def test_the_bootstrap_of_a_mean_is_the_plain_one_at_once(groups):
    rows = np.random.default_rng(2).normal(size=40)
    fast, plain = bootstrap_mean(rows, groups=groups), bootstrap(rows, groups=groups)
    assert (fast.value, fast.low, fast.high) == pytest.approx((plain.value, plain.low, plain.high))
    assert fast.n == plain.n


def test_rows_that_are_all_right_are_not_sure_to_be():
    assert bootstrap_mean([1.0] * 64) == wilson(64, 64)
    assert bootstrap_mean([0.0] * 6, groups=list("aabbcc")) == wilson(0, 3)
    with pytest.raises(InputError, match="at least one, and a group for each"):
        bootstrap_mean([1.0, 0.5], groups=["a"])
