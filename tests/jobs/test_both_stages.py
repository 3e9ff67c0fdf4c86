"""The promises of the loop, checked with the real models of both stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.config import LlamaConfig, RunConfig, TokenizerConfig, TrainConfig
from motionlab.cost.allocations import record_memory
from motionlab.cost.settings import StepSettings
from motionlab.cost.tokenizer_step import step_memory
from motionlab.errors import InputError
from motionlab.jobs.build import make_llama, make_tokenizer
from motionlab.jobs.memory_advice import recompute_blocks, tokenizer_memory_advice
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.sequence import Sequences, build_sequences
from motionlab.runtime import one_thread, seeded
from motionlab.text.encoder import TextFeatures
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.training.loop import fit
from motionlab.training.stage import FunctionStage, Losses

SIZES = (3, 1, 4)  # samples of three micro-batches, which are one batch of eight


@dataclass
class Stage:
    """A model, its whole batch for each step, the rows of a batch, and its loss."""

    make: Callable[[], nn.Module]
    batch: Callable[[int], Any]
    rows: Callable[[Any, int, int], Any]
    loss: Callable[[Any, Any], torch.Tensor]
    count: Callable[[Any], int]

    def fit(self, folder: Path, settings: TrainConfig, small: bool = False, prepare: Any = None) -> nn.Module:
        with seeded(0):
            model = self.make()
        if prepare is not None:
            prepare(model)

        def batches(i: int) -> Any:
            if not small:
                return self.batch(i)
            first = sum(SIZES[: i % 3])
            return self.rows(self.batch(i // 3), first, first + SIZES[i % 3])

        with one_thread():
            stage = FunctionStage(model, batches, lambda batch: Losses(self.loss(model, batch)), count=self.count)
            fit(stage, settings, folder)
        return model


def motion(i: int) -> torch.Tensor:
    return torch.randn(8, 16, 272, generator=torch.Generator().manual_seed(i))


def sequences(i: int) -> Sequences:
    generator = torch.Generator().manual_seed(i)
    lengths = torch.randint(2, 12, (8,), generator=generator).tolist()  # so micro-batches differ in tokens too
    codes = [torch.randint(20, (n,), generator=generator) for n in lengths]
    mask = torch.arange(4)[None] < torch.randint(1, 5, (8, 1), generator=generator)
    text = TextFeatures(torch.randn(8, 4, 12, generator=generator) * mask[..., None], mask)
    return build_sequences(codes, text, codebook_size=20)


def some_rows(batch: Sequences, first: int, last: int) -> Sequences:
    parts = ("tokens", "labels", "text", "text_mask")
    return replace(batch, **{name: getattr(batch, name)[first:last] for name in parts})


def tokenizer_config(**changes: Any) -> TokenizerConfig:
    return TokenizerConfig(width=32, code_dim=16, depth=2, codebook_size=1024, **changes)


STAGES = {
    "tokenizer": Stage(
        lambda: make_tokenizer(tokenizer_config()),
        motion,
        lambda batch, first, last: batch[first:last],
        lambda model, x: tokenizer_losses(model(x), x, LossWeights())["total"],
        len,
    ),
    "decoder": Stage(
        lambda: make_llama(
            RunConfig(llama=LlamaConfig(n_layer=2, n_head=2, dim=32, hidden=64)), codebook_size=20, text_dim=12
        ),
        sequences,
        some_rows,
        lambda model, batch: sequence_losses(model, batch).loss,
        lambda batch: batch.n_labels,
    ),
}


@pytest.fixture(params=list(STAGES))
def stage(request: pytest.FixtureRequest) -> Stage:
    return STAGES[request.param]


def settings(**changes: Any) -> TrainConfig:
    # A large epsilon keeps AdamW from blowing a last bit up to a whole step where a gradient is nearly zero.
    short: dict[str, Any] = dict(steps=4, warmup_steps=1, lr=1e-3, eps=1e-4, precision="fp32", save_every=100)
    return TrainConfig(**{**short, **changes})


def close(a: nn.Module, b: nn.Module, tolerance: float) -> None:
    for (name, x), y in zip(a.named_parameters(), b.parameters(), strict=True):
        assert float((x - y).detach().abs().max()) <= tolerance, name


def test_ragged_accumulation_equals_the_big_batch(stage: Stage, tmp_path: Path) -> None:
    big = stage.fit(tmp_path / "big", settings())
    small = stage.fit(tmp_path / "small", settings(grad_accum_steps=3), small=True)
    close(big, small, 1e-6)


def test_dividing_by_the_number_of_micro_batches_would_not(stage: Stage, tmp_path: Path) -> None:
    big = stage.fit(tmp_path / "big", settings())
    wrong = replace(stage, count=lambda batch: 1).fit(tmp_path / "w", settings(grad_accum_steps=3), small=True)
    with pytest.raises(AssertionError):
        close(big, wrong, 1e-5)


def test_pieces_equal_the_big_batch(stage: Stage, tmp_path: Path) -> None:
    """Out of memory with more than three rows: the batch of eight is cut in four."""
    big = stage.fit(tmp_path / "big", settings())

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return stage.loss(model, batch)

    cut = replace(stage, loss=loss).fit(tmp_path / "cut", settings(auto_batch=True, batch_size=8))
    close(big, cut, 1e-6)


def test_activation_checkpointing_changes_no_bit(stage: Stage, tmp_path: Path) -> None:
    plain = stage.fit(tmp_path / "plain", settings())
    saving = stage.fit(tmp_path / "saving", settings(), prepare=recompute_blocks)
    close(plain, saving, 0.0)


@pytest.mark.parametrize(("name", "blocks", "share"), [("tokenizer", 4, 0.75), ("decoder", 2, 0.2)])
def test_activation_checkpointing_saves_memory(name: str, blocks: int, share: float) -> None:
    """Memory held between forward and backward pass, as the allocator counted it: measured 0.71 and 0.11."""
    stage, held = STAGES[name], []
    batch = stage.batch(0)
    for again in (False, True):
        with seeded(0):
            model = stage.make()
        if again:
            assert recompute_blocks(model) == blocks
        with one_thread(), record_memory() as memory:
            loss = stage.loss(model, batch)
            with memory.phase("between"):
                pass
            loss.backward()
        first, _ = memory.phases["between"]
        held.append(memory.held[first])
    assert held[1] < share * held[0], held


def test_batch_norm_and_a_second_forward_pass_do_not_go_together() -> None:
    with pytest.raises(InputError, match="activation_checkpointing: found true with batch norm"):
        recompute_blocks(make_tokenizer(tokenizer_config(norm="BN")))


@pytest.mark.parametrize("precision", ["bf16", "bf16_pure", "fp16"])
def test_every_precision_trains_both(stage: Stage, tmp_path: Path, precision: str) -> None:
    before = stage.fit(tmp_path / "fp32", settings(steps=20, lr=3e-3))
    after = stage.fit(tmp_path / precision, settings(steps=20, lr=3e-3, precision=precision))
    with seeded(0):
        start = stage.make()
    batch = stage.batch(0)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16_pure"):
        first, full, half = (float(stage.loss(model.eval(), batch)) for model in (start, before, after))
    assert full < first and half < first
    assert abs(half - full) < 0.5 * (first - full), "half precision learned something else"


def test_deterministic_and_the_same_seed_give_the_same_bits(stage: Stage, tmp_path: Path) -> None:
    one, two = (stage.fit(tmp_path / name, settings(deterministic=True)) for name in ("a", "b"))
    close(one, two, 0.0)
    other = stage.fit(tmp_path / "c", settings(deterministic=False))
    close(one, other, 0.0)


def test_memory_advice_is_the_formula() -> None:
    config = tokenizer_config(window=64)
    advice = tokenizer_memory_advice(config, TrainConfig(precision="fp32"), torch.device("cpu"))
    assert advice is not None
    text = advice(512)
    now = StepSettings(batch=512, window=64)
    assert text.startswith(f"{step_memory(config, now).peak / 2**20:.0f} MiB (activations ")
    for knob, changed in (
        ("half the micro-batch", replace(now, batch=256, accumulates=True)),
        ("activation_checkpointing", replace(now, checkpointing=True)),
        ("precision=bf16", replace(now, precision="bf16")),
    ):
        assert f"{step_memory(config, changed).peak / 2**20:.0f} with {knob}" in text
    assert tokenizer_memory_advice(tokenizer_config(quantizer="vq"), TrainConfig(), torch.device("cpu")) is None
