"""The text encoder: captions in, one feature vector per text token out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from motionlab.errors import InputError

THREE_CHOICES = (
    "Choose one of three: the bundled MiniLM (text.encoder=minilm), a local T5, flan-T5 or ByT5 folder "
    "(text.encoder=t5 text.folder=...), or captions whose features are already in the cache."
)
"""Advice that ends every message about a missing encoder."""


@dataclass(frozen=True)
class TextFeatures:
    """Features of N captions: `states` float32 `[N, L, dim]`; `mask` bool `[N, L]`, True on real tokens.

    Real tokens start at slot 0 of each row; states of unused slots are 0.

    >>> features = TextFeatures(torch.ones(2, 3, 4), torch.tensor([[True, True, True], [True, False, False]]))
    >>> features.rows([1]).states.shape  # the width shrinks to the longest remaining row
    torch.Size([1, 1, 4])
    """

    states: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        if self.states.dim() != 3 or self.mask.shape != self.states.shape[:2] or self.mask.dtype != torch.bool:
            raise InputError(
                "text features",
                found=f"states {list(self.states.shape)} with a {self.mask.dtype} mask {list(self.mask.shape)}",
                expected="states [N, L, dim] with a bool mask [N, L]",
                fix="Pass features as a text encoder returns them.",
            )

    def __len__(self) -> int:
        return len(self.states)

    @property
    def dim(self) -> int:
        """Width of one feature vector."""
        return self.states.shape[2]

    @property
    def lengths(self) -> Tensor:
        """Tokens of each caption, int64 `[N]`."""
        return self.mask.sum(1)

    def sentences(self) -> Tensor:
        """One unit vector a caption, `[N, dim]`: the mean over its real tokens, scaled to length 1.

        >>> TextFeatures(torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]), torch.tensor([[True, False]])).sentences()
        tensor([[0.6000, 0.8000]])
        """
        total = (self.states * self.mask.unsqueeze(-1)).sum(1)  # [N, dim]; the count is lost with the length
        return torch.nn.functional.normalize(total, dim=-1)

    def rows(self, index: Sequence[int] | Tensor) -> TextFeatures:
        """Some captions, in the order of `index`, without columns that none of them uses."""
        index = torch.as_tensor(index, dtype=torch.long)
        mask = self.mask[index]
        width = int(mask.sum(1).max()) if len(index) else 0
        return TextFeatures(self.states[index, :width], mask[:, :width])

    def to(self, device: torch.device | str) -> TextFeatures:
        """The same features on another device."""
        return TextFeatures(self.states.to(device), self.mask.to(device))

    @staticmethod
    def from_rows(rows: Sequence[Tensor]) -> TextFeatures:
        """Pad a list of `[l_i, dim]` to one block.

        >>> TextFeatures.from_rows([torch.ones(2, 4), torch.ones(1, 4)]).mask
        tensor([[ True,  True],
                [ True, False]])
        """
        lengths = torch.tensor([len(row) for row in rows])
        states = torch.nn.utils.rnn.pad_sequence([row.float() for row in rows], batch_first=True)  # [N, L, dim]
        return TextFeatures(states, torch.arange(states.shape[1]) < lengths[:, None])


@runtime_checkable
class TextEncoder(Protocol):
    """A frozen encoder. `name` changes with its weights; the cache is keyed by it and by the rest of `identity`.

    Making one is cheap. The model is loaded by the first `encode`, so a run whose captions are all in the cache needs
    neither the model nor transformers.
    """

    dim: int
    max_tokens: int

    @property
    def name(self) -> str:
        """Identifies the weights and the tokenizer."""
        ...

    def encode(self, captions: Sequence[str]) -> TextFeatures:
        """Features of the captions, in their order."""
        ...


def identity(encoder: TextEncoder) -> dict[str, object]:
    """Everything that the stored features of an encoder depend on; its name identifies the weights."""
    return {
        "encoder": encoder.name,
        "dim": encoder.dim,
        "max_tokens": encoder.max_tokens,
        "pooled": getattr(encoder, "pooled", False),
        "dtype": str(getattr(encoder, "dtype", torch.float32)),
        "stored": str(torch.float16),
    }


def check_finite(states: Tensor, captions: Sequence[str], name: str) -> None:
    """Raise InputError when features `[N, ..., dim]` hold NaN, infinity, or a number that float16 cannot keep.

    Features are kept as float16: a larger number would become infinity there, and NaN in every loss.
    """
    bad = ~(states.abs() <= torch.finfo(torch.float16).max)  # True for NaN as well
    if bool(bad.any()):
        first = bad.nonzero()[0].tolist()
        raise InputError(
            f"features of caption {captions[first[0]][:60]!r} from {name}",
            found=f"{states[tuple(first)].item():g}",
            expected=f"finite numbers, at most {torch.finfo(torch.float16).max:,.0f}",
            fix="Check the weights of the text encoder; in float16 some T5 overflow, in float32 and bfloat16 not.",
        )


def check_captions(captions: Sequence[str]) -> None:
    """Raise InputError when there is no caption, or one without a visible character."""
    if isinstance(captions, str):
        raise InputError("captions", found="one string", expected="a list of strings", fix="Put it in a list.")
    if len(captions) == 0:
        raise InputError("captions", found="an empty list", expected="at least one caption", fix="Add a caption.")
    for number, caption in enumerate(captions):
        if not caption.strip():
            raise InputError(
                "caption" if len(captions) == 1 else f"caption {number}",
                found=repr(caption),
                expected="a sentence, such as 'a person walks forward'",
                fix="Write what the person does.",
            )


def check_token_counts(captions: Sequence[str], counts: Sequence[int], max_tokens: int) -> None:
    """Raise InputError when a caption has more tokens than the encoder reads. Nothing is cut silently."""
    worst = max(range(len(counts)), key=counts.__getitem__)
    if counts[worst] > max_tokens:
        raise InputError(
            f"caption '{captions[worst][:40]}...'",
            found=f"{counts[worst]} tokens",
            expected=f"at most {max_tokens}",
            fix=f"Shorten the caption, or raise text.max_tokens to {counts[worst]} if the encoder reads as many.",
        )


def check_known(
    captions: Sequence[str], token_ids: Sequence[Sequence[int]], unknown_id: int | None, marks: Collection[int]
) -> None:
    """Raise InputError when half or more of a caption is unknown to the encoder, as with a script it never read.

    Every unknown word gets the same vector: two different Chinese sentences could give the same features. A tokenizer
    that does not belong to its model may drop all words without a mark, and then every sentence is the same one.

    Args:
        token_ids: the ids of each caption.
        unknown_id: the id of "unknown"; None for an encoder that knows everything.
        marks: ids that are no words, such as start and end; they do not count.
    """
    for caption, ids in zip(captions, token_ids, strict=True):
        unknown = sum(token == unknown_id for token in ids)
        known = sum(token not in marks for token in ids if token != unknown_id)
        if not unknown and not known:
            raise InputError(
                f"caption '{caption[:40]}'", found="no token for any of its words",
                expected="a tokenizer that knows them",
                fix="Use the tokenizer files that came with the weights.",
            )  # fmt: skip
        if unknown and unknown >= known:
            raise InputError(
                f"caption '{caption[:40]}'",
                found=f"{unknown} of {unknown + known} tokens unknown to the text encoder",
                expected="words that it was trained on",
                fix="Write the sentence in English, or use a text encoder that reads this script (such as ByT5).",
            )


def encode_blocks(
    token_ids: Sequence[Sequence[int]], run: Callable[[Tensor, Tensor], Tensor], tokens_at_once: int = 64
) -> list[Tensor]:
    """Run a model over blocks of captions of one length, and return the states in the first order.

    Sums of another shape are added in another order, so features of a caption in a padded batch differ in the last bit
    with the captions next to it. Here a caption of `L` tokens is always in a block of the same shape: so many captions
    of `L` tokens that they are `tokens_at_once` or a few more. A block that is not full is filled up with copies. No
    token is padding, and a matrix product gives every row of one shape the same bits, wherever it stands (measured with
    one and two threads). Another number of threads, another processor or another torch may give other last bits.

    Args:
        token_ids: the ids of each caption.
        run: the model: ids int64 `[B, L]` and mask bool `[B, L]`, all True, to states `[B, L, dim]`.
        tokens_at_once: more are faster on a GPU; a caption that is encoded alone costs as much as a whole block.

    Returns:
        one `[l_i, dim]` per caption, on the CPU, float32.
    """
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(token_ids):
        by_length.setdefault(len(ids), []).append(row)
    states: list[Tensor] = [torch.empty(0)] * len(token_ids)
    for length, rows in sorted(by_length.items()):
        size = -(-tokens_at_once // max(1, length))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            filled = [some[at % len(some)] for at in range(size)]
            block = torch.tensor([token_ids[row] for row in filled])  # [B, L]
            found = run(block, torch.ones_like(block, dtype=torch.bool)).float().cpu()  # [B, L, dim]
            for row, own in zip(some, found, strict=False):
                states[row] = own.clone()
    return states
