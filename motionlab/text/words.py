"""A small tokenizer made from captions: one id per word.

T5 itself splits into word pieces (SentencePiece, 32,000 of them), so that it can read any word. Captions of a few
hundred words need no pieces, and one id per word can be followed by eye. The ids are laid out as T5 lays out its own:

    0 padding   1 end   2 unknown   3 ... words ...   then the sentinels, counted DOWN from the highest id

so sentinel 0 is `size - 1`, sentinel 1 is `size - 2`, and so on (`<extra_id_0>`, `<extra_id_1>` in T5's files).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from motionlab.errors import InputError
from motionlab.files import write_text

PAD, END, UNKNOWN = 0, 1, 2
MARKS = ("<pad>", "</s>", "<unk>")
_WORD = re.compile(r"<extra_id_\d+>|\w+(?:['-]\w+)*|[^\w\s]")
_BEFORE = re.compile(r" ([,.;:!?])")  # no space before these in a sentence


def split_words(text: str) -> list[str]:
    """Words and marks of a sentence in lower case.

    >>> split_words("A person walks, then sits.")
    ['a', 'person', 'walks', ',', 'then', 'sits', '.']
    """
    return _WORD.findall(text.lower())


class Words:
    """Captions to ids and back.

    Args:
        words: every known word, in the order of its id.
        n_sentinels: how many sentinels there are; a sentence can have as many gaps.

    >>> words = Words(["a", "person", "walks"], n_sentinels=2)
    >>> words.encode("A person flies"), words.size
    ([3, 4, 2, 1], 8)
    >>> words.decode([3, words.sentinel(0), 5, 1])
    'a <extra_id_0> walks'
    """

    def __init__(self, words: Sequence[str], n_sentinels: int = 16) -> None:
        if not words or len(set(words)) != len(words) or n_sentinels < 1:
            raise InputError(
                "words",
                found=f"{len(words)} words, {len(set(words))} different, {n_sentinels} sentinels",
                expected="one or more words, all different, and one or more sentinels",
                fix="Use Words.of(captions).",
            )
        self.n_sentinels = n_sentinels
        sentinels = [f"<extra_id_{i}>" for i in reversed(range(n_sentinels))]
        self.names = [*MARKS, *words, *sentinels]  # id -> text
        self._ids = {name: number for number, name in enumerate(self.names)}

    @classmethod
    def of(cls, captions: Sequence[str], n_sentinels: int = 16) -> Words:
        """Every word that occurs in the captions, in alphabetical order.

        Raises:
            InputError: no captions.
        """
        return cls(sorted({word for caption in captions for word in split_words(caption)}), n_sentinels)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.names)

    def sentinel(self, number: int) -> int:
        """The id of sentinel `number`.

        Raises:
            InputError: there are not so many.
        """
        if not 0 <= number < self.n_sentinels:
            raise InputError(
                "sentinel",
                found=f"number {number}",
                expected=f"0 to {self.n_sentinels - 1}",
                fix="Make fewer gaps, or more sentinels.",
            )
        return self.size - 1 - number

    def is_sentinel(self, number: int) -> bool:
        """Whether an id is a sentinel."""
        return self.size - self.n_sentinels <= number < self.size

    def encode(self, text: str) -> list[int]:
        """Ids of a sentence and END; words that are not known become UNKNOWN."""
        return [*(self._ids.get(word, UNKNOWN) for word in split_words(text)), END]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without END and padding."""
        text = " ".join(self.names[number] for number in ids if number not in (PAD, END))
        return _BEFORE.sub(r"\1", text)

    def save(self, folder: str | Path) -> None:
        """Write the files by which `transformers.AutoTokenizer` gives the same ids.

        Raises:
            InputError: the folder cannot be written.
        """
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        marks = [*range(len(MARKS)), *range(self.size - self.n_sentinels, self.size)]
        end = {"SpecialToken": {"id": MARKS[END], "type_id": 0}}
        first, second = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
        tokenizer = {  # the format of the Hugging Face library "tokenizers", written by hand: it is plain JSON
            "version": "1.0",
            "added_tokens": [{"id": i, "content": self.names[i], "special": True, **flags} for i in marks],
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {
                "type": "Split", "pattern": {"Regex": _WORD.pattern}, "behavior": "Removed", "invert": True,
            },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [first, end],
                "pair": [first, second],
                "special_tokens": {MARKS[END]: {"id": MARKS[END], "ids": [END], "tokens": [MARKS[END]]}},
            },
            "model": {"type": "WordLevel", "vocab": self._ids, "unk_token": MARKS[UNKNOWN]},
        }  # fmt: skip
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": MARKS[PAD],
            "eos_token": MARKS[END],
            "unk_token": MARKS[UNKNOWN],
        }
        write_text(Path(folder) / "tokenizer.json", json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n")
        write_text(Path(folder) / "tokenizer_config.json", json.dumps(settings, indent=1) + "\n")
