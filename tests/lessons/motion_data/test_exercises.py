"""The checks of lesson 01: the reference passes, and each typical mistake gets the message that names it."""

from __future__ import annotations

import math

import torch

from lessons.motion_data.exercises import rotation_at, rows_to_matrix, split_by_take, walk_path
from motionlab.data.composed.samples import load_samples
from motionlab.motion.features import HEADING, ROOT_VELOCITY, decode_positions
from motionlab.motion.rotations import matrix_from_6d, slerp
from motionlab.motion.skeleton import MIRROR

FLIP = torch.tensor([-1.0, 1.0, 1.0])


def _rows(first, second):
    return torch.stack((first, second, torch.linalg.cross(first, second)))


MATRIX_MUTANTS = {
    "columns": (lambda six: matrix_from_6d(six).T, "columns"),
    "not stretched": (lambda six: _rows(six[:3], six[3:]), "length 1"),
    "not at right angles": (lambda six: _rows(six[:3] / six[:3].norm(), six[3:] / six[3:].norm()), "length 1"),
    "mirrored": (lambda six: matrix_from_6d(six) * torch.tensor([[1.0], [1.0], [-1.0]]), "first x second"),
    "second first": (lambda six: rows_to_matrix(torch.cat((six[3:], six[:3])))[[1, 0, 2]], "keeps its direction"),
    "one input": (lambda six: matrix_from_6d(torch.tensor([2.0, 0.5, -1.0, 0.3, 1.5, 0.4])), "one input only"),
    "flat": (lambda six: six, "(3, 3)"),
}


def _late(velocity, turn):
    """Each step in the heading of its own frame."""
    heading = turn.cumsum(0)
    x, z = velocity.unbind(-1)
    return torch.stack((heading.cos() * x + heading.sin() * z, heading.cos() * z - heading.sin() * x), -1).cumsum(0)


PATH_MUTANTS = {
    "not turned": (lambda velocity, turn: velocity.cumsum(0), "without being turned"),
    "late": (_late, "BEFORE"),
    "other way": (lambda velocity, turn: walk_path(velocity, -turn), "wrong way round"),
    "steps": (lambda velocity, turn: walk_path(velocity, turn).diff(dim=0, prepend=torch.zeros(1, 2)), "sum of all"),
    "degrees": (lambda velocity, turn: walk_path(velocity, turn * math.pi / 180), "frame 2"),
    "three numbers": (lambda velocity, turn: torch.zeros(5, 3), "one place (x, z)"),
}

MIRROR_MUTANTS = {
    "sign only": (lambda joints: joints * FLIP, "plays the right one"),
    "places only": (lambda joints: joints[list(MIRROR)], "crossed"),
    "upside down": (lambda joints: joints[list(MIRROR)] * torch.tensor([1.0, -1.0, 1.0]), "on its head"),
    "backwards": (lambda joints: joints[list(MIRROR)] * torch.tensor([1.0, 1.0, -1.0]), "backwards"),
    "reversed": (lambda joints: joints.flip(0) * FLIP, "in the middle"),
    "flat": (lambda joints: joints.flatten(), "(22, 3)"),
}


def _between(way, sign=True):
    def at(rotations, fps, seconds):
        place = min(max(seconds * fps, 0.0), len(rotations) - 1.0)
        before = min(int(place), len(rotations) - 2)
        one, other = rotations[before], rotations[before + 1]
        if sign and float(one @ other) < 0:
            other = -other
        return way(one, other, place - before)

    return at


def _stretched(one, other, part):
    line = torch.lerp(one, other, part)
    return line / line.norm()


def _unsigned(one, other, part):
    angle = math.acos(float((one @ other).clamp(-1, 1)))
    return (math.sin((1 - part) * angle) * one + math.sin(part * angle) * other) / max(math.sin(angle), 1e-9)


SLERP_MUTANTS = {
    "straight": (_between(torch.lerp), "length 1"),
    "stretched": (_between(_stretched), "uneven"),
    "nearest": (_between(lambda one, other, part: one if part < 0.5 else other), "nearest"),
    "no sign": (_between(_unsigned, sign=False), "-q"),
    "way back": (_between(lambda one, other, part: slerp(other, one, torch.tensor(part))), "should be 30"),
    "first two": (lambda rotations, fps, seconds: rotation_at(rotations[:2], fps, seconds % (1 / fps)), "1.5 frames"),
    "a matrix": (lambda rotations, fps, seconds: torch.eye(3), "(4,)"),
}

SPLIT_MUTANTS = {
    "by clip": (lambda takes, share: [i < share * len(takes) for i in range(len(takes))], "both sides"),
    "every fifth": (lambda takes, share: [i % 5 == 4 for i in range(len(takes))], "both sides"),
    "last takes": (lambda takes, share: [take == max(takes) for take in takes], "alphabetical"),
    "nothing": (lambda takes, share: [False] * len(takes), "one side"),
    "one share": (lambda takes, share: split_by_take(takes, 0.2), "0.2 only"),
    "share of takes": (
        lambda takes, share: [take in sorted(set(takes))[: max(1, int(share * len(set(takes))))] for take in takes],
        "not takes",
    ),
    "a set": (lambda takes, share: {"dance_1"}, "one truth value"),
}


def test_typical_mistakes_are_named(missed_mistakes) -> None:
    mutants = {
        "motion.rows_to_matrix": MATRIX_MUTANTS,
        "motion.walk_path": PATH_MUTANTS,
        "motion.mirror_pose": MIRROR_MUTANTS,
        "motion.rotation_at": SLERP_MUTANTS,
        "motion.split_by_take": SPLIT_MUTANTS,
    }
    assert missed_mistakes(mutants) == {}


def test_the_path_of_the_reference_is_that_of_the_features() -> None:
    sample = next(sample for sample in load_samples() if sample.name == "turn_left1")
    features = sample.motion.features.float()
    turn = -torch.atan2(features[:, HEADING][:, 2], features[:, HEADING][:, 0])  # its sine is in column 4, as -sin
    path = walk_path(features[:, ROOT_VELOCITY], turn)
    assert torch.allclose(path, decode_positions(features)[:, 0, [0, 2]], atol=1e-4)
