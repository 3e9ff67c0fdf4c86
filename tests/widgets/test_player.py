"""The Python side of the player widget. Its browser side runs in tests/notebooks/test_browser.py."""

from __future__ import annotations

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.plots.player import Track, player_source
from motionlab.widgets.player import SkeletonPlayer


def test_traits_follow_the_clip() -> None:
    player = SkeletonPlayer([Track("real", np.zeros((5, 22, 3))), Track("FSQ", np.zeros((3, 22, 3)))], "walks", fps=20)
    assert repr(player) == "<SkeletonPlayer: real, FSQ, 5 frames>"
    assert player.clip["fps"] == 20 and player.clip["caption"] == "walks"
    player.frame = 99
    assert player.frame == 4
    player.frame = -1
    assert player.frame == 0
    assert player.playing is False


def test_another_clip_begins_at_its_first_frame() -> None:
    player = SkeletonPlayer([Track("real", np.zeros((5, 22, 3)))], "walks")
    player.frame = 4
    player.show([Track("a", np.zeros((9, 22, 3))), Track("b", np.zeros((2, 22, 3)))], "runs")
    assert (player.frame, player.clip["caption"], len(player.clip["tracks"])) == (0, "runs", 2)
    assert repr(player) == "<SkeletonPlayer: a, b, 9 frames>"
    with pytest.raises(InputError):
        player.show([])
    assert repr(player) == "<SkeletonPlayer: a, b, 9 frames>" and player.clip["caption"] == "runs"


def test_it_is_the_same_script_as_in_the_report() -> None:
    source = str(SkeletonPlayer._esm)
    assert source.startswith(player_source()) and "export default" in source and "http" not in source


def test_errors_come_before_any_widget() -> None:
    with pytest.raises(InputError, match="Add a Track"):
        SkeletonPlayer([])
