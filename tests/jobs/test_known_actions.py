"""A run says which actions it knows, and warns of a caption that no training caption is like."""

import dataclasses
import shutil

import pytest

from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.evaluation.judge import action_lengths
from motionlab.jobs import known_actions
from motionlab.jobs.generate import generate_file, generate_motions
from motionlab.jobs.known_actions import (
    FILE,
    about_of,
    compare_captions,
    describe_known,
    open_known_captions,
    record_known_captions,
    warning,
)
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.text.known_captions import KnownCaptions

UNKNOWN = (
    "a person sits down", "someone swims", "a person plays the piano", "a person climbs a ladder", "a woman claps",
    "the weather is nice today", "asdf qwer",
)  # fmt: skip
KNOWN = (
    "a person strolls ahead", "somebody walks", "a man is running", "someone jumps forward, then kicks",
    "a boxer throws a punch", "a person walks forward and stands still",
)  # fmt: skip


@pytest.fixture
def copy(finished_run, tmp_path) -> Run:
    return Run.open(shutil.copytree(finished_run.folder, tmp_path / "run"))


class Unnamed:
    """Clips that do not say which action fills which frames."""

    has_segments = False

    def __init__(self, clips):
        self._clips = clips

    def __len__(self):
        return len(self._clips)

    def __getattr__(self, name):
        return getattr(self._clips, name)


def test_captions_outside_the_training_are_told_from_known_ones(finished_run):
    comparisons, reason = compare_captions(finished_run, [*UNKNOWN, *KNOWN])
    assert reason == ""
    assert [bool(one.unknown) for one in comparisons] == [True] * len(UNKNOWN) + [False] * len(KNOWN)


def test_the_warning_names_the_unknown_half_the_nearest_and_the_command(finished_run):
    comparison = compare_captions(finished_run, ["a person walks forward, then sits down"])[0][0]
    line = warning(comparison, "motionlab generate --actions --run r")
    assert line.startswith("warning: no training caption is like 'sits down' (nearest: '") and "\n" not in line
    assert "'walks forward' is known" in line and line.endswith("motionlab generate --actions --run r")
    nearest = comparison.whole.nearest[0][0]
    splits = prepare(finished_run.config)
    assert nearest in {caption for i in range(len(splits.train)) for caption in splits.train.captions(i)}
    assert repr(nearest) in line and f"distance {1 - comparison.whole.similarity:.2f}" in line


def test_generating_goes_on_with_a_note(finished_run, tmp_path):
    result = generate_file("a person sits down", finished_run.folder, tmp_path / "sit.npy", max_tokens=4)
    assert result.notes()[0].startswith("warning: no training caption is like 'sits down'")
    assert str(finished_run.folder) in result.notes()[0] and (tmp_path / "sit.npy").is_file()
    sampling = dataclasses.replace(finished_run.config.sampling, max_tokens=4)
    made = generate_motions(finished_run, ["a person swims", "a person walks forward"], sampling)[0]
    assert [one.outside != "" for one in made] == [True, False] and made[1].known is not None
    silent = generate_motions(finished_run, ["a person swims"], sampling, compare=False)[0][0]
    assert silent.known is None and silent.outside == "" and (silent.generated.tokens == made[0].generated.tokens).all()


def test_the_list_has_every_action_of_the_training_clips(finished_run):
    train = prepare(finished_run.config).train
    usual = action_lengths(train)
    known = open_known_captions(finished_run)
    about = about_of(known, finished_run.folder / FILE)
    assert about.train == train.digest and about.clips == len(train)
    assert {action.name for action in about.actions} == set(usual)
    for action in about.actions:
        lengths = usual[action.name]
        assert (action.shortest, action.median, action.longest) == (lengths.shortest, lengths.median, lengths.longest)
    assert [action.count for action in about.actions] == sorted((a.count for a in about.actions), reverse=True)
    captions = {caption for i in range(len(train)) for caption in train.captions(i)}
    assert {action.example for action in about.actions} <= captions and about.captions == len(captions)
    text = describe_known(finished_run.folder)
    for action in about.actions:
        assert f"{action.name} " in text and action.phrases[0] in text


def test_motions_that_name_no_actions_show_their_captions(copy):
    splits = prepare(copy.config)
    (copy.folder / FILE).unlink()
    unnamed = Splits("unnamed", Unnamed(splits.train), splits.validation, splits.tests)
    record_known_captions(copy, unnamed)
    text = describe_known(copy.folder)
    assert "do not name their actions" in text and " times  " in text
    assert any(caption in text for i in range(len(splits.train)) for caption in splits.train.captions(i))


def test_an_older_run_gets_its_file_from_the_clips_in_the_cache(copy, finished_run):
    expected = (finished_run.folder / FILE).read_bytes()
    (copy.folder / FILE).unlink()
    assert not compare_captions(copy, ["a person walks forward"])[1]
    assert (copy.folder / FILE).read_bytes() == expected


def test_without_clips_in_the_cache_it_says_how_to_get_the_file(copy, monkeypatch, tmp_path):
    (copy.folder / FILE).unlink()
    monkeypatch.setattr(known_actions, "_in_cache", lambda run: False)
    result = generate_file("a person sits down", copy.folder, tmp_path / "sit.npy", max_tokens=4)
    assert result.known is None and (tmp_path / "sit.npy").is_file()
    assert result.notes()[0].startswith("not compared with the training captions: ")
    assert f"motionlab generate --actions --run {copy.folder}" in result.notes()[0]
    assert "actions in the" in describe_known(copy.folder) and (copy.folder / FILE).is_file()


def test_a_damaged_file_blocks_nothing_and_is_made_again(copy, tmp_path):
    path = copy.folder / FILE
    expected = path.read_bytes()
    path.write_bytes(expected[:-1] + bytes([expected[-1] ^ 1]))
    result = generate_file("a person sits down", copy.folder, tmp_path / "sit.npy", max_tokens=4)
    assert "changed content" in result.notes()[0] and (tmp_path / "sit.npy").is_file()
    describe_known(copy.folder)
    assert path.read_bytes() == expected


def test_a_caption_with_a_part_that_cannot_be_read_is_still_generated(finished_run):
    comparisons, reason = compare_captions(finished_run, ["a person walks " + "on " * 60 + "forward"])
    assert comparisons == [] and "tokens" in reason


def test_it_is_written_once_for_the_same_clips(copy, monkeypatch):
    before = (copy.folder / FILE).read_bytes()
    monkeypatch.setattr(known_actions, "write_known_captions", pytest.fail)
    record_known_captions(copy, prepare(copy.config))
    assert (copy.folder / FILE).read_bytes() == before


def test_many_captions_are_stood_for_by_some(copy, monkeypatch):
    monkeypatch.setattr(known_actions, "MOST_CAPTIONS", 20)
    monkeypatch.setattr(known_actions, "MOST_PARTS", 10)
    (copy.folder / FILE).unlink()
    record_known_captions(copy, prepare(copy.config))
    known = KnownCaptions(copy.folder / FILE, "fix")
    assert known.n_parts == 10 and len(known) == 30 and about_of(known, copy.folder / FILE).captions > 20


def test_another_text_encoder_is_refused(copy, monkeypatch):
    monkeypatch.setattr(copy.text, "identity", "0" * 64)
    with pytest.raises(InputError, match="text encoder"):
        open_known_captions(copy)


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="no config.yaml"):
        describe_known(tmp_path)
