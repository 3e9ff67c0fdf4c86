"""expect() states the truth or raises, and the sanitizer hides exactly what its marks announce."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from motionlab.teaching.expect import about, expect


def test_every_bound(capsys: pytest.CaptureFixture[str]) -> None:
    expect("a", 1.0, lt=2, gt=("low", 0.5), approx=1.0001)
    assert capsys.readouterr().out == "a ≈1  ✓ < 2  ✓ > low ≈0.5  ✓ ~ 1.0001\n"


@pytest.mark.parametrize(
    "bounds", [{"lt": 1.0}, {"gt": 1.0}, {"eq": 2}, {"approx": 1.1}, {"lt": float("nan")}, {"gt": 0, "lt": ("b", 0.5)}]
)
def test_a_false_statement_raises(bounds: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="a .*✗"):
        expect("a", 1.0, **bounds)


def test_nothing_to_expect_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        expect("a", 1.0)


def test_the_sanitizer_hides_numbers_after_marks_only(sanitize: Callable[[str], str]) -> None:
    a = "fsq_mse ≈0.0123  ✓ < vq_mse ≈0.0201; 64000 codes; 0.5"
    b = "fsq_mse ≈1.3e-02  ✓ < vq_mse ≈0.9; 64000 codes; 0.5"
    assert sanitize(a) == sanitize(b)
    for other in (
        b.replace("✓ <", "✗ <"),
        b.replace("64000", "64001"),
        b.replace("0.5", "0.6"),
        b.replace("fsq", "vq", 1),
    ):
        assert sanitize(a) != sanitize(other)


def test_the_sanitizer_hides_machine_and_time(sanitize: Callable[[str], str]) -> None:
    a = "device: cpu (torch sees no GPU) · threads: 1\n⏱ 3.1 s · 7 rows"
    b = "device: cuda (torch sees NVIDIA H200) · threads: 16\n⏱ 140 ms · 7 rows"
    assert sanitize(a) == sanitize(b) != sanitize(b.replace("7", "8"))


def test_shapes_are_not_addresses(sanitize: Callable[[str], str]) -> None:
    assert sanitize("Figure size 400x200") == "Figure size 400x200"


@pytest.mark.parametrize("value", [0.1, -2e-9, 1e22, float("nan"), float("inf"), float("-inf")])
def test_every_float_that_about_prints_is_hidden(sanitize: Callable[[str], str], value: float) -> None:
    assert sanitize(f"x {about(value)} y") == "x ≈NUM y"


def test_a_width_stands_between_mark_and_number(sanitize: Callable[[str], str]) -> None:
    assert about(-0.5, width=8) == "≈    -0.5"
    lines = {sanitize(f"{about(value, width=11)} mm, {name}") for value, name in ((9.5, "a"), (-1e-300, "a"))}
    assert lines == {"≈NUM mm, a"}
