"""Splits by episode: each number once, sizes near the fractions, every task in every part."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.vla.splits import split_episodes


@settings(deadline=None)
@given(st.integers(3, 200), st.integers(0, 2**31), st.sampled_from([(1.0,), (0.9, 0.1), (0.5, 0.3, 0.2)]))
def test_each_episode_is_in_exactly_one_part(n, seed, fractions):
    parts = split_episodes(n, seed, fractions)
    assert sorted(number for part in parts for number in part) == list(range(n))
    assert parts == split_episodes(n, seed, fractions)
    assert all(part and list(part) == sorted(part) for part in parts)
    assert all(abs(len(part) - n * share) < len(fractions) for part, share in zip(parts, fractions, strict=True))


def test_seeds_give_other_parts_of_the_same_sizes():
    one, two = split_episodes(40, 0, (0.8, 0.2)), split_episodes(40, 1, (0.8, 0.2))
    assert one != two and [len(p) for p in one] == [len(p) for p in two] == [32, 8]


def test_every_group_is_split_by_itself():
    groups = ["a"] * 10 + ["b"] * 20 + ["a"] * 10
    train, rest = split_episodes(40, 3, (0.9, 0.1), groups)
    assert [sum(groups[n] == name for n in rest) for name in "ab"] == [2, 2]
    assert not set(train) & set(rest)


@pytest.mark.parametrize(
    ("n", "fractions", "groups", "message"),
    [
        (1, (0.5, 0.5), None, "episodes: found 1, expected at least 2"),
        (0, (1.0,), None, "episodes: found 0"),
        (5, (0.5, 0.6), None, "fractions: found"),
        (5, (1.5, -0.5), None, "fractions: found"),
        (5, (), None, "fractions: found"),
        (3, (0.5, 0.5), ["a", "a", "b"], "episodes of 'b': found 1"),
        (3, (1.0,), ["a"], "groups: found 1 groups, expected 3"),
    ],
)
def test_what_cannot_be_split_is_refused(n, fractions, groups, message):
    with pytest.raises(InputError, match=message):
        split_episodes(n, 0, fractions, groups)
