"""The tensors that each layer of the tokenizer holds in memory, in forward order: the terms that `step_memory` adds up.

A layer's derivative decides which activations it keeps: a convolution needs its input (for the gradient of its
weights), ReLU its output, GELU and SiLU their input, layer norm its input with a mean and a scale for each frame,
smooth L1 the reconstruction and the target. A tensor that two layers need is held once and listed at the first.

Memory that a layer holds only while it runs was read off the allocator. Backward, CPU convolutions (oneDNN) hold four
times their weights: the gradient, and copies of weights and gradient in their own layout. For CUDA the
gradient alone is counted, because the workspace of cuDNN depends on the GPU.

Notation: B batch, T frames, C = `width`, D = `code_dim`, d = number of FSQ levels, k = `kernel_size`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from motionlab.config import TokenizerConfig
from motionlab.cost.settings import StepSettings, one_hot_bytes
from motionlab.errors import InputError
from motionlab.quantizers.levels import levels_for

KNOWN = {"quantizer": ("fsq",), "norm": ("LN", None), "patch_size": (1,)}  # the models that are described here


@dataclass(frozen=True)
class Kept:
    """A tensor that is kept from forward to backward."""

    name: str
    shape: tuple[int, ...]
    number_bytes: int = 4

    @property
    def bytes(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * self.number_bytes


@dataclass(frozen=True)
class Layer:
    """One layer.

    Fields:
        rows: activations that it keeps and no earlier layer does.
        again: those that it keeps only once its block has run forward a second time.
        parameters: numbers that get their gradient here.
        early: of these, those whose gradient is made in the forward pass already.
        cast: bytes of the half-precision copy of its weights, which is kept as well.
        forward, backward: bytes that it holds only while it runs.
        matrix: bytes of a tensor that deserves a name, held while it runs forward: the one-hot matrix of a tokenizer
            that counts its codes with one, the logits of a decoder.
        block: the checkpointed block that it belongs to, if any.
    """

    name: str
    rows: tuple[Kept, ...] = ()
    again: tuple[Kept, ...] = ()
    parameters: int = 0
    early: int = 0
    cast: int = 0
    forward: int = 0
    backward: int = 0
    matrix: int = 0
    block: str = ""

    @property
    def kept(self) -> int:
        """Bytes kept from forward to backward."""
        return sum(row.bytes for row in self.rows) + (0 if self.block else self.cast)

    @property
    def kept_again(self) -> int:
        """Bytes kept from the second forward run of its block to its backward run."""
        return sum(row.bytes for row in self.again) + (self.cast if self.block else 0)


class Walk:
    """The layers of a tokenizer.

    Raises:
        InputError: a part that is not described here.
    """

    def __init__(self, config: TokenizerConfig, settings: StepSettings, input_dim: int = 272) -> None:
        for name, known in KNOWN.items():
            value = getattr(config, name)
            if value not in known:
                expected = " or ".join(repr(choice) for choice in known)
                fix = "There is no formula for it; measure a real step with motionlab.cost.measure."
                raise InputError(f"memory of {name}", found=repr(value), expected=expected, fix=fix)
        self.config, self.settings, self.input_dim = config, settings, input_dim
        # On a GPU autocast runs norms in float32 (PyTorch's page on mixed precision lists the operations): their input
        # and output are float32, and the next convolution keeps a half-precision copy too.
        self.wide_norm = settings.half and settings.device == "cuda" and config.norm is not None

    def layers(self) -> Iterator[Layer]:
        """All of them, and the loss, in forward order."""
        config, settings = self.config, self.settings
        c, d, k, stages = config.width, config.code_dim, config.kernel_size, config.down_t
        r = config.frames_per_token
        frames = -(-settings.window // r) * r  # the last frame is repeated until they are a multiple of r
        copied = frames != settings.window or settings.half
        yield self.conv("encoder.model.1", self.input_dim, c, k, frames, keeps=copied, first=True)
        yield self.relu("encoder.model.2", frames)
        for s in range(stages):
            name = f"encoder.model.{3 + s}"
            yield self.conv(f"{name}.0", c, c, 4, frames, keeps=s > 0, stride=2)
            frames //= 2
            yield from self.stack(f"{name}.1.model", frames, keeps_first=True)
        yield self.conv(f"encoder.model.{3 + stages}", c, d, k, frames, keeps=stages > 0)
        yield self.quantizer(frames)
        yield self.conv("decoder.model.0", d, c, k, frames, keeps=True)
        yield self.relu("decoder.model.1", frames)
        for s in range(stages):
            name = f"decoder.model.{2 + s}"
            yield from self.stack(f"{name}.0.model", frames, keeps_first=s > 0)
            frames *= 2
            yield self.conv(f"{name}.2", c, c, 3, frames, keeps=True)
        yield self.conv(f"decoder.model.{2 + stages}", c, c, k, frames, keeps=stages > 0)
        yield self.relu(f"decoder.model.{3 + stages}", frames)
        yield self.conv(f"decoder.model.{4 + stages}", c, self.input_dim, k, frames, keeps=False)
        # In float32 the loss sees a view of what the decoder gave; autocast makes a copy of the real frames.
        seen = settings.window if settings.half else frames
        result = Kept("loss reconstruction", (settings.batch, seen, self.input_dim))
        # In addition, forward: the error of each number; backward: the gradient of the error and that of the result.
        yield Layer("loss", (result,), forward=2 * result.bytes, backward=2 * result.bytes)

    def row(self, name: str, channels: int, frames: int, number_bytes: int = 0) -> Kept:
        """An activation `[B, frames, channels]`."""
        return Kept(name, (self.settings.batch, frames, channels), number_bytes or self.settings.number_bytes)

    def conv(
        self, name: str, inputs: int, outputs: int, kernel: int, frames: int, *,
        keeps: bool, stride: int = 1, dilation: int = 1, first: bool = False,
    ) -> Layer:  # fmt: skip
        """A convolution; `keeps` when no earlier layer keeps its input, `first` when its input needs no gradient."""
        size, weights = self.settings.number_bytes, kernel * inputs * outputs
        past = (
            (kernel - 1) * dilation + 1 - stride if self.config.causal else 0
        )  # then it reads, and keeps, a longer copy
        into = 0 if first else self.row(name, inputs, frames).bytes
        out = self.row(name, outputs, frames // stride).bytes
        if self.settings.device == "cuda":
            copies = 4 * weights + (size * weights if self.settings.half else 0)  # the gradient, in half and in float32
        else:
            copies = size * weights * (4 if kernel > 1 else 1)  # kernel 1 is a plain matrix product
        return Layer(
            name,
            rows=(self.row(f"{name} input", inputs, frames + past),) if keeps or past else (),
            parameters=weights + outputs,
            cast=size * weights if self.settings.half else 0,
            forward=out + copies // 2,
            backward=out + into + copies,
        )

    def relu(self, name: str, frames: int) -> Layer:
        """A ReLU outside of the blocks."""
        output = self.row(f"{name} output", self.config.width, frames)
        return Layer(name, (output,), forward=output.bytes, backward=2 * output.bytes)

    def stack(self, name: str, frames: int, *, keeps_first: bool) -> Iterator[Layer]:
        """The residual blocks of a stage; `keeps_first` when no earlier layer keeps the input of the first one."""
        for i in range(self.config.depth):
            keeps = keeps_first or i > 0
            given = self.row(f"{name}.{i} input", self.config.width, frames)
            layers = self.block(f"{name}.{i}", given, frames, self.config.depth - 1 - i, keeps)
            if not self.settings.checkpointing:
                yield from layers
                continue
            for place, layer in enumerate(layers):
                rows = (given,) if keeps and place == 0 else ()
                again = tuple(row for row in layer.rows if row != given)
                yield replace(layer, rows=rows, again=again, block=f"{name}.{i}")

    def block(self, name: str, given: Kept, frames: int, power: int, keeps: bool) -> Iterator[Layer]:
        """Norm, activation, convolution; norm, activation, convolution of size 1; plus what was `given`.

        Backward, one more gradient of that size is held all the time: the one that goes round the block.
        """
        config, c, h = self.config, self.config.width, given.bytes
        size = 4 if self.wide_norm else self.settings.number_bytes
        for place, kernel in ((1, config.kernel_size), (2, 1)):
            source = given if place == 1 else self.row(f"{name}.conv1 output", c, frames)
            fresh = keeps or place == 2  # no earlier layer keeps the source
            if config.norm is not None:
                norm = f"{name}.norm{place}"
                if self.wide_norm:
                    source, fresh = self.row(f"{norm} input in float32", c, frames, 4), True
                rows = (source,) if fresh else ()
                statistics = Kept(f"{norm} mean and scale", (self.settings.batch, frames, 2))
                yield Layer(norm, (*rows, statistics), parameters=2 * c, forward=h, backward=3 * h)
                source, fresh = self.row(f"{norm} output", c, frames, size), True
            activation = f"{name}.activation{place}"
            rows = (source,) if config.activation != "relu" and fresh else ()
            conv_copies = self.wide_norm or (config.causal and kernel > 1)
            if config.activation == "relu" or not conv_copies:
                rows = (*rows, self.row(f"{activation} output", c, frames, size))
            yield Layer(activation, rows, forward=h, backward=3 * h)
            dilation = config.dilation_growth_rate**power if place == 1 else 1
            conv = self.conv(f"{name}.conv{place}", c, c, kernel, frames, keeps=self.wide_norm, dilation=dilation)
            yield replace(conv, backward=conv.backward + h)

    def quantizer(self, tokens: int) -> Layer:
        """FSQ, which computes in float32 always: a linear map to d numbers, tanh, rounding, a linear map back."""
        settings, dim = self.settings, self.config.code_dim
        levels = levels_for(self.config.codebook_size)
        latents, bounded, rounded = (
            self.row(f"quantizer {what}", channels, tokens, 4)
            for what, channels in (("input", dim), ("bounded", len(levels)), ("rounded", len(levels)))
        )
        matrix = one_hot_bytes(math.prod(levels), settings.batch * tokens) if settings.one_hot else 0
        return Layer(
            "quantizer",
            (latents, bounded, rounded),
            parameters=2 * dim * len(levels) + len(levels) + dim,
            forward=latents.bytes,
            backward=2 * latents.bytes,
            matrix=matrix,
        )
