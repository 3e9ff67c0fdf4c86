"""The composed corpus: continuous, reproducible, safely cached."""

import logging
from pathlib import Path

import pytest
import torch

from motionlab.config import CorpusConfig
from motionlab.data.composed import corpus as c
from motionlab.data.composed.join import Track
from motionlab.data.composed.mirrored_words import mirror_caption
from motionlab.data.composed.plan import APART, SPLITS, TESTS, Plan, Step, plan_corpus
from motionlab.data.composed.samples import Sample
from motionlab.data.leaks import shared_takes
from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.jobs.doctor import healthy, verify
from motionlab.motion.motion import Motion

BLEND = 10


def config(**changes) -> CorpusConfig:
    tests = {"n_validation": 2, "n_seen_pairs": 3, "n_unseen_pairs": 3, "n_new_takes": 2}
    small = {"n_train": 24, "max_frames": 200, "blend_frames": BLEND, **tests}
    return CorpusConfig(**{**small, **changes})


@pytest.fixture(scope="module")
def built(tmp_path_factory, samples) -> c.Corpus:
    return c.build_corpus(config(), tmp_path_factory.mktemp("corpus") / "corpus", samples=samples)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_phrase_belongs_to_one_action(usable):
    """A caption must determine the actions and their sides."""
    owner: dict[str, str] = {}
    for sample in usable:
        for mirrored in (False, True):
            for phrase in c._plain_phrases(sample):
                text = mirror_caption(phrase) if mirrored else phrase
                action = mirror_caption(sample.action) if mirrored else sample.action
                assert owner.setdefault(text, action) == action, text


# --- composed motion


def test_clips_and_segments_agree_with_their_plan(built, usable):
    plan_of = {plan.name: plan for split in plan_corpus(config(), usable).values() for plan in split}
    by_name = {sample.name: sample for sample in usable}
    for store in built.named().values():
        for clip in store:
            plan = plan_of[clip.name]
            assert len(clip.motion) == plan.frames
            assert len(set(clip.captions)) == c.CAPTIONS_PER_CLIP >= 3
            assert [segment.action for segment in clip.segments] == list(plan.actions)
            assert clip.segments[0].start == 0 and clip.segments[-1].stop == len(clip.motion)
            for before, after in zip(clip.segments, clip.segments[1:], strict=False):
                assert before.stop == after.start
            for segment in clip.segments:
                phrases = [mirror_caption(p) if plan.mirrored else p for p in by_name[segment.sample].phrases]
                assert segment.mirrored == plan.mirrored and segment.phrase in phrases
            for caption in clip.captions:
                for segment in clip.segments:
                    phrases = [mirror_caption(p) if plan.mirrored else p for p in by_name[segment.sample].phrases]
                    assert any(phrase in caption for phrase in phrases)
    assert set(built.actions) >= {segment.action for clip in built.train for segment in clip.segments}


def test_both_paths_of_a_clip_agree(built):
    for clip in built.train[:10]:
        error = (clip.motion.joints("rotations") - clip.motion.joints("positions")).norm(dim=-1)
        assert error.max() < 5e-3  # float16 storage


def fastest(joints: torch.Tensor, order: int) -> float:
    return joints.diff(n=order, dim=0).norm(dim=-1).max().item()


