"""Where the parameters sit and what they cost, by formula. Nothing is built and torch is not loaded.

The formulas are tested against the real modules. `format_rows` prints them in the layout of the training log that
asked the question "where do 11,349,782 parameters sit?":

    vqvae.encoder.model.1.weight: torch.Size([512, 272, 3]) | parameters: 417,792
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from motionlab.config import RunConfig, TokenizerConfig
from motionlab.errors import InputError
from motionlab.quantizers.levels import levels_for

if TYPE_CHECKING:
    from torch import nn

TEXT_DIMS = {"minilm": 384, "t5": 2048}  # t5: flan-t5-xl, the published choice; other folders differ
LEVELLED = ("fsq", "ifsq", "fsq_noise", "rfsq")  # quantizers whose codes are combinations of levels
PROJECTED = (*LEVELLED, "lfq", "bsq")  # those with a linear map in and one out
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
        language: "en", or "zh" for the exact words of the log.

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
    return [replace(row, name=prefix + row.name) for row in _tokenizer(config, input_dim)]


def llama_parameters(config: RunConfig, text_dim: int | None = None) -> list[ParameterRow]:
    """Rows of the decoder that `config` describes; `text_dim` is that of its text encoder unless given."""
    codebook = _codes(config.tokenizer)
    return list(_llama(config, codebook, text_dim or TEXT_DIMS[config.text.encoder]))


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds for the parameters only. Activations come on top and grow with the batch."""

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
    """K, the codes that really exist."""
    return math.prod(levels_for(config.codebook_size)) if config.quantizer in LEVELLED else config.codebook_size


def _digits(config: TokenizerConfig) -> int:
    """d, the numbers that a code of `PROJECTED` consists of."""
    if config.quantizer in LEVELLED:
        return len(levels_for(config.codebook_size))
    return config.codebook_size.bit_length() - 1


def _layer(name: str, *shape: int) -> Iterator[ParameterRow]:
    """A weight of this shape and its bias."""
    yield ParameterRow(f"{name}.weight", shape)
    yield ParameterRow(f"{name}.bias", shape[:1])


def _stack(name: str, config: TokenizerConfig) -> Iterator[ParameterRow]:
    c = config.width
    for i in range(config.depth):
        block = f"{name}.model.{i}"
        if config.norm:
            yield from _layer(f"{block}.norm1", c)
            yield from _layer(f"{block}.norm2", c)
        yield from _layer(f"{block}.conv1", c, c, config.kernel_size)
        yield from _layer(f"{block}.conv2", c, c, 1)


def _tokenizer(config: TokenizerConfig, input_dim: int) -> Iterator[ParameterRow]:
    c, d, k, stages, f = config.width, config.code_dim, config.kernel_size, config.down_t, input_dim * config.patch_size
    yield from _layer("encoder.model.1", c, f, k)
    for stage in range(3, 3 + stages):  # after the patcher's place, the convolution and its ReLU
        yield from _layer(f"encoder.model.{stage}.0", c, c, 4)
        yield from _stack(f"encoder.model.{stage}.1", config)
    yield from _layer(f"encoder.model.{3 + stages}", d, c, k)
    yield from _layer("decoder.model.0", c, d, k)
    for stage in range(2, 2 + stages):
        yield from _stack(f"decoder.model.{stage}.0", config)
        yield from _layer(f"decoder.model.{stage}.2", c, c, 3)
    yield from _layer(f"decoder.model.{2 + stages}", c, c, k)
    yield from _layer(f"decoder.model.{4 + stages}", f, c, k)
    if config.quantizer in PROJECTED:
        yield from _layer("quantizer.project_in", _digits(config), d)
        yield from _layer("quantizer.project_out", d, _digits(config))
    elif config.quantizer in ("vq", "simvq"):
        table = ParameterRow("quantizer.embedding.weight", (config.codebook_size, d))
        yield replace(table, trainable=config.quantizer == "vq")
    if config.quantizer == "simvq":
        yield ParameterRow("quantizer.transform.weight", (d, d))


def _llama(config: RunConfig, codebook: int, text_dim: int) -> Iterator[ParameterRow]:
    llama = config.llama
    d, head_dim = llama.dim, llama.dim // llama.n_head
    hidden = -(-int(8 * d / 3) // 256) * 256 if llama.hidden is None else llama.hidden
    kv_width = head_dim * (llama.n_head if llama.n_kv_heads is None else llama.n_kv_heads)
    yield ParameterRow("transformer.wte.weight", (codebook + 2, d))  # codes, END, PAD
    for i in range(llama.n_layer):
        block = f"transformer.h.{i}"
        yield ParameterRow(f"{block}.rms_1.scale", (d,))
        yield ParameterRow(f"{block}.attn.c_attn.weight", (d + 2 * kv_width, d))  # query, key, value
        yield ParameterRow(f"{block}.attn.c_proj.weight", (d, d))
        if llama.qk_norm:
            yield ParameterRow(f"{block}.attn.q_norm.scale", (head_dim,))
            yield ParameterRow(f"{block}.attn.k_norm.scale", (head_dim,))
        yield ParameterRow(f"{block}.rms_2.scale", (d,))
        yield ParameterRow(f"{block}.mlp.c_fc1.weight", (hidden, d))
        yield ParameterRow(f"{block}.mlp.c_fc2.weight", (hidden, d))
        yield ParameterRow(f"{block}.mlp.c_proj.weight", (d, hidden))
    yield ParameterRow("transformer.ln_f.scale", (d,))
    yield ParameterRow("llama_proj.weight", (d, text_dim))
    yield ParameterRow("llama_proj.bias", (d,))
    if not llama.tied_embeddings:
        yield ParameterRow("lm_head.weight", (codebook + 1, d))  # codes and END; PAD is never predicted
