"""The published tokenizer written down formula by formula: what `motionlab` is compared with.

Nothing here is clever. Layers are `nn.Conv1d` on `[B, C, T]` with a transpose around each layer norm, codes are counted
with a dense one-hot matrix, and a data set goes through the network clip by clip. Names of weights are those of
`MotionTokenizer`, so that both can hold the same numbers.

Notation: B batch, T frames, F features a frame, C width, N tokens, D code dim, d FSQ dimensions, K codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PlainBlock(nn.Module):
    """x + conv1x1(relu(norm(conv3(relu(norm(x))))))."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.conv1 = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.norm1(x.transpose(1, 2)).transpose(1, 2)  # [B, C, T]
        h = self.conv1(h.relu())
        h = self.norm2(h.transpose(1, 2)).transpose(1, 2)
        h = self.conv2(h.relu())
        return x + h


class PlainStack(nn.Module):
    """Blocks with dilations 3^(depth - 1) down to 1."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(PlainBlock(width, 3**power) for power in reversed(range(depth))))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y


class PlainFSQ(nn.Module):
    """Linear, bound, round, linear; and a dense one-hot matrix to count codes."""

    def __init__(self, levels: Sequence[int], dim: int) -> None:
        super().__init__()
        self.levels = torch.tensor(levels)
        self.basis = torch.tensor([math.prod(levels[:i]) for i in range(len(levels))])
        self.codebook_size = math.prod(levels)
        self.project_in, self.project_out = nn.Linear(dim, len(levels)), nn.Linear(len(levels), dim)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """`z [B, N, D]` to codes `[B, N, D]` and indices `[B, N]`."""
        half = (self.levels - 1) * (1 + 1e-3) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        bounded = torch.tanh(self.project_in(z) + torch.atanh(offset / half)) * half - offset  # [B, N, d]
        codes = (bounded + (bounded.round() - bounded).detach()) / (self.levels // 2)
        steps = codes * (self.levels // 2) + self.levels // 2
        return self.project_out(codes), (steps * self.basis).sum(-1).round().long()

    def look_up(self, indices: Tensor) -> Tensor:
        """Indices `[B, N]` to codes `[B, N, D]`."""
        steps = indices.unsqueeze(-1) // self.basis % self.levels  # [B, N, d]
        codes: Tensor = self.project_out((steps - self.levels // 2) / (self.levels // 2))
        return codes


class PlainHalf(nn.Module):
    """Encoder or decoder: layers on `[B, C, T]`, called with `[B, T, C]`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x.transpose(1, 2))
        return y.transpose(1, 2)


class PlainTokenizer(nn.Module):
    """The published network with one halving of the frame rate."""

    def __init__(
        self, levels: Sequence[int], *, input_dim: int = 272, width: int = 512, depth: int = 3, code_dim: int = 512
    ) -> None:
        super().__init__()
        self.encoder = PlainHalf(
            nn.Identity(),  # the place of the wavelet
            nn.Conv1d(input_dim, width, 3, padding=1),
            nn.ReLU(),
            nn.Sequential(nn.Conv1d(width, width, 4, stride=2, padding=1), PlainStack(width, depth)),
            nn.Conv1d(width, code_dim, 3, padding=1),
        )
        self.decoder = PlainHalf(
            nn.Conv1d(code_dim, width, 3, padding=1),
            nn.ReLU(),
            nn.Sequential(PlainStack(width, depth), nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 3, padding=1)),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, input_dim, 3, padding=1),
        )
        self.quantizer = PlainFSQ(levels, code_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Motion `[B, T, F]` to its reconstruction, and the perplexity of its codes."""
        codes, indices = self.quantizer(self.encoder(x))
        perplexity, _ = one_hot_usage(indices, self.quantizer.codebook_size)
        return self.decoder(codes), perplexity

    def encode(self, x: Tensor) -> Tensor:
        """`[B, T, F]` to indices `[B, N]`."""
        indices: Tensor = self.quantizer(self.encoder(x))[1]
        return indices

    def decode(self, indices: Tensor) -> Tensor:
        """Indices `[B, N]` to `[B, 2N, F]`."""
        motion: Tensor = self.decoder(self.quantizer.look_up(indices))
        return motion


def one_hot_usage(indices: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """Perplexity and used fraction of `indices`, any shape, by a matrix `[K, tokens]`."""
    matrix = torch.zeros(codebook_size, indices.numel())
    matrix.scatter_(0, indices.reshape(1, -1), 1)
    count = matrix.sum(1)  # [K]
    p = count / count.sum()
    return torch.exp(-(p * (p + 1e-7).log()).sum()), (count > 0).float().mean()


@torch.no_grad()
def encode_one_by_one(model: PlainTokenizer, clips: Sequence[Tensor]) -> list[Tensor]:
    """Each clip `[T, F]` through the encoder alone."""
    return [model.encode(clip.unsqueeze(0))[0] for clip in clips]


@torch.no_grad()
def decode_one_by_one(model: PlainTokenizer, tokens: Sequence[Tensor]) -> list[Tensor]:
    """Each row of indices `[N]` through the decoder alone."""
    return [model.decode(row.unsqueeze(0))[0] for row in tokens]


@torch.no_grad()
def restore_one_by_one(model: PlainTokenizer, clips: Sequence[Tensor]) -> list[Tensor]:
    """Each clip through the whole network alone, as the published evaluation does; every pass counts codes."""
    return [model(clip.unsqueeze(0))[0][0] for clip in clips]
