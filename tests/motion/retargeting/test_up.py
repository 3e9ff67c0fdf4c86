"""Which way is up, over all bundled motions and all six directions: right, or said to be uncertain."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Literal

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.retargeting.frames import places_by_name
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.retargeting.up import UPRIGHT, Upright, upright
from motionlab.motion.retargeting.verdict import judge
from motionlab.motion.rotations import axis_angle_to_matrix
from motionlab.motion.skeleton import JOINT_NAMES
from tests.motion.retargeting.bodies import AT, Rig, sample, source_of

INDEX = {name: index for index, name in enumerate(JOINT_NAMES)}
Rest = Literal["none", "same axes", "y up"]


@cache
def plain(name: str) -> SourceMotion:
    return source_of(sample(name), Rig())


def turned(name: str, up: str, rest: Rest) -> SourceMotion:
    """A sample in a file in which `up` points up."""
    source, axes = plain(name), torch.tensor(UPRIGHT[up], dtype=torch.float64)  # rows times it: from y up to the file's
    assert source.rest is not None
    resting = {"none": None, "same axes": source.rest @ axes, "y up": source.rest}[rest]
    return replace(source, positions=source.positions @ axes, rotations=None, rest=resting)


def found(source: SourceMotion, frames: slice = slice(None)) -> Upright:
    rest = None if source.rest is None else places_by_name(source.rest.double(), INDEX)
    return upright(places_by_name(source.positions.double()[frames], INDEX), source.times[frames], rest)


@pytest.mark.parametrize("rest", ["none", "same axes", "y up"])
def test_all_samples_in_all_axes(rest: Rest) -> None:
    """Walks, climbs, crawls, rolls, cartwheels, falls: 55 motions, six directions."""
    counts: Counter[str] = Counter()
    for one in load_samples():
        for up in UPRIGHT:
            result = found(turned(one.name, up, rest))
            counts[
                "right" if result.name == up and result.certain else "doubtful" if not result.certain else "wrong"
            ] += 1
    assert counts["wrong"] == 0 and counts["right"] >= 320 and sum(counts.values()) == 330


def test_parts_of_a_second_are_rarely_wrong_without_a_doubt() -> None:
    wrong = total = 0
    for one in load_samples():
        for up in UPRIGHT:
            source = turned(one.name, up, "none")
            for begin in range(0, max(1, len(source) - 29), 30):
                result = found(source, slice(begin, begin + 30))
                wrong += result.name != up and result.certain and result.note is None
                total += 1
    assert total > 500 and wrong < 0.02 * total


@pytest.mark.parametrize("up", ["y", "z"])
def test_somebody_who_lies_still(up: str) -> None:
    """Places of a body that lies straight are those of one that stands: right, doubtful or at least a note."""
    stand = sample("cmu_stand")
    back = axis_angle_to_matrix(torch.tensor([-np.pi / 2, 0.0, 0.0], dtype=torch.float64)).numpy()
    axes = np.array(UPRIGHT[up]).T
    source = source_of(stand, Rig(axes=axes @ back, places_only=True))
    result = found(source)
    assert result.name == up or not result.certain or (result.note is not None and f"{up} is up" in result.note)
    lies = retarget(source, up=up).motion.joints()
    assert float((lies[:, AT["head"], 1] - lies[:, AT["left_ankle"], 1]).abs().max()) < 0.5


def test_a_doubt_is_no_right_clip() -> None:
    sits = turned("boxing_sit", "z", "none")
    result = retarget(sits)
    verdict = judge(result.motion, result.reference, sits.fps, result.doubts)
    assert verdict.verdict == "doubtful" and any("up is not certain" in reason for reason in verdict.reasons)
    said = retarget(sits, up="z")
    assert said.doubts == () and judge(said.motion, said.reference, sits.fps, said.doubts).verdict == "right"


def test_one_frame() -> None:
    for up in UPRIGHT:
        result = found(turned("walk", up, "none"), slice(0, 1))
        assert result.name == up
