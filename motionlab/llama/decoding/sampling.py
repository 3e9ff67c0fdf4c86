"""From logits to a token: greedy, temperature, top-k, top-p.

Top-p ("nucleus") keeps the smallest set of tokens whose probability reaches p: Holtzman et al., arXiv:1904.09751.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motionlab.config.sampling import Sampling as Sampling  # the settings; they are a section of a run's config, too
from motionlab.errors import InputError
from motionlab.runtime import random_generator


def sample_noise(seeds: Sequence[int], count: int) -> Tensor:
    """One uniform number in [0, 1) per sample and step, `[B, count]`, each row from its own generator.

    A row depends on its seed only. With one generator for the whole batch, a sample would change with its neighbours.
    The numbers are drawn on the CPU, so that a seed means the same on every device.

    >>> bool((sample_noise([5], 3) == sample_noise([1, 5], 3)[1]).all())
    True
    """
    rows = [torch.rand(count, generator=random_generator(seed)) for seed in seeds]
    return torch.stack(rows)


def choose_tokens(logits: Tensor, noise: Tensor, sampling: Sampling) -> Tensor:
    """One token a row.

    The draw inverts the cumulative distribution: the tokens lie next to each other on a line, each as long as its
    probability, and `noise` says where on the line to look.

    Args:
        logits: `[B, V]`; minus infinity forbids a token.
        noise: uniform `[B]` in [0, 1).

    Returns:
        int64 `[B]`.

    Raises:
        InputError: a row with NaN or plus infinity, or one that forbids every token.

    >>> logits = torch.tensor([[0.0, 2.0, 1.0]])
    >>> choose_tokens(logits, torch.tensor([0.99]), Sampling(max_tokens=1, top_k=2))
    tensor([2])
    """
    if sampling.greedy:
        return logits.argmax(-1)
    probability, tokens = candidates(logits, sampling)
    place = draw(probability, noise)
    return place if tokens is None else tokens.gather(-1, place[:, None])[:, 0]


def token_probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """The distribution that `choose_tokens` draws from.

    Args:
        logits: `[..., V]`; minus infinity forbids a token.

    Returns:
        `[..., V]` in the order of the tokens, summing to 1. Greedy is a 1 at the largest.

    >>> token_probabilities(torch.tensor([2.0, 1.0, 0.0]).log(), Sampling(max_tokens=1, top_p=0.5))
    tensor([1., 0., 0.])
    """
    rows = logits.reshape(-1, logits.shape[-1])  # [N, V]
    if sampling.greedy:
        return torch.nn.functional.one_hot(rows.argmax(-1), rows.shape[-1]).float().view(logits.shape)
    probability, tokens = candidates(rows, sampling)
    probability = probability / probability.sum(-1, keepdim=True)
    if tokens is not None:
        probability = torch.zeros_like(rows, dtype=probability.dtype).scatter(-1, tokens, probability)  # [N, V]
    return probability.view(logits.shape)


def candidates(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor | None]:
    """Tokens that may be drawn: temperature, then top_k, then top_p.

    Args:
        logits: `[B, V]`.

    Returns:
        probability `[B, kept]`, 0 where top_p leaves a token out, so that a row need not sum to 1; and the tokens
        `[B, kept]`, most likely first, or None for all tokens in their own order.
    """
    logits = tempered(logits, sampling.temperature)
    # 1 is off: the sum of all tokens rounds to 1 before the last of them, so comparing would leave tokens out.
    top_p = None if sampling.top_p == 1.0 else sampling.top_p
    tokens: Tensor | None = None
    if sampling.top_k is not None:
        values, tokens = logits.topk(min(sampling.top_k, logits.shape[-1]), dim=-1)  # [B, kept]
        probability = values.softmax(-1)
    elif top_p is not None:
        probability, tokens = most_likely(logits, top_p)
    else:
        probability = logits.softmax(-1)
    check_drawable(probability)
    if top_p is not None:
        before = probability.cumsum(-1) - probability  # probability of everything more likely
        inside = before < top_p
        inside[:, 0] = True  # rounding must never leave a row without a token
        probability = probability * inside
    return probability, tokens


def check_drawable(probability: Tensor) -> None:
    """Raise InputError unless something can be drawn from every row `[..., V]`; a draw would leave the vocabulary."""
    if not bool((probability.sum(-1) > 0).all()):  # NaN is not above 0 either
        raise InputError(
            "logits",
            found="a row with NaN or infinity, or without any token that is allowed",
            expected="numbers, and minus infinity for forbidden tokens only",
            fix="Check the checkpoint; if it is sound, lower sampling.guidance or set sampling.repetition_penalty=1.",
        )


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Logits divided by the temperature, `[..., V]` in float32; near 0 it is the greedy limit.

    >>> tempered(torch.tensor([3.0, 5.0]), 1e-40).softmax(-1)
    tensor([0., 1.])
    """
    logits = logits.float()
    if temperature < 1e-6:  # the largest would leave float32 on division; as 0 it stays, and all others go far below
        logits = logits - logits.amax(-1, keepdim=True)
    return logits / min(max(temperature, 1e-30), 1e30)  # a divisor that float32 rounds to 0 or infinity makes NaN


def most_likely(logits: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Tokens that hold `top_p` of the probability, and perhaps more of them, most likely first.

    Sorting 64,000 codes takes longer than the decoder needs to compute them. The first two thousand nearly always hold
    enough; where they do not, all are sorted.

    Returns:
        probability and token, both `[B, kept]`.
    """
    if logits.shape[-1] > SHORTLIST:
        values, tokens = logits.topk(SHORTLIST, dim=-1)
        probability = (values - logits.logsumexp(-1, keepdim=True)).exp()
        if bool((probability.sum(-1) > top_p).all()):
            return probability, tokens
    values, tokens = logits.topk(logits.shape[-1], dim=-1)
    return values.softmax(-1), tokens


SHORTLIST = 2048


def draw(probability: Tensor, noise: Tensor) -> Tensor:
    """Draw one place per row, in proportion to `probability`; the rows need not sum to 1.

    Args:
        probability: `[B, V]`, at least one above 0 per row.
        noise: uniform `[B]` in [0, 1): where on the line to look.

    Returns:
        int64 `[B]`; a place whose probability is 0 is never drawn.

    >>> draw(torch.tensor([[0.5, 0.0, 0.5]]).expand(2, 3), torch.tensor([0.4, 0.6]))
    tensor([0, 2])
    """
    line = probability.cumsum(-1)  # [B, V]
    place = torch.searchsorted(line, (noise.to(line) * line[:, -1])[:, None], right=True)  # [B, 1]
    last = torch.searchsorted(line, line[:, -1:].contiguous())  # rounding must never reach past the last one above 0
    return torch.minimum(place, last)[:, 0]
