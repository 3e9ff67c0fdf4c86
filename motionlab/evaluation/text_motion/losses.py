"""The contrastive loss of the evaluator: every caption has to find its motion, and every motion its caption.

With the cosines s[i, j] of caption i and motion j over the temperature, InfoNCE (van den Oord et al. 2018) is the cross
entropy of the right one among its rivals, in both directions as in CLIP (Radford et al. 2021):

    - log softmax_j s[i, j] at j = i,  and  - log softmax_i s[i, j] at i = j

Pairs that mean the same (`meaning.py`) are left out of the sums. Spoiled motions (`spoiled.py`) are further rivals for
the captions; nothing is asked of their own captions, because they have none.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive_loss(
    text: Tensor, motion: Tensor, same: Tensor, temperature: float, spoiled: Tensor | None = None
) -> Tensor:
    """The mean of both directions, in nats.

    Args:
        text, motion: `[B, D]`; row i of each belongs to clip i.
        same: `[B, B]` bool: pairs that mean the same. The diagonal does not matter.
        spoiled: `[S, D]`, spoiled motions.

    >>> vectors = torch.eye(4)
    >>> apart = torch.zeros(4, 4, dtype=torch.bool)
    >>> round(float(contrastive_loss(vectors, vectors, apart, 0.1)), 6)  # log(1 + 3 exp(-10))
    0.000136
    >>> float(contrastive_loss(vectors, vectors.flip(0), ~apart, 0.1))  # no rival is left
    0.0
    """
    text, motion = F.normalize(text, dim=-1), F.normalize(motion, dim=-1)
    scores = text @ motion.T / temperature  # [B, B]
    ignored = same & ~torch.eye(len(text), dtype=torch.bool, device=same.device)
    scores = scores.masked_fill(ignored, -math.inf)
    wide = scores
    if spoiled is not None and len(spoiled):
        wide = torch.cat((scores, text @ F.normalize(spoiled, dim=-1).T / temperature), dim=1)  # [B, B + S]
    right = torch.arange(len(text), device=text.device)
    return (F.cross_entropy(wide, right) + F.cross_entropy(scores.T, right)) / 2
