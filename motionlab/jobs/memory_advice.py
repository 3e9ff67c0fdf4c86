"""Advice after a training ran out of memory: what held how much, and what each setting would save."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import nn

from motionlab.config import LlamaConfig, TokenizerConfig, TrainConfig
from motionlab.cost.llama_step import llama_step_memory
from motionlab.cost.settings import MIB, NUMBER_BYTES, StepSettings
from motionlab.cost.tokenizer_step import StepMemory, step_memory
from motionlab.errors import InputError
from motionlab.llama.model import Block
from motionlab.llama.sequence import SequenceBatches
from motionlab.runtime import choose_precision
from motionlab.tokenizer.resnet import ResidualBlock
from motionlab.training.recompute import recompute
from motionlab.vla.backbone.layers import Layer


def recompute_blocks(model: nn.Module) -> int:
    """Let each residual block of a tokenizer and each layer of a transformer keep only its input; return their number.

    Raises:
        InputError: there is a batch norm in them, whose moving statistics would see each batch twice.
    """
    blocks = [module for module in model.modules() if isinstance(module, (ResidualBlock, Block, Layer))]
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for block in blocks for part in block.modules()):
        raise InputError(
            "activation_checkpointing",
            found="true with batch norm",
            expected="blocks whose second forward pass changes nothing",
            fix="Use norm: LN, or switch it off: the moving statistics would see each batch twice.",
        )
    return recompute(blocks, random=False)  # no kind of block draws random numbers


def tokenizer_memory_advice(
    config: TokenizerConfig, settings: TrainConfig, device: torch.device
) -> Callable[[int], str] | None:
    """From the rows of a micro-batch to the memory of a step, its parts, and the memory with each knob turned.

    None for a tokenizer that the formula does not describe.

    >>> advice = tokenizer_memory_advice(TokenizerConfig(), TrainConfig(precision="fp32"), torch.device("cpu"))
    >>> print(advice(64))
    372 MiB (activations 210, optimizer state 87, weights 43, work 24, batch 6, gradients 2), or 300 with half the
    micro-batch, 264 with activation_checkpointing, 289 with precision=bf16
    """
    now = _step_settings(settings, device, config.window)
    try:
        step_memory(config, now)
    except InputError:
        return None
    return lambda rows: _compared(lambda changed: step_memory(config, changed), replace(now, batch=rows), settings)


def llama_memory_advice(
    config: LlamaConfig, settings: TrainConfig, device: torch.device, sequences: SequenceBatches, text_dim: int
) -> Callable[[int], str] | None:
    """The same for a decoder, and a batch of the longest rows that `sequences` can give: a longer one needs more.

    None for a decoder that the formula does not describe, or that has frozen parts.
    """
    if config.qk_norm or settings.freeze:
        return None

    def advice(rows: int) -> str:
        positions, text_slots = longest_row(sequences)

        def memory(changed: StepSettings) -> StepMemory:
            shape = {"codebook_size": sequences.codebook_size, "text_dim": text_dim, "text_slots": text_slots}
            return llama_step_memory(config, changed, **shape)

        now = replace(_step_settings(settings, device, positions), batch=rows)
        where = f"for rows of {positions} positions, the longest"
        if device.type == "cuda":
            where += ", by a formula that was compared on CPUs only"
        return f"{_compared(memory, now, settings)}; {where}"

    return advice


def longest_row(sequences: SequenceBatches) -> tuple[int, int]:
    """Positions of the longest row (text, codes, END) that there can be, and the most slots that a text takes."""
    positions = slots = 0
    for row, codes in enumerate(sequences.codes):
        width = int(sequences.widths(row).max())
        positions, slots = max(positions, width + len(codes) + 1), max(slots, width)
    return positions, slots


def _step_settings(settings: TrainConfig, device: torch.device, window: int) -> StepSettings:
    precision = choose_precision(str(device), settings.precision).value
    return StepSettings(
        window=window,
        precision=precision if precision in NUMBER_BYTES else "fp32",
        checkpointing=settings.activation_checkpointing,
        device="cuda" if device.type == "cuda" else "cpu",
    )


def _compared(memory: Callable[[StepSettings], StepMemory], now: StepSettings, settings: TrainConfig) -> str:
    """The memory of a step and its parts, and the memory with each knob turned."""
    rows = now.batch
    now = replace(now, accumulates=settings.grad_accum_steps > 1 or rows < settings.batch_size)
    changes = {}
    if rows > 1:  # at the same effective batch: the second half finds the gradients of the first
        changes["half the micro-batch"] = replace(now, batch=rows // 2, accumulates=True)
    if not now.checkpointing:
        changes["activation_checkpointing"] = replace(now, checkpointing=True)
    if not now.half:
        changes["precision=bf16"] = replace(now, precision="bf16")
    this = memory(now)
    averages = this.weights if settings.ema_decay else 0
    parts = {**this.parts(), "averaged weights": averages}
    sizes: Iterable[tuple[str, int]] = sorted(parts.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {size / MIB:.0f}" for name, size in sizes if size >= MIB / 2)
    others = ", ".join(f"{(memory(new).peak + averages) / MIB:.0f} with {name}" for name, new in changes.items())
    return f"{(this.peak + averages) / MIB:.0f} MiB ({listed})" + (f", or {others}" if others else "")
