"""Bodies of any kind come back on the 22 joints: bones keep their directions, and turns where they can be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.read import read_file, read_motion
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.frames import places_by_name
from motionlab.motion.retargeting.retarget import Retargeted, retarget
from motionlab.motion.retargeting.up import upright
from motionlab.motion.rotations import yaw_matrix
from motionlab.motion.skeleton import JOINT_NAMES, Skeleton, canonical_skeleton
from tests.motion.retargeting.bodies import AT, Z_UP, Rig, deviations, kinematics, sample, source_of, turned

NAMES = ("walk", "cmu_jump_7", "backflip", "boxing_fall")


def same_motion(result: Retargeted, motion: Motion, atol: float = 1e-4) -> None:
    shift = torch.zeros(272)
    shift[8 + 1 : 8 + 66 : 3] = (result.motion.features - motion.features)[:, 9].median()  # the floor may be elsewhere
    torch.testing.assert_close(result.motion.features - shift, motion.features, atol=atol, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_our_own_body_comes_back_unchanged(name: str) -> None:
    motion = sample(name)
    result = retarget(source_of(motion, Rig()))
    same_motion(result, motion, atol=2e-3)  # the samples are float16
    assert max(deviations(result).values()) < 0.1
    assert result.mapping == {joint: joint for joint in JOINT_NAMES} and not result.notes


def test_our_own_file_comes_back_unchanged(tmp_path: Path) -> None:
    motion = sample("kick")
    write_bvh(tmp_path / "kick.bvh", motion, unit="cm")
    same_motion(retarget_file(tmp_path / "kick.bvh"), motion, atol=2e-3)
    assert len(read_motion(tmp_path / "kick.bvh", fps=60)) == 2 * len(motion) - 1


def other_body() -> Skeleton:
    """Limbs as ours, but wide low hips, a bent spine, collars that slope: bones of CMU, MVN and MakeHuman bodies."""
    offsets = canonical_skeleton(torch.float64).offsets * 1.1
    offsets[AT["left_hip"]] += torch.tensor([0.06, 0.08, 0.02])
    offsets[AT["right_hip"]] += torch.tensor([-0.06, 0.08, 0.02])
    offsets[AT["spine1"]] += torch.tensor([0.0, 0.0, -0.05])
    offsets[AT["neck"]] += torch.tensor([0.0, -0.03, 0.04])
    for side in ("left", "right"):
        offsets[AT[f"{side}_collar"]] += torch.tensor([0.0, -0.1, 0.03])
    return Skeleton("other", offsets)


@pytest.mark.parametrize("written", [{}, {"unit": "cm", "up": "z", "order": "YXZ"}])
@pytest.mark.parametrize("body", ["own", "canonical"])
def test_our_own_file_of_another_body_keeps_its_rotations(written: dict[str, str], body: str, tmp_path: Path) -> None:
    motion = replace(sample("kick").to(dtype=torch.float64), skeleton=other_body())
    write_bvh(tmp_path / "a.bvh", motion, **written)
    source = next(read_file(tmp_path / "a.bvh")).motion
    assert isinstance(source, SourceMotion)
    result = retarget(source, body=body).motion
    torch.testing.assert_close(result.rotations().double(), motion.rotations(), atol=1e-4, rtol=0)
    if body == "own":  # metres and centimetres are told apart by the legs
        assert result.skeleton is not None
        torch.testing.assert_close(result.skeleton.offsets[1:].double(), other_body().offsets[1:], atol=1e-5, rtol=0)
    else:
        assert torch.equal(read_motion(tmp_path / "a.bvh").features, result.features)


def test_other_names_or_another_rest_pose_are_calibrated(tmp_path: Path) -> None:
    motion = replace(sample("kick"), skeleton=other_body())
    write_bvh(tmp_path / "a.bvh", motion)
    text = (tmp_path / "a.bvh").read_text()
    (tmp_path / "b.bvh").write_text(text.replace("spine3", "chest"))
    turned_by = turned(retarget_file(tmp_path / "b.bvh").motion.rotations(), motion.rotations())
    assert turned_by.max() > 2  # its names say nothing about its rotations, so bones are made to point as they do
    legs = other_body().offsets.clone()
    for joint in ("left_knee", "left_ankle", "right_knee", "right_ankle"):  # apart by 20 degrees, as CMU's
        legs[AT[joint]] += torch.tensor([0.15 if joint.startswith("left") else -0.15, 0.0, 0.0])
    write_bvh(tmp_path / "c.bvh", replace(motion, skeleton=Skeleton("apart", legs)))
    assert max(deviations(retarget_file(tmp_path / "c.bvh")).values()) < 10


def test_a_real_body_comes_back_from_our_file(real_motion: Callable[[str], Path], tmp_path: Path) -> None:
    walk = next(read_file(real_motion("cmu_12_01_walk.bvh"))).motion
    assert isinstance(walk, SourceMotion)
    motion = retarget(walk, body="own").motion
    write_bvh(tmp_path / "a.bvh", motion)
    again = next(read_file(tmp_path / "a.bvh")).motion
    assert isinstance(again, SourceMotion)
    back = retarget(again, body="own").motion
    torch.testing.assert_close(back.rotations(), motion.rotations(), atol=1e-4, rtol=0)
    torch.testing.assert_close(back.joints(), motion.joints("rotations"), atol=2e-3, rtol=0)


def retarget_file(path: Path) -> Retargeted:
    motion = next(read_file(path)).motion
    assert isinstance(motion, SourceMotion)
    return retarget(motion)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_folded_rest_pose_is_calibrated_from_a_t_pose(name: str, seed: int) -> None:
    motion = sample(name)
    result = retarget(source_of(motion, Rig(axes=Z_UP, scale=100, folded=seed, t_pose=20)))
    assert len(result.motion) == len(motion)
    assert max(deviations(result).values()) < 0.1
    angle = turned(result.motion.rotations()[:, 1:], motion.rotations()[:, 1:])
    assert angle.max() < 1  # degrees, every joint in every frame
    assert any("does not stand" in note for note in result.notes)
    assert any("T-pose" in note for note in result.notes)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_t_pose_directions_are_right_and_turns_are_close(name: str) -> None:
    motion = sample(name)
    result = retarget(source_of(motion, Rig(axes=Z_UP, scale=100, folded=3)))
    found = deviations(result)
    assert found.pop("trunk") < 2  # the back of the pelvis is as straight as the person stood
    assert max(found.values()) < 0.1
    angle = np.median(turned(result.motion.rotations(), motion.rotations()), axis=0)
    assert np.median(angle) < 15 and angle.max() < 60  # uncalibrated: up to 180


def test_knees_tell_the_turn_of_thighs_exactly() -> None:
    """DeepMimic's knees are perfect hinges, and nobody stands straight in this clip."""
    motion = sample("run")
    result = retarget(source_of(motion, Rig(folded=4)))
    angle = np.median(turned(result.motion.rotations(), motion.rotations()), axis=0)
    assert max(angle[AT["left_knee"]], angle[AT["right_knee"]], angle[AT["left_elbow"]], angle[AT["right_elbow"]]) < 1
    assert any("Knees and elbows" in note for note in result.notes)


