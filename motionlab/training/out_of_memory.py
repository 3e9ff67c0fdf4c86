"""Out of memory: explained in words and, with `auto_batch`, solved by smaller pieces.

With `auto_batch` every micro-batch is cut in half and the group begins again with the random numbers it began with. The
effective batch stays, and with it the meaning of every step: each piece is weighted by its count (`micro_batches.py`).
Not exactly as before: buffers that a forward pass changes (the counts of a codebook) may have seen the first
pieces of the interrupted group twice, and a batch norm sees smaller batches from then on.
"""

from __future__ import annotations

import contextlib
import gc
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from motionlab.config import TrainConfig
from motionlab.errors import InputError, first_line, is_out_of_memory
from motionlab.training.checkpoints.state import Counters

MIB = 2**20


class Attempt:
    """One try at a group of micro-batches."""

    complete = False


class OutOfMemory:
    """Catches errors of the allocators.

    Args:
        counters: `pieces` is what each micro-batch is cut into.
        explain: from the rows of a micro-batch to what holds the memory and what would help; only the job knows the
            activations of its model.
        warn: told when the pieces get smaller.
    """

    def __init__(
        self,
        counters: Counters,
        settings: TrainConfig,
        model: nn.Module,
        explain: Callable[[int], str] | None,
        warn: Callable[[str], None],
    ) -> None:
        self.counters, self.settings, self.model, self.explain, self.warn = counters, settings, model, explain, warn

    @property
    def rows(self) -> int:
        """Samples in the largest piece."""
        return -(-self.settings.batch_size // self.counters.pieces)

    @contextlib.contextmanager
    def retry(self, optimizer: torch.optim.Optimizer) -> Iterator[Attempt]:
        """Inside, the forward and backward passes of one group. Not complete afterwards: it is to be read again."""
        attempt, before = Attempt(), _generators() if self.settings.auto_batch else None
        try:
            yield attempt
        except Exception as error:
            if not is_out_of_memory(error) or before is None or self.rows <= 1:
                raise
            message = first_line(error)
        else:
            attempt.complete = True
            return
        optimizer.zero_grad(set_to_none=True)
        _put_back(before)
        self.counters.pieces *= 2
        gc.collect()  # the frames of the error hold what the forward pass had made
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        accumulation = self.settings.grad_accum_steps * self.counters.pieces
        self.warn(
            f"out of memory ({message}): from here {accumulation} pieces of at most {self.rows} samples per step; "
            f"the effective batch stays {self.settings.batch_size * self.settings.grad_accum_steps}"
        )

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """An error of an allocator becomes an InputError that says what to do."""
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"memory, training step {self.counters.step + 1}",
                found=first_line(error),
                expected=f"room for {self._needs()}",
                fix=self._advice(),
            ) from error

    def _needs(self) -> str:
        if self.explain is not None:
            return self.explain(self.rows)
        parts = {name: size / MIB for name, size in state_bytes(self.model, self.settings).items() if size}
        listed = ", ".join(f"{name} {size:.1f} MiB" for name, size in parts.items())
        return f"{listed}, and the activations of {self.rows} samples, which are the rest"

    def _advice(self) -> str:
        settings, advice = self.settings, []
        if self.rows > 1 and not settings.auto_batch:
            advice.append("auto_batch=true (--auto-batch) halves the activations, at the same effective batch")
        if not settings.activation_checkpointing:
            advice.append("activation_checkpointing=true keeps only the input of each block, for a second forward pass")
        if settings.precision in ("fp32", "tf32"):
            advice.append("precision=bf16 halves most activations")
        return "Try in this order: " + "; ".join(advice or ["a smaller model", "a larger device"]) + "."


def state_bytes(model: nn.Module, settings: TrainConfig) -> dict[str, int]:
    """Bytes that do not depend on the batch: bytes of weights, gradients, AdamW's two moments, averages.

    >>> state_bytes(nn.Linear(100, 10, bias=False), TrainConfig(ema_decay=0.9))
    {'weights': 4000, 'gradients': 4000, "AdamW's moments": 8000, 'averaged weights': 4000}
    """
    trained = [value for value in model.parameters() if value.requires_grad]
    size = sum(value.numel() * value.element_size() for value in trained)
    return {
        "weights": sum(value.numel() * value.element_size() for value in [*model.parameters(), *model.buffers()]),
        "gradients": size,
        "AdamW's moments": 2 * size,
        "averaged weights": 4 * sum(value.numel() for value in trained) if settings.ema_decay else 0,
    }


def _generators() -> tuple[Any, Any, torch.Tensor, list[torch.Tensor]]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda


def _put_back(state: tuple[Any, Any, torch.Tensor, list[torch.Tensor]]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])
    if state[3]:
        torch.cuda.set_rng_state_all(state[3])