def test_seams_are_no_faster_and_no_jerkier_than_the_clips_themselves(usable):
    """At a seam the fastest joint, and the largest jerk, stay within those of the real clips at their speed.

    Compared twice: with the two clips that meet (a slow pair, such as lowering the arms and raising the guard, may be
    up to twice as fast in between), and with the fastest of all clips (never exceeded).
    """
    joints = {sample.name: sample.motion.joints().double() for sample in usable}
    own = {name: (fastest(points, 1), fastest(points, 3), fastest(points[:, :1], 1)) for name, points in joints.items()}
    limit = [max(values[index] for values in own.values()) * 1.25**order for index, order in ((0, 1), (1, 3))]
    tracks: dict[str, Track] = {}
    seams = 0
    for plan in plan_corpus(config(n_train=64, max_frames=300, seed=3), usable)["train"]:
        clip = c.compose(plan, BLEND, tracks)
        points = clip.motion.joints().double()
        floor = min(0.0, *(joints[segment.sample][..., 1].min().item() for segment in clip.segments))
        # 2 mm: a pose between two frames can reach lower than both.
        assert points[..., 1].min().item() > floor - 2e-3, "sinks into the floor"
        for before, after in zip(clip.segments, clip.segments[1:], strict=False):
            window = points[max(before.stop - 4, 0) : after.start + 2 * BLEND + 4]
            for index, order, factor in ((0, 1, 2.0), (1, 3, 2.0)):
                pair = max(own[s.sample][index] * s.speed**order for s in (before, after))
                value = fastest(window, order)
                assert value <= factor * pair, (plan.name, before.sample, after.sample, order)
                assert value <= limit[index], (plan.name, before.sample, after.sample, order)
            root = max(own[s.sample][2] * s.speed for s in (before, after))
            assert fastest(window[:, :1], 1) <= 1.5 * root, "the pelvis jumps"
            seams += 1
    assert seams > 50


def test_without_blending_the_seams_would_fail(usable):
    """The bounds above can tell a blend from a cut."""
    plan = next(plan for plan in plan_corpus(config(), usable)["train"] if len(plan.steps) > 1)
    clip = c.compose(plan, 1)
    seam = clip.segments[0].stop
    joints = clip.motion.joints().double()
    blended = c.compose(plan, BLEND).motion.joints().double()
    window = slice(seam - 3, seam + 4)
    assert fastest(joints[window], 3) > 3 * fastest(blended[window], 3)


def test_mirrored_clip_is_the_mirror_image(usable):
    plan = next(plan for plan in plan_corpus(config(), usable)["train"] if plan.mirrored)
    other = Plan(plan.name, plan.steps, False, plan.seed)
    mirrored, plain = c.compose(plan, BLEND), c.compose(other, BLEND)
    assert torch.equal(mirrored.motion.features, plain.motion.mirror().features)
    assert mirrored.captions == [mirror_caption(caption) for caption in plain.captions]


def test_looping_samples_are_repeated(usable):
    walk = next(sample for sample in usable if sample.looping)
    plan = Plan("loop", (Step(walk, 1.0, 4),), False, (0, 0))
    clip = c.compose(plan, BLEND)
    assert len(clip.motion) == 4 * (len(walk.motion) - 1) + 1 == plan.frames
    assert len(clip.segments) == 1
    once, whole = (motion.root()[0][-1, 2].item() for motion in (walk.motion, clip.motion))
    assert whole == pytest.approx(4 * once, rel=0.15)


# --- cache


def test_same_seed_same_bytes(built, tmp_path, samples):
    again = c.build_corpus(config(), tmp_path / "again", samples=samples)
    assert contents(again.folder) == contents(built.folder)


def test_cache_is_opened_and_not_built_again(private_cache, samples, monkeypatch):
    settings = config(n_train=16, n_seen_pairs=1, n_unseen_pairs=1, n_new_takes=1, max_frames=120)
    first = c.build_corpus(settings, samples=samples)
    assert first.folder.parent == private_cache and first.folder.name.startswith("corpus-")
    monkeypatch.setattr(c, "Planner", lambda *_: pytest.fail("built again"))
    again = c.build_corpus(settings, samples=samples)
    assert again.folder == first.folder and again.train.captions(3) == first.train.captions(3)
    assert [path.name for path in private_cache.iterdir()] == [first.folder.name]


def test_cache_name_depends_on_settings_samples_and_format(usable, monkeypatch):
    base = c._digest(config(), usable)
    changed = Sample(**{**vars(usable[0]), "motion": Motion(usable[0].motion.features + 1e-3)})
    renamed = Sample(**{**vars(usable[0]), "phrases": ["does something else"]})
    assert base == c._digest(config(), list(usable))
    digests = {base, c._digest(config(seed=1), usable), c._digest(config(blend_frames=9), usable)}
    digests |= {c._digest(config(), [sample, *usable[1:]]) for sample in (changed, renamed)}
    monkeypatch.setattr(c, "FORMAT", c.FORMAT + 1)
    assert len(digests | {c._digest(config(), usable)}) == 6


