"""The formula agrees with a real step within the promised 10 %."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.config import TokenizerConfig, TrainConfig
from motionlab.cost.allocations import record_memory
from motionlab.cost.measure import checkpoint_blocks, measure_step, one_hot_counts
from motionlab.cost.settings import StepSettings
from motionlab.cost.tokenizer_step import step_memory
from motionlab.jobs.build import make_tokenizer
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.training.loop import fit
from motionlab.training.stage import FunctionStage, Losses

PROMISED = 0.1


def config(width: int = 64, **changes: Any) -> TokenizerConfig:
    return TokenizerConfig(width=width, code_dim=width, **changes)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (config(), StepSettings(batch=16, window=96)),
        (config(), StepSettings(batch=16, window=96, precision="bf16")),
        (config(), StepSettings(batch=8, window=61, optimizer="sgd", checkpointing=True)),
        (config(128), StepSettings(batch=4, window=32, optimizer="momentum", precision="bf16", checkpointing=True)),
        (config(128), StepSettings(batch=2, window=64)),
        (config(16), StepSettings(batch=4, window=64, optimizer="sgd", one_hot=True)),
        (config(32, activation="gelu", causal=True), StepSettings(batch=32, window=64)),
        (config(norm=None, down_t=2, kernel_size=5, activation="silu"), StepSettings(batch=8, window=64)),
    ],
    ids=lambda value: "" if isinstance(value, TokenizerConfig) else str(value),
)
def test_formula_and_allocator_agree(model: TokenizerConfig, settings: StepSettings) -> None:
    record = measure_step(lambda: make_tokenizer(model), settings)
    memory = step_memory(model, settings)
    assert memory.peak == pytest.approx(record.peak, rel=PROMISED)
    for phase in ("forward", "backward", "optimizer"):
        summit = max(moment.bytes for moment in memory.moments if moment.phase == phase)
        assert memory.always + summit == pytest.approx(record.peak_of(phase), rel=PROMISED)


def test_the_training_loop_holds_what_the_step_holds(tmp_path: Path) -> None:
    model_config, settings = config(), StepSettings(batch=16, window=64)
    with record_memory() as memory:
        model = make_tokenizer(model_config)

        def step(x: torch.Tensor) -> Losses:
            losses = tokenizer_losses(model(x), x, LossWeights())
            return Losses(losses.pop("total"), losses)

        stage = FunctionStage(model, lambda i: torch.full((16, 64, 272), 0.1 * i), step)
        fit(stage, TrainConfig(steps=2, warmup_steps=1, precision="fp32", save_every=100), tmp_path)
    assert step_memory(model_config, settings).peak == pytest.approx(memory.peak, rel=PROMISED)


def test_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    plain, saving = make_tokenizer(config(32)), make_tokenizer(config(32))
    saving.load_state_dict(plain.state_dict())
    checkpoint_blocks(saving)
    x = torch.randn(2, 16, 272)
    for model in (plain, saving):
        tokenizer_losses(model(x), x, LossWeights())["total"].backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        assert torch.equal(a.grad, b.grad), name


def test_measuring_leaves_no_trace() -> None:
    torch.manual_seed(3)
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    measure_step(lambda: make_tokenizer(config(16)), StepSettings(batch=2, window=8))
    assert torch.equal(torch.get_rng_state(), random) and torch.get_num_threads() == threads


def test_the_published_way_to_count_gives_the_same_counts_for_more_memory() -> None:
    tokens = torch.randint(500, (7, 11), generator=torch.Generator().manual_seed(0))
    with record_memory() as memory:
        counts = one_hot_counts(tokens, 512)
    assert torch.equal(counts.long(), torch.bincount(tokens.reshape(-1), minlength=512))
    assert memory.peak >= 4 * 512 * 77


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_formula_and_gpu_agree(precision: str) -> None:
    settings = StepSettings(batch=256, window=96, precision=precision, device="cuda")
    record = measure_step(lambda: make_tokenizer(TokenizerConfig()), settings)
    assert step_memory(TokenizerConfig(), settings).peak == pytest.approx(record.peak, rel=PROMISED)
