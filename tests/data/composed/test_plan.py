"""Plans of the corpus: which clip becomes what, and which combinations are held out."""

from collections import Counter
from dataclasses import replace

import pytest

from motionlab.config import CorpusConfig
from motionlab.data.composed import plan as p
from motionlab.data.composed.mirrored_words import mirror_caption
from motionlab.errors import InputError


def config(**changes) -> CorpusConfig:
    small = {"n_train": 24, "n_test_seen": 3, "n_test_unseen": 3, "max_frames": 200}
    return CorpusConfig(**{**small, **changes})


@pytest.fixture(scope="module")
def plans(usable) -> dict[str, list[p.Plan]]:
    return p.plan_corpus(CorpusConfig(), usable)


def pairs(actions: tuple[str, ...]) -> set[tuple[str, str]]:
    return set(zip(actions, actions[1:], strict=False))


def test_splits_by_combination(plans):
    known = {plan.actions for split in ("train", "validation") for plan in plans[split]}
    known_pairs = {pair for actions in known for pair in pairs(actions)}
    trained = {action for actions in known for action in actions}
    assert {name: len(split) for name, split in plans.items()} == {
        "train": 1520,
        "validation": 80,
        "test_seen": 64,
        "test_unseen": 64,
    }
    for plan in plans["test_seen"]:
        assert plan.actions in known
    for plan in plans["test_unseen"]:
        assert plan.actions not in known
        assert pairs(plan.actions) - known_pairs, "a pair of neighbours that training never saw"
        assert trained.issuperset(plan.actions)
    assert len({plan.actions for plan in plans["test_unseen"]}) > 30


def test_every_20th_clip_that_is_drawn_validates(plans):
    """The clips themselves are those of the one drawing: which of them validate changes no clip."""
    numbers = {
        split: [int(plan.name.removeprefix("train-")) for plan in plans[split]] for split in ("train", "validation")
    }
    assert numbers["validation"] == list(range(19, 1600, 20))
    assert sorted(numbers["train"] + numbers["validation"]) == list(range(1600))
    assert all(
        plan.seed[1:] == (0, number) for plan, number in zip(plans["validation"], range(19, 1600, 20), strict=True)
    )


def test_mirror_images_of_held_out_pairs_are_held_out_too(plans):
    known_pairs = {pair for plan in plans["train"] for pair in pairs(plan.actions)}
    new = {pair for plan in plans["test_unseen"] for pair in pairs(plan.actions)} - known_pairs
    assert new
    for first, second in new:
        assert (mirror_caption(first), mirror_caption(second)) not in known_pairs


def test_plans_keep_to_the_settings(plans, usable):
    names = {sample.name for sample in usable}
    for split in plans.values():
        for plan in split:
            assert 60 <= plan.frames <= 300 and 1 <= len(plan.steps) <= 3
            assert all(first != second for first, second in pairs(plan.actions))
            for step in plan.steps:
                assert 0.8 <= step.speed <= 1.25 and step.sample.name in names
                assert step.repeats == 1 or step.sample.looping
    train = plans["train"]
    assert 0.4 < sum(plan.mirrored for plan in train) / len(train) < 0.6
    counts = Counter(action for plan in train for action in plan.actions)
    assert max(counts.values()) < 4 * min(counts.values()), "actions should be about equally frequent"
    assert {len(plan.actions) for plan in train} == {1, 2, 3}


def test_plans_depend_on_the_seed_and_nothing_else(usable):
    first, again = (p.plan_corpus(config(), usable) for _ in range(2))
    other = p.plan_corpus(config(seed=1), usable)
    longer = p.plan_corpus(config(n_train=60), usable)
    assert first == again
    assert first["train"] != other["train"]
    assert (
        longer["train"][:23] == first["train"] and longer["validation"][:1] == first["validation"]
    )  # more clips do not change the earlier ones


def test_mirroring_can_be_turned_off_and_on(usable):
    assert not any(plan.mirrored for plan in p.plan_corpus(config(mirror_probability=0), usable)["train"])
    assert all(plan.mirrored for plan in p.plan_corpus(config(mirror_probability=1), usable)["train"])


def test_hard_headings_are_left_out_unless_asked_for(samples, usable):
    assert not any(sample.hard_heading for sample in usable)
    more = p.usable_samples(samples, hard_heading=True)
    assert len(more) > len(usable) and any(sample.hard_heading for sample in more)
    for sample in more:
        assert {sample.start_pose, sample.end_pose} <= {"stand", "fight"}


def test_settings_that_leave_nothing_are_input_errors(usable):
    with pytest.raises(InputError, match="max_actions"):
        p.plan_corpus(config(max_actions=1), usable)
    with pytest.raises(InputError, match="1 usable actions"):
        p.plan_corpus(config(), [sample for sample in usable if sample.action == "walk"])
    with pytest.raises(InputError, match="Widen min_frames"):
        p.plan_corpus(config(min_frames=5000, max_frames=6000), usable)


def test_a_sample_that_cannot_be_mirrored_is_in_no_mirrored_clip(usable):
    changed = [replace(one, phrases=["walks right back"]) if one.action == "kick" else one for one in usable]
    plans = [plan for split in p.plan_corpus(config(n_train=200), changed).values() for plan in split]
    used = Counter(plan.mirrored for plan in plans for step in plan.steps if step.sample.action == "kick")
    assert used[False] > 10 and used[True] == 0
    assert sum(plan.mirrored for plan in plans) > 50
    with pytest.raises(InputError, match=r"phrases of sample \w+: found 'right' in 'walks right back'"):
        p.plan_corpus(config(mirror_probability=1), changed)
