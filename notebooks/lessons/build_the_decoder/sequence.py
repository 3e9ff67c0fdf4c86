"""Around the layers of lesson 18: the mask, writing, counting and the loss, each with the check of its exercise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons.shared.answers import Function, first_match, normal
from motionlab.runtime import seeded


# ---- who sees whom ------------------------------------------------------------------------------------------------
def sees(text_mask: Tensor, length: int) -> Tensor:
    """The words of the text see each other; each motion token sees the text and the tokens before it, and itself.

    Args:
        text_mask: bool `[B, W]`, true on words; the words of a row come first.
        length: S, at least W.

    Returns:
        bool `[B, 1, S, S]`; row i may look at column j.
    """
    words = F.pad(text_mask, (0, length - text_mask.shape[1]))  # [B, W] -> [B, S]
    both_words = words[:, :, None] & words[:, None, :]  # [B, S, S]
    before = torch.ones(length, length, dtype=torch.bool).tril()  # [S, S]
    return (before | both_words)[:, None]


def diagnose_sees(function: Function) -> str | None:
    text_mask = torch.tensor([[True, True, True], [True, False, False]])
    answer = function(text_mask.clone(), 5)
    if not isinstance(answer, Tensor) or answer.shape != (2, 1, 5, 5):
        found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        return f"the result should be a bool tensor of shape (2, 1, 5, 5) for two rows and length 5, got {found}."
    if answer.dtype != torch.bool:
        return f"the result should be bool, got {answer.dtype}: compare, or end with .bool()."
    right, causal = sees(text_mask, 5), torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 1, 5, 5)
    columns = F.pad(text_mask, (0, 2))[:, None, None, :]
    mistakes = {
        "this is the plain causal rule: words do not see the words after them.": causal,
        "rows and columns are exchanged: everybody sees what comes AFTER.": right.transpose(-1, -2),
        "positions do not see themselves.": right & ~torch.eye(5, dtype=torch.bool),
        "motion tokens see no text: only words see words.": (causal & ~columns)
        | (F.pad(text_mask, (0, 2))[:, None, :, None] & columns),
        "motion tokens see the text and themselves, but not the motion before them.": (
            columns.expand(2, 1, 5, 5) | torch.eye(5, dtype=torch.bool)
        ),
        "every slot of the width W counts as a word. Row 1 has a single word; its slots 1 and 2 hold motion.": sees(
            torch.ones(2, 3, dtype=torch.bool), 5
        ),
        "everything sees everything.": torch.ones(2, 1, 5, 5, dtype=torch.bool),
    }
    for sentence, wrong in mistakes.items():
        if torch.equal(answer, wrong):
            return sentence
    if not torch.equal(answer, right):
        row, _, i, j = (answer != right).nonzero()[0].tolist()
        must = "should" if right[row, 0, i, j] else "should not"
        return f"in row {row} position {i} {must} see position {j}."
    return None


# ---- writing ------------------------------------------------------------------------------------------------------
def write(next_logits: Callable[[list[int]], Tensor], end: int, most: int) -> list[int]:
    """Write the likeliest token, read it, write the next, until `end` comes or there are `most`.

    Args:
        next_logits: from the tokens so far to the logits `[K + 1]` of the next.
        end: the token that says that the motion is over; it is not part of the motion.
    """
    tokens: list[int] = []
    while len(tokens) < most:
        token = int(next_logits(tokens).argmax())
        if token == end:
            break
        tokens.append(token)
    return tokens


def diagnose_write(function: Function) -> str | None:
    end, script = 9, [4, 2, 2, 7, 9, 1]
    asked: list[list[int]] = []

    def next_logits(tokens: Any) -> Tensor:
        asked.append([int(token) for token in tokens])
        if len(asked) > 50:
            raise RuntimeError("asked 50 times for a motion of at most 20 tokens")
        return F.one_hot(torch.tensor(script[len(tokens)] if len(tokens) < len(script) else 3), 10).float()

    written = function(next_logits, end, 20)
    if not isinstance(written, list) or not all(isinstance(token, int) for token in written):
        return f"the result should be a list of ints; int(tensor) makes one. Got {written!r}."
    known = {
        (4, 2, 2, 7, 9): "END is part of the result. It ends the motion and is no pose.",
        (): "nothing was written.",
        (4, 2, 2): "the last token before END is missing.",
        (9,): "only END was kept.",
    }
    if tuple(written) in known:
        return known[tuple(written)]
    if len(written) >= 6:
        return "it continues after END. The first END ends the motion."
    if written != [4, 2, 2, 7]:
        return f"the likeliest tokens are 4 2 2 7 and then END, got {' '.join(map(str, written))}."
    if asked != [[4, 2, 2, 7][:n] for n in range(5)]:
        return "the tokens that were written must be read again: give next_logits all of them each time."
    asked.clear()
    limited = function(next_logits, end, 3)
    if limited != [4, 2, 2]:
        return f"with most = 3 it should stop after 4 2 2, got {' '.join(map(str, limited))}."
    return None


# ---- how many parameters ------------------------------------------------------------------------------------------
def block_parameters(dim: int, n_head: int, n_kv_heads: int, hidden: int) -> int:
    """Weights of one block; no layer has a bias."""
    attention = dim * (dim + 2 * n_kv_heads * (dim // n_head)) + dim * dim
    return attention + 3 * dim * hidden + 2 * dim


def diagnose_parameters(function: Function) -> str | None:
    settings = (128, 4, 2, 384)
    value, right = function(*settings), block_parameters(*settings)
    if isinstance(value, bool) or not isinstance(value, int):
        return f"parameters are counted in whole numbers; you returned {value!r}: use // for the width of a head."
    known = {
        right - 256: "the two norms have a scale for each channel: 2 dim more.",
        right - 128: "there are two norms, each with a scale for each channel.",
        right + 2 * 128: "RMSNorm has a scale and no bias.",
        right - 128 * 384: "SwiGLU has three matrices: gate, up and down.",
        right + 128 * 128: "keys and values have n_kv_heads heads each, not n_head.",
        right + 128 * 128 - 256: "keys and values have n_kv_heads heads each, not n_head; and there are two norms.",
        right - 128 * 128: "the output of attention goes through one more matrix, dim x dim.",
        right - 128 * 64: "keys AND values have n_kv_heads heads.",
        right + 256 + 384 * 2 + 128 * 2: "no layer has a bias.",
    }
    if value != right:
        return known.get(value, f"(128, 4, 2, 384) should give {right:,}, got {value:,}.")
    for other in ((768, 12, 12, 2048), (64, 8, 1, 100)):
        if function(*other) != block_parameters(*other):
            return f"right for (128, 4, 2, 384), but {other} should give {block_parameters(*other):,}."
    return None


# ---- the loss -----------------------------------------------------------------------------------------------------
def next_token_loss(logits: Tensor, tokens: Tensor, words: int, end: int) -> Tensor:
    """Mean cross-entropy of one motion: the last word predicts the first token, the last token predicts `end`.

    Args:
        logits: `[words + N, K + 1]`, at every position of one sequence.
        tokens: int64 `[N]`, the motion.
    """
    labels = torch.cat([tokens, tokens.new_tensor([end])])  # [N + 1]
    return F.cross_entropy(logits[words - 1 :], labels)


def diagnose_loss(function: Function) -> str | None:
    logits, tokens = 2 * normal(7, 6), torch.tensor([3, 0, 4, 1])  # 3 words, 4 tokens, K = 5
    with seeded(0):
        value = function(logits.clone(), tokens.clone(), 3, 5)
    if not isinstance(value, Tensor) or value.dim() != 0:
        return "the result should be a single number, as a tensor: F.cross_entropy gives one."
    right = next_token_loss(logits, tokens, 3, 5)
    mistakes = {
        "every position predicts itself: shift by one. Position i predicts token i + 1.": F.cross_entropy(
            logits[3:], tokens
        ),
        "END is not asked for: the last token must predict it.": F.cross_entropy(logits[2:-1], tokens),
        "the first token is not asked for: the last word predicts it.": F.cross_entropy(
            logits[3:], torch.tensor([0, 4, 1, 5])
        ),
        "neither the first token nor END is asked for.": F.cross_entropy(logits[3:-1], tokens[1:]),
        "this is a sum. Take the mean over the positions.": 5 * right,
        "this is the mean of the likeliest logits, not of the right ones.": -logits[2:].log_softmax(-1).amax(-1).mean(),
        "logits are no probabilities: take their log-softmax (F.cross_entropy does it itself).": F.nll_loss(
            logits[2:], torch.tensor([3, 0, 4, 1, 5])
        ),
    }
    if sentence := first_match(value, mistakes):
        return sentence
    if not torch.allclose(value, right, atol=1e-5):
        return f"expected {float(right):.4f}, got {float(value):.4f}: 5 positions predict 3 0 4 1 and END."
    if not torch.allclose(function(logits, tokens[:2], 5, 5), next_token_loss(logits, tokens[:2], 5, 5), atol=1e-5):
        return "right for 3 words only: use the argument."
    return None
