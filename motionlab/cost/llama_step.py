"""The memory of one training step of the decoder, by formula: the walk of `tokenizer_step.py` over a LLaMA's layers.

With P parameters, float32, and B rows of S positions (W of them text), d = `dim`, h = `hidden`, H query heads and G
key-value heads:

    weights, gradients, optimizer state   as in `tokenizer_step.py`; the output layer's gradient from forward on
    batch         16 B S for tokens and labels, 4 B W text_dim for the text
    activations   per layer: (9 + 3 G/H) B S d + 4 B S h + B S S numbers, the last for the mask, if W > 1; and a few
                  B S H
    logits        at most 2^24 numbers, however long the batch (`motionlab.llama.objectives.cross_entropy`)
    work          what a layer holds only while it runs

A layer's derivative decides what it keeps. RMSNorm keeps its input and the normalised input, before the scale; a
linear layer its input; attention its queries and keys (turned), the product that its values are a part of, its output,
and the mask once more, as numbers that are added to scores; SwiGLU four tensors of width h. The last layer continues
from its attention with the labelled positions alone, all but the text, and so do the last norm and the head. With
autocast the stream between the layers and the norms stay float32, and every product has half-precision copies of its
input and its weight.

The allocator figures are those of torch's CPU kernels. A GPU has others for attention and norms, and there the
formula was not compared. Left out: the first pass of scheduled sampling, which keeps nothing for backward; with 64,000
codes and 96 positions in all it had the peak, 5 % above. And padding: all rows are taken to be as long as the longest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from motionlab.config import LlamaConfig
from motionlab.cost.settings import StepSettings
from motionlab.cost.tokenizer_layers import Kept, Layer
from motionlab.cost.tokenizer_step import StepMemory, walk_memory
from motionlab.errors import InputError
from motionlab.llama.objectives.cross_entropy import CHUNK_NUMBERS
from motionlab.llama.sizes import swiglu_hidden


class LlamaWalk:
    """The layers of a decoder, in the order in which they run.

    Args:
        settings: `window` is S, the positions of a row: text, codes and END.
        codebook_size: codes of the tokenizer; the embedding has two rows more.
        text_dim: width of the text features.
        text_slots: W, of the positions those that hold text.

    Raises:
        InputError: a part that is not described here, or more text than positions.
    """

    def __init__(
        self, config: LlamaConfig, settings: StepSettings, *, codebook_size: int, text_dim: int, text_slots: int
    ) -> None:
        if config.qk_norm:
            fix = "There is no formula for it; measure a real step with motionlab.cost.measure."
            raise InputError("memory of qk_norm", found="true", expected="false", fix=fix)
        if settings.window < 2:
            raise InputError("window", found=settings.window, expected="2 or more: text and a code", fix="Raise it.")
        if not 0 < text_slots < settings.window:
            expected = f"1 to {settings.window - 1}, less than the positions of a row"
            raise InputError("text_slots", found=text_slots, expected=expected, fix="Change text_slots or window.")
        self.config, self.settings, self.text_dim, self.text_slots = config, settings, text_dim, text_slots
        self.every = (settings.batch, settings.window)
        self.labelled = (settings.batch * (settings.window - text_slots),)  # every code, and END
        self.rows, self.outputs = codebook_size + 2, codebook_size + 1  # of the embedding; of the output layer
        self.hidden = swiglu_hidden(config.dim) if config.hidden is None else config.hidden
        groups = (config.n_head if config.n_kv_heads is None else config.n_kv_heads) / config.n_head
        self.kv_width = round(config.dim * groups)  # G hd
        # The attention mask lives through the whole forward pass; checkpointed blocks keep it for their second.
        # One slot of text needs none: the rule is causal then, and the kernel knows it.
        self.mask = settings.batch * settings.window**2 if text_slots > 1 else 0

    def stream(self, at: tuple[int, ...]) -> Kept:
        """The residual stream in float32, `[B, S, d]` with `self.every` position, `[n, d]` with `self.labelled`."""
        return self.tensor("residual stream", self.config.dim, at, 4)

    def wide(self, at: tuple[int, ...]) -> int:
        """Bytes of a norm's float32 result, which stays until attention or SwiGLU return: they have copies of it."""
        return self.stream(at).bytes if self.settings.half else 0

    def tensor(self, name: str, width: int, at: tuple[int, ...], number_bytes: int = 0) -> Kept:
        """An activation of this width at each of these positions."""
        return Kept(name, (*at, width), number_bytes or self.settings.number_bytes)

    def layers(self) -> Iterator[Layer]:
        """All of them, and the loss, in forward order."""
        yield from self.embedding()
        for i in range(self.config.n_layer):
            name = f"transformer.h.{i}"
            layers = list(self.block(name, last=i == self.config.n_layer - 1))
            if not self.settings.checkpointing:
                yield from (replace(layer, forward=layer.forward + self.mask) for layer in layers)
                continue
            for place, layer in enumerate(layers):
                rows = (replace(self.stream(self.every), name=f"{name} input"),) if place == 0 else ()
                again = layer.rows[1:] if place == 0 else layer.rows
                yield replace(layer, rows=rows, again=again, block=name)
        yield self.norm("transformer.ln_f", self.labelled, last=True)
        yield self.head()

    def embedding(self) -> Iterator[Layer]:
        """Rows of the table, and in their first slots the projected text instead."""
        config, settings, stream = self.config, self.settings, self.stream(self.every).bytes
        table = 0 if config.tied_embeddings else self.rows * config.dim
        rows: tuple[Kept, ...] = (Kept("places of the labels", self.labelled, 8),)  # the last layer reads them
        if settings.checkpointing and self.mask:
            rows = (*rows, Kept("mask", (settings.batch, settings.window, settings.window), 1))
        # Backward, the gradient of the table is made whole, however few of its rows were read.
        work = stream + 4 * self.rows * config.dim
        yield Layer("transformer.wte", rows, parameters=table, forward=stream, backward=work)
        text = (settings.batch, self.text_slots, self.text_dim)
        weights, slots = self.text_dim * config.dim, settings.batch * self.text_slots * config.dim
        copy = (Kept("llama_proj input", text, settings.number_bytes),) if settings.half else ()
        yield Layer(
            "transformer.llama_proj",
            copy,
            parameters=weights + config.dim,  # the gradient of a text is not needed, so no copy of the weight is kept
            forward=2 * stream + (4 + settings.number_bytes) * slots + 2 * self.mask,
            backward=3 * stream + self.weight_work(weights),
        )

    def block(self, name: str, *, last: bool) -> Iterator[Layer]:
        """Attention and SwiGLU, each after a norm. Backward, the gradient that goes round them is held all along.

        In the `last` block the labelled rows of the stream are copied first; they go round attention instead.
        """
        at, stream = self.labelled if last else self.every, self.stream(self.every).bytes
        copy = self.stream(self.labelled).bytes
        for layer in self.attention(name):
            if last:
                layer = replace(layer, forward=layer.forward + copy, backward=layer.backward - stream + copy)
            yield layer
        # The product of the last block has a copy of the labelled rows of what attention gave.
        projection = self.linear(f"{name}.attn.c_proj", self.config.dim, self.config.dim, at, keeps=last, adds=True)
        if last:  # Forward, the copied stream. Backward, the gradient of the copy, and that of all rows made from it.
            given = self.tensor("", self.config.dim, self.every).bytes
            projection = replace(projection, forward=projection.forward + copy, backward=projection.backward + given)
        yield projection
        yield from self.swiglu(name, at)

    def attention(self, name: str) -> Iterator[Layer]:
        """The first norm and attention, without the product that ends it."""
        d, settings, at, wide = self.config.dim, self.settings, self.every, self.wide(self.every)
        stream, given = self.stream(at).bytes, self.tensor("", d, at).bytes
        qkv, turned = self.tensor(f"{name}.attn qkv", d + 2 * self.kv_width, at), self.tensor("", d + self.kv_width, at)
        turned = replace(turned, name=f"{name}.attn queries and keys, turned")
        yield self.norm(f"{name}.rms_1", at)
        yield self.linear(f"{name}.attn.c_attn", d, d + 2 * self.kv_width, at, keeps=True)
        # The product with the angles runs in float32.
        angles = 2 * self.tensor("", d + self.kv_width, at, 4).bytes if settings.half else turned.bytes
        yield Layer(
            f"{name}.attn.rope",
            forward=wide + qkv.bytes + angles,
            backward=stream + qkv.bytes + turned.bytes + angles,
        )
        batch, length = at
        mask = (Kept(f"{name}.attn mask", (batch, length, length), settings.number_bytes),) if self.mask else ()
        kept = (
            qkv,
            turned,
            *mask,
            Kept(f"{name}.attn log of sums", (batch, self.config.n_head, length)),
            self.tensor(f"{name}.attn output", d, at),
        )
        forward = wide + sum(row.bytes for row in kept)
        yield Layer(f"{name}.attn", kept, forward=forward, backward=stream + given + qkv.bytes)

    def swiglu(self, name: str, at: tuple[int, ...]) -> Iterator[Layer]:
        """The second norm and SwiGLU, at these positions."""
        d, h, settings, wide = self.config.dim, self.hidden, self.settings, self.wide(at)
        stream, given, inside = self.stream(at).bytes, self.tensor("", d, at).bytes, self.tensor("", h, at).bytes
        yield self.norm(f"{name}.rms_2", at)
        yield self.linear(f"{name}.mlp.c_fc1", d, h, at, keeps=True)
        gate, other = self.tensor(f"{name}.mlp.c_fc1 output", h, at), self.tensor(f"{name}.mlp.c_fc2 output", h, at)
        opened = self.tensor(f"{name}.mlp.silu output", h, at)
        yield Layer(f"{name}.mlp.silu", (gate,), forward=wide + 2 * inside, backward=stream + given + 2 * inside)
        second = self.linear(f"{name}.mlp.c_fc2", d, h, at, keeps=settings.half)  # each product makes its own copy
        yield replace(second, forward=second.forward + inside, backward=second.backward + inside)
        yield Layer(f"{name}.mlp.product", (opened, other), forward=wide + 3 * inside, backward=stream + 3 * inside)
        yield self.linear(f"{name}.mlp.c_proj", h, d, at, keeps=True, adds=True)

    def norm(self, name: str, at: tuple[int, ...], *, last: bool = False) -> Layer:
        """An RMSNorm; nothing goes round the `last` one."""
        stream = self.stream(at)
        rows = (
            replace(stream, name=f"{name} input"),
            replace(stream, name=f"{name} normalised"),
            self.tensor(f"{name} scale", 1, at, 4),
        )
        return Layer(
            name,
            rows,
            parameters=self.config.dim,
            forward=3 * stream.bytes,
            backward=(4 if last else 5) * stream.bytes,
        )

    def linear(
        self, name: str, inputs: int, outputs: int, at: tuple[int, ...], *, keeps: bool = False, adds: bool = False
    ) -> Layer:
        """A product with a weight; `keeps` when no earlier layer keeps its input, `adds` to the stream."""
        settings, weights, stream = self.settings, inputs * outputs, self.stream(at).bytes
        into, out = self.tensor("", inputs, at).bytes, self.tensor("", outputs, at).bytes
        return Layer(
            name,
            (self.tensor(f"{name} input", inputs, at),) if keeps else (),
            parameters=weights,
            cast=settings.number_bytes * weights if settings.half else 0,
            forward=self.wide(at) + (into if keeps else 0) + out + (stream if adds else 0),
            backward=stream + (0 if adds and not settings.half else out) + into + self.weight_work(weights),
        )

    def weight_work(self, weights: int) -> int:
        """Bytes while the gradient of a weight is made: itself, and under autocast the same in half precision."""
        return (4 + (self.settings.number_bytes if self.settings.half else 0)) * weights

    def head(self) -> Layer:
        """The output layer and the loss, in chunks of labelled positions; gradients are made in the same go."""
        settings, d, vocabulary, size = self.settings, self.config.dim, self.outputs, self.settings.number_bytes
        (labels,) = self.labelled
        chunk = min(labels, max(1, CHUNK_NUMBERS // vocabulary))
        # Under autocast a chunk has a copy in half precision; then there is one of the weight too, and its gradient
        # comes in half precision and is made float32 to be added.
        number, table = (4 + size, size * vocabulary * d) if settings.half else (4, 0)
        logits = number * vocabulary * chunk
        copies = 2 * table + 4 * vocabulary * d if settings.half else 0
        states = 4 * labels * d
        return Layer(
            "lm_head",
            (Kept("lm_head gradient of its input", (labels, d)),),
            parameters=(self.rows if self.config.tied_embeddings else vocabulary) * d,
            early=vocabulary * d,
            # The last norm's output, its gradient, and the part of it that a chunk gives.
            forward=2 * states + size * chunk * d + copies,
            backward=4 * self.rows * d if self.config.tied_embeddings else 0,
            matrix=logits,
        )


def llama_step_memory(
    config: LlamaConfig, settings: StepSettings, *, codebook_size: int, text_dim: int, text_slots: int
) -> StepMemory:
    """Take the walk through a decoder; see `LlamaWalk` for the arguments.

    >>> settings = StepSettings(batch=16, window=170)
    >>> memory = llama_step_memory(LlamaConfig(), settings, codebook_size=64_000, text_dim=2048, text_slots=20)
    >>> {name: f"{size / 2**20:.0f} MiB" for name, size in memory.parts().items() if size > 2**23}
    {'weights': '705 MiB', 'optimizer state': '1410 MiB', 'gradients': '188 MiB', 'activations': '2199 MiB',
     'work': '15 MiB', 'logits': '64 MiB'}
    >>> f"{memory.peak / 2**30:.2f} GiB with {memory.top.layer}"
    '4.48 GiB with lm_head'

    Raises:
        InputError: a decoder that the formula does not describe. It can still be measured.
    """
    walk = LlamaWalk(config, settings, codebook_size=codebook_size, text_dim=text_dim, text_slots=text_slots)
    batch = settings.batch * (16 * settings.window + (4 * text_dim + 1) * text_slots)
    return walk_memory(list(walk.layers()), settings, batch, matrix_name="logits")
