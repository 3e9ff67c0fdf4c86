"""The settings, apart from the model, that decide the memory of a training step."""

from __future__ import annotations

from dataclasses import dataclass

from motionlab.errors import InputError

MIB = 2**20
# For what the formula does not count: Python, torch and its libraries, and what the allocator keeps for later. A
# process that had just trained for a step of 184 MiB held 536 MiB; one that had only imported the package, 226 MiB.
RESERVE = 512 * MIB
NUMBER_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}  # of an activation, under autocast
STATES = {"sgd": 0, "momentum": 1, "adamw": 2}  # numbers that an optimizer remembers for each parameter
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class StepSettings:
    """One training step.

    Fields:
        batch, window: clips, and frames of each; of a decoder sequences, and positions of each.
        precision: "fp32", or autocast to "bf16" or "fp16". Weights, gradients and optimizer state stay float32.
        optimizer: "sgd", "momentum" (SGD with momentum) or "adamw".
        checkpointing: residual blocks, or the layers of a decoder, keep only their input, and run forward again in the
            backward pass (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174).
        one_hot: codes are counted as the published quantizer does it at each step, with a matrix [codes, tokens]. It
            means nothing for a decoder.
        accumulates: gradients of an earlier micro-batch of the same step exist already.
        device: "cpu" or "cuda". They differ in what convolutions copy and in what autocast does to norms.

    Raises:
        InputError: an unknown name, or a number below 1.
    """

    batch: int = 64
    window: int = 96
    precision: str = "fp32"
    optimizer: str = "adamw"
    checkpointing: bool = False
    one_hot: bool = False
    accumulates: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, known in (("precision", NUMBER_BYTES), ("optimizer", STATES), ("device", DEVICES)):
            value = getattr(self, name)
            if value not in known:
                raise InputError(name, found=repr(value), expected=" or ".join(known), fix="Choose one of these.")
        for name in ("batch", "window"):
            value = getattr(self, name)
            if value < 1:
                raise InputError(name, found=value, expected="1 or more", fix="Change this number.")

    @property
    def half(self) -> bool:
        """Whether autocast is on."""
        return self.precision != "fp32"

    @property
    def number_bytes(self) -> int:
        """Bytes of one activation."""
        return NUMBER_BYTES[self.precision]


def one_hot_bytes(codes: int, tokens: int) -> int:
    """Bytes of the float32 matrix [codes, tokens] that the published code uses to count how often each code occurs.

    >>> one_hot_bytes(64_000, 64 * 48) / MIB
    750.0
    """
    return 4 * codes * tokens
