"""Real files of twenty programs: right by the measure of their collection, or refused with the true reason."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.retargeting.retarget import Retargeted, retarget
from tests.motion.retargeting.bodies import deviations

# name: joints of the file that play a part which names alone do not tell
FILES = {
    "cmu_12_01_walk.bvh": {"spine3": "Spine1", "left_hip": "LeftUpLeg"},
    "cmu_renamed_jumping_jacks.bvh": {"spine3": "Chest2", "left_wrist": "LeftWrist"},
    "mvn_chain_z_up_dab.bvh": {"spine3": "Spine3"},
    "mixed_orders_z_up.bvh": {"spine2": "Spine1"},
    "rest_y_up_motion_z_up.bvh": {"spine1": "Spine"},
    "rokoko_dance.bvh": {"left_wrist": "LeftHand"},
    "smpl_names_generated.bvh": {"pelvis": "Pelvis", "left_foot": "Left_foot"},
    "no_neck_walk.bvh": {"spine2": "Spine"},
    "short_names_no_toes_walk.bvh": {"spine3": "Spine1"},
    "mocapbank_chest_names.bvh": {"spine1": "Chest"},
    "makehuman_leaf_hips_z_up_walk.bvh": {"left_hip": "UpLeg_L", "left_collar": "Clavicle_L"},
    "mixamo_positions_on_every_joint.bvh": {"neck": "mixamorig:Neck"},
    "geno_one_frame.bvh": {"spine3": "Spine3"},
    "makehuman_two_half_limbs_one_frame.bvh": {"left_hip": "upperleg01.L", "spine3": "spine01"},
}
# Bodies for which nobody can say how a bone is turned about its length from the rest pose alone.
CALIBRATED = ("rokoko_dance.bvh", "geno_one_frame.bvh")


def retarget_file(path: Path) -> Retargeted:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows more than the header announces
        motion = next(read_file(path)).motion
    assert isinstance(motion, SourceMotion)
    return retarget(motion)


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_right(name: str, real_motion: Callable[[str], Path]) -> None:
    result = retarget_file(real_motion(name))
    assert FILES[name].items() <= result.mapping.items()
    found = deviations(result)
    assert found["limbs"] < 10 and found["hips"] < 15 and found["heading"] < 15
    assert found["shoulders"] < 20 and found["trunk"] < 20
    joints = result.motion.joints()
    height = float((joints[:, 15, 1] - joints[:, [7, 8], 1].amin(-1)).median())
    assert 0.9 < height < 1.6  # head above ankles: people who stand, dance and crouch, none of them upside down
    assert float(joints[..., 1].amin(-1).median()) < 0.1
    # Nobody walks faster than 3 m/s here, and a clip at a wrong rate would.
    if len(joints) > 1:
        assert float(joints[:, 0].diff(dim=0).norm(dim=-1).median()) * result.motion.fps < 3
    assert any("does not stand" in note for note in result.notes) == (name in CALIBRATED)


def test_what_is_no_person_is_refused(real_motion: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="no right hip, left knee, right knee, left ankle, right ankle"):
        retarget_file(real_motion("rotation_first_root.bvh"))


def test_a_t_pose_before_the_motion_is_left_out(real_motion: Callable[[str], Path]) -> None:
    walk = retarget_file(real_motion("cmu_12_01_walk.bvh"))
    assert "The first frame, a T-pose with a jump" in walk.notes[0]
    steps = walk.motion.joints().diff(dim=0).norm(dim=-1)
    assert float(steps.max()) < 0.2
    assert 0.8 < float(steps[:, 0].median()) * walk.motion.fps < 1.2  # a walk, whatever the file's unit is
