"""The values that a layer sees beyond the ends of its input: zeros, the padding of a batch, or the chunk before.

A convolution over time reaches past the first and the last frame that it is given. Three situations differ in nothing
except the answer to "what is there?", so each is a small class with the same two questions, and its object
travels with the activations through every layer:

| class    | the input is                          | beyond the ends                               |
|----------|---------------------------------------|-----------------------------------------------|
| `Border` | a batch of clips of one length        | zeros                                         |
| `Ragged` | clips of several lengths, padded      | zeros, beginning right after each clip's end  |
| `Stream` | the next chunk of one long clip       | before it: the end of the chunk before        |

Notation: B batch, T frames at the layer's own frame rate, N tokens, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Border:
    """Whole clips of one length."""

    def extend(self, x: Tensor, past: int, layer: nn.Module) -> Tensor:
        """`x [B, T, C]` with the `past` frames that a causal `layer` needs before it: `[B, past + T, C]`.

        Zeros at both sides do not concern a border: a layer that is not causal adds them itself, and `past` is 0.
        """
        return F.pad(x, (0, 0, past, 0)) if past else x  # [B, past + T, C]

    def real(self, x: Tensor) -> Tensor | None:
        """Which frames of `x [B, T, C]` are real, `[B, T]`; None when all are."""
        return None


WHOLE = Border()


class Ragged(Border):
    """Clips of several lengths in one batch, each treated as if it were alone.

    A clip alone meets zeros at its end, at every layer. In a batch a layer's bias and norm would fill the padding
    with other numbers, which the next convolution would read. So the padding is set to zero again before each
    convolution. Without gradients that happens in place and only behind the end of the shortest clip: when clips of
    like length share a batch, most frames are not touched.

    Args:
        tokens: `[B, N]`, true where a token is real.
    """

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens
        self._shortest = int(tokens.sum(1).min())
        self._padding: dict[int, Tensor] = {}  # [B, T, 1] for each frame rate, true in the padding: many layers ask

    def extend(self, x: Tensor, past: int, layer: nn.Module) -> Tensor:
        if x.shape[1] not in self._padding:
            self._padding[x.shape[1]] = ~self.real(x).unsqueeze(2)
        padding = self._padding[x.shape[1]]
        if torch.is_grad_enabled():
            x = x.masked_fill(padding, 0.0)
        else:  # in place: what a convolution is given was made for it by the layer before
            begin = self._shortest * (x.shape[1] // self.tokens.shape[1])
            x[:, begin:].masked_fill_(padding[:, begin:], 0.0)
        return super().extend(x, past, layer)

    def real(self, x: Tensor) -> Tensor:
        return self.tokens.repeat_interleave(x.shape[1] // self.tokens.shape[1], dim=1)  # [B, N] -> [B, T]


class Stream(Border):
    """The chunks of one clip, in order; every causal convolution finds the end of its last input again.

    This costs as many frames of memory as the convolutions reach back (62 for a published-size encoder) and no
    computation is done twice, so a chunk of one token is as cheap per token as a whole clip.
    """

    def __init__(self) -> None:
        self._ends: dict[nn.Module, Tensor] = {}  # [B, past, C] a convolution

    def extend(self, x: Tensor, past: int, layer: nn.Module) -> Tensor:
        if past == 0:
            return x
        before = self._ends.get(layer)
        x = super().extend(x, past, layer) if before is None else torch.cat([before, x], dim=1)  # [B, past + T, C]
        self._ends[layer] = x[:, -past:].clone()  # a copy: a view would keep the whole chunk alive
        return x


class AcrossTime(nn.Module):
    """Marks a layer whose output at a frame depends on other frames; its `forward(x, border)` needs the border."""


def through(layer: nn.Module, x: Tensor, border: Border) -> Tensor:
    """Call a layer, with the border if it needs one."""
    result: Tensor = layer(x, border) if isinstance(layer, AcrossTime) else layer(x)
    return result


class Layers(nn.Sequential, AcrossTime):
    """`nn.Sequential` that passes the border on."""

    def forward(self, x: Tensor, border: Border = WHOLE) -> Tensor:
        for layer in self:
            x = through(layer, x, border)
        return x
