"""Where the parameters sit and what they cost, by formula. Nothing is built and torch is not loaded.

The formulas are tested against the real modules. `format_rows` prints them in the layout of the training log that
asked the question "where do 11,349,782 parameters sit?":

    vqvae.encoder.model.1.weight: torch.Size([512, 272, 3]) | parameters: 417,792
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from motionlab.config import RunConfig, TokenizerConfig
from motionlab.errors import InputError
from motionlab.quantizers.levels import levels_for

if TYPE_CHECKING:
    from torch import nn

Rows = Iterator[tuple[str, tuple[int, ...]]]

TEXT_DIMS = {"minilm": 384, "t5": 2048}  # t5: flan-t5-xl, the published choice; other folders differ
WORDS = {"en": ("parameters", "total", "trainable"), "zh": ("参数数量", "总参数量", "可训练参数量")}


@dataclass(frozen=True)
class ParameterRow:
    """One tensor that is trained, or could be."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True

    @property
    def count(self) -> int:
        """Numbers in the tensor."""
        return math.prod(self.shape)


def parameter_rows(module: nn.Module, prefix: str = "") -> list[ParameterRow]:
    """One row for each parameter of a real module, in the order of `named_parameters`."""
    return [
        ParameterRow(prefix + name, tuple(parameter.shape), parameter.requires_grad)
        for name, parameter in module.named_parameters()
    ]


def format_rows(rows: Sequence[ParameterRow], language: str = "en") -> str:
    """The rows and their total as text.

    Args:
        language: "en", or "zh" for the very words of the log.

    >>> print(format_rows([ParameterRow("proj.weight", (6, 512)), ParameterRow("proj.bias", (6,))]))
    proj.weight: torch.Size([6, 512]) | parameters: 3,072
    proj.bias: torch.Size([6]) | parameters: 6
    total: 3,078
    trainable: 3,078
    """
    if language not in WORDS:
        raise InputError("language", found=repr(language), expected=" or ".join(WORDS), fix="Choose one of these.")
    count, total, trainable = WORDS[language]
    lines = [f"{row.name}: torch.Size({list(row.shape)}) | {count}: {row.count:,}" for row in rows]
    lines.append(f"{total}: {sum(row.count for row in rows):,}")
    lines.append(f"{trainable}: {sum(row.count for row in rows if row.trainable):,}")
    return "\n".join(lines)


def tokenizer_parameters(config: TokenizerConfig, input_dim: int = 272, prefix: str = "vqvae.") -> list[ParameterRow]:
    """Rows of the tokenizer that `config` describes.

    >>> rows = tokenizer_parameters(TokenizerConfig())
    >>> len(rows), sum(row.count for row in rows)
    (66, 11349782)
    """
    return [ParameterRow(prefix + name, shape) for name, shape in _tokenizer(config, input_dim)]


def llama_parameters(config: RunConfig, text_dim: int | None = None) -> list[ParameterRow]:
    """Rows of the decoder that `config` describes; `text_dim` is that of its text encoder unless given."""
    codebook = _codes(config.tokenizer)
    return [
        ParameterRow(name, shape)
        for name, shape in _llama(config, codebook, text_dim or TEXT_DIMS[config.text.encoder])
    ]


