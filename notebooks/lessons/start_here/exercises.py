"""The exercise of lesson 00, made to show how exercises work: how many tokens does a clip become?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from motionlab.teaching.exercise import Exercise, register


def token_count(frames: int, frames_per_token: int) -> int:
    """Tokens of a clip: every token covers `frames_per_token` frames, and the last one may be partly empty."""
    return -(-frames // frames_per_token)


def _diagnose(function: Callable[..., Any]) -> str | None:
    answers = {frames: function(frames, 4) for frames in (1, 4, 61, 63, 64, 300)}
    if any(not isinstance(answer, int) for answer in answers.values()):
        return f"tokens are counted in whole numbers: for 64 frames you returned {answers[64]!r}."
    if answers[64] == 17:
        return "64 frames fill 16 tokens exactly, but you count one more. Round up only when frames are left over."
    if answers[61] == 15 and answers[63] == 15:
        return "the frames at the end are lost: 61 frames need 16 tokens, not 15. Round up instead of down."
    if answers[61] == 15:
        return "this rounds to the nearest whole number: 61 frames get 15 tokens and one frame is lost. Round up."
    wrong = [frames for frames, answer in answers.items() if answer != token_count(frames, 4)]
    if wrong:
        return f"{wrong[0]} frames at 4 per token need {token_count(wrong[0], 4)} tokens, got {answers[wrong[0]]}."
    if function(10, 3) != 4:
        return "it works for 4 frames per token only: use the argument frames_per_token."
    return None


EXERCISES = register(
    Exercise(
        "start.token_count",
        token_count,
        _diagnose,
        "This is how every exercise answers.",
        (
            "How many tokens do 4 frames need at 4 frames per token? And 5 frames?",
            "math.ceil(frames / frames_per_token) works; so does -(-frames // frames_per_token).",
        ),
        form="two ints -> int",
    ),
)
