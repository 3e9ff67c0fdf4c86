"""Attention between prefix and suffix tokens: which token of a vision-language-action policy may look at which.

Prefix tokens (images, instruction) are the condition: they see each other, never what comes after, so that their keys
and values can be computed once and kept. Suffix tokens (state, noisy actions) see the prefix and earlier blocks. The
rule is that of pi0 (Black et al., arXiv:2410.24164, as in openpi and lerobot), the function is the one that the decoder
of this package has: `motionlab.llama.masks.make_att_2d_masks`.

    c_j = att_masks_0 + ... + att_masks_j        number of the block of token j
    i sees j   when   c_j <= c_i   and both are real

An entry of `att_masks` is the START of a block and no label of what a token is: of the actions of one chunk only the
first carries a 1, and the others share its block. `token_layout` writes these entries from groups of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.masks import make_att_2d_masks, position_ids

__all__ = ["TokenGroup", "make_att_2d_masks", "positions", "prefix_length", "token_layout"]


class TokenGroup(NamedTuple):
    """Tokens of one kind that stand together.

    Attributes:
        name: for pictures and messages, such as "image".
        length: how many tokens, 1 or more.
        opens: earlier tokens may not look at these (the first one carries a 1).
        causal: nor may earlier ones of the group look at later ones (all carry a 1), as the actions of SmolVLA.
    """

    name: str
    length: int
    opens: bool = False
    causal: bool = False


def positions(pad_masks: Tensor) -> Tensor:
    """Positions for RoPE, int64 `[B, N]`: padding uses up none. The positions of padding itself are never read.

    >>> positions(torch.tensor([[1, 1, 1, 1, 0, 1, 1, 1]]))
    tensor([[0, 1, 2, 3, 3, 4, 5, 6]])
    """
    return position_ids(pad_masks)


def token_layout(groups: Sequence[TokenGroup]) -> tuple[list[str], Tensor]:
    """The name of the group of each token, and `att_masks`, int64 `[N]`.

    Raises:
        InputError: no groups, or one without tokens.

    >>> prefix = [TokenGroup("image", 2), TokenGroup("text", 2)]
    >>> suffix = [TokenGroup("state", 1, opens=True), TokenGroup("action", 3, opens=True)]
    >>> names, att_masks = token_layout([*prefix, *suffix])
    >>> names[-4:], att_masks.tolist()
    (['state', 'action', 'action', 'action'], [0, 0, 0, 0, 1, 1, 0, 0])
    """
    empty = [group.name for group in groups if group.length < 1]
    if not groups or empty:
        found = f"{empty[0]!r} without tokens" if empty else "no groups"
        raise InputError("token groups", found=found, expected="1 token or more in each", fix="Leave out empty groups.")
    names = [group.name for group in groups for _ in range(group.length)]
    starts = [int(group.causal or (group.opens and i == 0)) for group in groups for i in range(group.length)]
    return names, torch.tensor(starts)


def prefix_length(att_masks: Tensor) -> int:
    """How many tokens stand before the second block: those that can be kept when the rest changes.

    The first entry of `att_masks` changes nothing, since only differences of `c` count.

    >>> prefix_length(torch.tensor([0, 0, 0, 1, 1, 0])), prefix_length(torch.tensor([1, 0, 0]))
    (3, 3)
    """
    starts = att_masks[1:].nonzero()
    return int(starts[0]) + 1 if len(starts) else len(att_masks)
