"""Small decoders for lesson 08, trained in seconds on a language whose true odds are known.

Twelve codes form a circle, like the phases of a gait. The next code is the same with chance 0.1, the next one with
0.7, the one after that with 0.2 (`views/strategy_view.py`). So the best possible loss is known, and it can be said
exactly how wrong a model's probabilities are. On real motion nobody knows the true odds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lessons.shared.one_cycle import one_cycle
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.corruption import corrupt_codes
from motionlab.llama.objectives.strategies import MaskedModelling, Strategy
from motionlab.llama.sequence import Sequences
from motionlab.llama.variant import LlamaVariant
from motionlab.runtime import seeded
from motionlab.views.strategy_view import CODES, STEPS_ODDS, toy_sequences

LENGTH, TEXT = 24, 2  # codes and text slots of every clip
BATCH, RATE = 32, 6e-3
FIRST, LAST = 8, 22  # places of a clip where the decoders are compared: enough history, no END near


def toy_entropy() -> float:
    """Nats of the next code, given the last one: the lowest loss that any model can reach.

    >>> round(toy_entropy(), 4)
    0.8018
    """
    return -sum(p * math.log(p) for p in STEPS_ODDS)


def toy_odds(last: Tensor) -> Tensor:
    """The true probabilities of the next code: int64 `[...]` to `[..., CODES]`."""
    odds = torch.zeros(*last.shape, CODES)
    for move, chance in enumerate(STEPS_ODDS):
        odds.scatter_(-1, ((last + move) % CODES)[..., None], chance)
    return odds


def toy_batch(seed: int, batch: int = BATCH) -> Sequences:
    """Clips of LENGTH codes behind TEXT empty text slots."""
    return toy_sequences(seed, ((TEXT, LENGTH),) * batch)


def train_toy(strategy: Strategy, steps: int = 200, seed: int = 0) -> MotionLlama:
    """A decoder of two layers, trained with a strategy on clips that are new at every step."""
    with seeded(seed):
        variant = LlamaVariant(hidden=64, mask_token=isinstance(strategy, MaskedModelling))
        model = MotionLlama(CODES, n_layer=2, n_head=2, dim=32, text_dim=4, max_length=40, variant=variant)
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        schedule = one_cycle(optimizer, RATE, steps)
        for step in range(steps):
            batch = toy_batch(1000 + 7919 * seed + step)
            loss = strategy(model, batch.seeded(step)).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@dataclass(frozen=True)
class ToyNumbers:
    """How wrong the probabilities of a decoder are, in nats per code above the best possible.

    Fields:
        clean: the true history is read; KL divergence from the true odds.
        noisy: half of the codes before are random; nats of the true next code, minus the entropy of the toy.
    """

    clean: float
    noisy: float


@torch.inference_mode()
def measure_toy(model: MotionLlama, clips: int = 256, seed: int = 10**6) -> ToyNumbers:
    """Compare a decoder of next tokens with the truth on clips that it has not met."""
    batch = toy_batch(seed, clips)
    at = torch.arange(FIRST, LAST) + TEXT  # slots whose last code is read and whose next code is predicted
    last, goal = batch.tokens[:, at], batch.tokens[:, at + 1]
    odds = toy_odds(last)  # [B, n, CODES]
    clean = _log_odds(model, batch, batch.tokens)[:, at]
    distance = (odds * (odds.clamp(1e-9).log() - clean)).sum(-1).mean()
    noisy_tokens = corrupt_codes(batch.tokens, 0.5, CODES, torch.Generator().manual_seed(seed))
    noisy = _log_odds(model, batch, noisy_tokens)[:, at].gather(-1, goal[..., None])
    return ToyNumbers(float(distance), -float(noisy.mean()) - toy_entropy())


def _log_odds(model: MotionLlama, batch: Sequences, tokens: Tensor) -> Tensor:
    """Logarithms of the probabilities of the next code, END left out: `[B, S, CODES]`."""
    logits: Tensor = model(tokens, batch.text, batch.text_mask)[..., :CODES]
    return logits.float().log_softmax(-1)