def tokenizer_count(config: TokenizerConfig, input_dim: int = 272) -> dict[str, int]:
    """The tokenizer's parameters by part, by arithmetic alone.

    With C = width, D = code_dim, F = input_dim, n = depth, s = down_t, d = number of FSQ levels (k C C + C is a
    convolution of kernel k with its bias):

        block   = [4 C with LN] + (3 C C + C) + (C C + C)
        encoder = (3 F C + C) + s (4 C C + C + n block) + (3 C D + D)
        decoder = (3 D C + C) + s (n block + 3 C C + C) + (3 C C + C) + (3 C F + F)
        FSQ     = (D d + d) + (d D + D);  a VQ codebook is a buffer and counts 0

    >>> tokenizer_count(TokenizerConfig())
    {'encoder': 5409280, 'decoder': 5933840, 'quantizer': 6662, 'total': 11349782}
    """
    c, d, f = config.width, config.code_dim, input_dim
    block = (4 * c if config.norm else 0) + (3 * c * c + c) + (c * c + c)
    stack = config.depth * block
    encoder = (3 * f * c + c) + config.down_t * (4 * c * c + c + stack) + (3 * c * d + d)
    decoder = (3 * d * c + c) + config.down_t * (stack + 3 * c * c + c) + (3 * c * c + c) + (3 * c * f + f)
    levels = len(levels_for(config.codebook_size)) if config.quantizer == "fsq" else 0
    quantizer = (d * levels + levels) + (levels * d + d) if levels else 0
    return {"encoder": encoder, "decoder": decoder, "quantizer": quantizer, "total": encoder + decoder + quantizer}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds for the parameters alone. Activations come on top and grow with the batch."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """Bytes of all three."""
        return self.weights + self.gradients + self.optimizer

    def __str__(self) -> str:
        mib = {name: getattr(self, name) / 2**20 for name in ("weights", "gradients", "optimizer", "total")}
        return ", ".join(f"{name} {size:,.1f} MiB" for name, size in mib.items())


def training_memory(parameters: int, weight_bytes: int = 4) -> MemoryEstimate:
    """Memory of weights, gradients and AdamW's two averages.

    Autocast changes nothing here: weights, gradients and averages stay float32. `weight_bytes=2` is for a model that
    was itself cast to bf16; AdamW's averages then have two bytes as well.

    >>> print(training_memory(11_349_782))
    weights 43.3 MiB, gradients 43.3 MiB, optimizer 86.6 MiB, total 173.2 MiB
    """
    return MemoryEstimate(
        weights=weight_bytes * parameters, gradients=weight_bytes * parameters, optimizer=2 * weight_bytes * parameters
    )


def _codes(config: TokenizerConfig) -> int:
    return math.prod(levels_for(config.codebook_size)) if config.quantizer == "fsq" else config.codebook_size


def _conv(name: str, inputs: int, outputs: int, kernel: int) -> Rows:
    yield f"{name}.weight", (outputs, inputs, kernel)
    yield f"{name}.bias", (outputs,)


def _stack(name: str, config: TokenizerConfig) -> Rows:
    c = config.width
    for i in range(config.depth):
        block = f"{name}.model.{i}"
        if config.norm:
            for norm in ("norm1", "norm2"):
                yield f"{block}.{norm}.weight", (c,)
                yield f"{block}.{norm}.bias", (c,)
        yield from _conv(f"{block}.conv1", c, c, 3)
        yield from _conv(f"{block}.conv2", c, c, 1)


def _tokenizer(config: TokenizerConfig, input_dim: int) -> Rows:
    c, d, stages = config.width, config.code_dim, config.down_t
    yield from _conv("encoder.model.1", input_dim, c, 3)
    for stage in range(3, 3 + stages):  # after the patcher's place, the convolution and its ReLU
        yield from _conv(f"encoder.model.{stage}.0", c, c, 4)
        yield from _stack(f"encoder.model.{stage}.1", config)
    yield from _conv(f"encoder.model.{3 + stages}", c, d, 3)
    yield from _conv("decoder.model.0", d, c, 3)
    for stage in range(2, 2 + stages):
        yield from _stack(f"decoder.model.{stage}.0", config)
        yield from _conv(f"decoder.model.{stage}.2", c, c, 3)
    yield from _conv(f"decoder.model.{2 + stages}", c, c, 3)
    yield from _conv(f"decoder.model.{4 + stages}", c, input_dim, 3)
    if config.quantizer == "fsq":
        levels = len(levels_for(config.codebook_size))
        yield "quantizer.project_in.weight", (levels, d)
        yield "quantizer.project_in.bias", (levels,)
        yield "quantizer.project_out.weight", (d, levels)
        yield "quantizer.project_out.bias", (d,)


def _llama(config: RunConfig, codebook: int, text_dim: int) -> Rows:
    llama = config.llama
    d, head_dim = llama.dim, llama.dim // llama.n_head
    hidden = llama.hidden or -(-int(8 * d / 3) // 256) * 256
    kv_width = head_dim * (llama.n_kv_heads or llama.n_head)
    yield "transformer.wte.weight", (codebook + 2, d)  # codes, END, PAD
    for i in range(llama.n_layer):
        block = f"transformer.h.{i}"
        yield f"{block}.rms_1.scale", (d,)
        yield f"{block}.attn.c_attn.weight", (d + 2 * kv_width, d)  # query, key, value
        yield f"{block}.attn.c_proj.weight", (d, d)
        yield f"{block}.rms_2.scale", (d,)
        yield f"{block}.mlp.c_fc1.weight", (hidden, d)
        yield f"{block}.mlp.c_fc2.weight", (hidden, d)
        yield f"{block}.mlp.c_proj.weight", (d, hidden)
    yield "transformer.ln_f.scale", (d,)
    yield "llama_proj.weight", (d, text_dim)
    yield "llama_proj.bias", (d,)
    yield "lm_head.weight", (codebook + 1, d)  # codes and END; PAD is never predicted
