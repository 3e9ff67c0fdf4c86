"""Errors of a decoder, raised before it computes: sizes and heads that do not fit, tokens out of range."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError


def check_sizes(**sizes: int) -> None:
    """Raise InputError unless every size is 1 or more.

    >>> check_sizes(n_layer=1, n_head=2)
    """
    for name, value in sizes.items():
        if value < 1:
            raise InputError(name, found=value, expected="1 or more", fix=f"Change {name}.")


def check_heads(dim: int, n_head: int, n_kv_heads: int) -> None:
    """Raise InputError unless the heads divide the width, head_dim is even and key-value heads divide the heads.

    >>> check_heads(dim=32, n_head=4, n_kv_heads=2)
    """
    if n_head < 1 or dim % n_head or (dim // n_head) % 2:
        raise InputError(
            "n_head", found=n_head, expected=f"a divisor of dim={dim} with an even quotient", fix="Change n_head."
        )
    if n_kv_heads < 1 or n_head % n_kv_heads:
        raise InputError(
            "n_kv_heads", found=n_kv_heads, expected=f"a divisor of n_head={n_head}", fix="Change n_kv_heads."
        )


def check_length(where: str, length: int, max_length: int) -> None:
    """Raise InputError when a sequence or a cache has more positions than the decoder."""
    if length > max_length:
        raise InputError(
            where,
            found=f"{length} positions",
            expected=f"at most max_length={max_length}",
            fix="Shorten the text or the motion, or build the model with a larger max_length.",
        )


def check_tokens(tokens: Tensor, codebook_size: int, rows: int) -> None:
    """Raise InputError when a token has no row in the embedding table, which has `rows`.

    On a CPU only: on a GPU every step would have to wait for the answer, and a compiler cannot ask for a value.
    """
    if tokens.device.type != "cpu" or tokens.numel() == 0 or torch.compiler.is_compiling():
        return
    low, high = (int(value) for value in tokens.aminmax())
    if low < 0 or high >= rows:
        raise InputError(
            "tokens",
            found=f"values {low} to {high}",
            expected=f"0 to {rows - 1}",
            fix=f"Use the tokenizer that the decoder was trained with: it has {codebook_size} codes.",
        )


def check_codebook(tokenizer_codes: int, decoder_codes: int) -> None:
    """Raise InputError unless tokenizer and decoder use the same codes."""
    if tokenizer_codes != decoder_codes:
        raise InputError(
            "codebook_size",
            found=f"a tokenizer with {tokenizer_codes} codes and a decoder with {decoder_codes}",
            expected="the same number",
            fix="Use the tokenizer whose codes the decoder was trained on.",
        )
