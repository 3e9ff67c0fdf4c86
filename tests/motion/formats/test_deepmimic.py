"""The DeepMimic reader takes its layout and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.motion.formats.deepmimic import ANGLES, QUATERNIONS, DeepMimicClip, read_deepmimic, retarget_deepmimic
from motionlab.motion.formats.read import find_format, read_file
from motionlab.motion.formats.source import ReadOptions
from motionlab.motion.retargeting.resampling import frame_times

ROW = [0.1, 0, 0.9, 0] + [1, 0, 0, 0] * 4 + [-0.5] + [1, 0, 0, 0] * 2 + [0.5] + [1, 0, 0, 0] + [-0.4]
ROW += [1, 0, 0, 0] * 2 + [0.6]


def document(**changes: Any) -> bytes:
    return json.dumps({"Loop": "wrap", "Frames": [ROW, ROW, [0, *ROW[1:]]], **changes}).encode()


def test_every_number_of_a_row_has_one_meaning() -> None:
    used = {0, 1, 2, 3, *ANGLES.values()}
    for start in QUATERNIONS.values():
        used |= set(range(start, start + 4))
    assert used == set(range(44))


def test_reads_times_angles_and_unit_quaternions(tmp_path: Path) -> None:
    rows = [ROW, [0.3, *ROW[1:]], [0, *ROW[1:]]]
    rows[1][16:20] = [0.6, 0, 0, 0]  # an edited quaternion, as some of the public files have
    (tmp_path / "clip.txt").write_bytes(document(Frames=rows))
    clip = read_deepmimic(tmp_path / "clip.txt")
    torch.testing.assert_close(clip.times, torch.tensor([0, 0.1, 0.4], dtype=torch.float64))
    assert clip.wraps
    assert clip.angles["right_knee"].tolist() == [-0.5] * 3
    assert clip.angles["left_elbow"].tolist() == [0.6] * 3
    for values in clip.quaternions.values():
        torch.testing.assert_close(values.norm(dim=-1), torch.ones(3, dtype=torch.float64))


def test_a_clip_without_loop_does_not_wrap() -> None:
    assert not read_deepmimic(document(Loop="none")).wraps


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"{", "not JSON"),
        (b"[1, 2]", "no list 'Frames'"),
        (document(Frames=[ROW]), "at least two rows"),
        (document(Frames=[ROW, ROW[:43]]), "frame 1 of 43 numbers"),
        (document(Frames=[ROW, [*ROW[:43], "x"]]), "not a number in frame 1"),
        (document(Frames=[ROW, [*ROW[:43], None]]), "not a number in frame 1"),
        (document(Frames=[ROW, [*ROW[:43], float("nan")]]), "not finite in frame 1"),
        (document(Frames=[ROW, [*ROW[:43], 10**400]]), "too large"),
        (document(Frames=[[0, *ROW[1:]], ROW]), "time step 0.0 in frame 0"),
        (document(Frames=[ROW, [*ROW[:16], 0, 0, 0, 0, *ROW[20:]]]), "joint right_hip"),
    ],
)
def test_other_content_is_an_input_error(content: bytes, found: str) -> None:
    with pytest.raises(InputError) as caught:
        read_deepmimic(content, "clip.txt")
    assert caught.value.where == "clip.txt"
    assert found in caught.value.found


def test_a_dog_is_called_one() -> None:
    with pytest.raises(InputError, match=r"frame 0 of 84 numbers, which is a dog \(laikago\)"):
        read_deepmimic(document(Frames=[[0.1] * 84] * 2))


def test_other_json_next_to_motions_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"text": "a person walks", "seed": 1}')
    with pytest.raises(InputError, match="a file of no known format"):
        find_format(tmp_path / "meta.json")
    (tmp_path / "clip.json").write_bytes(document())
    assert find_format(tmp_path / "clip.json").name == "DeepMimic"


def test_a_given_frame_rate_replaces_the_steps_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "clip.txt").write_bytes(document(Frames=[ROW] * 61))
    for options, frames in ((None, 181), (ReadOptions(fps=60), 31)):  # 0.1 s a step in the file
        (reading,) = read_file(tmp_path / "clip.txt", options)
        assert len(reading.motion) == frames


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt"):
        read_deepmimic(tmp_path / "none.txt")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.recursive(st.none() | st.floats() | st.text(max_size=3), st.lists, max_leaves=5))
def test_anything_else_raises_nothing_but_input_error(value: object) -> None:
    content = value if isinstance(value, bytes) else json.dumps({"Frames": value}).encode()
    with pytest.raises(InputError):
        read_deepmimic(content)


def test_one_number_does_not_decide_how_much_is_made() -> None:
    """A time step of hours would make millions of frames of two rows."""

    def clip(seconds: float, height: float = 0.9) -> DeepMimicClip:
        rows = [[seconds, 0.0, height, *ROW[3:]]] * 2
        return read_deepmimic(json.dumps({"Frames": rows}).encode())

    assert len(retarget_deepmimic(clip(6.6))[0]) == 199
    with pytest.raises(InputError, match="found 2 frames that last 1e.05 s, expected at most 3.33 s between"):
        retarget_deepmimic(clip(1e5))
    with pytest.raises(InputError, match="found the number 1e.07"):
        clip(0.1, height=1e7)


def test_a_bvh_file_has_the_same_bound() -> None:
    assert len(frame_times(10.0, 30.0, rows=4)) == 301
    with pytest.raises(InputError, match="at most 3.33 s between two frames"):
        frame_times(1e9, 30.0, rows=4)