@pytest.mark.parametrize("name", NAMES)
def test_places_alone_give_every_direction(name: str) -> None:
    motion = sample(name)
    result = retarget(source_of(motion, Rig(places_only=True, axes=Z_UP)))
    assert max(deviations(result).values()) < 0.1
    body = motion.joints() - motion.joints()[:, :1]
    ours = result.motion.joints() - result.motion.joints()[:, :1]
    heading = result.motion.root()[1][0] - motion.root()[1][0]
    assert abs(float(heading)) < 1e-4
    # The pelvis of the source may turn a little against the one that is found, and the whole clip with it.
    assert float((ours - body).norm(dim=-1).median()) < 0.03
    angle = np.median(turned(result.motion.rotations(), motion.rotations()), axis=0)
    assert np.median(angle) < 10
    assert any("places only" in note for note in result.notes)


@pytest.mark.parametrize("name", ["cmu_climb_down_1", "cmu_lean_over", "boxing_sit", "cmu_climb_up_2"])
def test_a_person_who_bows_all_the_time_has_no_bent_pelvis(name: str) -> None:
    """Nobody stands straight here, so how the trunk leans says nothing about the body."""
    motion = sample(name)
    result = retarget(source_of(motion, Rig(places_only=True)), up="y")
    assert turned(result.motion.rotations()[:, 0], motion.rotations()[:, 0]).max() < 1
    same = result.motion.joints() - motion.joints()
    assert float(same[..., [0, 2]].abs().max()) < 0.005  # so the facing of the first frame is that of the sample


