"""The two sides of every comparison in benchmarks/tokenizer.py compute the same thing. Nothing here is timed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

SIZES = dict(codebook_size=1024, width=32, depth=2, code_dim=16)


@pytest.fixture(scope="module")
def bench(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("tokenizer")


@pytest.mark.parametrize("dying", [False, True])
def test_vq_pair(bench: ModuleType, dying: bool) -> None:
    pytest.importorskip("vector_quantize_pytorch")
    ours, peer = bench.vq_pair(32, 640, 8, dying=dying)
    for _ in range(1 if dying else 4):  # rescued codes are drawn at random, so afterwards the sides differ
        for a, b in zip(ours(), peer(), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("layout", ["channels last", "channels first"])
def test_fsq_pair(bench: ModuleType, layout: str) -> None:
    pytest.importorskip("vector_quantize_pytorch")
    ours, peer = bench.fsq_pair(layout, 3, 20, 24)
    found, wanted = ours(), peer()
    assert len(found) == 2 + 1 + 4  # codes, indices; gradients of the input, two weights, two biases
    assert len(found[1].unique()) > 10
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b.to(a.dtype))


def test_usage_pair(bench: ModuleType) -> None:
    ours, peer = bench.usage_pair(500, 640)
    found, wanted = ours(), peer()
    assert 100 < found[0] < 500
    # The published perplexity adds 1e-7 inside the logarithm.
    assert found == pytest.approx(wanted, rel=1e-4)


def test_tokenizer_pair_reconstructs_alike_and_counts_alike(bench: ModuleType) -> None:
    ours, peer = bench.tokenizer_pair(**SIZES)
    x = torch.randn(3, 24, 272)
    output = ours(x)
    reconstruction, perplexity = peer(x)
    torch.testing.assert_close(output.reconstruction, reconstruction, atol=1e-5, rtol=1e-4)
    assert ours.quantizer.usage.summary().perplexity == pytest.approx(float(perplexity), rel=1e-4)


def test_plain_tokenizer_of_the_published_size_has_its_parameters(bench: ModuleType) -> None:
    with torch.device("meta"):
        peer = bench.plain.PlainTokenizer(bench.levels_for(65536))
    assert sum(parameter.numel() for parameter in peer.parameters()) == 11_349_782


def test_clip_pairs(bench: ModuleType) -> None:
    ours, peer = bench.tokenizer_pair(**SIZES)
    clips = [clip[:n] for clip, n in zip(bench.make_clips(5), (2, 40, 18, 40, 60), strict=True)]
    pairs = bench.clip_pairs(ours.eval(), peer.eval(), clips, 2)
    assert set(pairs) == {"encode", "decode", "encode+decode+usage"}
    for verb, (batched, single) in pairs.items():
        found, wanted = batched(), single()
        assert [len(row) for row in found] == [len(clip) // (2 if verb == "encode" else 1) for clip in clips]
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


class CountFlops(TorchDispatchMode):
    """Operations of convolutions and matrix products; like torch's `FlopCounterMode`, which forbids `autograd.grad`."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def flops(work: Callable[[], Any]) -> int:
    with CountFlops() as counter:
        work()
    return counter.total


def test_convolutions_alone_are_those_of_the_model(bench: ModuleType) -> None:
    """The same multiplications in a step, in the list made from our model, and in that of the plain model."""
    ours, peer = bench.tokenizer_pair(**SIZES)
    x = torch.randn(2, 24, 272)
    # Besides its convolutions a step has FSQ's two maps: twelve tokens per clip, 16 channels, 4 numbers; each is
    # multiplied forward and, backward, for its input and for its weights.
    fsq = 2 * 3 * 2 * (2 * 12) * 16 * 4
    in_step = flops(bench.training_step(ours, x)) - fsq
    assert flops(bench.convolutions_alone(ours, x, bench.TimeConv)) == in_step
    assert flops(bench.convolutions_alone(peer, x, nn.Conv1d)) == in_step


