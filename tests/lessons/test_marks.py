"""expect() states the truth or raises, and the sanitizer hides exactly what its marks announce."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from motionlab.lessons.marks import about, expect


def sanitize(root: Path, text: str) -> str:
    """What nbval does with notebooks/sanitize.cfg."""
    lines = (root / "notebooks" / "sanitize.cfg").read_text(encoding="utf-8").splitlines()
    rules = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("regex:", "replace:"))]
    for pattern, replacement in zip(rules[::2], rules[1::2], strict=True):
        text = re.sub(pattern, replacement, text)
    return text


def test_every_bound(capsys: pytest.CaptureFixture[str]) -> None:
    expect("a", 1.0, lt=2, gt=("low", 0.5), approx=1.0001)
    assert capsys.readouterr().out == "a ≈1  ✓ < 2  ✓ > low ≈0.5  ✓ ~ 1.0001\n"


@pytest.mark.parametrize(
    "bounds", [{"lt": 1.0}, {"gt": 1.0}, {"eq": 2}, {"approx": 1.1}, {"lt": float("nan")}, {"gt": 0, "lt": ("b", 0.5)}]
)
def test_a_false_statement_raises(bounds: dict) -> None:
    with pytest.raises(AssertionError, match="a .*✗"):
        expect("a", 1.0, **bounds)


def test_nothing_to_expect_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        expect("a", 1.0)


def test_the_sanitizer_hides_numbers_after_marks_only(root: Path) -> None:
    a = "fsq_mse ≈0.0123  ✓ < vq_mse ≈0.0201; 64000 codes; 0.5"
    b = "fsq_mse ≈1.3e-02  ✓ < vq_mse ≈0.9; 64000 codes; 0.5"
    assert sanitize(root, a) == sanitize(root, b)
    for other in (
        b.replace("✓ <", "✗ <"),
        b.replace("64000", "64001"),
        b.replace("0.5", "0.6"),
        b.replace("fsq", "vq", 1),
    ):
        assert sanitize(root, a) != sanitize(root, other)


def test_the_sanitizer_hides_machine_and_time(root: Path) -> None:
    a = "device: cpu (torch sees no GPU) · threads: 1\n⏱ 3.1 s · 7 rows"
    b = "device: cuda (torch sees NVIDIA H200) · threads: 16\n⏱ 140 ms · 7 rows"
    assert sanitize(root, a) == sanitize(root, b) != sanitize(root, b.replace("7", "8"))


def test_shapes_are_not_addresses(root: Path) -> None:
    assert sanitize(root, "Figure size 400x200") == "Figure size 400x200"


@pytest.mark.parametrize("value", [0.1, -2e-9, 1e22, float("nan"), float("inf"), float("-inf")])
def test_every_float_that_about_prints_is_hidden(root: Path, value: float) -> None:
    assert sanitize(root, f"x {about(value)} y") == "x ≈NUM y"
