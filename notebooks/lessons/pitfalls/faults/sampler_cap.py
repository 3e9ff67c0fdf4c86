"""The sampler of a released model stops after 50 tokens, three seconds of motion, although it was trained on 150."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.config.sampling import Sampling
from motionlab.errors import InputError

END = -1
Sample = Callable[[Callable[[int], int]], list[int]]


def broken(next_token: Callable[[int], int]) -> list[int]:
    """Tokens until END; a loop needs some limit."""
    tokens: list[int] = []
    for i in range(50):
        if (token := next_token(i)) == END:
            break
        tokens.append(token)
    return tokens


def fixed(next_token: Callable[[int], int], settings: Sampling = Sampling(max_tokens=150)) -> list[int]:  # noqa: B008
    """The limit is a setting without a default, and reaching it is no silent end."""
    tokens: list[int] = []
    while (token := next_token(len(tokens))) != END:
        if len(tokens) == settings.max_tokens:
            raise InputError(
                "motion", found="no END", expected=f"END within {len(tokens)} tokens", fix="Raise the limit."
            )
        tokens.append(token)
    return tokens


def _lengths(sample: Sample) -> Iterator[tuple[int, int]]:
    for wanted in range(10, 151, 10):
        yield wanted, len(sample(lambda i, wanted=wanted: END if i == wanted else i))  # type: ignore[misc]


def symptom(sample: Sample) -> Seen:
    seconds = [got * 2 / 30 for _, got in _lengths(sample)]  # two frames a token
    return Seen(max(seconds), seconds)


def test(sample: Sample) -> None:
    assert all(wanted == got for wanted, got in _lengths(sample)), "a motion was cut short"


PITFALL = Pitfall(
    name="sampler_cap",
    title="the sampler stops at 50 tokens",
    topic="decoder",
    seen="MotionMillion-Codes #16",
    lesson="13",
    fix="a limit without a default; reaching it is reported",
    measure="longest motion, s",
    height="length of the motion, s",
    axis="length that was wanted, tokens",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=5.0,
    at=range(10, 151, 10),
)
