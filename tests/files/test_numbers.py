"""Numbers out of text: bit for bit those of `float`, and the same words refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab.files import numbers
from motionlab.files.numbers import parse_numbers, word_starts


def expected(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()], dtype=np.float64)


def same(text: str) -> bool:
    return np.array_equal(parse_numbers(text.encode()).view(np.int64), expected(text).view(np.int64))


def written(value: float, rng: random.Random) -> str:
    return rng.choice(
        [
            f"{value:.6f}", f"{value:.{rng.randrange(18)}f}", repr(value), f"{value:g}", f"{value:e}",
            str(int(value)), f"{value:+.3f}", f"000{abs(value):.2f}",
        ]
    )  # fmt: skip


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 17])
def test_numbers_of_every_spelling(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "BLOCK", block)
    rng = random.Random(block)
    for _ in range(100):
        words = [written(rng.uniform(-1, 1) * 10 ** rng.randrange(-12, 12), rng) for _ in range(rng.randrange(1, 200))]
        assert same(rng.choice([" ", "\n", "\t", " \r\n"]).join(words))


@pytest.mark.parametrize(
    "text",
    [
        "", " \n ", "1", "-0.0", "-0", ".5", "5.", "-.25", "+1.5", "9007199254740993", "9007199254740992.",
        "9999999999999999", "0.0000000000000001", "12345678.12345678", "123456789012345678", "1e5 1E-3 nan -inf",
        "1 2.5 3 .5", "0" * 40 + "1.5",
    ],
)  # fmt: skip
def test_edges(text: str) -> None:
    assert same(text)


@pytest.mark.parametrize(
    "word",
    ["1.2.3", "1-2", "--1", "-", ".", "-.", "abc", "1,5", "1..2", "0x10", "1e", "é", "1\x002", "\x00"],
)
def test_a_word_that_is_no_number_is_refused(word: str) -> None:
    for text in (word, f"1.5 {word} 2.5", f"1.5 {word}", f"{word} 2.5"):
        with pytest.raises(ValueError, match=r"could not convert|control character"):
            parse_numbers(text.encode())


@given(st.text(alphabet="0123456789.-+e \n\tx", max_size=60))
def test_any_text_is_read_as_float_reads_it_or_refused(text: str) -> None:
    try:
        wanted = expected(text)
    except ValueError:
        with pytest.raises(ValueError):
            parse_numbers(text.encode())
        return
    assert np.array_equal(parse_numbers(text.encode()).view(np.int64), wanted.view(np.int64))


@given(st.text(alphabet="ab \n", max_size=40))
def test_word_starts(text: str) -> None:
    starts = word_starts(text.encode()).tolist()
    assert [text[start:].split(maxsplit=1)[0] for start in starts] == text.split()
