"""The small T5: trained it fills blanks, its cache changes nothing, an old cache is wrong, and its folder is a T5's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.text.encoder import TextEncoder
from motionlab.text.small_t5 import IGNORE, SmallT5, corrupt_batch, train_small_t5
from motionlab.text.t5 import T5Folder
from motionlab.text.words import END, PAD, Words

pytest.importorskip("transformers")

CAPTIONS = [
    "a person walks forward",
    "a person kicks with the right leg",
    "someone claps both hands",
    "the person jumps up and down",
]


@pytest.fixture(scope="module")
def trained() -> tuple[SmallT5, list[float]]:
    """A few sentences, known by heart."""
    model = SmallT5(Words.of(CAPTIONS), dim=32, n_layer=1)
    return model, train_small_t5(model, CAPTIONS, steps=100, batch_size=4, lr=0.1)


def test_it_learns(trained: tuple[SmallT5, list[float]]) -> None:
    model, losses = trained
    assert sum(losses[-10:]) < 0.4 * sum(losses[:10])
    assert model.fill("someone ___ both hands") == "someone claps both hands"
    assert model.fill("a person ___ forward") == "a person walks forward"


def test_the_cache_changes_no_token(trained: tuple[SmallT5, list[float]]) -> None:
    model = trained[0]
    for caption in ("someone claps ___", "a ___ walks ___", "the person ___"):
        source = model.with_sentinels(caption)
        assert model.answer(source).ids == model.answer(source, use_cache=False).ids


def test_an_old_cache_answers_the_old_sentence(trained: tuple[SmallT5, list[float]]) -> None:
    model = trained[0]
    sentence = model.with_sentinels("someone ___ both hands")
    cache = model.answer(model.with_sentinels("a person ___ with the right leg")).past_key_values
    width = cache.cross_attention_cache.layers[0].keys.shape[2]
    stale = model.answer(sentence, past_key_values=cache)
    assert stale.ids != model.answer(sentence).ids
    # The keys of the new sentence were never computed: their number is that of the old one.
    assert stale.past_key_values.cross_attention_cache.layers[0].keys.shape[2] == width != len(sentence)


def test_one_pass_gives_the_logits_of_the_cached_steps(trained: tuple[SmallT5, list[float]]) -> None:
    model = trained[0]
    source = torch.tensor([model.with_sentinels("a person ___ forward")])
    read = torch.tensor([[PAD, model.words.sentinel(0), 5, 6]])
    with torch.inference_mode():
        whole = model.model(input_ids=source, decoder_input_ids=read, use_cache=False).logits
        cache, steps = None, []
        encoded = model.model.encoder(input_ids=source)
        for place in range(4):
            output = model.model(
                encoder_outputs=encoded, decoder_input_ids=read[:, place : place + 1], past_key_values=cache
            )
            cache = output.past_key_values
            steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=0, atol=1e-5)


def test_it_is_a_text_encoder_and_padding_is_hidden(trained: tuple[SmallT5, list[float]]) -> None:
    model = trained[0]
    assert isinstance(model, TextEncoder)
    features = model.encode(CAPTIONS)
    assert features.lengths.tolist() == [len(model.words.encode(caption)) for caption in CAPTIONS]
    for row, caption in enumerate(CAPTIONS):
        torch.testing.assert_close(features.states[row][features.mask[row]], model.encode([caption]).states[0])


def test_the_saved_folder_is_a_t5(trained: tuple[SmallT5, list[float]], tmp_path: Path) -> None:
    model = trained[0]
    model.save(tmp_path)
    torch.testing.assert_close(T5Folder(tmp_path).encode(CAPTIONS).states, model.encode(CAPTIONS).states)


def test_a_batch_is_corrupted_and_padded() -> None:
    words = Words.of(CAPTIONS)
    pairs = corrupt_batch(words, CAPTIONS, torch.Generator().manual_seed(0))
    assert torch.equal(pairs.mask, pairs.source != PAD)
    for source, target in zip(pairs.source, pairs.target, strict=True):
        assert (source == END).sum() == 1 and (target == END).sum() == 1
        stop = int((target == END).nonzero())
        assert (target[stop + 1 :] == IGNORE).all() and target[0] == words.sentinel(0)


def test_the_same_seed_gives_the_same_weights() -> None:
    words, losses = Words.of(CAPTIONS), []
    for _ in range(2):
        torch.rand(3)  # the global generator must not matter
        model = SmallT5(words, dim=16, n_layer=1)
        losses.append(train_small_t5(model, CAPTIONS, steps=3, batch_size=4))
    assert losses[0] == losses[1] and len(losses[0]) == 3
    other = SmallT5(words, dim=16, n_layer=1, seed=1)
    assert not torch.equal(other.model.shared.weight, SmallT5(words, dim=16, n_layer=1).model.shared.weight)


def test_the_name_follows_the_training(trained: tuple[SmallT5, list[float]]) -> None:
    fresh = SmallT5(Words.of(CAPTIONS), dim=32, n_layer=1)
    assert trained[0].name != fresh.name == SmallT5(Words.of(CAPTIONS), dim=32, n_layer=1).name
    renamed = Words([f"{word}x" for word in Words.of(CAPTIONS).names[3:-16]])
    assert renamed.size == fresh.words.size and SmallT5(renamed, dim=32, n_layer=1).name != fresh.name
    assert SmallT5(Words.of(CAPTIONS), dim=32, n_layer=2).name != fresh.name


def test_bad_input(trained: tuple[SmallT5, list[float]]) -> None:
    model = trained[0]
    with pytest.raises(InputError, match="expected a blank ___"):
        model.fill("a person walks")
    with pytest.raises(InputError, match="unknown to the text encoder"):
        model.encode(["quantum chromodynamics"])
    with pytest.raises(InputError, match="expected a sentence"):
        model.encode([""])
    with pytest.raises(InputError, match="at most 48"):
        model.encode(["walks " * 60])
    with pytest.raises(InputError, match="an empty list"):
        train_small_t5(SmallT5(model.words, dim=16), [], steps=1)
    with pytest.raises(InputError, match="captions of one word"):
        train_small_t5(SmallT5(model.words, dim=16), ["walks"], steps=1)
    with pytest.raises(InputError, match="steps: found 0"):
        train_small_t5(SmallT5(model.words, dim=16), CAPTIONS, steps=0)
    with pytest.raises(InputError, match="Make fewer gaps"):
        model.fill(" ".join(["___ walks"] * 20))
