"""What to tell a person whose training ran out of memory: what held how much, and what each knob would give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import nn

from motionlab.config import TokenizerConfig, TrainConfig
from motionlab.errors import InputError
from motionlab.llama.block import Block
from motionlab.memory.settings import MIB, NUMBER_BYTES, StepSettings
from motionlab.memory.step import StepMemory, step_memory
from motionlab.runtime import choose_precision
from motionlab.tokenizer.resnet import ResidualBlock
from motionlab.training.recompute import recompute


def recompute_blocks(model: nn.Module) -> int:
    """Let every residual block of a tokenizer and every layer of a decoder keep only its input; return their number.

    Raises:
        InputError: there is a batch norm in them, whose moving statistics would see each batch twice.
    """
    blocks = [module for module in model.modules() if isinstance(module, (ResidualBlock, Block))]
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for block in blocks for part in block.modules()):
        raise InputError(
            "activation_checkpointing",
            found="true with batch norm",
            expected="blocks whose second forward pass changes nothing",
            fix="Use norm: LN, or switch it off: the moving statistics would see each batch twice.",
        )
    return recompute(blocks, random=False)  # neither kind of block draws random numbers


def tokenizer_memory_advice(
    config: TokenizerConfig, settings: TrainConfig, device: torch.device
) -> Callable[[int], str] | None:
    """From the rows of a micro-batch to the memory of a step, its parts, and the memory with each knob turned.

    None for a tokenizer that the formula does not describe.

    >>> advice = tokenizer_memory_advice(TokenizerConfig(), TrainConfig(precision="fp32"), torch.device("cpu"))
    >>> print(advice(64))
    372 MiB (activations 210, optimizer state 87, weights 43, work 24, batch 6, gradients 2), or 258 with half the
    micro-batch, 264 with activation_checkpointing, 289 with precision=bf16
    """
    precision = choose_precision(str(device), settings.precision).value
    now = StepSettings(
        window=config.window,
        precision=precision if precision in NUMBER_BYTES else "fp32",
        checkpointing=settings.activation_checkpointing,
        device="cuda" if device.type == "cuda" else "cpu",
    )
    try:
        step_memory(config, now)
    except InputError:
        return None

    def advice(rows: int) -> str:
        this = replace(now, batch=rows)
        memory = step_memory(config, this)
        changes = {"half the micro-batch": replace(this, batch=max(1, rows // 2))} if rows > 1 else {}
        if not this.checkpointing:
            changes["activation_checkpointing"] = replace(this, checkpointing=True)
        if not this.half:
            changes["precision=bf16"] = replace(this, precision="bf16")
        others = ", ".join(f"{step_memory(config, new).peak / MIB:.0f} with {name}" for name, new in changes.items())
        return f"{_parts(memory)}" + (f", or {others}" if others else "")

    return advice


def _parts(memory: StepMemory) -> str:
    sizes: Iterable[tuple[str, int]] = sorted(memory.parts().items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {size / MIB:.0f}" for name, size in sizes if size >= MIB / 2)
    return f"{memory.peak / MIB:.0f} MiB ({listed})"
