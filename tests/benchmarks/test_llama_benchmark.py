"""The two sides of every comparison in benchmarks/llama.py compute the same thing. Nothing here is timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from motionlab.llama.decoding.fast import compiled
from motionlab.llama.decoding.fast.few_row_products import ROWS
from motionlab.llama.decoding.fast.flat_step import flat_decoder
from motionlab.llama.sizes import Size


@pytest.fixture(scope="module")
def bench(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("llama")


@pytest.fixture(scope="module")
def model(bench: ModuleType) -> Any:
    return bench.make_decoder(bench.Size(2, 4, 2, 48), 200)


@pytest.mark.parametrize("batch", [1, 3])
def test_writers_write_the_same_codes(bench: ModuleType, model: Any, batch: int) -> None:
    pytest.importorskip("transformers")
    ways = bench.writers(model, batch, 40, bench.make_peer(model))
    ours = ways["ours"]()
    assert ours.shape == (batch, 40) and len(ours.unique()) > 5
    assert torch.equal(ours, ways["theirs"]()) and torch.equal(ours, ways["no_cache"]())
    flat = mock.Mock(side_effect=flat_decoder)
    with mock.patch("motionlab.llama.decoding.next_logits.flat_decoder", flat):
        assert torch.equal(ours, ways["modules"]()) and not flat.called
        assert torch.equal(ours, ways["ours"]()) and flat.called


@pytest.mark.parametrize("batch", [1, 3])
def test_engines_write_the_same_codes(bench: ModuleType, model: Any, batch: int) -> None:
    """Those with float32 weights; CTranslate2 only where it is installed, because it is a peer and no dependency."""
    pytest.importorskip("onnxruntime")
    ways = bench.engine_writers(model, batch, 40)
    ours = ways["ours"]()
    assert torch.equal(ours, ways["onnx_fp32"]()) and len(ours.unique()) > 5
    for name in set(ways) - {"ours", "onnx_fp32"}:
        written = ways[name]()
        assert written.shape == ours.shape and int(written.max()) < 200
        assert name.endswith("int8") or torch.equal(written, ours), name


def test_both_losses_and_their_gradients_are_equal(bench: ModuleType) -> None:
    ours, theirs = bench.losses(12, 50, 8)
    for one, other in zip(ours(), theirs(), strict=True):
        torch.testing.assert_close(one, other)


def flops(work: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def test_products_alone_are_those_of_the_weights(bench: ModuleType, model: Any) -> None:
    """A token costs two operations per weight of layers and output; embedding and text projection are no products."""
    weights = sum(parameter.numel() for parameter in [*model.blocks.parameters(), model.lm_head.weight])
    weights -= sum(parameter.numel() for parameter in model.blocks.parameters() if parameter.dim() == 1)
    weights += -len(model.lm_head.weight) % ROWS * model.dim  # rows of zeros that fill the last block
    assert flops(bench.writers(model, 3, 5)["products"]) == 2 * weights * 3 * 5


def test_training_steps_have_the_same_loss_and_gradients(bench: ModuleType, model: Any) -> None:
    pytest.importorskip("transformers")
    peer, tokens = bench.make_peer(model), bench.decoders.random_tokens(model, 3, 20)
    ours, theirs = bench.our_step(model, tokens)(), bench.their_step(model, peer, tokens)()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(model.lm_head.weight.grad, peer.lm_head.weight.grad)
    own = model.transformer["wte"].weight.grad
    torch.testing.assert_close(own, peer.get_input_embeddings().weight.grad, rtol=1e-4, atol=1e-7)
    assert own.abs().sum() > 0


def test_count_of_a_step(bench: ModuleType, model: Any) -> None:
    """Against torch's counter, with attention and the last product in a form that it knows."""
    tokens = bench.decoders.random_tokens(model, 2, 10)
    text, mask = bench.decoders.random_text(model, 2)

    def step() -> None:
        with sdpa_kernel(SDPBackend.MATH):
            hidden = model.hidden(tokens, text, mask)[:, :-1]  # the last position has no label
            model.lm_head(hidden).logsumexp(-1).sum().backward()

    assert bench.decoders.training_flops(model, 2, 10) == flops(step)


def test_chunks_hold_less_than_all_logits(bench: ModuleType) -> None:
    """Counted, not timed: with many codes, a step of ours holds at most a third of theirs beyond what stays."""
    pytest.importorskip("transformers")
    model = bench.make_decoder(bench.Size(1, 2, 1, 16), 64000).train()
    tokens = bench.decoders.random_tokens(model, 8, 192)
    row = bench.memory_row(
        "g",
        "n",
        bench.our_step(model, tokens),
        bench.their_step(model, bench.make_peer(model), tokens),
        bench.Goal("<=", 1 / 3),
    )
    assert row.ratio.median <= 1 / 3 and row.ours.median > 60


def test_token_times(bench: ModuleType, model: Any) -> None:
    times = bench.token_times(model, 2, 12)
    assert len(times) == 11 and all(wall > 0 and cpu >= 0 for wall, cpu in times)


def test_groups_run_and_say_what_is_left_out(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "missing_compiler", lambda device: "no compiler: g++ not found")
    monkeypatch.setattr(bench, "native_bf16", lambda: False)
    monkeypatch.setattr(bench.torch.cuda, "is_available", lambda: False)
    before = torch.get_num_threads()
    try:
        bench.main(["--quick", "--threads", "1", "--only", "no_cache", "optimizer", "growth", "compile", "bf16", "gpu"])
    finally:
        torch.set_num_threads(before)
    printed = capsys.readouterr().out
    assert "compile: left out, no compiler: g++ not found" in printed
    assert "bf16: left out" in printed and "gpu: left out" in printed
    assert printed.count("no cache") == 2 and printed.count("AdamW") == 2 and printed.count("late tokens") == 2


def test_gpu_rows_on_a_cpu(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code at a small size; without a card peaks are 0 and rates are the processor's."""
    monkeypatch.setitem(bench.llama_gpu.SIZES, "111M", Size(1, 2, 16))
    monkeypatch.setattr(bench.llama_gpu, "TRAIN_MODES", ("fp32", "bf16"))
    monkeypatch.setattr(bench.llama_gpu, "WRITE_BATCHES", (2,))
    monkeypatch.setattr(compiled, "_compiled_step", lambda: compiled._step)  # what it computes, not compiled
    rates = {"fp32": 1e9, "bf16": 2e9}
    rows = list(bench.llama_gpu.size_rows("111M", 2, torch.device("cpu"), rates, codes=20, length=12, repeat=2))
    assert [(row["what"], row["mode"]) for row in rows] == [
        ("train", "fp32"), ("train", "bf16"), ("write", "modules"), ("write", "compiled")
    ]  # fmt: skip
    for row in rows:
        assert row["tokens_per_second"] > 0 and row["certain_mib"] > 0
        assert all(math.isfinite(value) for value in row.values() if isinstance(value, float))
    small = bench.llama_gpu.make("111M", 20, 12, torch.device("cpu"))
    rate = rows[0]["tokens_per_second"] / 24 * bench.decoders.training_flops(small, 2, 12)  # 24 tokens per step
    assert rows[0]["utilisation"] == pytest.approx(rate / rates["fp32"])