def test_training_step_learns(bench: ModuleType) -> None:
    ours, _ = bench.tokenizer_pair(**SIZES)
    step = bench.training_step(ours, torch.randn(4, 24, 272))
    first = float(step())
    assert float([step() for _ in range(5)][-1]) < first


def test_turns_alternate_and_ratios_are_taken_round_by_round(bench: ModuleType) -> None:
    calls: list[str] = []
    times = bench.Effort(4, 99.0).take_turns(a=lambda: calls.append("a"), b=lambda: calls.append("b"))
    assert "".join(calls) == "ab" + "abba" * 2
    assert {name: len(rounds) for name, rounds in times.items()} == {"a": 4, "b": 4}
    # Every round is twice as slow as the one before, and b takes three times as long as a in each.
    times = {"a": [(2.0**i, 1.0) for i in range(5)], "b": [(3 * 2.0**i, 1.0) for i in range(5)]}
    fast = bench.speed_row("g", "n", times, "a", "b", bench.Goal(">=", 3.0))
    assert (fast.ratio.median, fast.ratio.q1, fast.ratio.q3) == (3.0, 3.0, 3.0)
    assert fast.verdict.endswith("met") and fast.record()["met"]
    over = bench.speed_row("g", "n", times, "b", "a", bench.Goal("<=", 2.9))  # ours is b: 3 times the time of a
    assert over.ratio.median == 3.0 and over.verdict.endswith("MISSED") and not over.record()["met"]


def test_time_limit_leaves_three_rounds_and_counts_the_first(bench: ModuleType) -> None:
    calls: list[int] = []
    assert len(bench.Effort(9, -1.0).take_turns(a=lambda: calls.append(1))["a"]) == 3 == len(calls)


def test_memory_row_counts_what_is_held_at_once(bench: ModuleType) -> None:
    row = bench.memory_row(
        "g", "n", lambda: torch.ones(2**18), lambda: torch.ones(2**18) + torch.ones(2**18), bench.Goal("<=", 1 / 3)
    )
    assert (row.ours.median, row.peer.median) == (1.0, 3.0)
    assert row.ratio.median == pytest.approx(1 / 3) and row.verdict.endswith("met")


def test_saving_replaces_only_what_was_measured(bench: ModuleType, tmp_path: Path) -> None:
    spread = bench.gpu.Spread.of([1.0, 2.0, 3.0])
    rows = {
        group: bench.Row(group, "x", 1, "s", spread, spread, spread, None, bench.Goal(">=", 1.0), 0.0) for group in "ab"
    }
    path = tmp_path / "results.json"
    bench.save_rows(path, list(rows.values()))
    bench.save_rows(path, [rows["a"]])
    written = json.loads(path.read_text(encoding="utf-8"))
    assert sorted(row["group"] for row in written["rows"]) == ["a", "b"]
    assert all(row["met"] for row in written["rows"])
    assert (tmp_path / "results.md").read_text().count(
        "| x | 1 | 2,000 ms | 2,000 ms | 2 (1.5 to 2.5) | >= 1 | yes |"
    ) == 2
    assert set(written["machine"]) == {
        "cores", "architecture", "vector_instructions", "torch", "python", "omp_wait_policy"
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["fp32", "bf16"])
def test_gpu_row_on_a_cpu(bench: ModuleType, mode: str) -> None:
    device = torch.device("cpu")
    rate = bench.gpu.matmul_rate(mode, device, 64, repeat=2)
    row = bench.gpu.measure(
        mode, lambda: bench.tokenizer_pair(**SIZES)[0], bench.training_step, device, batch=2, rate=rate, steps=3
    )
    assert row["flops"] > 0 and row["ms"]["n"] == 3
    assert row["tokens_per_second"] == pytest.approx(2 * 48 / (row["ms"]["median"] / 1000))
    assert row["rate_fraction"] == pytest.approx(row["flops"] / (row["ms"]["median"] / 1000) / rate)
    assert math.isfinite(row["rate_fraction"])
