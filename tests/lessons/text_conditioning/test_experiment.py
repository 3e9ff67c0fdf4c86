"""Lesson 07: the checks name the mistakes, and its measurements measure what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lessons.text_conditioning import caption_choice as lesson07_captions
from lessons.text_conditioning import experiment as lesson07
from lessons.text_conditioning.caption_choice import (
    CONDITIONS,
    HELD_OUT,
    Measured,
    PaddingRead,
    Point,
    load_points,
    new_words,
    padded_loss,
    padding_read,
    text_loss,
    train_decoder,
)
from lessons.text_conditioning.exercises import ToyDecoder, answer_all, att_2d_mask, pool_text, span_target
from lessons.text_conditioning.experiment import Blank, blanks, caption_rows, group, lesson_captions
from motionlab.config import load_config
from motionlab.data.composed.corpus import build_corpus
from motionlab.errors import InputError
from motionlab.jobs.build import make_tokenizer
from motionlab.jobs.prepare import fit_normalizer
from motionlab.jobs.run_folder import Run
from motionlab.llama.masks import make_att_2d_masks
from motionlab.llama.model import MotionLlama
from motionlab.runtime import seeded
from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures
from motionlab.text.span_corruption import corrupt_spans
from motionlab.text.words import Words


# ---- exercises -------------------------------------------------------------------------------------------------------
def _in_place(states, mask):
    pooled = pool_text(states, mask)
    states[~mask] = 0
    return pooled


POOL_MUTANTS = {
    "padding in the mean": (lambda s, m: s.mean(1), "padding is in the mean"),
    "divided by the width": (lambda s, m: (s * m[..., None]).mean(1), "width of the batch"),
    "sum": (lambda s, m: (s * m[..., None]).sum(1), "this is the sum"),
    "first token": (lambda s, m: s[:, 0], "first token only"),
    "over all captions": (lambda s, m: s[m].mean(0).expand(3, 5), "forgets which caption"),
    "not reduced": (lambda s, m: s, "one vector per caption"),
    "written into the states": (_in_place, "changed the states"),
    "another thing": (lambda s, m: s.max(1).values, "not the means"),
}


def _target(ids, mask, *, joined=True, close=True, end=True, start=99, step=-1, kept=False):
    target, sentinel, inside = [], start, False
    for token, cut in zip(ids, mask, strict=True):
        cut = cut != kept
        if cut and not (inside and joined):
            target.append(sentinel)
            sentinel += step
        if cut:
            target.append(token)
        inside = cut
    return [*target, *([sentinel] if close else []), *([1] if end else [])]


TARGET_MUTANTS = {
    "a sentinel per word": (lambda i, m: _target(i, m, joined=False), "ONE gap"),
    "not closed": (lambda i, m: _target(i, m, close=False), "closing sentinel"),
    "no END": (lambda i, m: _target(i, m, end=False), "END (1) is missing"),
    "one sentinel for all": (lambda i, m: _target(i, m, step=0), "same sentinel"),
    "counted up": (lambda i, m: _target(i, m, step=1), "count DOWN"),
    "words that stayed": (lambda i, m: _target(i, m, kept=True), "words that stayed"),
    "the input": (lambda i, m: [10, 99, 13, 98, 15, 1], "encoder's input"),
    "a number": (lambda i, m: 3, "a list of ids"),
    "last run forgotten": (
        lambda i, m: span_target(i, m) if not m[-1] else span_target(i[:-1], m[:-1]),
        "beginning and at the end",
    ),
}


def _blocks(att):
    return att.cumsum(1)


def _real(pad):
    return pad.bool()[:, None, :] & pad.bool()[:, :, None]


MASK_MUTANTS = {
    "transposed": (lambda p, a: att_2d_mask(p, a).transpose(1, 2), "rows are columns"),
    "padding forgotten": (lambda p, a: att_2d_mask(torch.ones_like(p), a), "padding is forgotten"),
    "one side": (lambda p, a: att_2d_mask(torch.ones_like(p), a) & p.bool()[:, None, :], "only one side"),
    "raw flags": (lambda p, a: (a[:, None, :] <= a[:, :, None]) & _real(p), "running sum"),
    "strictly earlier": (lambda p, a: (_blocks(a)[:, None] < _blocks(a)[:, :, None]) & _real(p), "with <="),
    "own block only": (lambda p, a: (_blocks(a)[:, None] == _blocks(a)[:, :, None]) & _real(p), "only its own block"),
    "causal": (lambda p, a: torch.ones(7, 7).tril().bool() & _real(p), "causal mask"),
    "numbers": (lambda p, a: att_2d_mask(p, a).float(), "Return a bool mask"),
    "one row": (lambda p, a: att_2d_mask(p, a)[0], "shape (16, 7, 7)"),
    "sum over the batch": (
        lambda p, a: (a.cumsum(0)[:, None, :] <= a.cumsum(0)[:, :, None]) & _real(p),
        "over the batch",
    ),
}


def _answers(decoder, sentences, *, reset=True, keep=True, feed=True, stop=True, with_end=False, limit=1000):
    answers, cache = [], None
    for sentence in sentences:
        cache = None if reset else cache
        token, written = 0, list[int]()
        while len(written) < limit:
            token, after = decoder.step(sentence, token if feed else 0, cache)
            cache = after if keep else None
            if token == 1 and stop:
                break
            written.append(token)
        answers.append([*written, 1] if with_end else written)
    return answers


ANSWER_MUTANTS = {
    "cache kept": (lambda d, s: _answers(d, s, reset=False), "only the first answer is right"),
    "cache thrown away": (lambda d, s: _answers(d, s, keep=False), "starts over each time"),
    "thrown away, but limited": (lambda d, s: _answers(d, s, keep=False, limit=8), "the one before it returned"),
    "nothing": (lambda d, s: None, "a list with one answer per sentence"),
    "never stops": (lambda d, s: _answers(d, s, stop=False), "leave the loop"),
    "END appended": (lambda d, s: _answers(d, s, with_end=True), "part of your answers"),
    "always token 0": (lambda d, s: _answers(d, s, feed=False), "the token that it wrote last"),
    "one token": (lambda d, s: [[d.step(x, 0, None)[0]] for x in s], "continue until END"),
    "one answer": (lambda d, s: answer_all(d, s[:1]), "1 answers for 3 sentences"),
}
MUTANTS = {
    "text.pool_text": POOL_MUTANTS,
    "text.span_target": TARGET_MUTANTS,
    "text.att_2d_mask": MASK_MUTANTS,
    "text.answer_all": ANSWER_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_references_are_the_package() -> None:
    generator = torch.Generator().manual_seed(1)
    pad, att = (torch.randint(2, (50, 9), generator=generator) for _ in range(2))
    assert torch.equal(att_2d_mask(pad, att), make_att_2d_masks(pad, att))
    words = Words([f"w{i}" for i in range(5)], n_sentinels=92)  # ids 0 to 99, so that sentinel 0 is 99
    ids, mask = [3, 4, 5, 6, 7], [True, True, False, False, True]
    assert span_target(ids, mask) == corrupt_spans([*ids, 1], mask, words)[1]
    assert answer_all(ToyDecoder(), [[5, 6], [7]]) == [[5, 6], [7]]


# ---- captions and blanks ---------------------------------------------------------------------------------------------
def test_held_out_captions_are_never_trained() -> None:
    data = lesson_captions(count=300)
    assert len(data.held_out) == lesson07.N_HELD_OUT and not set(data.held_out) & set(data.train)
    assert data == lesson_captions(count=300) and data != lesson_captions(count=300, seed=1)
    words = Words.of([*data.train, *data.held_out])
    made = blanks(words, data.held_out)
    for caption, blank in zip(data.held_out, made, strict=True):
        ids = words.encode(caption)
        place = blank.source.index(words.sentinel(0))
        assert [*blank.source[:place], blank.word, *blank.source[place + 1 :]] == ids


class _Knowing:
    """Answers from a list; what it is given as a cache, it repeats."""

    def __init__(self, words: Words, known: dict[tuple[int, ...], int]) -> None:
        self.words, self.known = words, known

    def answer(self, source: list[int], *, past_key_values: Any = None) -> SimpleNamespace:
        ids = past_key_values or [self.words.sentinel(0), self.known[tuple(source)], self.words.sentinel(1), 1]
        return SimpleNamespace(ids=ids, past_key_values=ids)


def test_accuracy_counts_right_answers_and_a_stale_cache_spoils_them() -> None:
    words = Words(["a", "b", "c"])
    asked = [Blank([words.sentinel(0), i, 1], word) for i, word in ((3, 4), (4, 5), (5, 3))]
    model: Any = _Knowing(words, {tuple(blank.source): blank.word for blank in asked})
    assert lesson07.accuracy(model, asked) == 1.0
    assert lesson07.stale_accuracy(model, asked) == pytest.approx(1 / 3)  # the last answer, again and again
    model.known[tuple(asked[0].source)] = 5
    assert lesson07.accuracy(model, asked) == pytest.approx(2 / 3)
    assert lesson07.best_guess(words, ["a", "b b"], asked) == pytest.approx(1 / 3)


# ---- the experiment --------------------------------------------------------------------------------------------------
def test_padding_read_is_text_everywhere() -> None:
    text = TextFeatures(torch.ones(2, 3, 4), torch.tensor([[True, True, True], [True, False, False]]))
    text.states[1, 1:] = 7.0  # any content there becomes zeros
    found = padding_read(text, extra=2)
    assert found.mask.all() and found.states.shape == (2, 5, 4)
    assert found.states[1, 1:].abs().sum() == 0 and torch.equal(found.states[0, :3], text.states[0])
    texts = SimpleNamespace(features=lambda captions: text, token_counts=lambda captions: [3, 1])
    assert PaddingRead(texts).features(["x", "y"]).mask.all()


def test_losses_do_not_depend_on_the_batch_unless_padding_is_read() -> None:
    with seeded(0):
        model = MotionLlama(codebook_size=10, n_layer=1, n_head=2, dim=16, text_dim=4).eval()
        text = TextFeatures.from_rows([torch.randn(n, 4) for n in (2, 6)])
    codes = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    together = text_loss(model, codes, text)
    alone = [text_loss(model, codes[i : i + 1], text.rows([i])) for i in range(2)]
    assert together == pytest.approx((alone[0] * 4 + alone[1] * 3) / 7, rel=1e-5)  # END counts as a label
    assert padded_loss(model, codes, text, extra=0) == pytest.approx(together, rel=1e-5)
    assert abs(padded_loss(model, codes, text, extra=5) - together) > 1e-4


def test_new_words_keep_actions_and_order() -> None:
    store: Any = SimpleNamespace(
        segments=lambda clip: [SimpleNamespace(phrase=p) for p in ("kicks", "runs")][: clip + 1]
    )
    assert new_words(store, 0) == "we see a man who kicks"
    assert new_words(store, 1) == "we see a man who kicks; next he runs"


def test_rows_of_the_experiment(tmp_path: Path) -> None:
    def measured(value: float) -> Measured:
        return Measured(*[value] * 11)

    points = {
        Point(condition, 240, seed): measured(seed + i) for i, condition in enumerate(CONDITIONS) for seed in (1, 0)
    }
    assert list(group(points, "random", 240)) == [0, 1]
    rows = caption_rows(points, ["new_clips"], 240, CONDITIONS)
    assert rows == [("240 clips", *CONDITIONS), ("new clips", "0.00 to 1.00", "1.00 to 2.00", "2.00 to 3.00")]
    path = tmp_path / "points.jsonl"
    path.write_text("{}\n")
    with pytest.raises(InputError, match="lesson 07"):
        load_points(path)


def test_the_kept_experiment_is_whole(root: Path) -> None:
    path = root / "notebooks" / "results" / "caption_choice.jsonl"
    points = load_points(path)
    assert {(p.condition, p.clips) for p in points} >= {(c, n) for c in ("first", "random") for n in (240, 2400)}
    for condition, clips in {(p.condition, p.clips) for p in points}:
        assert set(group(points, condition, clips)) >= {0, 1, 2}
    for line in path.read_text().splitlines():
        assert all(0 <= value for value in json.loads(line)["result"].values())
    assert HELD_OUT == 2


class _Letters:
    """An encoder without a model: the features of a word are made of its letters."""

    name, dim, max_tokens = "letters", 4, 48

    def encode(self, captions: Sequence[str]) -> TextFeatures:
        rows = [[[ord(word[0]) / 100, len(word) / 10, 1.0, 0.0] for word in text.split()] for text in captions]
        return TextFeatures.from_rows([torch.tensor(row) for row in rows])


@pytest.fixture
def small_run(private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that got as far as a tokenizer, which is not trained: enough to train a decoder on its codes."""
    monkeypatch.setattr(Run, "text", TextCache(None, _Letters()))
    changes = [
        "corpus.n_train=40", "corpus.n_seen_pairs=2", "corpus.n_unseen_pairs=2",
        "corpus.n_new_takes=2", "corpus.n_validation=4", "corpus.max_frames=120",
        "tokenizer.width=16", "tokenizer.depth=1", "llama.dim=32", "llama.n_head=2", "llama.n_kv_heads=1",
        "llama.hidden=32", "llama_training.batch_size=4", "sampling.max_tokens=60", "evaluation.classifier_steps=2",
    ]  # fmt: skip
    run = Run.create(tmp_path / "run", load_config("ci", changes))
    fit_normalizer(run, build_corpus(run.config.corpus))
    run.save(make_tokenizer(run.config.tokenizer), f"tokenizer-{run.config.tokenizer.quantizer}")
    return run.folder


