"""Position channels below the root: most files repeat the OFFSET there, some write what comes on top of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from motionlab.motion.formats.bvh import parse_bvh
from motionlab.motion.formats.bvh_positions import ADDED
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.retargeting.retarget import retarget
from tests.motion.retargeting.bodies import deviations, sample

HEAD = """HIERARCHY
ROOT Hips { OFFSET 0 9 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine { OFFSET 0 10 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
    JOINT Chest { OFFSET 0 20 0 CHANNELS 5 Yposition Zposition Zrotation Xrotation Yrotation
      JOINT Helper { OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
        JOINT Head { OFFSET 1 5 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 9 0 } } } } } }
MOTION
Frames: 2
Frame Time: 0.033333
"""


def rows(spine: str, chest: str, helper: str = "0 0 0") -> str:
    row = f"1 2 3 0 0 0  {spine} 0 0 0  {chest} 0 0 0  {helper} 0 0 0  0 0 0\n"
    return HEAD + row + row


def test_zeros_come_on_top_of_the_offset() -> None:
    with pytest.warns(UserWarning, match="were added to the OFFSETs"):
        clip = parse_bvh(rows("0 0.001 0", "-0.0001 0"))
    expected = torch.tensor([[1.0, 2, 3], [1, 12.001, 3], [1, 32.0009, 3], [1, 32.0009, 3], [2, 37.0009, 3]]).double()
    torch.testing.assert_close(clip.joints()[0], expected)  # the root is where its channels say
    assert clip.offsets[0].tolist() == [1, 2, 3]


def test_other_numbers_take_the_place_of_the_offset() -> None:
    clip = parse_bvh(rows("0 10 0", "20 0"))
    assert clip.joints()[0, 2].tolist() == [1, 32, 3]
    assert parse_bvh(rows("0 10 0", "0 0")).joints()[0, 2].tolist() == [1, 12, 3]  # one of two is no rule
    assert parse_bvh(rows("0 10.5 0", "19 0.5")).joints()[0, 2].tolist() == [1, 31.5, 3.5]


def test_a_joint_may_move_where_the_others_have_zeros() -> None:
    content = rows("0 0 0", "0 0") + rows("0 0 0", "0 0", helper="0 7 0").splitlines()[-1]
    content = content.replace("Frames: 2", "Frames: 3")
    with pytest.warns(UserWarning, match="added|their own track"):
        clip = parse_bvh(content)
    assert clip.joints()[:, 3, 1].tolist() == [32, 32, 39]


def as_zeros(text: str) -> str:
    """Position channels of zeros at every joint below the root."""
    head, _, motion = text.partition("MOTION")
    head = head.replace("CHANNELS 3 ", "CHANNELS 6 Xposition Yposition Zposition ")
    lines = motion.splitlines()
    for number, line in enumerate(lines[3:], start=3):
        words = line.split()
        angles = [words[at : at + 3] for at in range(3, len(words), 3)]
        parts = [*words[:3], *angles[0], *(word for angle in angles[1:] for word in ("0.00001", "0", "-0", *angle))]
        lines[number] = " ".join(parts)
    return head + "MOTION" + "\n".join(lines)


def test_a_sample_with_zeros_is_the_sample(tmp_path: Path) -> None:
    write_bvh(tmp_path / "a.bvh", sample("kick"))
    (tmp_path / "b.bvh").write_text(as_zeros((tmp_path / "a.bvh").read_text()))
    (plain,), (zeros,) = read_file(tmp_path / "a.bvh"), read_file(tmp_path / "b.bvh")
    assert zeros.notes == (ADDED,) and plain.notes == ()
    assert isinstance(plain.motion, SourceMotion) and isinstance(zeros.motion, SourceMotion)
    torch.testing.assert_close(zeros.motion.positions, plain.motion.positions, atol=2e-4, rtol=0)


def test_makehuman_and_mixamo(real_motion: Callable[[str], Path]) -> None:
    """Both have position channels on nearly all joints; arms of the first hang to its sides at the same height."""
    (hangs,) = read_file(real_motion("makehuman_two_half_limbs_one_frame.bvh"))
    assert hangs.notes == (ADDED,) and isinstance(hangs.motion, SourceMotion)
    result = retarget(hangs.motion)
    assert max(deviations(result).values()) < 1
    joints = result.motion.joints()[0]
    lengths = (joints[[4, 5, 7, 8]] - joints[[1, 2, 4, 5]]).norm(dim=-1)
    assert float(lengths.min()) > 0.3 and abs(float(joints[20, 1] - joints[21, 1])) < 0.01
    (repeats,) = read_file(real_motion("mixamo_positions_on_every_joint.bvh"))
    assert repeats.notes == ()
