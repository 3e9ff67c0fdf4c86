"""BVH as other programs write it: each dialect gives the motion of the plain file, or says what is different."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion.formats import bvh
from motionlab.motion.formats.bvh import read_bvh
from motionlab.motion.formats.bvh_positions import ADDED
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from tests.motion.formats.test_bvh import TEXT

SECOND = TEXT.split("MOTION")[0].removeprefix("HIERARCHY\n").replace("Hips", "Other").replace("Chest", "Bone")
ROWS = TEXT.split("0.0333333\n")[1].splitlines()


def readings(path: Path, content: str | bytes, fps: float | None = None) -> list[Reading]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_file(path, ReadOptions(fps=fps)))


def motion(reading: Reading) -> SourceMotion:
    assert isinstance(reading.motion, SourceMotion)
    return reading.motion


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + TEXT,
        TEXT.encode("utf-16"),
        TEXT.replace("Frames: 2", "Frames:2").replace("Time: ", "Time:"),
        TEXT.replace("Frames: 2", "Frames : 2").replace("Frame Time: ", "Frame Time : "),
        TEXT.replace("End Site", "End Site head end"),
        TEXT.replace("End Site", "End Site {").replace("    {\n      OFFSET 0 9", "      OFFSET 0 9"),
        "# made by hand\n\n// HIERARCHY\n" + TEXT,
        TEXT.replace("JOINT Chest", "; a comment\n  JOINT Chest"),
        TEXT.replace("0 90 0  0 0 90", "0 90 0\n0 0 90\n\n").replace("1 91 0  10", "1 91 0\n10"),
        TEXT.replace(ROWS[0] + "\n", ROWS[0] + " "),
        TEXT.replace("CHANNELS 3 Y", "CHANNELS 6 Xscale Yscale Zscale Y")
        .replace("90  0 0 0", "90  1 1 1 0 0 0")
        .replace("30  40", "30  1 0.9999 1 40"),
        TEXT.lower().replace("hips", "Hips").replace("chest", "Chest"),
        TEXT.replace(" ", "\t"),
        TEXT.replace("\n", "\r"),
        TEXT.replace("\n", " \r\n"),
        TEXT.rstrip(),
        TEXT.replace("JOINT Chest\n  {", "JOINT Chest {"),
    ],
    ids=[
        "utf-8 mark", "utf-16", "no space", "space before colon", "named end", "end with brace", "comment first",
        "comment inside", "wrapped", "one line", "scale of one", "lower case", "tabs", "cr", "crlf", "no last line end",
        "brace on the line",
    ],
)  # fmt: skip
def test_a_dialect_is_the_plain_file(content: str | bytes, tmp_path: Path) -> None:
    (plain,) = readings(tmp_path / "plain.bvh", TEXT)
    (reading,) = readings(tmp_path / "dialect.bvh", content)
    assert reading.notes == ()
    assert motion(reading).joints == ("Hips", "Chest")
    for name in ("times", "positions", "rotations", "rest"):
        assert torch.equal(getattr(reading.motion, name), getattr(plain.motion, name)), name


def test_names_of_several_words_and_other_letters(tmp_path: Path) -> None:
    (reading,) = readings(tmp_path / "a.bvh", TEXT.replace("Chest", "Bip01 L  Thigh").replace("Hips", "Hüfte"))
    assert motion(reading).joints == ("Hüfte", "Bip01 L Thigh")
    (reading,) = readings(tmp_path / "a.bvh", TEXT.replace("Chest", "Hüfte").encode("latin-1"))
    assert motion(reading).joints == ("Hips", "Hüfte")


@pytest.mark.parametrize(
    ("content", "frames", "note"),
    [
        (TEXT.replace("Frames: 2", "Frames: 3"), 2, "ends after 2 of the 3 frames that its header announces."),
        (TEXT.replace("Frames: 2", "Frames: 999999999"), 2, "ends after 2 of the 999999999 frames"),
        (TEXT.replace("40 50 60", "40"), 1, "after 1 of the 2 frames .* the row at its end is not whole"),
        (TEXT.replace("Frames: 2", "Frames: 3").rstrip(), 1, "after 1 of the 3 frames .* the row at its end"),
        (TEXT + "1 2 3 and a comment\n\n7\n", 2, "2 rows after the 2 frames of the header were ignored"),
        (TEXT + ROWS[0], 2, "1 rows after the 2 frames"),
        (TEXT.replace("JOINT Chest", "JOINT Hips"), 2, "got a number: Hips#2"),
    ],
    ids=["fewer", "far fewer", "cut row", "cut number", "more", "one more", "same names"],
)
def test_a_difference_is_said(content: str, frames: int, note: str, tmp_path: Path) -> None:
    (reading,) = readings(tmp_path / "a.bvh", content)
    assert len(motion(reading)) == frames
    with pytest.warns(UserWarning, match=note):
        assert len(read_bvh(tmp_path / "a.bvh")) == frames
    assert len(reading.notes) == 1
    (plain,) = readings(tmp_path / "a.bvh", TEXT)
    assert torch.equal(motion(reading).positions, motion(plain).positions[:frames])


def test_same_names_that_are_taken_get_the_next_number(tmp_path: Path) -> None:
    leaf = "JOINT {} {{ OFFSET 1 0 0 CHANNELS 0 End Site {{ OFFSET 1 0 0 }} }}\n"
    more = "".join(leaf.format(name) for name in ("a#2", "a", "a", "a"))
    (reading,) = readings(tmp_path / "a.bvh", TEXT.replace("  JOINT Chest", more + "  JOINT Chest"))
    assert motion(reading).joints == ("Hips", "a#2", "a", "a#3", "a#4", "Chest")


def test_two_roots_are_two_bodies(tmp_path: Path) -> None:
    rows = "\n".join(f"{row} {other}" for row, other in zip(ROWS, ROWS[::-1], strict=True))
    content = TEXT.replace("MOTION", SECOND + "MOTION").replace("\n".join(ROWS), rows)
    first, second = readings(tmp_path / "a.bvh", content)
    (plain,) = readings(tmp_path / "plain.bvh", TEXT)
    assert (motion(first).name, motion(second).name) == ("a_1", "a_2")
    assert motion(second).joints == ("Other", "Bone") and motion(second).parents == (-1, 0)
    assert torch.equal(motion(first).positions, motion(plain).positions)
    assert torch.equal(motion(second).positions, motion(plain).positions.flip(0))
    assert "2 roots (Hips, Other)" in first.notes[0]
    with pytest.warns(UserWarning, match="2 roots"), pytest.warns(UserWarning, match="only the first body"):
        assert read_bvh(tmp_path / "a.bvh").names == ("Hips", "Chest")


def test_a_still_root_above_the_moving_hips(tmp_path: Path) -> None:
    """Bandai-Namco's files: the root stands at the origin, and the hips carry the track."""
    content = TEXT.replace("CHANNELS 3 Y", "CHANNELS 6 Xposition Yposition Zposition Y")
    content = content.replace("0 90 0  0 0 90  0", "0 0 0  0 0 90  0 90 0  0").replace("30  40", "30  5 91 0  40")
    content = content.replace("1 91 0  10 20 30", "0 0 0  0 0 90").replace("OFFSET 0 10 0", "OFFSET 0 0 0")
    (reading,) = readings(tmp_path / "a.bvh", content)
    assert reading.notes == ("Joints that change their distance from their parent keep their own track: Chest.",)
    # The root is turned by 90 degrees about y: (5, 91, 0) becomes (0, 91, -5).
    expected = torch.tensor([[0.0, 90.0, 0.0], [0.0, 91.0, -5.0]], dtype=torch.float64)
    torch.testing.assert_close(motion(reading).positions[:, 1], expected)


