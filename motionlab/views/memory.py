"""Will a training step of the tokenizer fit into memory? By formula, and measured with a real step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psutil

from motionlab.config import TokenizerConfig
from motionlab.cost.measure import measure_step
from motionlab.cost.settings import MIB, RESERVE, StepSettings
from motionlab.cost.tokenizer_step import StepMemory, largest_batch, step_memory
from motionlab.errors import InputError
from motionlab.jobs.build import make_tokenizer
from motionlab.runtime import choose_device

MOST_FRAMES = 6e9  # frames x width^2 of a step that is measured here: about a minute on one core


@dataclass(frozen=True)
class Fit:
    """The result of the formula for one setting.

    Fields:
        settings: the step.
        width: channels of the tokenizer, at the bottleneck too.
        memory: bytes, part by part.
        limit: bytes that the machine has for it.
        batch: the largest batch that fits; 0 when none does.
    """

    settings: StepSettings
    width: int
    memory: StepMemory
    limit: int
    batch: int

    @property
    def fits(self) -> bool:
        """Whether the peak and the reserve for everything else stay below the limit."""
        return self.memory.peak + RESERVE <= self.limit

    @property
    def room(self) -> int:
        """Bytes that are left for the step."""
        return self.limit - RESERVE

    @property
    def largest_part(self) -> str:
        """Name of the part that holds most at the peak."""
        parts = self.memory.parts()
        return max(parts, key=parts.__getitem__)

    def agrees(self, measured: int, within: float = 0.1) -> bool:
        """Whether the formula is as close to a measured peak as this share of it."""
        return abs(self.memory.peak - measured) / measured <= within


def compute_fit(*, width: int, memory_gib: float, **settings: Any) -> Fit:
    """The memory of a step, by formula, and the largest batch that fits.

    Args:
        width: channels of the tokenizer, at the bottleneck too.
        memory_gib: memory of the machine.
        settings: fields of `StepSettings`.
    """
    config, step = TokenizerConfig(width=width, code_dim=width), StepSettings(**settings)
    limit = int(memory_gib * 1024 * MIB)
    return Fit(step, width, step_memory(config, step), limit, largest_batch(config, step, limit - RESERVE))


def measure_fit(fit: Fit) -> int:
    """Run a real step with these settings on this machine and return its peak in bytes.

    Raises:
        InputError: the device is not here, the step does not fit into half of the free memory, or it takes long.
    """
    frames = fit.settings.batch * fit.settings.window
    choose_device(fit.settings.device)
    free = psutil.virtual_memory().available
    if fit.settings.device == "cpu" and fit.memory.peak > free / 2:
        raise InputError(
            "measure",
            found=f"a step of {fit.memory.peak / MIB:,.0f} MiB",
            expected=f"at most half of the free memory, {free / 2 / MIB:,.0f} MiB",
            fix="Choose a smaller batch, window or width.",
        )
    if fit.settings.device == "cpu" and frames * fit.width**2 > MOST_FRAMES:
        raise InputError(
            "measure",
            found=f"{frames:,} frames at {fit.width} channels",
            expected=f"at most {MOST_FRAMES / fit.width**2:,.0f} frames, about a minute on one core",
            fix="Choose a smaller batch, window or width.",
        )
    config = TokenizerConfig(width=fit.width, code_dim=fit.width)
    return measure_step(lambda: make_tokenizer(config), fit.settings).peak
