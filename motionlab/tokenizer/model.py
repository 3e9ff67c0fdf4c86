"""The motion tokenizer: motion to a few integers a second, and back.

The architecture is that of the published MotionMillion tokenizer (arXiv 2507.07095), which descends from T2M-GPT
(arXiv 2301.06052): a convolutional autoencoder with a quantizer at its narrowest place.

Notation: B batch, T frames, F = `input_dim` (272), N tokens, D = `quantizer.dim`, p = `patch_size`,
r = p * 2**`down_t` frames per token, Q = `quantizer.n_codebooks`. Indices are `[B, N]`, or `[B, N, Q]` when Q > 1.

Any length works: the last frame is repeated until T is a multiple of r, and `forward` cuts its result back to T. So a
clip of T frames has ceil(T / r) tokens, and a multiple of r is treated exactly as the published code treats it (which
silently drops the rest of other lengths).

Clips of different lengths go into one batch with a mask. It guarantees that the tokens and the reconstruction of the
real frames are those of each clip alone (up to the rounding of float32), whatever the padding holds, and that the
quantizer and the norms learn nothing from padding. The result at the padding has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.files.weights import shapes_only
from motionlab.quantizers.base import Quantized, Quantizer
from motionlab.runtime import evaluating
from motionlab.tokenizer.batching import check_rows, convert_together
from motionlab.tokenizer.decoder import Decoder
from motionlab.tokenizer.encoder import Encoder
from motionlab.tokenizer.padding import WHOLE, Border, Ragged, Stream
from motionlab.tokenizer.patcher import check_patcher
from motionlab.tokenizer.streaming import same_batch, whole_tokens
from motionlab.tokenizer.weights import published
from motionlab.tokenizer.weights.motionmillion import to_published


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
        depth: residual blocks per stage; their dilations grow by `dilation_growth_rate`.
        down_t: stages, each halves the frame rate; 0 or more. The residual blocks sit in them, so 0 means none.
        kernel_size: 3 or 5, of the convolutions that keep the frame rate.
        activation: "relu", "silu" or "gelu".
        norm: "LN", "GN", "BN" or None, inside the residual blocks; see `motionlab.tokenizer.norm`.
        causal: every output depends on the past only (up to the end of its token).
        patcher: "wavelet" puts `patch_size` (2, 4 or 8) frames into one with as many times the channels. "compat" is
            the published model, which names a wavelet of 1 that does nothing; it differs from None in saved names only.

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
        kernel_size: int = 3,
        activation: str = "relu",
        norm: str | None = "LN",
        causal: bool = False,
        patcher: str | None = None,
        patch_size: int = 1,
    ) -> None:
        super().__init__()
        sizes = (("input_dim", input_dim, 1), ("width", width, 1), ("depth", depth, 0), ("down_t", down_t, 0))
        for name, value, least in sizes:
            if value < least:
                raise InputError(name, found=value, expected=f"{least} or more", fix="Change this argument.")
        if kernel_size not in (3, 5):
            raise InputError("kernel_size", found=kernel_size, expected="3 or 5", fix="Choose one of these.")
        check_patcher(patcher, patch_size)
        self.input_dim, self.causal, self.patcher = input_dim, causal, patcher
        self.frames_per_token: int = patch_size * 2**down_t  # r
        shared: dict[str, Any] = dict(
            depth=depth, down_t=down_t, growth=dilation_growth_rate, kernel=kernel_size, activation=activation,
            norm=norm, causal=causal, patch_size=patch_size,
        )  # fmt: skip
        self.encoder = Encoder(input_dim, width, quantizer.dim, **shared)
        self.decoder = Decoder(input_dim, width, quantizer.dim, **shared)
        self.quantizer = quantizer

    @property
    def codebook_size(self) -> int:
        """K, the number of codes that really exist (in each codebook)."""
        return self.quantizer.codebook_size

    @property
    def n_codebooks(self) -> int:
        """Q, the indices that one token has: more than 1 for residual quantizers."""
        return self.quantizer.n_codebooks

    def token_count(self, frames: int) -> int:
        """How many tokens a clip of `frames` frames becomes: ceil(T / r)."""
        return -(-frames // self.frames_per_token)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> TokenizerOutput:
        """Encode, quantize and decode `x [B, T, F]`.

        Args:
            mask: `[B, T]`, true where a frame is real; the real frames of a clip come first. Give the same mask to the
                losses. Checking it waits for a GPU, so leave it out where all frames are real.
        """
        whole, border, real = self._prepare(x, mask)
        quantized = self.quantizer(self.encoder(whole, border), real)
        reconstruction = self.decoder(quantized.codes, border)[:, : x.shape[1]]  # [B, N * r, F] -> [B, T, F]
        return TokenizerOutput(reconstruction, quantized)

    def forward_decoder(self, x: Tensor, mask: Tensor | None = None) -> TokenizerOutput:
        """As `forward`, but only the decoder learns: encoder and codebook stay as they are, and so do all tokens."""
        with torch.no_grad(), evaluating(self.quantizer):
            whole, border, real = self._prepare(x, mask)
            quantized = self.quantizer(self.encoder(whole, border), real)
        return TokenizerOutput(self.decoder(quantized.codes, border)[:, : x.shape[1]], quantized)

    @torch.no_grad()
    def encode(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Motion `[B, T, F]` to indices `[B, ceil(T / r)]`. Nothing learns from it, in training mode either."""
        whole, border, real = self._prepare(x, mask)
        return self._indices(whole, border, real)

    def decode(self, indices: Tensor, mask: Tensor | None = None) -> Tensor:
        """Indices `[B, N]` to normalised motion `[B, N * r, F]`.

        Args:
            mask: `[B, N]`, true where a token is real; the real tokens of a clip come first. The others may be END or
                PAD: they are not looked at.

        Raises:
            InputError: another shape, no token at all, or a number that is no code (END and PAD must be cut off first).
        """
        border: Border = WHOLE
        if mask is not None:
            real = _check_mask(mask, indices.shape[:2])
            border = Ragged(real)
            indices = torch.where(real if indices.ndim == 2 else real.unsqueeze(2), indices, 0)
        self.check_tokens(indices)
        return self._motion(indices, border)

    def encode_clips(self, clips: Sequence[Tensor], batch_size: int = 64) -> list[Tensor]:
        """Indices of many clips `[T_i, F]`, each as if it were encoded alone; clips of like length share a batch."""
        width, shape = (self.input_dim,), f"(T, {self.input_dim})"
        check_rows("clip", clips, width, f"{shape} with T >= 1", "Give one normalised motion per clip.")
        return self._together(clips, batch_size, self.encode, self.token_count, self.frames_per_token)

    def decode_clips(self, tokens: Sequence[Tensor], batch_size: int = 64) -> list[Tensor]:
        """Normalised motion `[N_i * r, F]` of many token sequences `[N_i]`, each as if it were decoded alone."""
        width, shape = ((), "(N,)") if self.n_codebooks == 1 else ((self.n_codebooks,), f"(N, {self.n_codebooks})")
        check_rows("tokens", tokens, width, f"{shape} with N >= 1", "Give one sequence of tokens per clip.")
        return self._together(tokens, batch_size, self.decode, lambda n: n * self.frames_per_token)

    def _together(
        self,
        rows: Sequence[Tensor],
        batch_size: int,
        convert: Callable[[Tensor, Tensor | None], Tensor],
        length_of: Callable[[int], int],
        multiple: int = 1,
    ) -> list[Tensor]:
        device = next(self.parameters()).device
        return convert_together(rows, convert, length_of, device=device, batch_size=batch_size, multiple=multiple)

    def encode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Tokens of one long clip that arrives in pieces `[B, t, F]`; only for a causal tokenizer.

        Yields indices `[B, n]` as soon as their frames have arrived. Together they are `encode` of the whole clip.
        """
        self._check_causal()
        stream, whole = Stream(), whole_tokens(chunks, self.frames_per_token, self.check_motion)
        return (self._indices(frames, stream) for frames in whole)

    def decode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Motion of one long token sequence that arrives in pieces `[B, n]`; only for a causal tokenizer.

        Yields normalised motion `[B, n * r, F]` for each piece. Together they are `decode` of the whole.
        """
        self._check_causal()
        stream, pieces = Stream(), same_batch(chunks, self.check_tokens)
        motion = torch.no_grad()(self._motion)  # not a `with`, which would last while the caller has the piece
        return (motion(indices, stream) for indices in pieces)

    @classmethod
    def from_motionmillion(
        cls,
        path: str | Path,
        *,
        quantizer: Quantizer | None = None,
        codebook_size: int | None = None,
        activation: str = "relu",
        norm: str = "LN",
        dilation_growth_rate: int = 3,
    ) -> MotionTokenizer:
        """Read a checkpoint of the published code (`net_*.pth`): weights only, every tensor must fit.

        Width, depth, strides, kernel, causality, wavelet and quantizer follow from names and shapes. The arguments are
        what they cannot tell.

        Args:
            quantizer: for quantizers other than FSQ and the codebook with moving averages.
            codebook_size: nominal size of FSQ when several sizes have as many dimensions (256 and 512; 1024 and 2048;
                4096 and 16384).
            activation, dilation_growth_rate: those of the training; "relu" and 3 are published.
            norm: "LN" or "GN", whose weights look alike. None and "BN" are recognised.

        Raises:
            InputError: no such file, not a whole checkpoint, or names and shapes that do not fit; they are named.
        """
        state = published.read_checkpoint(path)
        with published.naming(path):
            settings = published.settings_of(state, norm)
            code_dim = settings.pop("code_dim")

            def build() -> MotionTokenizer:
                return cls(
                    quantizer or published.quantizer_of(state, code_dim, codebook_size),
                    activation=activation,
                    dilation_growth_rate=dilation_growth_rate,
                    **settings,
                )

            with shapes_only():  # without memory: a few numbers may announce a model that is never there
                published.fit_state(state, build().state_dict())
            model = build()
            model.load_motionmillion_state(state)
        return model.eval()

    def motionmillion_state(self) -> dict[str, Tensor]:
        """The weights under the names that the published code gives them, on the CPU."""
        return to_published(self.state_dict(), patcher=self.patcher is not None, causal=self.causal)

    def save_motionmillion(self, path: str | Path, iteration: int = 0) -> None:
        """Write a checkpoint that the published code reads (if it has this quantizer), whole or not at all."""
        published.write_checkpoint(path, self.motionmillion_state(), iteration)

    def load_motionmillion_state(self, state: Mapping[str, Any]) -> None:
        """Load a state dict in the published naming, strictly.

        Accepts the prefix `vqvae.`, names of wrappers such as `module.` and `_orig_mod.` at every level, the whole
        checkpoint (its key `net`), models with and without the patcher, and causal ones.

        Raises:
            InputError: names, shapes or kinds of numbers do not fit this model; the message names them.
        """
        self.load_state_dict(published.fit_state(state, self.state_dict()))

    def check_motion(self, x: Tensor) -> None:
        """Raise `InputError` unless `x` is `[B, T, F]` with at least one frame."""
        if x.ndim != 3 or x.shape[2] != self.input_dim or x.shape[1] == 0:
            raise InputError(
                "motion",
                found=f"shape {tuple(x.shape)}",
                expected=f"(B, T, {self.input_dim}) with T >= 1",
                fix="Give a batch of normalised motions with at least one frame; for a single motion use x[None].",
            )

    def check_tokens(self, indices: Tensor) -> None:
        """Raise `InputError` unless `indices` are `[B, N]` codes (`[B, N, Q]` when Q > 1) with N >= 1."""
        q = self.n_codebooks
        shape = "(B, N)" if q == 1 else f"(B, N, {q})"
        if indices.ndim != (2 if q == 1 else 3) or indices.shape[1] == 0 or (q > 1 and indices.shape[2] != q):
            raise InputError(
                "tokens",
                found=f"shape {tuple(indices.shape)}",
                expected=f"{shape} with N >= 1",
                fix="Give one row of tokens per motion; for a single motion use tokens[None].",
            )
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= self.codebook_size:
            raise InputError(
                "tokens",
                found=f"values {low}..{high}",
                expected=f"codes 0..{self.codebook_size - 1}",
                fix="Cut END and PAD off, and decode with the tokenizer that made the tokens.",
            )

    def _check_causal(self) -> None:
        if not self.causal:
            raise InputError(
                "tokenizer",
                found="causal=False",
                expected="a causal tokenizer",
                fix="Train one with causal=True; the others need frames that have not come yet.",
            )

    @torch.no_grad()
    def _indices(self, whole: Tensor, border: Border, real: Tensor | None = None) -> Tensor:
        """Frames `[B, N * r, F]` to indices `[B, N]`."""
        with evaluating(self):
            return self.quantizer(self.encoder(whole, border), real).indices

    def _motion(self, indices: Tensor, border: Border) -> Tensor:
        """Indices `[B, N]` to frames `[B, N * r, F]`; gradients may pass, to train only a decoder."""
        with evaluating(self):
            motion: Tensor = self.decoder(self.quantizer.indices_to_codes(indices), border)
        return motion

    def _prepare(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Border, Tensor | None]:
        """`[B, N * r, F]` with the last frames repeated, what the padding holds, and which tokens `[B, N]` are real."""
        self.check_motion(x)
        r, n = self.frames_per_token, self.token_count(x.shape[1])
        missing = n * r - x.shape[1]
        whole = x if missing == 0 else torch.cat([x, x[:, -1:].expand(-1, missing, -1)], dim=1)  # [B, N * r, F]
        if mask is None:
            return whole, WHOLE, None
        last = _check_mask(mask, x.shape[:2]).sum(1) - 1  # [B], the last real frame
        frames = torch.arange(n * r, device=x.device)  # [N * r]
        # Everything behind the last frame becomes that frame. The old content, NaN included, has no effect.
        held = x[torch.arange(len(x), device=x.device), last].unsqueeze(1)  # [B, 1, F]
        whole = torch.where((frames <= last.unsqueeze(1)).unsqueeze(2), whole, held)
        real = frames[::r] <= last.unsqueeze(1)  # [B, N]: a token is real when its first frame is
        return whole, Ragged(real), real


def _check_mask(mask: Tensor, shape: torch.Size) -> Tensor:
    """The mask, if it has this shape and each row is true first and then false."""
    fits = mask.shape == shape and mask.dtype == torch.bool
    if not fits or not bool((mask[:, 0] & (mask[:, 1:] <= mask[:, :-1]).all(1)).all()):
        raise InputError(
            "mask",
            found="a row that is empty or has a hole" if fits else f"{mask.dtype} of shape {tuple(mask.shape)}",
            expected=f"bool of shape {tuple(shape)}, each row true first and then false",
            fix="Put the padding at the end of each clip.",
        )
    return mask
