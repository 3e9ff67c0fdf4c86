"""The panel of lesson 15: what does each GPU hold, and what does the training cost?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import ipywidgets as W

from motionlab.llama.sizes import SIZES, parameter_count
from motionlab.memory.sharding import NUMBERS, STAGES, bytes_a_gpu, bytes_sent
from motionlab.params import MemoryEstimate
from motionlab.plots.curves import figure_to_png
from motionlab.plots.roofline import sharding_figure
from motionlab.widgets.panel import Panel

CODES, TEXT_DIM = 64_000, 2048  # of the published decoder
NAMES = {"ddp": "DDP", "zero1": "ZeRO 1", "zero2": "ZeRO 2", "zero3": "ZeRO 3 (FSDP)"}
OFFERED = ("111M", "343M", "775M", "1B", "3B", "5B", "7B")


@dataclass(frozen=True)
class Sharding:
    """What the formulas say: bytes in one GPU for each stage, and bytes that it sends in a step."""

    size: str
    parameters: int
    gpus: int
    numbers: str
    limit: float
    held: dict[str, MemoryEstimate]
    sent: dict[str, int]

    @property
    def first_that_fits(self) -> str | None:
        """The simplest stage whose bytes stay below the limit; activations are not counted."""
        return next((stage for stage, estimate in self.held.items() if estimate.total <= self.limit), None)


class ShardingPanel(Panel):
    """Choose a decoder, a number of GPUs and what numbers are made of; see what each GPU holds."""

    PRESETS: ClassVar = {
        "published 3B": {"size": "3B", "gpus": 40, "numbers": "pure bf16", "gpu_gb": 80},
        "published 7B": {"size": "7B", "gpus": 40, "numbers": "bf16 + fp32 copy", "gpu_gb": 80},
        "7B, one GPU": {"size": "7B", "gpus": 1, "numbers": "fp32", "gpu_gb": 80},
        "7B, eight small GPUs": {"size": "7B", "gpus": 8, "numbers": "fp32", "gpu_gb": 24},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}

        def slide(options: Sequence[Any], value: Any, name: str) -> Any:
            return W.SelectionSlider(options=options, value=value, description=name, style=style)

        return {
            "size": slide(OFFERED, "7B", "decoder"),
            "gpus": slide((1, 2, 4, 8, 16, 32, 40, 64, 128, 256, 512), 8, "GPUs"),
            "numbers": W.Dropdown(options=tuple(NUMBERS), description="numbers", style=style),
            "gpu_gb": slide((16, 24, 40, 48, 80, 141), 80, "GB of a GPU"),
        }

    @staticmethod
    def compute(**params: Any) -> Sharding:
        size, gpus, numbers = params["size"], params["gpus"], params["numbers"]
        shape = SIZES[size]
        count = parameter_count(CODES, **shape._asdict(), text_dim=TEXT_DIM)
        # What FSDP holds whole: the unit outside of the blocks during the whole step, and one block.
        block = (
            count - parameter_count(CODES, **{**shape._asdict(), "n_layer": 0}, text_dim=TEXT_DIM)
        ) // shape.n_layer
        unit = count - (shape.n_layer - 1) * block
        weight_bytes = NUMBERS[numbers].weight
        return Sharding(
            size=size,
            parameters=count,
            gpus=gpus,
            numbers=numbers,
            limit=params["gpu_gb"] * 1e9,
            held={stage: bytes_a_gpu(count, gpus, stage, numbers, unit=unit) for stage in STAGES},
            sent={stage: bytes_sent(count, gpus, stage, weight_bytes) for stage in STAGES},
        )

    def picture(self, result: Sharding) -> bytes:
        bars = {NAMES[stage]: estimate for stage, estimate in result.held.items()}
        title = (
            f"{result.size}: {result.parameters / 1e9:.2f} billion parameters, {result.gpus} GPU(s), {result.numbers}"
        )
        limit_name = f"{result.limit / 1e9:.0f} GB"
        return figure_to_png(sharding_figure(bars, limit=result.limit, limit_name=limit_name, title=title))

    def describe(self, result: Sharding) -> str:
        held = ", ".join(f"{NAMES[stage]} ≈{estimate.total / 1e9:.1f}" for stage, estimate in result.held.items())
        first = result.first_that_fits
        verdict = f"the first that fits is {NAMES[first]}" if first else "none fits"
        return f"{result.size} on {result.gpus}: GB a GPU: {held} | {verdict} (activations not counted)"

    def rows(self, result: Sharding) -> Sequence[Sequence[str]]:
        return [
            ("stage", "weights GB", "gradients GB", "optimizer GB", "GB a GPU", "GB sent a step"),
            *(
                (
                    NAMES[stage],
                    *(f"{getattr(held, part) / 1e9:.2f}" for part in ("weights", "gradients", "optimizer", "total")),
                    f"{result.sent[stage] / 1e9:.2f}",
                )
                for stage, held in result.held.items()
            ),
        ]