@pytest.mark.parametrize("places_only", [False, True])
def test_the_world_may_be_turned_scaled_and_moved(places_only: bool) -> None:
    source = source_of(sample("walk"), Rig(places_only=places_only))
    expected = retarget(source).motion.features
    angle = 0.7
    yaw = torch.tensor(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]], dtype=torch.float64
    )
    for axes in (yaw, torch.from_numpy(Z_UP), torch.from_numpy(Z_UP) @ yaw, torch.from_numpy(Z_UP).T @ yaw):
        turned_source = replace(
            source,
            positions=40 * source.positions @ axes.T + torch.tensor([5.0, -3.0, 8.0]),
            rotations=None if source.rotations is None else axes @ source.rotations @ axes.T,
            rest=None if source.rest is None else 40 * source.rest @ axes.T,
        )
        result = retarget(turned_source)
        torch.testing.assert_close(result.motion.features, expected, atol=2e-4, rtol=0)
        assert max(deviations(result).values()) < 0.1


@pytest.mark.parametrize("places_only", [False, True])
def test_the_order_of_joints_does_not_matter(places_only: bool) -> None:
    source = source_of(sample("kick"), Rig(places_only=places_only))
    order = [0, 3, 6, 9, 14, 13, 12, 15, 17, 16, 19, 18, 21, 20, 2, 1, 5, 4, 8, 7, 11, 10]
    other = replace(
        source,
        joints=tuple(source.joints[joint] for joint in order),
        parents=tuple(-1 if joint == 0 else order.index(source.parents[joint]) for joint in order),
        positions=source.positions[:, order],
        rotations=None if source.rotations is None else source.rotations[:, order],
        rest=None if source.rest is None else source.rest[order],
    )
    torch.testing.assert_close(retarget(other).motion.features, retarget(source).motion.features)


def test_a_turn_is_resampled_by_the_clock_and_not_by_the_row() -> None:
    motion = sample("spin")
    source = source_of(motion, Rig())
    uneven = torch.cumsum(torch.tensor([0.0, *[0.02, 0.04] * 66]), 0).double()[: len(source)]
    result = retarget(replace(source, times=uneven))
    at = 10 * 2  # after 20 rows of 0.03 s on average, 0.6 s have passed: frame 18
    torch.testing.assert_close(
        result.motion.rotations()[18, 1:], motion.rotations()[at, 1:], atol=2e-3, rtol=0
    )  # fmt: skip


