"""Lesson 12: checks name the mistakes; its run begins with lesson 11's tokenizer; what it measures is what it says."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lessons.train_text_to_motion import experiment as lesson12
from lessons.train_text_to_motion.exercises import IGNORE, lay_out, probabilities, soft_choice, write_codes
from lessons.train_text_to_motion.experiment import (
    SAMPLES,
    Kept,
    Sampled,
    load_kept,
    measure_sampling,
    other_caption_score,
    real_score,
    run_folder,
    sample_captions,
    settings,
)
from lessons.train_tokenizer import experiment as lesson11
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.environment import PROFILES
from motionlab.errors import InputError
from motionlab.evaluation.action_lists import wanted_actions
from motionlab.jobs.run_folder import Run
from motionlab.llama.sequence import build_sequences
from motionlab.text.encoder import TextFeatures


# ---- exercises -------------------------------------------------------------------------------------------------------
def _layout(tokens=None, labels=None):
    """Tokens and labels up to END by other rules, each filled up rightly."""

    def answer(codes, width, size, length):
        lists = [list(part) for part in lay_out(codes, width, size, length)]
        for place, (rule, filling) in enumerate(((tokens, size + 1), (labels, IGNORE))):
            if rule:
                row = rule(codes, width, size)
                lists[place] = row + [filling] * (length - len(row))
        return lists

    return answer


def _row(rule):
    """`rule(tokens, labels, PAD)` changes a right answer."""
    return lambda c, w, k, n: rule(*map(list, lay_out(c, w, k, n)), k + 1)


LAYOUT_MUTANTS = {
    "labels not shifted": (_layout(labels=lambda c, w, k: [IGNORE] * w + [*c, k]), "not shifted"),
    "END forgotten": (_layout(tokens=lambda c, w, k: [k + 1] * w + list(c)), "END (the number K)"),
    "PAD as a label": (_layout(labels=lambda c, w, k: [k + 1] * (w - 1) + [*c, k, k + 1]), "PAD is a label"),
    "padding is asked": (
        _row(lambda tokens, labels, pad: (tokens, labels[:-1] + [pad])), "PAD is a label",
    ),
    "END is asked again": (
        _row(lambda tokens, labels, pad: (tokens, [*labels[:5], pad - 1, *labels[6:]])), "ask for nothing",
    ),
    "first code not predicted": (
        _layout(labels=lambda c, w, k: [IGNORE] * w + [*c[1:], k, IGNORE]),
        "last text slot",
    ),
    "END not predicted": (
        _layout(labels=lambda c, w, k: [IGNORE] * (w - 1) + [*c, IGNORE, IGNORE]),
        "should predict END",
    ),
    "zeros in the text slots": (_layout(tokens=lambda c, w, k: [0] * w + [*c, k]), "text slots hold PAD"),
    "not filled up": (lambda c, w, k, n: lay_out(c, w, k, w + len(c) + 1), "fill it up after END"),
    "filled up with END": (
        _row(lambda tokens, labels, pad: (tokens[:6] + [pad - 1] * (len(tokens) - 6), labels)), "holds PAD",
    ),
    "filled up in front": (
        lambda c, w, k, n: ([k + 1] * (n - len(c) - 1) + [*c, k], lay_out(c, w, k, n)[1]), "after END: the first",
    ),
    "other codes": (_layout(tokens=lambda c, w, k: [k + 1] * w + [*c[::-1], k]), "the tokens should be"),
    "too short": (lambda c, w, k, n: (lay_out(c, w, k, n)[0], [*c, k]), "same length"),
    "one list": (lambda c, w, k, n: lay_out(c, w, k, n)[0], "two lists"),
    "only these numbers": (lambda c, w, k, n: lay_out([5, 6, 7], 2, 10, 9), "one text slot and no padding"),
}  # fmt: skip


def _no_border(logits, temperature, top_p):
    values, order = (logits / temperature).softmax(-1).sort(descending=True)
    kept = torch.where((values.cumsum(-1) <= top_p) | (torch.arange(len(values)) == 0), values, 0.0)
    return torch.zeros_like(values).scatter(-1, order, kept / kept.sum())


def _not_normalised(logits, temperature, top_p):
    p = (logits / temperature).softmax(-1)
    return p * (probabilities(logits, temperature, top_p) > 0)


def _top_p_first(logits, temperature, top_p):
    kept = probabilities(logits, 1.0, top_p) > 0
    return (logits / temperature).masked_fill(~kept, float("-inf")).softmax(-1)


def _nothing_left(logits, temperature, top_p):
    p = (logits / temperature).softmax(-1)
    values, order = p.sort(descending=True)
    crossing = int((values.cumsum(-1) >= top_p - 1e-6).nonzero()[0])
    kept = values.clone()
    kept[crossing + (top_p > 0.05) :] = 0
    return torch.zeros_like(p).scatter(-1, order, kept / kept.sum().clamp(min=1e-9))


def _in_place(logits, temperature, top_p):
    result = probabilities(logits.clone(), temperature, top_p)
    logits /= 2
    return result


PROBABILITY_MUTANTS = {
    "multiplied": (lambda x, t, p: probabilities(x, 1 / t, p), "multiplied by the temperature"),
    "no temperature": (lambda x, t, p: probabilities(x, 1.0, p), "temperature has no effect"),
    "no top-p": (lambda x, t, p: (x / t).softmax(-1), "top_p has no effect"),
    "border left out": (_no_border, "crosses the border"),
    "not normalised": (_not_normalised, "no longer sum to 1"),
    "top-p before temperature": (_top_p_first, "First divide"),
    "left sorted": (lambda x, t, p: probabilities(x, t, p).sort(descending=True).values, "but sorted"),
    "nothing left": (_nothing_left, "most likely code must always be kept"),
    "logits changed": (_in_place, "changed the logits"),
    "one number": (lambda x, t, p: 0.5, "one probability per code"),
}


def _loop(end_kept=False, stop=None, past=0, last_only=False, smallest=False):
    def answer(next_logits, end, limit):
        codes: list[int] = []
        while len(codes) < limit + past:
            logits = next_logits(codes[-1:] if last_only else codes)
            token = int(logits.argmin() if smallest else logits.argmax())
            if token == end:
                return codes + [token] * end_kept, stop or "end"
            codes.append(token)
        return codes, stop or "limit"

    return answer


def _never_ends(next_logits, end, limit):
    codes: list[int] = []
    while len(codes) < limit:
        codes.append(int(next_logits(codes).argmax()))
    return codes, "limit"


LOOP_MUTANTS = {
    "END kept": (_loop(end_kept=True), "END is among the codes"),
    "END ignored": (_never_ends, "continued after END"),
    "always end": (_loop(stop="end"), "cut at the limit is reported as finished"),
    "always limit": (_loop(stop="limit"), "model said END"),
    "one too many": (_loop(past=1), "5 codes, not 6"),
    "smallest logit": (_loop(smallest=True), "largest logit"),
    "codes alone": (lambda n, e, k: write_codes(n, e, k)[0], "return two things"),
}


def _soft(hard=True, soft=True, sign=-1.0, temperature=None, farthest=False):
    def answer(h, grid, table, t):
        distance = (h[:, None] - grid).square().sum(-1)
        mixture = (sign * distance / (temperature or t)).softmax(-1) @ table
        chosen = table[distance.argmax(-1) if farthest else distance.argmin(-1)]
        if not hard:
            return mixture
        return chosen + mixture - mixture.detach() if soft else chosen

    return answer


SOFT_MUTANTS = {
    "soft value": (_soft(hard=False), "value is the soft mixture"),
    "no gradient": (_soft(soft=False), "no gradient reaches h"),
    "sign": (_soft(sign=1.0), "gradient"),
    "temperature not used": (_soft(temperature=1.0), "Is the temperature used"),
    "farthest": (_soft(farthest=True), "farthest"),
    "both added": (
        lambda h, g, w, t: soft_choice(h, g, w, t) + _soft(hard=False)(h, g, w, t),
        "exactly the table row",
    ),
    "indices": (lambda h, g, w, t: torch.cdist(h, g).argmin(-1), "[n, dim]"),
}
MUTANTS = {
    "stage2.lay_out": LAYOUT_MUTANTS,
    "stage2.probabilities": PROBABILITY_MUTANTS,
    "stage2.write_codes": LOOP_MUTANTS,
    "stage2.soft_choice": SOFT_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_a_row_of_exercise_1_is_a_row_of_the_package() -> None:
    text = TextFeatures(torch.zeros(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
    rows = [[4, 0, 9], [7]]  # the second one is filled up
    batch = build_sequences([torch.tensor(codes) for codes in rows], text, codebook_size=12)
    for i, codes in enumerate(rows):
        assert lay_out(codes, 3, 12, 7) == (batch.tokens[i].tolist(), batch.labels[i].tolist())


# ---- the run ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("level", PROFILES)
def test_every_profile_has_settings_and_the_tokenizer_of_lesson_11(level: str) -> None:
    config, other = settings(level), lesson11.settings(level)
    assert config.name == f"lesson12-{level}"
    assert (config.tokenizer, config.corpus) == (other.tokenizer, other.corpus)
    assert config.llama_training.steps % config.llama_training.val_every == 0, "the last step is validated"
    assert config.llama.text_drop > 0, "guidance needs a decoder that trained without text, too"
    tokens = -(-config.corpus.max_frames // config.tokenizer.frames_per_token)
    assert config.sampling.max_tokens >= tokens, "the longest clip can be written"


def test_the_folder_depends_on_the_settings_and_under_ci_on_the_code(
    private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {run_folder(level) for level in PROFILES} | {run_folder("ci", ["llama.dim=64"])}
    assert len(folders) == 4 and all(folder.parent == private_cache for folder in folders)
    before = {level: run_folder(level) for level in PROFILES}
    monkeypatch.setattr(lesson12, "TRAINED_BY", ("motion",))  # as if there were other code
    assert run_folder("ci") != before["ci"] and run_folder("cpu") == before["cpu"]


@pytest.fixture(scope="module")
def lesson_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The lesson's run with the few steps of the preset `ci`, trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MOTIONLAB_PROFILE", "ci")
        patch.setitem(lesson11.SETTINGS, "ci", ("ci", ()))
        patch.setitem(lesson12.SETTINGS, "ci", ("llama.text_drop=0.1", "sampling.max_tokens=40"))
        run = lesson12.open_run()
        asked: list[int] = []
        lesson12.train(run, build_corpus(run.config.corpus), watch=asked.append)
        assert asked == list(range(run.config.llama_training.steps))
        patch.setattr(lesson12, "train_llama", lambda *_, **__: pytest.fail("trained again"))
        lesson12.train(lesson12.open_run(), build_corpus(run.config.corpus))
        _ = run.llama, run.text
        return run


@pytest.fixture(scope="module")
def corpus(lesson_run: Run) -> Corpus:
    return build_corpus(lesson_run.config.corpus)


def test_samples_of_a_caption_are_those_of_their_seeds(lesson_run: Run) -> None:
    sampling = replace(lesson_run.config.sampling, temperature=1.0)
    motions, limit = sample_captions(lesson_run, ["a person walks", "a person jumps"], sampling)
    assert [len(row) for row in motions] == [SAMPLES, SAMPLES] and 0 <= limit <= 2 * SAMPLES
    again, _ = sample_captions(lesson_run, ["a person walks", "a person jumps"], sampling)
    assert all(
        torch.equal(a, b) for one, two in zip(motions, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert not torch.equal(motions[0][0][:4], motions[0][1][:4]), "another seed, another motion"


def test_greedy_gives_one_motion_and_no_distance(lesson_run: Run, corpus: Corpus) -> None:
    judge = lesson12.make_judge(lesson_run, corpus)
    sampling = replace(lesson_run.config.sampling, greedy=True)
    found = measure_sampling(lesson_run, judge, corpus.seen_pairs, sampling, range(4))
    assert found.distance_mm == 0 and len(set(found.scores)) == 1
    varied = replace(lesson_run.config.sampling, temperature=2.0)
    assert measure_sampling(lesson_run, judge, corpus.seen_pairs, varied, range(4)).distance_mm > 0
    assert 0 <= other_caption_score(corpus.seen_pairs, judge, range(4)) <= 1


def test_the_real_score_is_the_mean_of_the_judge_on_real_clips(corpus: Corpus) -> None:
    store = corpus.seen_pairs
    wanted = {store.features(i).sum().item(): wanted_actions(store.segments(i)) for i in range(4)}

    class Judge:  # right about all clips but the first
        def recognise(self, motion: torch.Tensor) -> list[str]:
            known = wanted[motion.sum().item()]
            return [] if known == wanted[store.features(0).sum().item()] else known

    firsts = sum(actions == wanted[store.features(0).sum().item()] for actions in wanted.values())
    assert real_score(store, Judge(), range(4)) == 1 - firsts / 4  # type: ignore[arg-type]


# ---- the numbers that are kept ---------------------------------------------------------------------------------------
def test_the_kept_numbers_can_be_read_and_were_made_with_these_settings(root: Path) -> None:
    runs, config = load_kept(root / "notebooks" / "results" / "train_text_to_motion.json"), settings("cpu")
    assert [run.seed for run in runs] == list(lesson11.SEEDS)
    for run in runs:
        assert run.steps == config.llama_training.steps == run.rows[-1]["step"]
        assert set(run.sampled) == set(lesson12.WAYS)
        assert all(len(row.scores) == SAMPLES for row in run.sampled.values())
        assert run.clips == config.corpus.n_seen_pairs == len(run.words.correlations)
        assert run.sampled["greedy"].distance_mm == 0
        assert run.floor < 0.5 < run.real <= 1
    assert len({run.rows[-1]["loss"] for run in runs}) == len(runs), "each seed is a training of its own"


def test_a_seed_begins_with_the_tokenizer_of_this_seed(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_PROFILE", "ci")
    monkeypatch.setitem(lesson11.SETTINGS, "ci", ("ci", ()))
    monkeypatch.setitem(lesson12.SETTINGS, "ci", ("llama.text_drop=0.1", "sampling.max_tokens=40"))
    run = lesson12.open_run(lesson11.of_seed(1))
    assert run.config.llama_training.seed == run.config.corpus.seed == 1
    theirs = lesson11.open_run(lesson11.of_seed(1))
    assert theirs.config.tokenizer_training.seed == 1
    a, b = run.tokenizer().state_dict(), theirs.tokenizer().state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_broken_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    for text in ("{", json.dumps({"steps": 1}), json.dumps({"runs": [{"sampled": {}, "words": {}, "more": 1}]})):
        (tmp_path / "kept.json").write_text(text)
        with pytest.raises(InputError, match="kept.json"):
            load_kept(tmp_path / "kept.json")


def test_the_fields_of_the_file_are_those_of_the_class() -> None:
    assert {field.name for field in dataclasses.fields(Kept)} >= {"sampled", "words", "real", "floor"}
    assert {field.name for field in dataclasses.fields(Sampled)} == {"scores", "distance_mm", "limit", "seconds"}
