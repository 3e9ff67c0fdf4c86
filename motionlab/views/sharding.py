"""Bytes that each GPU holds under each way of sharding a decoder, and bytes that it sends in a step."""

from __future__ import annotations

from dataclasses import dataclass

from motionlab.cost.parameters import MemoryEstimate
from motionlab.cost.sharding import NUMBERS, STAGES, bytes_a_gpu, bytes_sent
from motionlab.llama.sizes import SIZES, parameter_count
from motionlab.views.kv_cache import CODES, TEXT_DIM


@dataclass(frozen=True)
class Sharding:
    """The results of the formulas: bytes in one GPU for each stage, and bytes that it sends in a step."""

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


def compute_sharding(*, size: str, gpus: int, numbers: str, gpu_gb: float) -> Sharding:
    """Bytes in each GPU and bytes sent, stage by stage, for a decoder of a named size.

    Args:
        size: a name of `llama.sizes.SIZES`.
        numbers: a name of `NUMBERS`, which numbers the training keeps.
        gpu_gb: memory of a GPU in 10^9 bytes.
    """
    shape = SIZES[size]
    count = parameter_count(CODES, **shape._asdict(), text_dim=TEXT_DIM)
    # FSDP holds whole: the unit outside of the blocks during the whole step, and one block.
    block = (count - parameter_count(CODES, **{**shape._asdict(), "n_layer": 0}, text_dim=TEXT_DIM)) // shape.n_layer
    unit = count - (shape.n_layer - 1) * block
    weight_bytes = NUMBERS[numbers].weight
    return Sharding(
        size=size,
        parameters=count,
        gpus=gpus,
        numbers=numbers,
        limit=gpu_gb * 1e9,
        held={stage: bytes_a_gpu(count, gpus, stage, numbers, unit=unit) for stage in STAGES},
        sent={stage: bytes_sent(count, gpus, stage, weight_bytes) for stage in STAGES},
    )
