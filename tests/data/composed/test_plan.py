"""Plans of the corpus: which clip becomes what, and which combinations are held out."""

from collections import Counter
from dataclasses import replace

import pytest

from motionlab.config import CorpusConfig
from motionlab.data.composed import plan as p
from motionlab.data.composed.mirrored_words import mirror_caption
from motionlab.errors import InputError


def config(**changes) -> CorpusConfig:
    small = {
        "n_train": 24,
        "n_validation": 3,
        "n_seen_pairs": 3,
        "n_unseen_pairs": 3,
        "n_new_takes": 3,
        "max_frames": 200,
    }
    return CorpusConfig(**{**small, **changes})


@pytest.fixture(scope="module")
def plans(usable) -> dict[str, list[p.Plan]]:
    return p.plan_corpus(CorpusConfig(), usable)


def pairs(actions: tuple[str, ...]) -> set[tuple[str, str]]:
    return set(zip(actions, actions[1:], strict=False))


def test_splits_ask_what_they_are_named_for(plans):
    known = {plan.actions for plan in plans["train"]}
    known_pairs = {pair for actions in known for pair in pairs(actions)}
    trained = {action for actions in known for action in actions}
    assert {name: len(split) for name, split in plans.items()} == {
        "train": 1600,
        "validation": 80,
        "seen_pairs": 64,
        "unseen_pairs": 64,
        "new_takes": 32,
        "seen_pairs_one_take": 64,
        "unseen_pairs_one_take": 64,
    }
    assert all(plan.actions in known for plan in plans["validation"])
    for plan in (*plans["seen_pairs"], *plans["seen_pairs_one_take"]):
        assert len(plan.actions) > 1 and set(pairs(plan.actions)) <= known_pairs
    for plan in (*plans["unseen_pairs"], *plans["unseen_pairs_one_take"]):
        assert set(pairs(plan.actions)) - known_pairs, "a pair of neighbours that training never saw"
        assert trained.issuperset(plan.actions)
    assert all(len(plan.actions) == 1 for plan in plans["new_takes"])
    assert len({plan.actions for plan in plans["unseen_pairs_one_take"]}) > 30


def takes_of(split) -> set[str]:
    return {step.sample.name for plan in split for step in plan.steps}


@pytest.mark.parametrize("seed", range(4))
def test_no_take_of_a_test_is_learned_from_or_validated_on(usable, seed):
    plans = p.plan_corpus(CorpusConfig(seed=seed, n_train=600), usable)
    learned = takes_of(plans["train"]) | takes_of(plans["validation"])
    tested = takes_of([plan for name in p.TESTS for plan in plans[name]])
    assert tested and not tested & learned
    several = {action for action, count in Counter(one.action for one in usable).items() if count > 1}
    assert {one.action for one in usable if one.name in tested} == several, "each action with several takes is tested"
    validated = takes_of(plans["validation"]) - takes_of(plans["train"])
    of_three = {action for action, count in Counter(one.action for one in usable).items() if count > 2}
    assert {one.action for one in usable if one.name in validated} == of_three
    for name in p.APART:
        shared = takes_of(plans[name]) & learned
        one_take = {one.name for one in usable if one.action not in several}
        assert shared == shared & one_take and shared, "only actions with one take share it"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_actions", [2, 3])
def test_shares_of_actions_agree_within_two_points(usable, seed, max_actions):
    settings = CorpusConfig(seed=seed, max_actions=max_actions, n_train=800, n_new_takes=64)
    plans = p.plan_corpus(settings, usable)
    learned = Counter(action for plan in plans["train"] for action in plan.actions)
    for name, split in plans.items():
        here = Counter(action for plan in split for action in plan.actions)
        expected = sum(learned[action] for action in here)
        for action, count in here.items():
            assert abs(count / sum(here.values()) - learned[action] / expected) < 0.02, (name, action)


def test_mirror_images_of_held_out_pairs_are_held_out_too(plans):
    known_pairs = {pair for plan in plans["train"] for pair in pairs(plan.actions)}
    tested = (*plans["unseen_pairs"], *plans["unseen_pairs_one_take"])
    new = {pair for plan in tested for pair in pairs(plan.actions)} - known_pairs
    assert new
    for first, second in new:
        assert (mirror_caption(first), mirror_caption(second)) not in known_pairs


def test_plans_keep_to_the_settings(plans, usable):
    names = {sample.name for sample in usable}
    for split in plans.values():
        for plan in split:
            assert (20 if plan.name.startswith("new_takes") else 30) <= plan.frames <= 300
            assert 1 <= len(plan.steps) <= 3
            assert all(first != second for first, second in pairs(plan.actions))
            for step in plan.steps:
                assert 0.8 <= step.speed <= 1.25 and step.sample.name in names
                assert step.repeats == 1 or step.sample.looping
    train = plans["train"]
    assert 0.4 < sum(plan.mirrored for plan in train) / len(train) < 0.6
    counts = Counter(action for plan in train for action in plan.actions)
    assert max(counts.values()) < 1.2 * min(counts.values()), "actions should be about equally frequent"
    assert {len(plan.actions) for plan in train} == {1, 2, 3}


def test_plans_depend_on_the_seed_and_nothing_else(usable):
    first, again = (p.plan_corpus(config(), usable) for _ in range(2))
    other = p.plan_corpus(config(seed=1), usable)
    longer = p.plan_corpus(config(n_train=60), usable)
    assert first == again
    assert first["train"] != other["train"]
    assert longer["train"][:24] == first["train"], "more clips do not change the earlier ones"


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


def test_one_short_action_alone_is_trained(plans):
    """A kick lasts 36 frames and a jump 40: with a longer shortest clip a decoder learns them only within sequences."""
    alone = Counter(plan.actions[0] for plan in plans["train"] if len(plan.actions) == 1)
    together = {action for plan in plans["train"] for action in plan.actions}
    assert set(alone) == together
    assert min(alone.values()) >= 5
    assert any(plan.frames < 60 for plan in plans["train"] if plan.actions == ("kick",))