def test_a_damaged_cache_is_built_again_with_a_note(tmp_path, samples, caplog):
    folder = tmp_path / "corpus"
    settings = config(n_train=16, n_seen_pairs=1, n_unseen_pairs=1, n_new_takes=1, max_frames=120)
    c.build_corpus(settings, folder, samples=samples)
    before = contents(folder)
    features = folder / "train" / "features.f16"
    damage = (
        lambda: features.write_bytes(features.read_bytes()[:5000]),
        lambda: (folder / "validation" / "index.json").write_text("{"),
        lambda: (folder / "corpus.json").write_text("[]"),
    )
    for harm in damage:
        harm()
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            c.build_corpus(settings, folder, samples=samples)
        assert "built again" in caplog.text
        assert contents(folder) == before


def test_changed_bytes_are_found_when_doctor_is_asked(tmp_path, samples):
    """Opening compares sizes only: a corpus of 100 GB is not read at every start."""
    settings = config(n_train=16, n_seen_pairs=1, n_unseen_pairs=1, n_new_takes=1, max_frames=120)
    corpus = c.build_corpus(settings, tmp_path / "corpus", samples=samples)
    assert healthy(verify(tmp_path)) and [row.name for row in verify(tmp_path)] == [
        f"corpus/{split}" for split in sorted(SPLITS)
    ]
    features = corpus.folder / "train" / "features.f16"
    features.write_bytes(features.read_bytes()[:-1] + b"x")
    c.build_corpus(settings, corpus.folder, samples=samples)
    assert [(row.name, row.value) for row in verify(tmp_path) if row.status != "ok"] == [
        ("corpus/train", "damaged: changed content")
    ]
    assert not healthy(verify(tmp_path)) and healthy(verify(tmp_path / "corpus" / "seen_pairs"))


@pytest.mark.parametrize("lost", ["index.json", "clips.i64", "clips.jsonl", "features.f16"])
def test_a_lost_file_is_found_when_doctor_is_asked(tmp_path, samples, lost: str):
    settings = config(n_train=16, n_seen_pairs=1, n_unseen_pairs=1, n_new_takes=1, max_frames=120)
    (c.build_corpus(settings, tmp_path / "corpus", samples=samples).folder / "train" / lost).unlink()
    assert [row.name for row in verify(tmp_path) if row.status != "ok"] == ["corpus/train"]


def test_doctor_verifies_a_folder_that_exists(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        verify(tmp_path / "nowhere")


def test_the_composed_source_gives_splits(built: c.Corpus):
    assert isinstance(built, Splits) and built.name == "composed" and built.note
    assert list(built.tests) == [*TESTS, *APART] and built.apart == APART
    assert [len(clips) for clips in built.named().values()] == [24, 2, 3, 3, 2, 3, 3]
    assert built.seen_pairs is built.tests["seen_pairs"] and built.new_takes is built.tests["new_takes"]


def test_the_corpus_says_which_takes_are_held_out_and_shares_none_of_them(built):
    assert {side: len(names) for side, names in built.takes.items()} == {"train": 24, "validation": 3, "test": 8}
    shared = shared_takes(built)
    assert [name for name in built.tests if shared[name]] == list(APART)
    assert not set().union(*shared.values()) & set(built.takes["test"])


def test_a_split_with_no_clips_is_left_out(tmp_path, samples):
    settings = config(n_train=16, n_seen_pairs=0, n_unseen_pairs=1, n_new_takes=0)
    built = c.build_corpus(settings, tmp_path / "corpus", samples=samples)
    assert list(built.tests) == ["unseen_pairs", "unseen_pairs_one_take"]


def test_a_failed_build_leaves_nothing_behind(tmp_path, samples, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(c, "_compose_block", full)
    with pytest.raises(InputError, match="No space left on device"):
        c.build_corpus(config(), tmp_path / "corpus", samples=samples)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_not_replaced(tmp_path, samples):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="other files"):
        c.build_corpus(config(), tmp_path, samples=samples)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