def test_its_own_bones() -> None:
    motion = sample("walk")
    source = source_of(motion, Rig())
    stretched = Skeleton("tall", canonical_skeleton(torch.float64).offsets * torch.linspace(1, 1.4, 22)[:, None])
    local, root = motion.rotations().double().numpy(), motion.root()[0].double().numpy()
    _, places = kinematics(local, root, stretched.offsets.numpy())
    rest = kinematics(np.tile(np.eye(3), (1, 22, 1, 1)), np.zeros((1, 3)), stretched.offsets.numpy())[1][0]
    tall = replace(source, positions=torch.from_numpy(places), rest=torch.from_numpy(rest), metres_per_unit=1.0)
    result = retarget(tall, body="own")
    assert result.motion.skeleton is not None
    torch.testing.assert_close(result.motion.skeleton.offsets[1:], stretched.offsets[1:], atol=5e-4, rtol=0)
    error = (result.motion.joints().double() - result.reference).norm(dim=-1)
    assert float(error.max()) < 1e-4
    assert float((result.motion.joints("rotations") - result.motion.joints()).norm(dim=-1).max()) < 1e-4
    canonical = retarget(tall)
    assert canonical.motion.skeleton is None and max(deviations(canonical).values()) < 12
    with pytest.raises(InputError, match="body: found 'theirs'"):
        retarget(tall, body="theirs")


def test_a_jump_out_of_a_pose_is_left_out() -> None:
    motion = sample("walk")
    still = source_of(motion, Rig(t_pose=1))
    result = retarget(still)
    assert len(result.motion) == len(motion) and "a T-pose with a jump" in result.notes[0]
    assert len(retarget(still, keep_start=True).motion) == len(motion) + 1
    posed = source_of(motion, Rig(t_pose=10))  # for a third of a second, but with a jump
    assert len(retarget(posed).motion) == len(motion)
    only = source_of(Motion(motion.features[:1]), Rig(t_pose=40))
    assert len(retarget(only).motion) == 1


def test_a_t_pose_that_is_the_whole_motion_is_kept() -> None:
    whole = source_of(Motion(sample("walk").features[:1]), Rig(t_pose=40))
    assert whole.rotations is not None
    cut = replace(
        whole, positions=whole.positions[:40], rotations=whole.rotations[:40], times=whole.times[:40]
    )  # without the one frame of walking
    result = retarget(cut)
    assert len(result.motion) == 40 and "The whole motion is a T-pose." in result.notes


def test_one_low_frame_does_not_lift_the_floor() -> None:
    motion = sample("cmu_turn_around_left")
    source = source_of(motion, Rig())
    low = source.positions.clone()
    low[20] -= torch.tensor([0.0, 0.5, 0.0])
    heights = retarget(replace(source, positions=low)).motion.joints()[..., 1].amin(-1)
    usual = retarget(source).motion.joints()[..., 1].amin(-1)
    assert float(heights.median() - usual.median()) < 0.01 and float(heights.min()) < -0.4
    up = replace(source, positions=source.positions + torch.tensor([0.0, 0.3, 0.0]))
    assert float(retarget(up, keep_heights=True).motion.joints()[..., 1].min()) > 0.25


def test_one_frame_is_enough() -> None:
    result = retarget(source_of(Motion(sample("walk").features[:1]), Rig()))
    assert len(result.motion) == 1


@pytest.mark.parametrize("name", ["crawl", "roll", "getup_facedown", "getup_faceup", "boxing_sit", "cmu_climb_up_1"])
def test_up_is_found_when_nobody_stands(name: str) -> None:
    motion = sample(name)
    same_motion(retarget(source_of(motion, Rig())), motion, atol=2e-3)
    same_motion(retarget(source_of(motion, Rig(axes=Z_UP))), motion, atol=2e-3)
    if name == "crawl":
        same_motion(retarget(source_of(motion, Rig(axes=Z_UP.T)), up="-z"), motion, atol=2e-3)
        with pytest.raises(InputError, match="up: found 'w'"):
            retarget(source_of(motion, Rig()), up="w")


