"""The page of an episode: pictures come back bit for bit, actions stand at their steps, faults are named."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from motionlab.errors import InputError
from motionlab.plots.robot_player import robot_player_page


def pictures(n: int = 3) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, 8, 16, 3), np.uint8))


def film(page: str) -> dict[str, Any]:
    found = re.search(r'querySelector\("div"\),(.*)\)</script>', page)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_page_holds_every_picture_and_action() -> None:
    actions = np.array([[0.5, -1, 0, 0, 0, 0.25, -1], [0, 0, 1, 0, 0, 0, 1]])
    page = robot_player_page(pictures(), actions, "pick </script> up", height=64)
    data = film(page)
    for stored, picture in zip(data["frames"], pictures(), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(stored)))), picture)
    assert data["width"] == 128 and data["caption"] == "pick </script> up"
    assert data["lines"][0] == "dx +0.50  dy -1.00  dz +0.00  droll +0.00  dpitch +0.00  dyaw +0.25  gripper open"
    assert data["lines"][1].endswith("gripper close") and len(data["lines"]) == 2
    assert page.count("</script>") == 1 and "http" not in page and "src=" not in page.partition("<script>")[0]


def test_faults() -> None:
    with pytest.raises(InputError, match="pictures: found none"):
        robot_player_page([])
    with pytest.raises(InputError, match="several kinds"):
        robot_player_page([*pictures(1), np.zeros((4, 4, 3), np.uint8)])
    with pytest.raises(InputError, match="4 actions for 3 pictures"):
        robot_player_page(pictures(), np.zeros((4, 7)))


def test_time_has_to_pass() -> None:
    with pytest.raises(InputError, match="fps: found 0, expected a finite number above 0"):
        robot_player_page(pictures(), fps=0)
