"""The check of lesson 00's exercise names the usual mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from lessons.start_here.exercises import token_count
from motionlab.teaching.exercise import run_check


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda frames, r: frames // r, "frames at the end are lost"),
        (lambda frames, r: frames // r + 1, "one more"),
        (lambda frames, r: round(frames / r), "nearest whole number"),
        (lambda frames, r: frames / r, "whole numbers"),
        (lambda frames, r: -(-frames // 4), "frames_per_token"),
        (lambda frames, r: frames, "1 tokens, got 4"),
    ],
)
def test_mistakes_are_named(function: Callable[..., Any], words: str) -> None:
    verdict = run_check("start.token_count", function)
    assert verdict.startswith("✗") and words in verdict


def test_right_answers_pass() -> None:
    for function in (token_count, lambda frames, r: math.ceil(frames / r)):
        assert run_check("start.token_count", function).startswith("✓")