@pytest.mark.parametrize("heading", range(0, 360, 45))
@pytest.mark.parametrize("name", ["boxing_sit", "crawl", "getup_faceup", "cmu_climb_down_1", "roll"])
def test_up_is_found_whichever_way_a_body_faces(name: str, heading: int) -> None:
    """A person who sits with legs stretched out must not be taken for one who stands along them."""
    source = source_of(sample(name), Rig())
    places = places_by_name(source.positions @ yaw_matrix(torch.tensor(np.radians(heading)).double()).T, AT)
    assert upright(places, source.times).name == "y"
    turned = {joint: value @ torch.from_numpy(Z_UP).T for joint, value in places.items()}
    found = upright(turned, source.times)
    assert found.name == "z" or name == "boxing_sit" and not found.certain


def test_the_pose_decides_about_up_and_not_the_rest_pose() -> None:
    motion = sample("walk")
    source = source_of(motion, Rig())
    turn = torch.from_numpy(Z_UP)  # the root turns by 90 degrees, the rest pose stays
    assert source.rotations is not None
    other = replace(source, positions=source.positions @ turn.T, rotations=turn @ source.rotations)
    same_motion(retarget(other), motion, atol=2e-3)


def test_hips_that_a_network_moved_against_the_pelvis() -> None:
    """Rotations of the pelvis and of the chest are noise; their places are right."""
    motion = sample("walk")
    source = source_of(motion, Rig())
    assert source.rotations is not None
    wild = source.rotations.clone()
    turns = torch.linspace(0, 3, len(wild), dtype=torch.float64)
    for frame, angle in enumerate(turns.tolist()):
        spin = torch.tensor([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        wild[frame, AT["pelvis"]] = spin.double() @ wild[frame, AT["pelvis"]]
        wild[frame, AT["spine3"]] = spin.double() @ wild[frame, AT["spine3"]]
    result = retarget(replace(source, rotations=wild))
    assert max(deviations(result).values()) < 1
    assert any("move against" in note for note in result.notes)


def test_an_animal_is_refused() -> None:
    """A body with all names of a person, whose trunk lies across legs and arms."""
    source = source_of(sample("cmu_stand"), Rig(places_only=True))
    animal = source.positions.clone()
    ground = animal[:, AT["left_ankle"], 1].mean()
    for joint, name in enumerate(JOINT_NAMES):
        if name in ("spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar"):
            animal[:, joint, 1], animal[:, joint, 2] = animal[:, 0, 1], animal[:, joint, 1]
        for part, height in (("shoulder", 0.9), ("elbow", 0.5), ("wrist", 0.1)):
            if name.endswith(part):
                side = 0.1 if name.startswith("left") else -0.1
                animal[:, joint] = animal[:, 0] + torch.tensor([side, 0.0, 0.5])
                animal[:, joint, 1] = ground + height
    with pytest.raises(InputError, match="a trunk across straight legs"):
        retarget(replace(source, positions=animal))


def test_bodies_without_lengths_are_refused() -> None:
    source = source_of(sample("walk"), Rig(places_only=True))
    with pytest.raises(InputError, match="source: found legs without length"):
        retarget(replace(source, positions=source.positions * 0))
    flat = source.positions.clone()
    flat[:, AT["left_hip"]] = flat[:, AT["right_hip"]]
    with pytest.raises(InputError, match="hips without length"):
        retarget(replace(source, positions=flat))


def test_a_wrong_unit_is_named() -> None:
    result = retarget(source_of(sample("walk"), Rig(scale=100)), metres_per_unit=1.0)
    assert any("legs would be 83.1 m long" in note for note in result.notes)


@pytest.mark.parametrize("name", ["spinkick", "dance_b", "spin", "walk"])
def test_a_leg_that_is_more_than_straight_does_not_flip(name: str) -> None:
    motion = sample(name)
    result = retarget(source_of(motion, Rig(places_only=True)))
    steps = [
        turned(rotations[1:], rotations[:-1]).max() for rotations in (result.motion.rotations(), motion.rotations())
    ]
    assert steps[0] < steps[1] + 25  # degrees from one frame to the next
