"""The clock of lesson 06 times what it says; no test checks how long it takes."""

from __future__ import annotations

import torch

from lessons.gqa_and_kv_cache.cache_speed import Times, make_reader, measure_times, time_tokens
from motionlab.llama.sizes import Size

TINY = Size(n_layer=1, n_head=2, dim=16)


class _Script:
    """A reader that only remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def first(self) -> torch.Tensor:
        self.calls.append("first")
        return torch.tensor([[0.0, 1.0]])

    def next(self, chosen: torch.Tensor) -> torch.Tensor:
        self.calls.append(f"next {chosen.tolist()}")
        return torch.tensor([[1.0, 0.0]])

    def keep(self, rows: torch.Tensor) -> None:
        raise AssertionError("no row ends")


def test_every_token_is_timed_once() -> None:
    reader = _Script()
    times = time_tokens(reader, 4)
    assert reader.calls == ["first", "next [1]", "next [0]", "next [0]"]
    assert len(times) == 4 and min(times) >= 0


def test_one_row_a_condition() -> None:
    rows = measure_times([("cache", 2, 1), ("no cache", 1, 3)], tokens=5, repeats=2, size=TINY)
    found = [(row.way, row.n_kv_heads, row.batch, len(row.milliseconds)) for row in rows]
    assert found == [("cache", 2, 1, 5), ("no cache", 1, 3, 5)]
    assert Times("cache", 8, 1, [1.0, 2.0, 6.0]).mean(1, 3) == 4.0


def test_both_ways_time_the_same_work() -> None:
    cached, plain = (make_reader((way, 2, 2), 6, TINY) for way in ("cache", "no cache"))
    with torch.inference_mode():
        a, b = cached.first(), plain.first()
        for _ in range(5):
            assert torch.allclose(a, b, atol=1e-5)
            a, b = cached.next(a.argmax(-1)), plain.next(b.argmax(-1))
