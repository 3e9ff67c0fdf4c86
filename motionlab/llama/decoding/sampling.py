"""From logits to a token: greedy, temperature, top-k, top-p.

Top-p ("nucleus") keeps the smallest set of tokens whose probability reaches p: Holtzman et al., arXiv:1904.09751.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motionlab.config.sampling import Sampling as Sampling  # the settings; they are a section of a run's config, too
from motionlab.largest import largest


def sample_noise(seeds: Sequence[int], count: int) -> Tensor:
    """One uniform number in [0, 1) a sample and step, `[B, count]`, each row from its own generator.

    A row depends on its seed only. With one generator for the whole batch, a sample would change with its neighbours.
    The numbers are drawn on the CPU, so that a seed means the same on every device.

    >>> bool((sample_noise([5], 3) == sample_noise([1, 5], 3)[1]).all())
    True
    """
    rows = [torch.rand(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def choose_tokens(logits: Tensor, noise: Tensor, sampling: Sampling) -> Tensor:
    """One token a row.

    The draw inverts the cumulative distribution: the tokens are laid side by side on a line, each as long as its
    probability, and `noise` says where on the line to look.

    Args:
        logits: `[B, V]`; minus infinity forbids a token.
        noise: uniform `[B]` in [0, 1).

    Returns:
        int64 `[B]`.

    >>> logits = torch.tensor([[0.0, 2.0, 1.0]])
    >>> choose_tokens(logits, torch.tensor([0.99]), Sampling(max_tokens=1, top_k=2))
    tensor([2])
    """
    if sampling.greedy:
        return largest(logits)[1]
    logits = logits.float() / sampling.temperature
    if sampling.top_k is not None:
        values, tokens = logits.topk(min(sampling.top_k, logits.shape[-1]), dim=-1)  # [B, kept], most likely first
        probability = values.softmax(-1)
    elif sampling.top_p is not None:
        probability, tokens = most_likely(logits, sampling.top_p)
    else:
        return draw(logits.softmax(-1), noise)
    if sampling.top_p is not None:
        before = probability.cumsum(-1) - probability  # probability of everything more likely
        inside = before < sampling.top_p
        inside[:, 0] = True  # rounding must never leave a row without a token
        probability = probability * inside
    return tokens.gather(-1, draw(probability, noise)[:, None])[:, 0]


def most_likely(logits: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Tokens that hold `top_p` of the probability, and perhaps more of them, most likely first.

    To sort 64,000 codes takes longer than the decoder needs to give them. The first two thousand nearly always hold
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
    """Draw one place a row, in proportion to `probability`; the rows need not sum to 1.

    Args:
        probability: `[B, V]`, at least one above 0 a row.
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
