"""The player's HTML: what it holds, and what it must never hold."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.plots.player import PALETTE, Track, clip_data, player_html, player_page, player_script


def walk(frames: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, 22, 3))


def unpack(track: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(track["data"]), "<i2").reshape(-1, 22, 3) * track["scale"]


def test_positions_survive_the_packing() -> None:
    joints = walk() * 3
    (track,) = clip_data([Track("real", joints)])["tracks"]
    assert np.abs(unpack(track) - joints).max() <= np.abs(joints).max() / 32767 / 2 + 1e-12


def test_tensors_and_still_bodies_are_welcome() -> None:
    data = clip_data([Track("a", torch.zeros(3, 22, 3)), Track("b", torch.ones(2, 22, 3, dtype=torch.float64))])
    assert [track["color"] for track in data["tracks"]] == list(PALETTE[:2])
    assert np.array_equal(unpack(data["tracks"][0]), np.zeros((3, 22, 3)))


def test_the_same_input_gives_the_same_bytes() -> None:
    assert player_html([Track("real", walk())], "x") == player_html([Track("real", walk())], "x")
    assert player_html([Track("real", walk())], "x") != player_html([Track("real", walk(seed=1))], "x")


def test_nothing_is_asked_from_a_network() -> None:
    page = player_page([Track("real", walk())], "a person walks")
    assert not re.search(r"https?:|//[a-z]|\bimport\b\s*\(|fetch\(|src=", page)


def test_a_caption_cannot_end_the_script() -> None:
    page = player_html([Track("</script><b>", walk())], "</script><img>", script=False)
    assert page.count("</script>") == 1
    assert "<img>" not in page and "<b>" not in page
    clip = json.loads(page[page.index("{") : page.rindex("}") + 1])
    assert clip["caption"] == "</script><img>"


def test_the_script_stands_once_when_asked() -> None:
    tracks = [Track("real", walk())]
    whole, part = player_html(tracks), player_html(tracks, script=False)
    assert whole == player_script() + part
    assert "function motionlabPlayer" not in part


def test_left_and_right_follow_the_joint_names() -> None:
    data = clip_data([Track("real", walk())])
    assert data["sides"][:3] == [0, 1, -1]
    assert sum(data["sides"]) == 0 and len(data["sides"]) == len(data["parents"]) == 22


@pytest.mark.parametrize(
    ("joints", "words"),
    [
        (np.zeros((4, 21, 3)), "shape (4, 21, 3)"),
        (np.zeros((0, 22, 3)), "shape (0, 22, 3)"),
        (np.zeros((22, 3)), "shape (22, 3)"),
        (np.where(np.arange(4)[:, None, None] == 2, np.nan, np.zeros((4, 22, 3))), "frame 2"),
    ],
)
def test_bad_joints_are_named(joints: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=r"track 'bad'") as error:
        clip_data([Track("bad", joints)])
    assert words in str(error.value)


def test_no_track_is_an_error() -> None:
    with pytest.raises(InputError, match="Add a Track"):
        player_html([])


@pytest.mark.parametrize("fps", [0, -30, float("nan"), float("inf")])
def test_time_has_to_pass(fps: float) -> None:
    with pytest.raises(InputError, match="fps: found .*, expected a finite number above 0"):
        clip_data([Track("a", walk())], fps=fps)
