"""The two encoders: a motion, and the features of a caption, each to one vector.

Both end in the same small `Reader`. A motion comes to it as one token for eight frames, made from every one of them; a
caption as the frozen text encoder left it, one token a word piece. Mean vectors of frames or of words would not know
their order, so tokens carry their place, and a transformer lets them see each other.

Notation: B clips, T frames, L tokens, W width, D size of the embedding.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.evaluation.text_motion.inputs import SIZE
from motionlab.text.encoder import TextFeatures

PATCHES = (4, 2)  # frames, and what they became, side by side
HEADS = 4


class Layer(nn.Module):
    """Attention over the tokens and a feed-forward part, each on normed inputs and added to its own.

    There is no dropout on the attention itself: with it, torch has no fused attention on a CPU.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, L, W]`, mask `[B, L]` True on real tokens, to `[B, L, W]`."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # [B, H, L, W / H] each
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])  # [B, H, L, W / H]
        x = x + self.dropout(self.mix(mixed.transpose(1, 2).flatten(2)))
        x = x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))
        return x


class Reader(nn.Module):
    """Tokens to one vector: a transformer over the tokens, then the mean and the maximum of each channel.

    The mean says how much of a clip, the maximum whether at all.
    """

    def __init__(self, inputs: int, width: int, outputs: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(Layer(width, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(2 * width, outputs)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """`[B, L, inputs]`, mask `[B, L]` True on real tokens, to `[B, D]`."""
        x = self.proj(tokens)  # [B, L, W]
        x = self.dropout(x + places(x.shape[1], x.shape[2]).to(x))
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        real = mask[..., None]
        mean = x.masked_fill(~real, 0.0).sum(1) / real.sum(1)  # [B, W]
        largest = x.masked_fill(~real, -math.inf).amax(1)  # [B, W]
        vector: Tensor = self.out(torch.cat((mean, largest), dim=-1))  # [B, 2W] -> [B, D]
        return vector


class MotionEncoder(nn.Module):
    """Inputs of `encoder_inputs` to one vector; frames after `lengths` change nothing.

    Patches instead of convolutions: four frames become one vector by a linear layer, and two of these one token. Their
    borders depend on where a clip begins, so the training lets clips begin anywhere (`spoiled.harmless`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, outputs: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("std", torch.ones(SIZE))
        self.first = nn.Linear(PATCHES[0] * SIZE, width)
        self.reader = Reader(PATCHES[1] * width, width, outputs, layers, dropout)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """`[B, T, 133]` and `[B]` to `[B, D]`."""
        x = patches((inputs - self.mean) / self.std, lengths, PATCHES[0])  # [B, ceil(T / 4), 532]
        lengths = -(-lengths // PATCHES[0])
        x = patches(F.gelu(self.first(x)), lengths, PATCHES[1])  # [B, ceil(T / 8), 2W]
        lengths = -(-lengths // PATCHES[1])
        vector: Tensor = self.reader(x, _mask(lengths, x.shape[1]))
        return vector


class TextMotionModel(nn.Module):
    """A motion encoder and the trained head over a frozen text encoder.

    Args:
        text_dim: width of the features of the text encoder.
        width: of both encoders; a multiple of 4, for the heads.
        size: of the embeddings.
        motion_layers, text_layers: transformer layers of each.

    Raises:
        InputError: a size that no such model has.
    """

    def __init__(
        self,
        text_dim: int,
        *,
        width: int = 128,
        size: int = 128,
        motion_layers: int = 1,
        text_layers: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = {"text_dim": text_dim, "size": size, "motion_layers": motion_layers, "text_layers": text_layers}
        wrong: dict[str, float] = {name: value for name, value in sizes.items() if not 1 <= value <= 1 << 16}
        if width % 4 or not 4 <= width <= 1 << 16:
            wrong["width"] = width
        if not 0 <= dropout < 1:
            wrong["dropout"] = dropout
        if wrong:
            raise InputError(
                "text-motion model",
                found=", ".join(f"{name} {value}" for name, value in wrong.items()),
                expected="whole numbers above 0, a width that 4 divides, and a dropout of 0 or more and below 1",
                fix="Choose other sizes.",
            )
        self.motion = MotionEncoder(width, size, motion_layers, dropout)
        self.text = Reader(text_dim, width, size, text_layers, dropout)

    def embed_text(self, features: TextFeatures) -> Tensor:
        """Features of B captions to `[B, D]`: first the shorter half, without the padding of the longer one."""
        order = features.lengths.argsort(stable=True)
        halves = [features.rows(half) for half in order.chunk(2)]
        vectors: Tensor = torch.cat([self.text(half.states, half.mask) for half in halves])[order.argsort()]
        return vectors


def places(count: int, width: int) -> Tensor:
    """Sines and cosines of the place of each token, `[L, W]` (Vaswani et al. 2017, section 3.5)."""
    at = torch.arange(count)[:, None]
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))  # [W / 2]
    return torch.stack(((at * rates).sin(), (at * rates).cos()), dim=-1).flatten(1)


def patches(values: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Neighbours side by side, `[B, T, n]` to `[B, ceil(T / size), size n]`, with zeros after each length.

    >>> patches(torch.ones(1, 5, 1), torch.tensor([5]), 2).tolist()
    [[[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]]
    """
    kept = values.masked_fill(~_mask(lengths, values.shape[1])[..., None], 0.0)
    side: Tensor = F.pad(kept, (0, 0, 0, -values.shape[1] % size)).unflatten(1, (-1, size)).flatten(2)
    return side


def _mask(lengths: Tensor, count: int) -> Tensor:
    """`[B, L]` bool, True before each length."""
    return torch.arange(count, device=lengths.device) < lengths[:, None]
