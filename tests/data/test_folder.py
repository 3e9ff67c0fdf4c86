"""An imported folder as splits: takes, captions, quarantine, what is left out, and what the result depends on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motionlab.data.captions_file import Caption
from motionlab.data.folder import Shares, folder_splits, gather_captions, read_clips, read_quarantine
from motionlab.data.leaks import shared_takes
from motionlab.data.packed import LEFT_OUT, Limits
from motionlab.data.splits import Splits
from motionlab.data.store import MotionStore
from motionlab.errors import InputError
from motionlab.motion.motion import Motion
from tests.data.folders import short_samples, write_imported

LIMITS = Limits(min_frames=20)


def splits_of(folder: Path, cache: Path, limits: Limits = LIMITS, **changes: object) -> Splits:
    return folder_splits(folder, cache, limits, Shares(**changes))  # type: ignore[arg-type]


def names(splits: Splits) -> dict[str, list[str]]:
    return {split: [clips.name(i) for i in range(len(clips))] for split, clips in splits.named().items()}


def test_every_clip_is_in_one_split_as_it_was(tmp_path: Path) -> None:
    samples = short_samples(8)
    splits = splits_of(write_imported(tmp_path / "in", samples), tmp_path / "cache")
    found = names(splits)
    assert sorted(sum(found.values(), [])) == sorted(sample.name for sample in samples)
    assert all(found.values()) and found["train"] == sorted(found["train"])
    for clips in splits.named().values():
        for i in range(len(clips)):
            sample = next(sample for sample in samples if sample.name == clips.name(i))
            assert clips.captions(i) == sample.captions
            assert clips.features(i).equal(sample.motion.features.half().float())
    assert "Takes are kept whole: 6 to learn from" in splits.note
    assert not list((tmp_path / "cache").glob("*.parts")) and not list((tmp_path / "cache").glob("*.lock.json"))


def test_the_same_folder_elsewhere_gives_the_same_digest(tmp_path: Path) -> None:
    one = splits_of(write_imported(tmp_path / "one", short_samples(5)), tmp_path / "cache")
    other = splits_of(write_imported(tmp_path / "other", short_samples(5)), tmp_path / "cache2")
    assert one.digest == other.digest
    changed = write_imported(tmp_path / "changed", short_samples(5))
    path = changed / "motions" / f"{short_samples(1)[0].name}.npz"
    Motion(Motion.load(path).features + 0.01).save(path)
    assert splits_of(changed, tmp_path / "cache").digest != one.digest


def test_a_second_opening_reads_no_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_imported(tmp_path / "in", short_samples(4))
    first = splits_of(folder, tmp_path / "cache")
    monkeypatch.setattr(Motion, "load", lambda *_: pytest.fail("it was read again"))
    assert splits_of(folder, tmp_path / "cache").digest == first.digest


def test_a_killed_preparation_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionlab.data.folder.AT_ONCE", 2)
    folder = write_imported(tmp_path / "in", short_samples(6))
    load, read = Motion.load, list[str]()

    def counted(path: Path, fps: float = 30.0) -> Motion:
        if len(read) == 4:
            raise KeyboardInterrupt
        read.append(Path(path).stem)
        return load(path, fps)

    monkeypatch.setattr(Motion, "load", counted)
    with pytest.raises(KeyboardInterrupt):
        splits_of(folder, tmp_path / "cache")
    kept = list(read)
    read.clear()
    monkeypatch.setattr(Motion, "load", lambda path, fps=30.0: read.append(Path(path).stem) or load(path, fps))
    splits = splits_of(folder, tmp_path / "cache")
    assert len(read) == 2 and not set(read) & set(kept)
    assert sum(map(len, names(splits).values())) == 6


def test_twins_and_copies_stay_together(tmp_path: Path) -> None:
    samples = short_samples(9)
    first, second = samples[0].name, samples[1].name
    folder = write_imported(
        tmp_path / "in", samples, **{first: {"source": "session"}, second: {"source": "session", "mirrored": True}}
    )
    for seed in range(8):
        found = names(splits_of(folder, tmp_path / "cache", seed=seed, test=0.4, validation=0.3))
        assert any({first, second} <= set(some) for some in found.values())


def test_no_test_shares_a_take_with_training(tmp_path: Path) -> None:
    samples = short_samples(9)
    twin = {samples[0].name: {"source": "session"}, samples[1].name: {"source": "session", "mirrored": True}}
    folder = write_imported(tmp_path / "in", samples, **twin)
    for seed in range(4):
        splits = splits_of(folder, tmp_path / "cache", seed=seed, test=0.3, validation=0.2)
        assert splits.tests and not any(shared_takes(splits).values())


def test_a_subject_is_in_one_split(tmp_path: Path) -> None:
    samples = short_samples(9)
    who = {sample.name: "abc"[number % 3] for number, sample in enumerate(samples)}
    folder = write_imported(tmp_path / "in", samples, **{name: {"subject": one} for name, one in who.items()})
    splits = splits_of(folder, tmp_path / "cache")
    assert sorted(sorted({who[name] for name in some}) for some in names(splits).values()) == [["a"], ["b"], ["c"]]
    assert "name 3 subjects, and nobody is in two splits" in splits.note
    silent = write_imported(tmp_path / "one", samples, **{samples[0].name: {"subject": "a"}})
    assert "subjects" not in splits_of(silent, tmp_path / "cache").note


def test_what_is_left_out_is_counted_by_name(tmp_path: Path) -> None:
    samples = short_samples(8)
    names_of = [sample.name for sample in samples]
    folder = write_imported(
        tmp_path / "in",
        samples,
        **{
            names_of[0]: {"captions": []},
            names_of[1]: {"verdict": "refused", "file": ""},
            names_of[2]: {"file": "motions/gone.npz"},
        },
    )
    limits = Limits(min_frames=20, max_frames=150, quarantine={names_of[3]: "it jumps"})
    splits = splits_of(folder, tmp_path / "cache", limits)
    assert not set(sum(names(splits).values(), [])) & set(names_of[:4])
    for words in ("without captions", "refused by the import", "not readable (no file)", "in quarantine"):
        assert f"1 clip was left out, {words}" in splits.note, words
    kept = splits.train
    assert isinstance(kept, MotionStore)
    rows = [json.loads(line) for line in (kept.folder.parent / LEFT_OUT).read_text().splitlines()]
    assert {row["name"] for row in rows} >= set(names_of[:4])
    optional = splits_of(folder, tmp_path / "cache", Limits(min_frames=20, captions=False))
    assert names_of[0] in sum(names(optional).values(), [])


def test_timed_captions_become_clips_of_their_part(tmp_path: Path) -> None:
    samples = short_samples(4)
    name = samples[0].name
    folder = write_imported(tmp_path / "in", samples, **{name: {"captions": []}})
    (folder / "captions.csv").write_text(
        f"name,caption,start,end\n{name},first,0,1\n{name},also first,0,1\n{name},late,1,2\n{name},never,90,91\n"
    )
    splits = splits_of(folder, tmp_path / "cache")
    parts = {
        clips.name(i): (clips.captions(i), int(clips.lengths[i]))
        for clips in splits.named().values()
        for i in range(len(clips))
        if "@" in clips.name(i)
    }
    assert parts == {f"{name}@0-1": (["first", "also first"], 30), f"{name}@1-2": (["late"], 30)}
    assert "a caption of a part after the end" in splits.note


def test_captions_come_from_files_next_to_the_motions(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("walks\n\nstrolls\n")
    (tmp_path / "captions.jsonl").write_text('{"name": "a", "caption": "goes"}\n{"name": "b", "caption": "sits"}\n')
    found = gather_captions(tmp_path, ["a", "b"])
    assert found == {"a": [Caption("goes"), Caption("walks"), Caption("strolls")], "b": [Caption("sits")]}


def test_captions_without_a_motion_are_said(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "in", short_samples(3))
    (folder / "captions.txt").write_text("nobody: waves\n")
    assert "captions of motions that are not here: nobody" in splits_of(folder, tmp_path / "cache").note


def test_no_captions_at_all_is_an_error(tmp_path: Path) -> None:
    samples = short_samples(2)
    folder = write_imported(tmp_path / "in", samples, **{sample.name: {"captions": []} for sample in samples})
    with pytest.raises(InputError, match=r"no clip to learn from. 2 clips were left out, without captions"):
        splits_of(folder, tmp_path / "cache")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 1"),
        ('{"name": "a"}', "line 1: .*file"),
        ('{"name": "a", "file": "../../etc/x.npz"}', "a file in the folder"),
        ('{"name": "a", "file": "/etc/x.npz"}', "a file in the folder"),
    ],
)
def test_a_line_that_is_no_clip_is_named(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "clips.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=told):
        list(read_clips(tmp_path))


def test_the_quarantine_list_is_read_by_name(tmp_path: Path) -> None:
    assert read_quarantine(tmp_path) == {}
    (tmp_path / "quarantine.jsonl").write_text('{"name": "a", "reasons": ["jerk", "skate"]}\n\n{"name": "b"}\n')
    assert read_quarantine(tmp_path) == {"a": "jerk; skate", "b": ""}
    (tmp_path / "quarantine.jsonl").write_text('{"nam": "a"}\n')
    with pytest.raises(InputError, match="line 1"):
        read_quarantine(tmp_path)


def test_a_name_in_quarantine_that_is_no_clip_is_said(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "in", short_samples(4))
    quarantine = {short_samples(1)[0].name: "jerk", "walk.bvh": "a person says so"}
    note = folder_splits(folder, tmp_path / "cache", Limits(quarantine=quarantine), Shares()).note
    assert "The quarantine list names clips that are not here: walk.bvh." in note
