"""Marks in printed text that say "this part may differ", and a comparison that prints one.

The notebooks are executed again in every build and their printed text is compared. A float differs between machines
in its last digits, and whatever a trained model gives may differ altogether, so both are printed after the mark `≈`, a
time after `⏱`, a device after `device:`. The comparison replaces what follows a mark and nothing else: names, whole
numbers and verdicts stay compared. A trained number is therefore stated with `expect`, which compares it by a bound.
"""

from __future__ import annotations

from collections.abc import Callable

Bound = float | tuple[str, float]  # a number, or a number with a name


def about(value: float, digits: int = 4, *, width: int = 0) -> str:
    """A float with the mark that allows it to differ.

    Args:
        value: the number.
        digits: significant digits.
        width: letters that the number takes, for a column of a line that is printed on its own. The padding comes after
            the mark, where it may differ, too: `f"{about(value):<9} mm"` would print more or fewer blanks on another
            machine. `ml.Table` pads on its own.

    >>> about(0.0123), about(1234.5, 2), about(7.25, width=6)
    ('≈0.0123', '≈1.2e+03', '≈  7.25')
    """
    return f"≈{value:>{width}.{digits}g}" if width else f"≈{value:.{digits}g}"


def expect(
    name: str,
    value: float,
    *,
    lt: Bound | None = None,
    gt: Bound | None = None,
    eq: Bound | None = None,
    approx: Bound | None = None,
    rel: float = 1e-3,
) -> None:
    """State what a number must satisfy: print the verdict, or raise.

    Args:
        name: what the number is.
        value: the number.
        lt, gt, eq, approx: what it must be below, above, exactly or about; a number, or a pair (its name, the number).
            Several may be given. With `eq` the value is printed without the mark, so it is compared exactly.
        rel: how far `approx` may be off, as a share of the expected number.

    Raises:
        AssertionError: a statement is false. The message holds both numbers.

    >>> expect("fsq_mse", 0.0123, lt=("vq_mse", 0.0201))
    fsq_mse ≈0.0123  ✓ < vq_mse ≈0.0201
    >>> expect("codes", 64000, eq=64000)
    codes 64000  ✓ = 64000
    """
    tests: list[tuple[str, Bound | None, Callable[[float, float], bool]]] = [
        ("<", lt, lambda a, b: a < b),
        (">", gt, lambda a, b: a > b),
        ("=", eq, lambda a, b: a == b),
        ("~", approx, lambda a, b: abs(a - b) <= rel * abs(b)),
    ]
    if all(bound is None for _, bound, _ in tests):
        raise TypeError("expect() needs at least one of lt, gt, eq, approx")
    value = float(value)
    shown = f"{value:g}" if eq is not None else about(value)
    verdicts, wrong = [], False
    for sign, bound, holds in tests:
        if bound is None:
            continue
        other = f"{bound[0]} {about(bound[1])}" if isinstance(bound, tuple) else f"{bound:g}"
        good = holds(value, float(bound[1] if isinstance(bound, tuple) else bound))
        wrong |= not good
        verdicts.append(f"{'✓' if good else '✗'} {sign} {other}")
    line = f"{name} {shown}  " + "  ".join(verdicts)
    if wrong:
        raise AssertionError(line)
    print(line)
