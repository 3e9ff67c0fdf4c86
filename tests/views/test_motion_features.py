"""Which of the 272 numbers belong together: read from the features by hand, and compared with the decoders."""

from __future__ import annotations

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.features import FEATURE_SLICES
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import matrix_to_6d
from motionlab.motion.skeleton import JOINT_NAMES
from motionlab.views.motion_features import bent_paths, compute_features, numbers_of


@pytest.fixture(scope="module")
def walk() -> Motion:
    return next(sample.motion for sample in load_samples() if sample.name == "walk")


def test_every_number_has_one_place() -> None:
    found = []
    for name in FEATURE_SLICES:
        for joint in JOINT_NAMES if name in ("positions", "velocities", "rotations") else ("pelvis",):
            numbers, labels = numbers_of(name, joint)
            assert len(numbers) == len(labels)
            found += numbers
    assert sorted(found) == list(range(272))


def test_a_joint_is_where_the_decoders_put_it(walk: Motion) -> None:
    for joint in ("left_elbow", "right_foot"):
        numbers, _ = numbers_of("rotations", joint)
        there = walk.rotations()[:, JOINT_NAMES.index(joint)]  # [T, 3, 3]
        assert torch.allclose(walk.features[:, numbers], matrix_to_6d(there), atol=2e-3)  # stored in float16
        height = numbers_of("positions", joint)[0][1]
        assert torch.equal(walk.features[:, height], walk.joints()[:, JOINT_NAMES.index(joint), 1])


def test_a_moment_of_a_clip(walk: Motion) -> None:
    view = compute_features(walk, 1.0, "velocities", "left_wrist")
    assert view.frame == 30 and view.curves.shape == (38, 3) and view.unit == "metres a frame"
    assert torch.equal(view.path, walk.joints()[:, 0, [0, 2]])
    assert torch.equal(view.pose[:, 1], walk.joints()[30, :, 1])
    assert compute_features(walk, walk.duration, "heading").frame == 37


@pytest.mark.parametrize(
    ("second", "name", "joint", "words"),
    [
        (9.0, "heading", "pelvis", "0 to 1.27"),
        (0.0, "speed", "pelvis", "root_velocity"),
        (0.0, "heading", "tail", "left_hip"),
    ],
)
def test_a_wrong_choice_is_named(walk: Motion, second: float, name: str, joint: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        compute_features(walk, second, name, joint)


def test_noise_bends_a_path_and_no_noise_does_not(walk: Motion) -> None:
    paths = bent_paths(walk, 0.0, (0, 1))
    assert all(torch.allclose(path, paths["as recorded"], atol=1e-6) for path in paths.values())
    ends = [
        float((path[-1] - paths["as recorded"][-1]).norm())
        for path in list(bent_paths(walk, 0.02, (0, 1)).values())[1:]
    ]
    assert max(ends) > 0.05 and ends[0] != ends[1]
    with pytest.raises(InputError, match="noise"):
        bent_paths(walk, -1.0, (0,))
