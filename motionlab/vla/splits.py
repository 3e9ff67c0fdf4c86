"""Which demonstrations a policy learns from: whole episodes, never frames.

Neighbouring frames of an episode are nearly the same picture. Split by frames, a validation set measures memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from motionlab.errors import InputError


def split_episodes(
    n: int, seed: int, fractions: Sequence[float], groups: Sequence[Hashable] | None = None
) -> tuple[tuple[int, ...], ...]:
    """The numbers 0 to n - 1 in as many parts as there are fractions; each number in exactly one, each part ascending.

    Args:
        n: episodes.
        seed: another one gives other parts of the same sizes.
        fractions: above 0, with the sum 1.
        groups: of each episode, such as its task; then each group is split by itself, so that no part lacks a task.

    Raises:
        InputError: fractions that are none, or fewer episodes (of a group) than parts.

    >>> split_episodes(5, seed=0, fractions=(0.8, 0.2))
    ((0, 2, 3, 4), (1,))
    """
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            "fractions", found=list(fractions), expected="numbers above 0 with the sum 1", fix="Change them."
        )
    if groups is not None and len(groups) != n:
        raise InputError("groups", found=f"{len(groups)} groups", expected=f"{n}", fix="Give one for each episode.")
    names = [0] * n if groups is None else list(groups)
    rng = np.random.default_rng(seed)
    parts: list[list[int]] = [[] for _ in fractions]
    for name in dict.fromkeys(names) or [0]:
        members = [number for number in range(n) if names[number] == name]
        if len(members) < len(fractions):
            where = "episodes" if groups is None else f"episodes of {name!r}"
            fix = "Give more demonstrations, or fewer fractions."
            raise InputError(where, found=len(members), expected=f"at least {len(fractions)}", fix=fix)
        start = 0
        order = rng.permutation(members).tolist()
        for part, size in zip(parts, _sizes(len(members), fractions), strict=True):
            part.extend(order[start : start + size])
            start += size
    return tuple(tuple(sorted(part)) for part in parts)


def _sizes(n: int, fractions: Sequence[float]) -> list[int]:
    """Whole numbers with the sum n, near to n times each fraction, and none of them 0."""
    sizes = [max(1, int(n * fraction)) for fraction in fractions]
    while sum(sizes) != n:
        step = 1 if sum(sizes) < n else -1
        pairs = zip(fractions, sizes, strict=True)
        sizes[int(np.argmax([(n * share - size) * step if size + step > 0 else -np.inf for share, size in pairs]))] += (
            step
        )
    return sizes
