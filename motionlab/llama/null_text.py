"""The features that a decoder reads when a text is dropped in training, or left out in generation.

Classifier-free guidance (`decoding/guidance.py`) asks a model twice, with its text and without. That works only if
"without" looks the same as it did in training, so both kinds are made here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.text.encoder import TextFeatures


def null_text(text_dim: int) -> Tensor:
    """The features that mean "no text": one slot of zeros, `[1, text_dim]`.

    The projection maps zeros to its bias, so "no text" is a learned vector without an extra parameter. One slot,
    whatever the length of the dropped caption: the length of a text says something about the motion, too.
    """
    return torch.zeros(1, text_dim)


def drop_text(text: TextFeatures, dropped: Tensor) -> TextFeatures:
    """The same texts with some rows replaced by `null_text`.

    Args:
        text: features of N captions.
        dropped: bool `[N]`.

    >>> text = TextFeatures(torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
    >>> drop_text(text, torch.tensor([True, False])).lengths
    tensor([1, 3])
    """
    rows = [states[:length] for states, length in zip(text.states, text.lengths.tolist(), strict=True)]
    return TextFeatures.from_rows(
        [null_text(text.dim) if drop else row for row, drop in zip(rows, dropped.tolist(), strict=True)]
    )


def with_null_rows(text: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Every text, and below them as many rows of `null_text`: `[2 B, W, text_dim]` and `[2 B, W]`."""
    nothing, mask = torch.zeros_like(text), torch.zeros_like(text_mask)
    mask[:, 0] = True
    return torch.cat([text, nothing]), torch.cat([text_mask, mask])
