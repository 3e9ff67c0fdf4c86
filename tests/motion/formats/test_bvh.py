"""BVH files: what is read, what is written, and that no text at all can do worse than an InputError."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.bvh import BvhClip, parse_bvh, read_bvh
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer
from motionlab.motion.rotations import axis_angle_to_matrix
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

TEXT = """HIERARCHY
ROOT Hips
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Chest
  {
    OFFSET 0 10 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 9 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 90 0  0 0 90  0 0 0
1 91 0  10 20 30  40 50 60
"""


def axis_rotation(axis: str, degrees: float) -> torch.Tensor:
    vector = torch.zeros(3, dtype=torch.float64)
    vector["XYZ".index(axis)] = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return axis_angle_to_matrix(vector)


def test_reads_tree_time_and_channels_in_their_order() -> None:
    clip = parse_bvh(TEXT)
    assert (clip.names, clip.parents, clip.fps, len(clip)) == (("Hips", "Chest"), (-1, 0), 30.0, 2)
    root = axis_rotation("Z", 10) @ axis_rotation("X", 20) @ axis_rotation("Y", 30)
    chest = axis_rotation("Y", 40) @ axis_rotation("X", 50) @ axis_rotation("Z", 60)
    torch.testing.assert_close(clip.rotations[1], torch.stack((root, chest)))
    # The position channels replace the root's OFFSET.
    torch.testing.assert_close(clip.root_position[1], torch.tensor([1.0, 91.0, 0.0], dtype=torch.float64))
    expected = clip.root_position[1] + root @ torch.tensor([0.0, 10.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(clip.joints()[1, 1], expected)


def test_joint_with_still_position_channels_and_with_moving_ones() -> None:
    still = TEXT.replace("CHANNELS 3 Y", "CHANNELS 6 Xposition Yposition Zposition Y")
    still = still.replace("90  0 0 0", "90  0 11 0 0 0 0").replace("30  40", "30  0 11 0 40")
    clip = parse_bvh(still)
    assert clip.offsets[1].tolist() == [0, 11, 0] and clip.moving is None
    with pytest.warns(UserWarning, match="keep their own track: Chest"):
        moved = parse_bvh(still.replace("0 11 0 40", "0 15 0 40"))
    assert moved.offsets[1].tolist() == [0, 10, 0]  # of the file: no frame says more about the rest pose
    assert moved.moving is not None and moved.moving[1].tolist() == [[0, 11, 0], [0, 15, 0]]
    expected = moved.root_position[1] + moved.rotations[1, 0] @ torch.tensor([0.0, 15.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(moved.joints()[1, 1], expected)


def test_extra_rows_are_ignored_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="1 rows after the 2 frames"):
        assert len(parse_bvh(TEXT + "0 90 0 0 0 0 0 0 0\n")) == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "found"),
    [
        ("HIERARCHY", "HIERARCHIE", 1, "HIERARCHIE"),
        ("OFFSET 1 2 3", "OFFSET 1 two 3", 4, "'two'"),
        ("Zposition", "Wposition", 5, "Wposition"),
        ("JOINT Chest", "JOINT", 7, "a joint without a name"),
        ("    OFFSET 0 10 0\n", "", 13, "'Chest' without OFFSET"),
        ("Frames: 2", "Frames: 0", 17, "0 frames"),
        ("Frames: 2", "Frames 2", 17, "'Frames 2'"),
        ("Frame Time: 0.0333333", "Frame Time: 0.0333333 s", 18, "'s'"),
        ("0.0333333", "nan", 18, "'nan'"),
        ("0.0333333", "0", 18, "frame time 0"),
        ("0 90 0  0 0 90  0 0 0", "0 90 0  0 0 90  0 0", 19, "8 numbers"),
        ("1 91", "1 inf", 20, "'inf'"),
        ("1 91", "1 91,5", 20, "a number with a decimal comma"),
        ("90  0 0 0\n1 91 0  10 20 30  40 50 60\n", "9", 19, "before one whole row"),
    ],
)
def test_a_wrong_line_is_named(old: str, new: str, line: int, found: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_bvh(TEXT.replace(old, new), "walk.bvh")
    assert caught.value.where == f"walk.bvh, line {line}"
    assert found in caught.value.found


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.bvh: found no file"):
        read_bvh(tmp_path / "none.bvh")


WORDS = TEXT.split()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(WORDS) - 1),
            st.sampled_from(["", "{", "}", "JOINT", "End", "nan", "-1e309", "99999999999", "0", "ROOT x", "\n", "é"])
            | st.text(max_size=6),
        ),
        max_size=4,
    ),
    st.integers(0, len(WORDS)),
)
def test_damaged_text_raises_nothing_but_input_error(edits: list[tuple[int, str]], cut: int) -> None:
    pieces = TEXT.replace("\n", " \n ").split(" ")
    for place, word in edits:
        pieces[place % len(pieces)] = word
    text = " ".join(pieces[: None if cut % 3 else len(pieces) - cut])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            clip = parse_bvh(text)
        except InputError:
            return
    assert isinstance(clip, BvhClip)
    assert torch.isfinite(clip.joints()).all()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_but_input_error(content: bytes) -> None:
    with pytest.raises(InputError):
        parse_bvh(content.decode("utf-8", errors="replace"))


@pytest.mark.parametrize("name", ["backflip", "walk", "cmu_climb_up_1"])
def test_written_file_gives_the_same_joints(name: str, tmp_path: Path) -> None:
    motion = next(sample.motion for sample in load_samples() if sample.name == name)
    motion = motion.to(dtype=torch.float64).place((1.0, -2.0), 0.7)
    write_bvh(tmp_path / "out.bvh", motion)
    clip = read_bvh(tmp_path / "out.bvh")
    order = [clip.names.index(joint) for joint in JOINT_NAMES]
    assert (clip.joints()[:, order] - motion.joints("rotations")).abs().max() < 1e-5
    assert clip.fps == 30
    # The body stays in place: nothing is added to the pelvis (the published script sinks it by 22 cm).
    torch.testing.assert_close(clip.root_position, motion.root()[0], atol=1e-5, rtol=0)
    assert clip.offsets[0].tolist() == clip.root_position[0].tolist()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        assert clip.parents[order[joint]] == order[parent]


def test_root_offset_is_written_as_zero_and_numbers_have_six_decimals(tmp_path: Path) -> None:
    motion = next(sample.motion for sample in load_samples() if sample.name == "walk")
    write_bvh(tmp_path / "out.bvh", motion)
    lines = (tmp_path / "out.bvh").read_text().splitlines()
    assert lines[1:4] == ["ROOT pelvis", "{", "  OFFSET 0.000000 0.000000 0.000000"]
    assert "-0.000000" not in lines[-1].split()
    assert all(len(word.split(".")[1]) == 6 for word in lines[-1].split())
    assert "Xposition Yposition Zposition Zrotation Yrotation Xrotation" in lines[4]


def test_normalized_motion_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    motion = load_samples()[0].motion
    normalized = Normalizer.fit([motion.features]).normalize(motion)
    with pytest.raises(InputError, match="normalized"):
        write_bvh(tmp_path / "out.bvh", normalized)
    assert os.listdir(tmp_path) == []


def test_unwritable_folder_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.bvh"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_bvh(target, Motion(load_samples()[0].motion.features))
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.bvh"]
