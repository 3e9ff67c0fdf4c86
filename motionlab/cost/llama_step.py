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
and the mask once more, as numbers that are added to scores; SwiGLU four tensors of width h. With autocast the stream
between the layers and the norms stay float32, and every product has half-precision copies of its input and its weight.

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
        self.rows, self.outputs = codebook_size + 2, codebook_size + 1  # of the embedding; of the output layer
        self.hidden = swiglu_hidden(config.dim) if config.hidden is None else config.hidden
        groups = (config.n_head if config.n_kv_heads is None else config.n_kv_heads) / config.n_head
        self.kv_width = round(config.dim * groups)  # G hd
        # The attention mask lives through the whole forward pass; checkpointed blocks keep it for their second.
        # One slot of text needs none: the rule is causal then, and the kernel knows it.
        self.mask = settings.batch * settings.window**2 if text_slots > 1 else 0
        # A norm's float32 result stays until attention or SwiGLU return, which have made copies of it.
        self.wide = self.stream.bytes if settings.half else 0

    @property
    def stream(self) -> Kept:
        """The residual stream, `[B, S, d]` in float32."""
        return self.tensor("residual stream", self.config.dim, 4)

    def tensor(self, name: str, width: int, number_bytes: int = 0) -> Kept:
        """An activation `[B, S, width]`."""
        settings = self.settings
        return Kept(name, (settings.batch, settings.window, width), number_bytes or settings.number_bytes)

    def layers(self) -> Iterator[Layer]:
        """All of them, and the loss, in forward order."""
        yield from self.embedding()
        for i in range(self.config.n_layer):
            name = f"transformer.h.{i}"
            layers = list(self.block(name))
            if not self.settings.checkpointing:
                yield from (replace(layer, forward=layer.forward + self.mask) for layer in layers)
                continue
            for place, layer in enumerate(layers):
                rows = (replace(self.stream, name=f"{name} input"),) if place == 0 else ()
                again = layer.rows[1:] if place == 0 else layer.rows
                yield replace(layer, rows=rows, again=again, block=name)
        yield self.norm("transformer.ln_f", last=True)
        yield self.head()

    def embedding(self) -> Iterator[Layer]:
        """Rows of the table, and in their first slots the projected text instead."""
        config, settings, stream = self.config, self.settings, self.stream.bytes
        table = 0 if config.tied_embeddings else self.rows * config.dim
        rows: tuple[Kept, ...] = ()
        if settings.checkpointing and self.mask:
            rows = (Kept("mask", (settings.batch, settings.window, settings.window), 1),)
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

    def block(self, name: str) -> Iterator[Layer]:
        """Attention and SwiGLU, each after a norm. Backward, the gradient that goes round them is held all along."""
        d, h, settings, stream = self.config.dim, self.hidden, self.settings, self.stream.bytes
        given, inside = self.tensor("", d).bytes, self.tensor("", h).bytes
        qkv, turned = self.tensor(f"{name}.attn qkv", d + 2 * self.kv_width), self.tensor("", d + self.kv_width)
        turned = replace(turned, name=f"{name}.attn queries and keys, turned")
        yield self.norm(f"{name}.rms_1")
        yield self.linear(f"{name}.attn.c_attn", d, d + 2 * self.kv_width, keeps=True)
        # The product with the angles runs in float32.
        wide = 2 * self.tensor("", d + self.kv_width, 4).bytes if settings.half else turned.bytes
        yield Layer(
            f"{name}.attn.rope", forward=self.wide + qkv.bytes + wide, backward=stream + qkv.bytes + turned.bytes + wide
        )
        batch, length = settings.batch, settings.window
        mask = (Kept(f"{name}.attn mask", (batch, length, length), settings.number_bytes),) if self.mask else ()
        kept = (
            qkv,
            turned,
            *mask,
            Kept(f"{name}.attn log of sums", (batch, self.config.n_head, length)),
            self.tensor(f"{name}.attn output", d),
        )
        forward = self.wide + sum(row.bytes for row in kept)
        yield Layer(f"{name}.attn", kept, forward=forward, backward=stream + given + qkv.bytes)
        yield self.linear(f"{name}.attn.c_proj", d, d, adds=True)
        yield self.norm(f"{name}.rms_2")
        yield self.linear(f"{name}.mlp.c_fc1", d, h, keeps=True)
        gate, other = self.tensor(f"{name}.mlp.c_fc1 output", h), self.tensor(f"{name}.mlp.c_fc2 output", h)
        opened = self.tensor(f"{name}.mlp.silu output", h)
        yield Layer(f"{name}.mlp.silu", (gate,), forward=self.wide + 2 * inside, backward=stream + given + 2 * inside)
        second = self.linear(f"{name}.mlp.c_fc2", d, h, keeps=settings.half)  # each product makes a copy for itself
        yield replace(second, forward=second.forward + inside, backward=second.backward + inside)
        yield Layer(
            f"{name}.mlp.product", (opened, other), forward=self.wide + 3 * inside, backward=stream + 3 * inside
        )
        yield self.linear(f"{name}.mlp.c_proj", h, d, keeps=True, adds=True)

    def norm(self, name: str, *, last: bool = False) -> Layer:
        """An RMSNorm; nothing goes round the `last` one."""
        stream = self.stream
        rows = (
            replace(stream, name=f"{name} input"),
            replace(stream, name=f"{name} normalised"),
            self.tensor(f"{name} scale", 1, 4),
        )
        return Layer(
            name,
            rows,
            parameters=self.config.dim,
            forward=3 * stream.bytes,
            backward=(4 if last else 5) * stream.bytes,
        )

    def linear(self, name: str, inputs: int, outputs: int, *, keeps: bool = False, adds: bool = False) -> Layer:
        """A product with a weight; `keeps` when no earlier layer keeps its input, `adds` to the stream."""
        settings, weights = self.settings, inputs * outputs
        into, out, stream = self.tensor("", inputs).bytes, self.tensor("", outputs).bytes, self.stream.bytes
        return Layer(
            name,
            (self.tensor(f"{name} input", inputs),) if keeps else (),
            parameters=weights,
            cast=settings.number_bytes * weights if settings.half else 0,
            forward=self.wide + (into if keeps else 0) + out + (stream if adds else 0),
            backward=stream + (0 if adds and not settings.half else out) + into + self.weight_work(weights),
        )

    def weight_work(self, weights: int) -> int:
        """Bytes while the gradient of a weight is made: itself, and under autocast the same in half precision."""
        return (4 + (self.settings.number_bytes if self.settings.half else 0)) * weights

    def head(self) -> Layer:
        """The output layer and the loss, in chunks of labelled positions; gradients are made in the same go."""
        settings, d, vocabulary, size = self.settings, self.config.dim, self.outputs, self.settings.number_bytes
        labels = settings.batch * (settings.window - self.text_slots)  # every code, and END
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
            # The last norm's output, its labelled rows, their gradient, and the part of it that a chunk gives.
            forward=self.stream.bytes + 2 * states + size * chunk * d + copies,
            backward=self.stream.bytes + (4 * self.rows * d if self.config.tied_embeddings else 0),
            matrix=logits,
        )


def llama_step_memory(
    config: LlamaConfig, settings: StepSettings, *, codebook_size: int, text_dim: int, text_slots: int
) -> StepMemory:
    """Take the walk through a decoder; see `LlamaWalk` for the arguments.

    >>> settings = StepSettings(batch=16, window=170)
    >>> memory = llama_step_memory(LlamaConfig(), settings, codebook_size=64_000, text_dim=2048, text_slots=20)
    >>> {name: f"{size / 2**20:.0f} MiB" for name, size in memory.parts().items() if size > 2**23}
    {'weights': '705 MiB', 'optimizer state': '1410 MiB', 'gradients': '188 MiB', 'activations': '2206 MiB',
     'work': '23 MiB', 'logits': '64 MiB'}
    >>> f"{memory.peak / 2**30:.2f} GiB with {memory.top.layer}"
    '4.49 GiB with lm_head'

    Raises:
        InputError: a decoder that the formula does not describe. It can still be measured.
    """
    walk = LlamaWalk(config, settings, codebook_size=codebook_size, text_dim=text_dim, text_slots=text_slots)
    batch = settings.batch * (16 * settings.window + (4 * text_dim + 1) * text_slots)
    return walk_memory(list(walk.layers()), settings, batch, matrix_name="logits")
