"""Classifier-free guidance: listen to the text more than the model itself would.

In training, the text of some samples is dropped, so one model learns both "a motion of this text" and "any motion".
In generation both are asked, and the difference, which is what the text says, is made larger:

    logits = unconditional + scale * (conditional - unconditional)

`scale` 1 is the conditional model, 0 forgets the text, 2 to 6 are usual for motion.  Ho and Salimans, arXiv:2207.12598;
for masked motion models MoMask, arXiv:2312.00063. A model that never trained without text gives noise as its
unconditional half: use a `scale` other than 1 only with `text_drop` above 0 in training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.text.encoder import TextFeatures


def null_text(text_dim: int) -> Tensor:
    """What stands for "no text": one slot of zeros, `[1, text_dim]`.

    The projection maps zeros to its bias, so "no text" is a learned vector without a parameter of its own. One slot,
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


def guide(logits: Tensor, scale: float) -> Tensor:
    """Logits of texts above logits of no text, `[2 B, V]`, to guided logits `[B, V]`.

    >>> guide(torch.tensor([[2.0, 0.0], [1.0, 0.0]]), scale=3.0)
    tensor([[4., 0.]])
    """
    conditional, unconditional = logits.chunk(2)
    return unconditional + scale * (conditional - unconditional)