def test_points_are_trained_once_and_kept(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "points.jsonl"
    arguments = [str(small_run), str(out), "--clips", "8", "--seed", "0", "--steps", "2", "--conditions"]

    def command(*conditions: str) -> None:
        monkeypatch.setattr("sys.argv", ["lesson07_captions", *arguments, *conditions])
        lesson07_captions.main()

    command("first", "padding")
    before = load_points(out)
    assert set(before) == {Point("first", 8, 0), Point("padding", 8, 0)}
    for measured in before.values():
        assert 0 < measured.new_clips < 10 and 0 <= measured.seen <= 1 and 0 <= measured.limit <= 1
    command("first", "random")
    after = load_points(out)
    assert set(after) == {*before, Point("random", 8, 0)}
    assert {point: after[point] for point in before} == before  # the seconds too: nothing was trained again
    assert capsys.readouterr().out.count("Measured(") == 3


def test_a_wrong_point_is_refused(small_run: Path) -> None:
    run = Run.open(small_run)
    corpus = build_corpus(run.config.corpus)
    with pytest.raises(InputError, match="first, random, padding"):
        train_decoder(run, corpus, Point("second", 8, 0), steps=2)
    with pytest.raises(InputError, match="at most 40"):
        train_decoder(run, corpus, Point("first", 100, 0), steps=2)
