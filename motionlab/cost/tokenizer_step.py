"""The memory of one training step of the tokenizer, by formula. No model is built and torch is not loaded.

With P parameters, float32 (4 bytes), and B, T, F as in `motionlab.tokenizer`:

    weights          4 P, always there
    optimizer state  0 for SGD, 4 P with momentum, 8 P for AdamW; always there
    batch            4 B T F
    activations      what layers keep for the backward pass: they pile up forward and go away backward
    gradients        none forward; backward they arrive layer by layer, up to 4 P
    work             what a layer holds only while it runs: its gradients in and out, copies of its weights
    one-hot matrix   4 K B N while the quantizer runs forward, if codes are counted with one

Activations leave while gradients arrive, so the peak is less than the sum. It is the largest moment of a walk over the
layers: forward, loss, backward, optimizer.

Not counted: Python, torch and its libraries, memory that an allocator keeps for later (`RESERVE` covers these), and
the data loader.
`motionlab.cost.measure` runs a real step; the two are tested to agree within 10 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from motionlab.config import TokenizerConfig
from motionlab.cost.settings import STATES, StepSettings
from motionlab.cost.tokenizer_layers import Kept, Layer, Walk


@dataclass(frozen=True)
class Moment:
    """Bytes at one place of the walk, on top of weights, optimizer state and batch, which are always held."""

    phase: str  # "forward", "backward" or "optimizer"
    layer: str
    activations: int = 0
    gradients: int = 0
    work: int = 0
    matrix: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all four."""
        return self.activations + self.gradients + self.work + self.matrix


@dataclass(frozen=True)
class StepMemory:
    """The memory of one training step.

    Fields:
        weights, optimizer, batch: bytes that are always held.
        moments: the walk, in order.
        matrix_name: the meaning of `Moment.matrix` here.
    """

    weights: int
    optimizer: int
    batch: int
    moments: tuple[Moment, ...]
    matrix_name: str = "one-hot matrix"

    @property
    def always(self) -> int:
        """Bytes that are held all the time."""
        return self.weights + self.optimizer + self.batch

    @property
    def top(self) -> Moment:
        """The moment that needs most."""
        return max(self.moments, key=lambda moment: moment.bytes)

    @property
    def peak(self) -> int:
        """Bytes at that moment."""
        return self.always + self.top.bytes

    @property
    def activations(self) -> int:
        """Bytes that are kept between forward and backward."""
        return max(moment.activations for moment in self.moments)

    def parts(self) -> dict[str, int]:
        """The parts of the peak."""
        top = self.top
        return {
            "weights": self.weights,
            "optimizer state": self.optimizer,
            "gradients": top.gradients,
            "batch": self.batch,
            "activations": top.activations,
            "work": top.work,
            self.matrix_name: top.matrix,
        }


def step_memory(config: TokenizerConfig, settings: StepSettings, input_dim: int = 272) -> StepMemory:
    """Take the walk.

    >>> memory = step_memory(TokenizerConfig(), StepSettings(batch=64, window=96))
    >>> {name: f"{size / 2**20:.1f} MiB" for name, size in memory.parts().items() if size > 2**21}
    {'weights': '43.3 MiB', 'optimizer state': '86.6 MiB', 'batch': '6.4 MiB', 'activations': '210.4 MiB',
     'work': '24.0 MiB'}
    >>> f"{memory.peak / 2**20:.1f} MiB"
    '372.3 MiB'

    Raises:
        InputError: a model that the formula does not describe. It can still be measured.
    """
    layers = list(Walk(config, settings, input_dim).layers())
    return walk_memory(layers, settings, batch=4 * settings.batch * settings.window * input_dim)


def walk_memory(
    layers: Sequence[Layer], settings: StepSettings, batch: int, matrix_name: str = "one-hot matrix"
) -> StepMemory:
    """Walk forward and backward through the layers of any model, and to its optimizer; `batch` in bytes."""
    size = 4 * sum(layer.parameters for layer in layers)
    moments, kept, cached = [], 0, 0
    gradients = size if settings.accumulates else 0
    for layer in layers:
        gradients += 4 * layer.early
        moments.append(Moment("forward", layer.name, kept + cached, gradients, layer.forward, layer.matrix))
        kept += layer.kept
        cached += layer.cast if layer.block else 0  # autocast forgets them at the end of the forward pass
    for i, layer in reversed(list(enumerate(layers))):
        # A checkpointed block has just run forward again: up to this layer, everything is held.
        again = sum(other.kept_again for other in layers[: i + 1] if other.block and other.block == layer.block)
        moments.append(Moment("backward", layer.name, kept + again, gradients, layer.backward))
        gradients += 4 * ((0 if settings.accumulates else layer.parameters) - layer.early)
        kept -= layer.kept
    moments.append(Moment("optimizer", settings.optimizer, 0, gradients, 0))
    return StepMemory(size, STATES[settings.optimizer] * size, batch, tuple(moments), matrix_name)


def largest_batch(config: TokenizerConfig, settings: StepSettings, budget: int, input_dim: int = 272) -> int:
    """The largest batch whose peak is at most `budget` bytes; 0 when not even one clip fits.

    >>> largest_batch(TokenizerConfig(), StepSettings(), budget=2**30)
    237
    """

    def fits(batch: int) -> bool:
        return step_memory(config, replace(settings, batch=batch), input_dim).peak <= budget

    too_many = 1
    while fits(too_many):
        too_many *= 2
    good = too_many // 2
    while too_many - good > 1:
        middle = (good + too_many) // 2
        good, too_many = (middle, too_many) if fits(middle) else (good, middle)
    return good


def kept_rows(config: TokenizerConfig, settings: StepSettings, input_dim: int = 272) -> list[Kept]:
    """Every activation that is kept for the backward pass, in forward order. The batch itself is not listed.

    >>> row = kept_rows(TokenizerConfig(), StepSettings(batch=64, window=96))[0]
    >>> print(row.name, row.shape, f"{row.bytes / 2**20:.1f} MiB")
    encoder.model.2 output (64, 96, 512) 12.0 MiB
    """
    return [row for layer in Walk(config, settings, input_dim).layers() for row in layer.rows]
