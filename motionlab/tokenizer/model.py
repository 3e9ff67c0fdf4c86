"""The motion tokenizer: motion to a few integers a second, and back.

The architecture is that of the published MotionMillion tokenizer (arXiv 2507.07095), which descends from T2M-GPT
(arXiv 2301.06052): a convolutional autoencoder with a quantizer at its narrowest place.

Notation: B batch, T frames, F = `input_dim` (272), N tokens, D = `quantizer.dim`, r = 2**`down_t` frames a token.

Any length works: the last frame is repeated until T is a multiple of r, and `forward` cuts its result back to T. So a
clip of T frames has ceil(T / r) tokens, and a multiple of r is treated exactly as the published code treats it (which
silently drops the rest of other lengths).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantized, Quantizer
from motionlab.tokenizer.decoder import Decoder
from motionlab.tokenizer.encoder import Encoder
from motionlab.tokenizer.motionmillion import rename_published


class TokenizerOutput(NamedTuple):
    """Fields: `reconstruction [B, T, F]` (normalised, as the input), `quantized` (codes `[B, N, D]`, ...)."""

    reconstruction: Tensor
    quantized: Quantized


class MotionTokenizer(nn.Module):
    """Normalised motion `[B, T, F]` <-> token indices `[B, N]`.

    Args:
        quantizer: any `Quantizer`; its `dim` is the width of the bottleneck.
        input_dim: F.
        width: channels of the convolutions.
        depth: residual blocks a stage; their dilations grow by `dilation_growth_rate`.
        down_t: how often the frame rate is halved, 0 or more.
        activation: "relu", "silu" or "gelu".
        norm: "LN" or None, inside the residual blocks.
        causal: every output depends on the past only (up to the end of its own token).

    >>> from motionlab.quantizers.fsq import FSQ
    >>> tokenizer = MotionTokenizer(FSQ((8, 5, 5, 5), dim=16), width=16, depth=1)
    >>> motion = torch.zeros(2, 61, 272)
    >>> tokenizer.encode(motion).shape, tokenizer(motion).reconstruction.shape
    (torch.Size([2, 31]), torch.Size([2, 61, 272]))
    """

    def __init__(
        self,
        quantizer: Quantizer,
        *,
        input_dim: int = 272,
        width: int = 512,
        depth: int = 3,
        down_t: int = 1,
        dilation_growth_rate: int = 3,
        activation: str = "relu",
        norm: str | None = "LN",
        causal: bool = False,
    ) -> None:
        super().__init__()
        for name, value, least in (("width", width, 1), ("depth", depth, 0), ("down_t", down_t, 0)):
            if value < least:
                raise InputError(name, found=value, expected=f"{least} or more", fix="Change this argument.")
        self.input_dim, self.down_t = input_dim, down_t
        shared: dict[str, Any] = dict(
            depth=depth, down_t=down_t, growth=dilation_growth_rate, activation=activation, norm=norm, causal=causal
        )
        self.encoder = Encoder(input_dim, width, quantizer.dim, **shared)
        self.decoder = Decoder(input_dim, width, quantizer.dim, **shared)
        self.quantizer = quantizer

    @property
    def frames_per_token(self) -> int:
        """r, the number of frames that one token covers."""
        return int(2**self.down_t)

    @property
    def codebook_size(self) -> int:
        """K, the number of codes that really exist."""
        return self.quantizer.codebook_size

    def token_count(self, frames: int) -> int:
        """How many tokens a clip of `frames` frames becomes: ceil(T / r)."""
        return -(-frames // self.frames_per_token)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> TokenizerOutput:
        """Encode, quantize and decode `x [B, T, F]`.

        Args:
            mask: `[B, T]`, true where a frame is real. It keeps padding out of a learned codebook; give the same mask
                to the losses. Convolutions still see the padding near the end of a clip: to get the tokens that a clip
                has by itself, use `encode_clips`.
        """
        self._check_motion(x)
        quantized = self.quantizer(self.encoder(self._pad(x)), None if mask is None else self._token_mask(mask))
        reconstruction = self.decoder(quantized.codes)[:, : x.shape[1]]  # [B, N * r, F] -> [B, T, F]
        return TokenizerOutput(reconstruction, quantized)

    def encode(self, x: Tensor) -> Tensor:
        """Motion `[B, T, F]` to indices `[B, ceil(T / r)]`."""
        self._check_motion(x)
        return self.quantizer(self.encoder(self._pad(x))).indices

    @torch.no_grad()
    def encode_clips(self, clips: Sequence[Tensor], batch_size: int = 64) -> list[Tensor]:
        """Indices of many clips `[T_i, F]`, each exactly as if it were encoded alone.

        Clips of equal length share a batch, so nothing is padded: padding would change the tokens near the end.
        """
        order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
        result: dict[int, Tensor] = {}
        start = 0
        while start < len(order):
            frames = len(clips[order[start]])
            group = [i for i in order[start : start + batch_size] if len(clips[i]) == frames]
            start += len(group)
            result.update(zip(group, self.encode(torch.stack([clips[i] for i in group])), strict=True))
        return [result[i] for i in range(len(clips))]

    def decode(self, indices: Tensor) -> Tensor:
        """Indices `[B, N]` to normalised motion `[B, N * r, F]`.

        Raises:
            InputError: not `[B, N]`, no token at all, or a number that is no code (END and PAD must be cut off first).
        """
        if indices.ndim != 2 or indices.shape[1] == 0:
            raise InputError(
                "tokens",
                found=f"shape {tuple(indices.shape)}",
                expected="(B, N) with N >= 1",
                fix="Give one row of tokens a motion; for a single motion use tokens[None].",
            )
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= self.codebook_size:
            raise InputError(
                "tokens",
                found=f"values {low}..{high}",
                expected=f"codes 0..{self.codebook_size - 1}",
                fix="Cut END and PAD off, and decode with the tokenizer that made the tokens.",
            )
        result: Tensor = self.decoder(self.quantizer.indices_to_codes(indices))
        return result

    def load_motionmillion_state(self, state: Mapping[str, Any]) -> None:
        """Load a state dict in the published naming, strictly.

        Accepts the prefixes `module.` and `vqvae.`, the whole checkpoint (its key `net`), models with and without the
        patcher, and causal ones.

        Raises:
            InputError: a name or shape does not fit this model; the first one is named.
        """
        renamed = rename_published(state)
        own = self.state_dict()
        if set(own) - set(renamed) == {f"quantizer.{name}" for name in ("cluster_size", "cluster_sum", "initialised")}:
            # A published VQ checkpoint holds the codebook only. One count each lets the averages start from it.
            book = renamed["quantizer.codebook"]
            renamed["quantizer.cluster_sum"] = book.clone()
            renamed["quantizer.cluster_size"] = book.new_ones(len(book))
            renamed["quantizer.initialised"] = torch.tensor(True)
        wrong = sorted(set(own) ^ set(renamed)) or [name for name in own if own[name].shape != renamed[name].shape]
        if wrong:
            name = wrong[0]
            raise InputError(
                f"checkpoint: {name}",
                found=f"shape {tuple(renamed[name].shape)}" if name in renamed else "nothing of this name",
                expected=f"shape {tuple(own[name].shape)}" if name in own else "no such name",
                fix="Build the tokenizer with the settings of the checkpoint.",
            )
        self.load_state_dict(renamed)

    def _check_motion(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[2] != self.input_dim or x.shape[1] == 0:
            raise InputError(
                "motion",
                found=f"shape {tuple(x.shape)}",
                expected=f"(B, T, {self.input_dim}) with T >= 1",
                fix="Give a batch of normalised motions with at least one frame; for a single motion use x[None].",
            )

    def _pad(self, x: Tensor) -> Tensor:
        """Repeat the last frame until T is a multiple of r."""
        missing = -x.shape[1] % self.frames_per_token
        return x if missing == 0 else torch.cat([x, x[:, -1:].expand(-1, missing, -1)], dim=1)

    def _token_mask(self, mask: Tensor) -> Tensor:
        """`[B, T]` -> `[B, N]`: a token is real when any of its frames is."""
        padded = torch.nn.functional.pad(mask, (0, -mask.shape[1] % self.frames_per_token))
        return padded.unflatten(1, (-1, self.frames_per_token)).any(2)
