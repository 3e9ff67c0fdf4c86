"""Next-token cross entropy and accuracy over labelled positions.

The mean runs over labelled tokens, not over clips: a long motion counts more than a short one, as published. When
gradients are accumulated over batches with different numbers of labels, each batch has to be weighted by its number
(`Sequences.n_labels`), otherwise the sum is not the gradient of the large batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.cross_entropy import chunked_cross_entropy
from motionlab.llama.sequence import IGNORE, Sequences


class TokenLosses(NamedTuple):
    """`loss`: scalar in nats per token, with gradient. `accuracy`: share of tokens predicted right, without."""

    loss: Tensor
    accuracy: Tensor


def next_token_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy, in nats, over positions whose label is not IGNORE. No labels give 0.

    Args:
        logits: `[..., K + 1]`.
        labels: int64 `[...]`.
        label_smoothing: share of the target given to all tokens alike.

    >>> next_token_loss(torch.zeros(1, 3, 4), torch.tensor([[IGNORE, 2, 3]]))  # log 4
    tensor(1.3863)
    """
    # float32 even under autocast: sums of exponentials over thousands of codes need the mantissa.
    flat, target = logits.flatten(0, -2).float(), labels.flatten()
    total = F.cross_entropy(flat, target, ignore_index=IGNORE, label_smoothing=label_smoothing, reduction="sum")
    return total / (target != IGNORE).sum().clamp(min=1)


@torch.no_grad()
def token_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of labelled positions whose most likely token is the label.

    >>> token_accuracy(torch.eye(3), torch.tensor([0, 2, IGNORE]))
    tensor(0.5000)
    """
    there = labels != IGNORE
    return ((logits.argmax(-1) == labels) & there).sum() / there.sum().clamp(min=1)


def labelled_losses(model: MotionLlama, hidden: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> TokenLosses:
    """Loss and accuracy from the decoder's last states, with logits computed only where a label exists.

    Text slots and padding carry no label: leaving them out of the last and widest product, and doing the rest in
    chunks, gives the same number with less work and memory.

    Args:
        hidden: `[B, S, dim]`, or `[n_labels, dim]` with `only=labels != IGNORE`, as `MotionLlama.hidden` gives them.
        labels: int64 `[B, S]`.
    """
    there = labels != IGNORE  # [B, S]
    target = labels[there]  # [n_labels]
    states = hidden if hidden.ndim == 2 else hidden[there]  # [n_labels, dim]
    total, hits = chunked_cross_entropy(states, model.lm_head.weight, target, label_smoothing)
    count = max(len(target), 1)
    return TokenLosses(total / count, hits / count)


def sequence_losses(model: MotionLlama, batch: Sequences, label_smoothing: float = 0.0) -> TokenLosses:
    """Loss and accuracy of predicting every next token of a batch from the true ones before it."""
    there = batch.labels != IGNORE  # [B, S]
    hidden = model.hidden(batch.tokens, batch.text, batch.text_mask, only=there)  # [n_labels, dim]
    return labelled_losses(model, hidden, batch.labels, label_smoothing)
