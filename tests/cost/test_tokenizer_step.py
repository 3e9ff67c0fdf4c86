"""The formula: against the published model, against the module's own bookkeeping, and against itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from motionlab.config import TokenizerConfig
from motionlab.cost.parameters import tokenizer_parameters, training_memory
from motionlab.cost.settings import MIB, StepSettings, one_hot_bytes
from motionlab.cost.tokenizer_layers import Walk
from motionlab.cost.tokenizer_step import kept_rows, largest_batch, step_memory
from motionlab.errors import InputError
from motionlab.jobs.build import make_tokenizer
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.training.precision import make_precision

MODELS: tuple[dict[str, Any], ...] = (
    {},
    {"kernel_size": 5, "window": 61},
    {"down_t": 0},
    {"down_t": 2, "depth": 0},
    {"norm": None},
    {"norm": None, "activation": "gelu", "down_t": 2},
    {"activation": "silu", "causal": True},
    {"activation": "gelu"},
    {"causal": True, "kernel_size": 5},
)


def small(**changes: Any) -> TokenizerConfig:
    return TokenizerConfig(**{"width": 32, "code_dim": 24, "codebook_size": 1024, "window": 32} | changes)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("changes", MODELS, ids=str)
def test_what_is_kept_agrees_with_the_module(
    kept_by_the_module: Callable[[Callable[[], Tensor], Sequence[Tensor]], int], changes: dict[str, Any], precision: str
) -> None:
    config = small(**changes)
    settings = StepSettings(batch=3, window=config.window, precision=precision)
    model, x = make_tokenizer(config), torch.randn(3, config.window, 272)

    def loss() -> Tensor:
        with make_precision("cpu", precision).autocast():
            return tokenizer_losses(model(x), x, LossWeights())["total"]

    module = kept_by_the_module(loss, [*model.parameters(), x])
    formula = sum(layer.kept for layer in Walk(config, settings).layers())
    assert module - formula == 4 * (4 + 8)  # left out: a float32 and an int64 for each of FSQ's four levels


@pytest.mark.parametrize("layout", ["channels last", "channels first"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_quantizer_keeps_three_tensors_in_every_layout(
    kept_by_the_module: Callable[[Callable[[], Tensor], Sequence[Tensor]], int], layout: str, dtype: torch.dtype
) -> None:
    """A copy in float32 or in another layout takes the place of what it was made from."""
    quantizer, tokens = make_tokenizer(small()).quantizer, 16
    z = torch.randn(3, tokens, 24, dtype=dtype, requires_grad=True)
    if layout == "channels first":
        z = z.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    module = kept_by_the_module(lambda: quantizer(z * 1).codes.sum(), [*quantizer.parameters(), z])
    assert module - Walk(small(), StepSettings(batch=3, window=32)).quantizer(tokens).kept == 4 * (4 + 8)


@pytest.mark.parametrize("changes", MODELS, ids=str)
def test_weights_gradients_and_state_are_those_of_the_parameter_table(changes: dict[str, Any]) -> None:
    config = small(**changes)
    memory = step_memory(config, StepSettings())
    other = training_memory(sum(row.count for row in tokenizer_parameters(config)))
    assert (memory.weights, memory.optimizer) == (other.weights, other.optimizer)
    assert memory.moments[-1].gradients == other.gradients
    assert memory.moments[-1].activations == 0, "everything that was kept has been released"


def test_the_published_step() -> None:
    config = TokenizerConfig()
    memory = step_memory(config, StepSettings(batch=64, window=96))
    assert memory.weights == 4 * 11_349_782 and memory.optimizer == 2 * memory.weights
    assert memory.batch == 64 * 96 * 272 * 4
    assert sum(memory.parts().values()) == memory.peak
    assert memory.peak / MIB == pytest.approx(372.28, abs=0.01)  # the allocator: 372 to 396, by the processor


def test_the_peak_is_less_than_the_sum() -> None:
    memory = step_memory(TokenizerConfig(), StepSettings())
    assert memory.peak < memory.always + memory.activations + memory.weights
    assert memory.peak > memory.always + 0.9 * memory.activations


def test_the_matrix_is_750_mib_and_decides_about_the_published_step() -> None:
    assert one_hot_bytes(64_000, 64 * 48) == 750 * MIB
    memory = step_memory(TokenizerConfig(), StepSettings(one_hot=True))
    assert memory.top.layer == "quantizer" and memory.parts()["one-hot matrix"] == 750 * MIB
    without = step_memory(TokenizerConfig(), StepSettings())
    assert memory.activations == without.activations and "one-hot matrix" in without.parts()


@pytest.mark.parametrize(
    ("name", "value"), [("batch", 8), ("window", 32), ("optimizer", "sgd"), ("precision", "bf16"), ("checkpointing", 1)]
)
def test_everything_that_should_save_memory_does(name: str, value: Any) -> None:
    config = small(width=128, code_dim=128)
    before = step_memory(config, StepSettings(batch=16, window=64))
    after = step_memory(config, StepSettings(**({"batch": 16, "window": 64} | {name: value})))
    assert after.peak < before.peak


def test_checkpointing_keeps_one_tensor_a_block() -> None:
    settings = StepSettings(batch=2, window=16, checkpointing=True)
    rows = [
        row for row in kept_rows(small(depth=3), settings) if ".model.3.1." in row.name or ".model.2.0." in row.name
    ]
    assert len(rows) == 2 * 3 - 1, "the first block of the decoder is given what the ReLU before it keeps anyway"
    assert all(row.shape == (2, 8, 32) for row in rows)


def test_a_gpu_keeps_more_under_autocast_than_a_cpu() -> None:
    kept = {
        device: step_memory(TokenizerConfig(), StepSettings(precision="bf16", device=device)).activations
        for device in ("cpu", "cuda")
    }
    assert kept["cuda"] > kept["cpu"]


@pytest.mark.parametrize("budget", [200 * MIB, 373 * MIB, 2**30])
def test_the_largest_batch_fits_and_one_more_does_not(budget: int) -> None:
    config = TokenizerConfig()
    batch = largest_batch(config, StepSettings(), budget)
    assert batch >= 1
    assert step_memory(config, StepSettings(batch=batch)).peak <= budget
    assert step_memory(config, StepSettings(batch=batch + 1)).peak > budget


def test_a_budget_below_the_weights_fits_nothing() -> None:
    assert largest_batch(TokenizerConfig(), StepSettings(), 40 * MIB) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"quantizer": "vq_ema"}, "memory of quantizer"), ({"norm": "BN"}, "memory of norm"),
     ({"patcher": "wavelet", "patch_size": 2}, "memory of patch_size")],
)  # fmt: skip
def test_a_model_without_a_formula_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        step_memory(small(**changes), StepSettings())


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"precision": "fp8"}, "precision"), ({"optimizer": "adam"}, "optimizer"), ({"device": "mps"}, "cpu or cuda"),
     ({"batch": 0}, "batch"), ({"window": 0}, "window")],
)  # fmt: skip
def test_settings_are_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StepSettings(**changes)


def test_the_formula_needs_no_torch() -> None:
    code = "import sys, motionlab.cost.tokenizer_step; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
