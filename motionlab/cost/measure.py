"""A real training step of either stage, and the memory that its tensors held as the allocator counted it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from motionlab.cost.allocations import MemoryRecord, record_memory
from motionlab.cost.settings import StepSettings
from motionlab.llama.model import Block, MotionLlama
from motionlab.llama.objectives.strategies import TeacherForcing
from motionlab.llama.sequence import build_sequences
from motionlab.quantizers.base import Quantized, Quantizer
from motionlab.runtime import one_thread, seeded
from motionlab.text.encoder import TextFeatures
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.tokenizer.resnet import ResidualBlock
from motionlab.training.optimizer import make_optimizer
from motionlab.training.precision import Precision, make_precision
from motionlab.training.recompute import recompute

Model = TypeVar("Model", bound=nn.Module)


def measure_step(make_model: Callable[[], MotionTokenizer], settings: StepSettings) -> MemoryRecord:
    """Build a model and train it for one step; the result holds phases "forward", "backward" and "optimizer".

    Everything is counted: weights, optimizer state, batch. A tiny step goes before the one that counts, because an
    optimizer makes its state at its first step. On a CPU it runs on one thread: with more, some processors (AVX2, not
    AVX-512) hold a copy of a weight gradient for each thread, up to an eighth more in all where two were tried.

    Args:
        make_model: builds the tokenizer. It is called here so that its weights are counted.
        settings: batch, window and the rest; the device must be there.
    """

    def prepare(model: MotionTokenizer) -> None:
        if settings.checkpointing:
            checkpoint_blocks(model)
        if settings.one_hot:
            model.quantizer.register_forward_hook(_count_codes)

    def loss(model: MotionTokenizer, first: bool) -> Callable[[], Tensor]:
        batch, frames = (2, model.frames_per_token) if first else (settings.batch, settings.window)
        x = torch.randn(batch, frames, model.input_dim).to(settings.device)
        return lambda: tokenizer_losses(model(x), x, LossWeights())["total"]

    return _measure(make_model, settings, prepare, loss)


def measure_llama_step(make_model: Callable[[], MotionLlama], settings: StepSettings, text_slots: int) -> MemoryRecord:
    """The same for a decoder, by teacher forcing: every row has `settings.window` positions, and nothing is padding.

    Args:
        text_slots: of these positions, those that hold text.
    """

    def prepare(model: MotionLlama) -> None:
        if settings.checkpointing:
            recompute((block for block in model.modules() if isinstance(block, Block)), random=False)

    def loss(model: MotionLlama, first: bool) -> Callable[[], Tensor]:
        batch, length = (1, text_slots + 2) if first else (settings.batch, settings.window)
        text = TextFeatures(torch.randn(batch, text_slots, model.text_dim), torch.ones(batch, text_slots).bool())
        codes = torch.randint(model.codebook_size, (batch, length - text_slots - 1))
        sequences = build_sequences(list(codes), text, model.codebook_size, length).to(settings.device)
        return lambda: TeacherForcing()(model, sequences).loss

    return _measure(make_model, settings, prepare, loss)


def _measure(
    make_model: Callable[[], Model],
    settings: StepSettings,
    prepare: Callable[[Model], None],
    loss: Callable[[Model, bool], Callable[[], Tensor]],
) -> MemoryRecord:
    """The first batch that `loss` makes is the tiny one."""
    if settings.device == "cuda":
        _wake_cublas()
    with one_thread(), seeded(0), record_memory(settings.device) as memory:
        model = make_model().to(settings.device).train()
        prepare(model)
        optimizer = _optimizer(model, settings.optimizer)
        precision = make_precision(settings.device, settings.precision)
        for first in (True, False):
            compute = loss(model, first)
            _step(model, optimizer, precision, compute, memory, keep_gradients=first and settings.accumulates)
            del compute
    return memory


def checkpoint_blocks(model: nn.Module) -> None:
    """Let every residual block keep only its input, and run it forward again when its gradients are needed."""
    recompute((block for block in model.modules() if isinstance(block, ResidualBlock)), random=False)


def one_hot_counts(indices: Tensor, codebook_size: int) -> Tensor:
    """How often each code occurs, `[K]`, in the way of the published code. `torch.bincount` gives the same.

    >>> one_hot_counts(torch.tensor([[0, 2], [2, 2]]), 4).tolist()
    [1.0, 0.0, 3.0, 0.0]
    """
    matrix = torch.zeros(codebook_size, indices.numel(), device=indices.device)  # [K, tokens]
    matrix.scatter_(0, indices.reshape(1, -1), 1)
    return matrix.sum(1)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    compute: Callable[[], Tensor],
    memory: MemoryRecord,
    keep_gradients: bool,
) -> None:
    """The same calls, in the same order, as `motionlab.training.loop.fit`."""
    with memory.phase("forward"), precision.autocast():
        loss = compute()
    with memory.phase("backward"):
        precision.scaler.scale(loss.float()).backward()
    with memory.phase("optimizer"):
        precision.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), math.inf)
        precision.step(optimizer)
        if not keep_gradients:
            optimizer.zero_grad(set_to_none=True)


def _wake_cublas() -> None:
    """cuBLAS takes its own workspace at the first product, forward and backward. It belongs to no step."""
    layer = nn.Linear(8, 8, device="cuda")
    layer(torch.ones(8, 8, device="cuda")).sum().backward()


def _optimizer(model: nn.Module, name: str) -> torch.optim.Optimizer:
    if name == "adamw":
        return make_optimizer(model, lr=1e-4)
    return torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9 if name == "momentum" else 0.0)


@torch.no_grad()
def _count_codes(quantizer: Quantizer, inputs: Any, output: Quantized) -> None:
    one_hot_counts(output.indices, quantizer.codebook_size)
