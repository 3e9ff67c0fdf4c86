"""SMPL poses: against the published conversion, and by what a body model would make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.smpl_write import REST_PELVIS, write_amass, write_smpl85
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import axis_angle_to_matrix
from motionlab.motion.skeleton import Skeleton, canonical_skeleton, forward_kinematics

SAMPLES = [sample.motion for sample in load_samples()]


def body_model(pose: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
    """Joints `[T, 22, 3]` as SMPL makes them, with our bones: rest pelvis, turned about itself, plus translation."""
    rotations = axis_angle_to_matrix(pose.reshape(-1, 22, 3))
    pelvis = torch.tensor(REST_PELVIS, dtype=torch.float64) + translation
    return forward_kinematics(rotations, pelvis, canonical_skeleton(torch.float64).offsets)


@pytest.mark.parametrize("motion", SAMPLES, ids=lambda motion: motion.name)
def test_a_body_model_stands_where_the_motion_does(motion: Motion, tmp_path: Path) -> None:
    write_amass(tmp_path / "a.npz", motion)
    write_smpl85(tmp_path / "a.npy", motion)
    wanted = motion.joints("rotations").double()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        poses, trans = torch.from_numpy(arrays["poses"]), torch.from_numpy(arrays["trans"])
        assert poses.shape == (len(motion), 156) and not poses[:, 66:].any() and not arrays["betas"].any()
        assert float(arrays["mocap_framerate"]) == 30 and str(arrays["gender"]) == "neutral"
    z_up = body_model(poses[:, :66], trans)
    y_up = torch.stack((z_up[..., 0], z_up[..., 2], -z_up[..., 1]), dim=-1)
    assert float((y_up - wanted).abs().max()) < 1e-5
    table = torch.from_numpy(np.load(tmp_path / "a.npy", allow_pickle=False))
    assert table.shape == (len(motion), 85) and table.dtype == torch.float32
    assert not table[:, 66:72].any() and not table[:, 75:].any()
    assert float((body_model(table[:, :66].double(), table[:, 72:75].double()) - wanted).abs().max()) < 1e-5


def test_the_pose_is_that_of_the_published_files(golden: Any, tmp_path: Path) -> None:
    """Features made from a real smpl_85 file become its pose again; the translation differs by one constant."""
    data = golden("motion272.npz")
    original = torch.from_numpy(data["smpl85_face_z"]).double()
    features = torch.from_numpy(data["features"]).float()
    motion = Motion(features, fps=60)
    motion = Motion(features, fps=60, skeleton=Skeleton.measure(motion.joints(), motion.rotations()))
    write_smpl85(tmp_path / "a.npy", motion)
    ours = torch.from_numpy(np.load(tmp_path / "a.npy", allow_pickle=False)).double()
    one, two = (axis_angle_to_matrix(table[:, :66].reshape(-1, 22, 3)) for table in (original, ours))
    assert float((one - two).abs().max()) < 1e-4
    shift = ours[:, 72:75] - original[:, 72:75]
    assert float((shift - shift[0]).abs().max()) < 1e-3
