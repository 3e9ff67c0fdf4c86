"""MotionMillion in both layouts, any part of it, with the faults that its files really have."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
import pytest

from motionlab.data.folder import Shares
from motionlab.data.leaks import shared_takes
from motionlab.data.motionmillion import clip_name, find_files, motionmillion_splits
from motionlab.data.packed import Limits
from motionlab.data.splits import Splits
from motionlab.data.store import Clip
from motionlab.errors import InputError
from tests.data.folders import LISTS, Tree, npy, tar

LIMITS = Limits(min_frames=60, max_frames=300)


def splits_of(folder: Path, cache: Path) -> Splits:
    return motionmillion_splits(folder, cache, LIMITS, Shares())


def names(splits: Splits) -> dict[str, set[str]]:
    return {split: {clips.name(i) for i in range(len(clips))} for split, clips in splits.named().items()}


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> dict[str, Splits]:
    folder = tmp_path_factory.mktemp("mm")
    return {
        "code": splits_of(tree.write_code_layout(folder / "code"), folder / "cache"),
        "archives": splits_of(tree.write_archives(folder / "archives"), folder / "cache"),
    }


def test_both_layouts_give_the_same_clips(both: dict[str, Splits], tree: Tree) -> None:
    assert both["code"].digest == both["archives"].digest
    found = names(both["code"])
    assert found["test"] == set(tree.lists["test"]) and found["validation"] == set(tree.lists["val"])
    original = tree.twin.removeprefix("Mirror_")
    assert found["train"] == set(tree.lists["train"]) - {original, tree.nan, tree.wrong, tree.silent, "AIST/gone"}
    test = both["code"].tests["test"]
    for i in range(len(test)):
        assert test.captions(i) == [line for line in tree.texts[test.name(i)].splitlines() if line]
        assert np.allclose(test.features(i).numpy(), tree.features[test.name(i)], atol=1e-3)


@pytest.mark.parametrize("layout", ["code", "archives"])
def test_no_test_shares_a_take_with_training(both: dict[str, Splits], layout: str) -> None:
    assert both[layout].tests and not any(shared_takes(both[layout]).values())


@pytest.mark.parametrize("layout", ["code", "archives"])
def test_what_is_missing_or_faulty_is_said_by_name(both: dict[str, Splits], tree: Tree, layout: str) -> None:
    note = both[layout].note
    for words in (
        "1 of the 15 names in the split files of t2m_60_300 are not here",
        f"with NaN or infinity: {tree.nan}",
        f"of shape [frames, 263] and type float64, not [frames, 272]: {tree.wrong}",
        f"without captions: {tree.silent}",
        "1 of train were left out, because a mirrored twin or an equal clip is in a split that is held out",
    ):
        assert words in note, words


def test_the_resolved_split_is_written_and_the_original_is_not_touched(tmp_path: Path, tree: Tree) -> None:
    folder = tree.write_code_layout(tmp_path / "mm")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    splits = splits_of(folder, tmp_path / "cache")
    (resolved,) = (tmp_path / "cache").glob("data-*/resolved_split")
    for split, some in names(splits).items():
        assert set((resolved / f"{split}.txt").read_text().split()) == some
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_any_part_of_the_download_will_do(tmp_path: Path, tree: Tree) -> None:
    folder = tree.write_archives(tmp_path / "mm")
    for path in (folder / "motion_272rpr" / "MotionGV").glob("folder[12]*"):
        path.unlink()
    splits = splits_of(folder, tmp_path / "cache")
    assert all("/folder0/" in name for some in names(splits).values() for name in some)
    assert "names in the split files" in splits.note


def test_without_split_files_takes_are_divided(tmp_path: Path, tree: Tree) -> None:
    folder = tree.write_archives(tmp_path / "mm")
    (folder / "split.tar.gz").unlink()
    splits = splits_of(folder, tmp_path / "cache")
    found = names(splits)
    assert len(set.union(*found.values())) == 11 and "Takes are kept whole" in splits.note
    original = tree.twin.removeprefix("Mirror_")
    assert any({tree.twin, original} <= some for some in found.values())


def test_half_an_archive_gives_what_it_holds(tmp_path: Path, tree: Tree) -> None:
    folder = tree.write_archives(tmp_path / "mm")
    path = folder / "motion_272rpr" / "MotionGV" / "folder1.tar.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    note = splits_of(folder, tmp_path / "cache").note
    assert "an archive that is damaged or ends early" in note and "folder1.tar.gz" in note


def test_one_clip_is_in_memory_at_a_time(tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Clip] = weakref.WeakSet()
    most: list[int] = []
    made = Clip.__init__

    def counted(self: Clip, *arguments: object, **named: object) -> None:
        made(self, *arguments, **named)  # type: ignore[arg-type]
        alive.add(self)
        most.append(len(alive))

    monkeypatch.setattr(Clip, "__init__", counted)
    splits_of(tree.write_archives(tmp_path / "mm"), tmp_path / "cache")
    assert len(most) > 20 and max(most) <= 3


def test_links_that_lead_in_circles_end(tmp_path: Path, tree: Tree) -> None:
    folder = tree.write_code_layout(tmp_path / "mm")
    (folder / "texts" / "again").symlink_to(folder, target_is_directory=True)
    (folder / "motion_data" / "nothing.npy").symlink_to(folder / "gone")
    assert len(find_files(folder).motions) == len(tree.features)


def test_members_that_leave_the_folder_are_left_out(tmp_path: Path) -> None:
    clip = npy(np.zeros((70, 272)))
    tar(tmp_path / "mm" / "motion_272rpr" / "a.tar.gz", {"../up.npy": clip, "/root.npy": clip})
    with pytest.raises(InputError, match=r"whose name leaves the folder: \.\./up\.npy, /root\.npy"):
        splits_of(tmp_path / "mm", tmp_path / "cache")
    assert not list(tmp_path.rglob("up.npy"))


def test_a_folder_without_motions_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"motion_data/vector_272/\*\.npy, or the archives of its download"):
        splits_of(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        (["motion_272rpr", "MotionGV", "folder5"], ["a"]),
        (["motion_272rpr", "MotionGV", "folder5"], ["folder5", "a"]),
        (["motion_272rpr", "MotionGV", "folder5"], ["MotionGV", "folder5", "a"]),
        (["motion_272rpr", "MotionGV", "folder5"], ["MotionGV", "MotionGV", "folder5", "a"]),
        (["motion_272rpr", "MotionGV", "folder5"], ["folder5", "folder5", "a"]),
        (["MotionGV", "part7"], ["folder5", "a"]),
        ([], ["motion_data", "vector_272", "MotionGV", "folder5", "a"]),
    ],
)
def test_a_clip_is_found_wherever_its_archive_puts_it(place: list[str], inside: list[str]) -> None:
    assert clip_name(place, inside, {"MotionGV/folder5/a", "a"} - {"a"}) == "MotionGV/folder5/a"


def test_the_list_for_text_to_motion_is_taken(tmp_path: Path, tree: Tree) -> None:
    folder = tree.write_code_layout(tmp_path / "mm")
    other = folder / os.path.dirname(LISTS) / "tokenizer_96"
    other.mkdir()
    (other / "train.txt").write_text("\n".join(tree.features))
    assert "t2m_60_300" in splits_of(folder, tmp_path / "cache").note


def small(folder: Path, tree: Tree, count: int = 6) -> list[str]:
    """The first clips of the tree with texts, in the layout of the code, without split files; their names."""
    some = list(tree.features)[:count]
    for name in some:
        write(folder / f"motion_data/vector_272/{name}.npy", npy(tree.features[name]))
        write(folder / f"texts/{name}.txt", tree.texts[name].encode())
    return some


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_numbers_that_float32_does_not_hold_leave_one_clip_out(tmp_path: Path, tree: Tree) -> None:
    some = small(tmp_path / "mm", tree)
    values = tree.features[some[0]].copy()
    values[3, 20] = 1e200
    write(tmp_path / "mm" / f"motion_data/vector_272/{some[0]}.npy", npy(values))
    assert (
        f"1 clip was left out, with NaN or infinity: {some[0]}." in splits_of(tmp_path / "mm", tmp_path / "cache").note
    )


def test_names_that_are_no_text_leave_one_clip_out(tmp_path: Path, tree: Tree) -> None:
    some = small(tmp_path / "mm", tree)
    for name in (os.fsdecode(b"caf\xe9"), "two\u2028lines"):
        write(tmp_path / "mm" / f"motion_data/vector_272/{name}.npy", npy(tree.features[some[0]]))
        write(tmp_path / "mm" / f"texts/{name}.txt", b"a person walks")
    tar(tmp_path / "mm" / "more.tar.gz", {"x\u2028y.npy": npy(tree.features[some[0]])})
    splits = splits_of(tmp_path / "mm", tmp_path / "cache")
    assert "2 clips were left out, with a name that is no text: caf\\udce9, two\\u2028lines." in splits.note
    assert "1 file was left out, a member of an archive whose name is no text: x\\u2028y.npy." in splits.note
    assert splits_of(tmp_path / "mm", tmp_path / "cache").digest == splits.digest


def test_captions_that_cannot_be_read_leave_one_clip_out_and_count_once(tmp_path: Path, tree: Tree) -> None:
    some = small(tmp_path / "mm", tree)
    for name, content in zip(
        some, (b"\xff\xfe", b"he walks#a#5#2\n", b"x\n" * 600_000, b"he walks#a#1e308#1.1e308"), strict=False
    ):
        write(tmp_path / "mm" / f"texts/{name}.txt", content)
    note = splits_of(tmp_path / "mm", tmp_path / "cache").note
    assert (
        "3 clips were left out, with captions that are no UTF-8, have wrong times, or more than 1,048,576 bytes" in note
    )
    assert f"1 clip was left out, a caption of a part after the end: {some[3]}@1e+308-1.1e+308." in note
    assert note.count("left out") == 2


def test_archives_of_texts_may_lack_their_top_folder_as_those_of_motions(tmp_path: Path, tree: Tree) -> None:
    values = list(tree.features.values())
    for at, top in enumerate(("MotionGV", "Mirror_MotionGV")):
        motions = {f"a{i}.npy": npy(values[2 * i + at]) for i in range(3)}
        tar(tmp_path / f"mm/motion_272rpr/{top}/folder5.tar.gz", motions)
        tar(tmp_path / f"mm/texts/{top}.tar.gz", {f"folder5/a{i}.txt": f"{top} {i}".encode() for i in range(3)})
    splits = splits_of(tmp_path / "mm", tmp_path / "cache")
    found = {clips.name(i): clips.captions(i) for clips in splits.named().values() for i in range(len(clips))}
    assert found == {f"{top}/folder5/a{i}": [f"{top} {i}"] for top in ("MotionGV", "Mirror_MotionGV") for i in range(3)}


def test_one_leaf_name_in_two_subsets_is_two_clips(tmp_path: Path, tree: Tree) -> None:
    values = list(tree.features.values())
    for at, top in enumerate(("HumanML3D", "BABEL")):
        tar(tmp_path / f"mm/motion_272rpr/{top}.tar.gz", {f"00{i}.npy": npy(values[2 * i + at]) for i in range(3)})
        for i in range(3):
            write(tmp_path / f"mm/texts/{'' if at == 0 else 'BABEL/'}00{i}.txt", f"{top} {i}".encode())
    splits = splits_of(tmp_path / "mm", tmp_path / "cache")
    found = {clips.name(i): clips.captions(i) for clips in splits.named().values() for i in range(len(clips))}
    expected = {
        f"{above}00{i}": [f"{top} {i}"] for above, top in (("", "HumanML3D"), ("BABEL/", "BABEL")) for i in range(3)
    }
    assert found == expected


@pytest.mark.parametrize("lists", [("train",), ("train", "test"), ("train", "val")])
def test_a_part_without_held_out_clips_takes_them_from_train(
    tmp_path: Path, tree: Tree, lists: tuple[str, ...]
) -> None:
    some = small(tmp_path / "mm", tree)
    rows = dict(zip(lists, (some[:5], some[5:]), strict=False))
    for name in ("train", "val", "test"):
        write(tmp_path / f"mm/{LISTS}/{name}.txt", "\n".join(rows.get(name, ["gone/x"])).encode())
    splits = splits_of(tmp_path / "mm", tmp_path / "cache")
    assert len(splits.train) and len(splits.validation) and len(splits.tests["test"])
    assert "none is here, so takes of train serve" in splits.note
    for split, wanted in (("test", "test"), ("validation", "val")):
        if wanted in lists:
            assert names(splits)[split] == set(some[5:])


def test_an_archive_that_is_damaged_is_not_counted_as_a_clip(tmp_path: Path, tree: Tree) -> None:
    small(tmp_path / "mm", tree)
    write(tmp_path / "mm/junk.tar.gz", b"junk" * 100)
    note = splits_of(tmp_path / "mm", tmp_path / "cache").note
    assert "junk.tar.gz: an archive that is damaged or ends early after 0 files" in note and "clip was" not in note


def test_a_file_that_goes_while_it_is_looked_at_is_one_line(tmp_path: Path, tree: Tree) -> None:
    some = small(tmp_path / "mm", tree)
    found = find_files(tmp_path / "mm")
    (tmp_path / "mm" / f"motion_data/vector_272/{some[0]}.npy").unlink()
    with pytest.raises(InputError, match="a file, as a moment ago"):
        found.digest()
