"""When two frame rates are the same: files keep a rounded time of a frame, and 1 / 0.0333333 is 30.00003."""

from __future__ import annotations

TOLERANCE = 1e-4
"""Of the rate: a file of ten minutes is 0.06 s off at most. 29.97 and 30 (1e-3 apart) are two rates."""


def same_rate(one: float, other: float) -> bool:
    """Whether two rates, in frames a second, are the same but for rounding.

    >>> same_rate(29.9999943, 30.0), same_rate(29.97, 30.0)
    (True, False)
    """
    return abs(one - other) <= TOLERANCE * max(one, other)


def whole_rate(fps: float) -> float:
    """The whole number that a rate was rounded from, else the rate itself.

    >>> whole_rate(1 / 0.008333), whole_rate(29.97)
    (120.0, 29.97)
    """
    return float(round(fps)) if round(fps) > 0 and same_rate(fps, round(fps)) else fps
