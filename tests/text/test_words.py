"""Words to ids: T5's layout, nothing lost, and the same ids from the files that other programs read."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.text.words import END, PAD, UNKNOWN, Words, split_words

CAPTIONS = ["A person walks, then sits down.", "someone does a half-turn; it's slow"]


def test_the_layout_is_that_of_t5() -> None:
    words = Words.of(CAPTIONS, n_sentinels=4)
    assert (PAD, END, UNKNOWN) == (0, 1, 2) and words.names[:3] == ["<pad>", "</s>", "<unk>"]
    assert words.names[-4:] == ["<extra_id_3>", "<extra_id_2>", "<extra_id_1>", "<extra_id_0>"]
    assert words.sentinel(0) == words.size - 1 and words.sentinel(3) == words.size - 4
    assert [words.is_sentinel(i) for i in (words.size - 5, words.size - 4, words.size - 1, words.size)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_sentences_survive_in_lower_case() -> None:
    words = Words.of(CAPTIONS)
    for caption in CAPTIONS:
        ids = words.encode(caption)
        assert ids[-1] == END and UNKNOWN not in ids and words.decode(ids) == caption.lower()
    assert words.encode("sits quietly")[1] == UNKNOWN
    assert words.encode("") == [END]


def test_a_sentinel_in_a_text_is_one_token() -> None:
    words = Words.of(CAPTIONS)
    assert words.encode("a <extra_id_0> sits")[1] == words.sentinel(0)
    assert split_words("half-turn; it's") == ["half-turn", ";", "it's"]


def test_transformers_reads_the_saved_files(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    words = Words.of(CAPTIONS)
    words.save(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    texts = [*CAPTIONS, "a FLYING person", "a <extra_id_0> sits <extra_id_1>", "it's  half-done!"]
    assert [tokenizer(text)["input_ids"] for text in texts] == [words.encode(text) for text in texts]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (PAD, END, UNKNOWN)
    assert len(tokenizer) == words.size


@pytest.mark.parametrize("words", [[], ["a", "a"]])
def test_wrong_words(words: list[str]) -> None:
    with pytest.raises(InputError, match="all different"):
        Words(words)


def test_no_captions_and_too_many_sentinels() -> None:
    with pytest.raises(InputError, match="one or more words"):
        Words.of([])
    with pytest.raises(InputError, match="expected 0 to 1"):
        Words(["a"], n_sentinels=2).sentinel(2)