@pytest.mark.parametrize("frame_time", ["1.0", "0", "nothing"])
def test_key_frames_need_a_rate(frame_time: str, tmp_path: Path) -> None:
    content = TEXT.replace("0.0333333", frame_time)
    with pytest.raises(InputError, match="--fps"):
        readings(tmp_path / "a.bvh", content)
    (reading,) = readings(tmp_path / "a.bvh", content, fps=25.0)
    assert motion(reading).times.tolist() == [0, 0.04]
    if frame_time == "1.0":  # one frame lasts no time
        content = content.replace("Frames: 2", "Frames: 1").replace(ROWS[1] + "\n", "")
        assert len(motion(readings(tmp_path / "a.bvh", content)[0])) == 1


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            TEXT.replace("CHANNELS 3 Y", "CHANNELS 4 Xscale Y").replace("90  0 0", "90  2 0 0").replace("  40", " 2 4"),
            "joint 'Chest' that is scaled",
        ),
        (TEXT.replace("CHANNELS 6", "CHANNELS 10"), "10 channels"),
        (
            TEXT.replace("CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation", "").replace(
                "CHANNELS 3 Yrotation Xrotation Zrotation", ""
            ),
            "no CHANNELS at any joint",
        ),
        (TEXT.replace("ROOT Hips", "ROOT Hips {").replace("}\nMOTION", "}\nROOM\nMOTION"), "'{'"),
        (TEXT.replace("MOTION", "ROOM"), "'ROOM'"),
        (TEXT.replace(ROWS[0], ROWS[0][:-2] + "\n0 0"), "8 numbers"),
    ],
)  # fmt: skip
def test_refused(content: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        readings(tmp_path / "a.bvh", content)
    assert found in caught.value.found


# file: joints, frames, frames a second
REAL = {
    "cmu_12_01_walk.bvh": (31, 524, 120.0),
    "cmu_renamed_jumping_jacks.bvh": (31, 125, 30.0),
    "geno_one_frame.bvh": (75, 2, 60.0),
    "makehuman_leaf_hips_z_up_walk.bvh": (75, 14, 24.0),
    "makehuman_two_half_limbs_one_frame.bvh": (173, 1, 24.0),
    "mixamo_positions_on_every_joint.bvh": (65, 127, 30.0),
    "mixed_orders_z_up.bvh": (24, 75, 30.0),
    "mocapbank_chest_names.bvh": (19, 200, 30.0),
    "mvn_chain_z_up_dab.bvh": (27, 339, 30.0),
    "no_neck_walk.bvh": (23, 360, 120.0),
    "rest_y_up_motion_z_up.bvh": (60, 100, 120.0),
    "rokoko_dance.bvh": (60, 300, 100.0),
    "rotation_first_root.bvh": (4, 4, 25.0),
    "short_names_no_toes_walk.bvh": (19, 101, 24.0),
    "smpl_names_generated.bvh": (24, 100, 30.0),
}

ADDING = ("makehuman_two_half_limbs_one_frame.bvh",)


@pytest.mark.parametrize("name", REAL)
def test_real_files_agree_with_another_reader(name: str, real_motion: Callable[[str], Path]) -> None:
    pybvh = pytest.importorskip("pybvh")
    path = real_motion(name)
    added = (ADDED,) if name in ADDING else ()
    with warnings.catch_warnings():
        warnings.simplefilter("error" if not added else "ignore")
        (reading,) = bvh.FORMAT.read(path, ReadOptions())
        clip = read_bvh(path)
    assert reading.notes == added
    assert (len(clip.names), len(clip), clip.fps) == REAL[name]
    try:
        peer = pybvh.read_bvh_file(path, world_up="+y")
    except ValueError as error:  # positions on joints other than the root
        assert "offset or channels" in str(error)
        return
    assert peer.joint_names == list(clip.names)
    places = torch.from_numpy(peer.joint_positions())
    assert (motion(reading).positions - places).abs().max() < 1e-9
