"""The instruction as vectors: a small LLaMA over whole words, and features of frozen encoders that are kept.

A robot data set has few different sentences (3 in the embedded world, 130 in LIBERO). So every call encodes each
different sentence once and copies its rows, and a frozen encoder runs once per sentence in a whole training. Sentences
are padded on the right; real tokens never see padding, and whoever takes a mean has to leave it out.

The layers are those of the motion decoder (`motionlab/llama/model.py`). A decoder for generation is causal; here all
words of a sentence see each other, because nothing is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.checks import check_sizes
from motionlab.llama.initialise import initialise
from motionlab.llama.model import Block, RMSNorm
from motionlab.llama.rope import Rotary
from motionlab.text.encoder import TextFeatures
from motionlab.text.words import split_words
from motionlab.vla.masks import make_att_2d_masks

PAD = 0
LONGEST = 64
"""Words of an instruction."""


class Vocabulary:
    """One number for each word of the training instructions; 0 is padding.

    An unknown word is an error and not a vector of its own: "the purple cube" would otherwise be obeyed as whatever
    the policy makes of an unknown word.

    >>> words = Vocabulary.of(["Pick up the red cube", "pick up the blue cube"])
    >>> len(words), words.encode("pick up the blue cube")
    (7, [3, 6, 5, 1, 2])
    """

    def __init__(self, words: Sequence[str]) -> None:
        if not words or len(set(words)) != len(words):
            raise InputError(
                "words", found=f"{len(words)} words, {len(set(words))} different",
                expected="one or more, all different", fix="Use Vocabulary.of(instructions).",
            )  # fmt: skip
        self.words = tuple(words)
        self._numbers = {word: number for number, word in enumerate(self.words, start=PAD + 1)}

    @classmethod
    def of(cls, instructions: Sequence[str]) -> Vocabulary:
        """Every word of the instructions in alphabetical order.

        Raises:
            InputError: no instructions, or an empty one.
        """
        check_instructions(instructions)
        return cls(sorted({word for sentence in instructions for word in split_words(sentence)}))

    def __len__(self) -> int:
        """Rows of an embedding table: the words and padding."""
        return len(self.words) + 1

    def encode(self, instruction: str) -> list[int]:
        """The numbers of a sentence.

        Raises:
            InputError: a word that no training instruction has, or a sentence that is empty or too long.
        """
        check_instructions([instruction])
        words = split_words(instruction)
        for word in words:
            if word not in self._numbers:
                known = ", ".join(self.words[:40])
                raise InputError(
                    f"instruction {instruction[:60]!r}", found=f"the unknown word {word!r}",
                    expected=f"words of the training instructions: {known}",
                    fix="Use these words, or train with instructions that have it.",
                )  # fmt: skip
        if len(words) > LONGEST:
            raise InputError(
                f"instruction {instruction[:60]!r}", found=f"{len(words)} words", expected=f"at most {LONGEST}",
                fix="Shorten it.",
            )  # fmt: skip
        return [self._numbers[word] for word in words]


class LanguageEncoder(nn.Module):
    """Sentences to `TextFeatures` of width `dim`: states `[B, L, dim]` and a mask, True on real tokens."""

    dim: int

    def forward(self, instructions: Sequence[str]) -> TextFeatures:
        """One row a sentence, in their order; each different one is encoded once."""
        check_instructions(instructions)
        different = list(dict.fromkeys(instructions))
        features = self.encode(different)
        if len(different) == len(instructions):
            return features
        place = {sentence: number for number, sentence in enumerate(different)}
        rows = torch.tensor([place[sentence] for sentence in instructions], device=features.states.device)
        # `states[rows]` has the same values, but its gradient adds up in an order that changes from call to call where
        # threads share the work, and one seed would train another policy each time.
        return TextFeatures(features.states.index_select(0, rows), features.mask.index_select(0, rows))

    def encode(self, instructions: Sequence[str]) -> TextFeatures:
        """Features of sentences that are all different."""
        raise NotImplementedError


class TinyLanguageEncoder(LanguageEncoder):
    """A LLaMA of a few layers over words, trained with the policy.

    Raises:
        InputError: sizes below 1, or heads that do not divide the width.

    >>> encoder = TinyLanguageEncoder(Vocabulary.of(["pick up the red cube", "wait"]), dim=16, n_layer=1, n_head=2)
    >>> encoder(["wait", "pick up the red cube"]).mask.int()
    tensor([[1, 0, 0, 0, 0],
            [1, 1, 1, 1, 1]], dtype=torch.int32)
    """

    def __init__(self, vocabulary: Vocabulary, dim: int = 64, n_layer: int = 1, n_head: int = 4) -> None:
        super().__init__()
        check_sizes(dim=dim, n_layer=n_layer)
        self.vocabulary, self.dim = vocabulary, dim
        self.embedding = nn.Embedding(len(vocabulary), dim)
        self.blocks = nn.ModuleList(Block(dim, n_head, n_head, hidden=2 * dim) for _ in range(n_layer))
        self.norm = RMSNorm(dim)
        self.rotary = Rotary(LONGEST, dim // n_head)
        initialise(self, n_layer)
        # The usual 0.02 is less than Adam moves a weight in a few dozen steps. All words then moved the same way, and
        # after 500 steps of a policy two sentences differed by 0.2 where they had differed by 1.1: it was not read.
        nn.init.normal_(self.embedding.weight)

    def encode(self, instructions: Sequence[str]) -> TextFeatures:
        """See `LanguageEncoder`.

        Raises:
            InputError: an unknown word, by name.
        """
        rows = [torch.tensor(self.vocabulary.encode(sentence)) for sentence in instructions]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD).to(self.embedding.weight.device)
        real = ids != PAD  # [B, L]
        mask = make_att_2d_masks(real, torch.zeros_like(ids))[:, None]  # one block: every real word sees every other
        x = self.embedding(ids)  # [B, L, dim]
        for block in self.blocks:
            x = block(x, self.rotary(ids.shape[1]), mask)
        states: Tensor = self.norm(x)
        return TextFeatures(states.masked_fill(~real[..., None], 0), real)


class CachedLanguage(LanguageEncoder):
    """Features of a frozen encoder, computed once for each different sentence. It has no parameters.

    The encoder is no part of the model, so a checkpoint does not hold it.

    Args:
        encode: sentences to features, such as the `encode` of a `HuggingFaceFolder` or of any `TextEncoder`.
        dim: width of its features.
    """

    where: Tensor

    def __init__(self, encode: Callable[[Sequence[str]], TextFeatures], dim: int) -> None:
        super().__init__()
        self.dim, self._encode = dim, encode
        self._kept: dict[str, Tensor] = {}
        self.register_buffer("where", torch.empty(0), persistent=False)  # follows the model to its device

    def __len__(self) -> int:
        """Sentences that are kept."""
        return len(self._kept)

    @torch.no_grad()
    def encode(self, instructions: Sequence[str]) -> TextFeatures:
        """See `LanguageEncoder`."""
        new = [sentence for sentence in instructions if sentence not in self._kept]
        if new:
            features = self._encode(new)
            if features.dim != self.dim:
                raise InputError(
                    "language", found=f"features of {features.dim} numbers", expected=str(self.dim),
                    fix="Give the width of this encoder.",
                )  # fmt: skip
            for number, sentence in enumerate(new):
                self._kept[sentence] = features.states[number][features.mask[number]].detach().float().cpu()
        found = TextFeatures.from_rows([self._kept[sentence] for sentence in instructions])
        return found.to(self.where.device)


def check_instructions(instructions: Sequence[str]) -> None:
    """Raise InputError unless there is one sentence or more, none of them empty, in a list."""
    if isinstance(instructions, str) or not instructions:
        found = "one string" if isinstance(instructions, str) else "none"
        raise InputError("instructions", found=found, expected="a list of sentences", fix="Put them in a list.")
    for sentence in instructions:
        if not sentence.strip():
            raise InputError(
                "instruction", found=repr(sentence), expected="a sentence, such as 'pick up the red cube'",
                fix="Write what the robot is to do.",
            )  # fmt: skip
