"""Names of joints: every family of bodies that was seen in public files is understood, and what is no person is not."""

from __future__ import annotations

import re

import pytest

from motionlab.errors import InputError
from motionlab.motion.retargeting.names import NEEDED, find_joints


def parse(text: str) -> tuple[list[str], list[int]]:
    """Names and parents, parents first."""
    names: list[str] = []
    parents: list[int] = []
    open_joints = [-1]
    for token in text.replace("(", " ( ").replace(")", " ) ").split():
        if token == "(":
            open_joints.append(len(names) - 1)
        elif token == ")":
            open_joints.pop()
        else:
            names.append(token)
            parents.append(open_joints[-1])
    return names, parents


def person(middle: str, left_arm: str, left_leg: str, right: tuple[str, str]) -> str:
    """A tree such as "Hips(Spine(Neck(Head) ARMS) LEGS)", with chains of joints of both sides in place of two words.

    Args:
        right: pattern and replacement that make a right joint of a left one.
    """

    def branch(joints: str) -> str:
        words = joints.split()
        return "(".join(words) + ")" * (len(words) - 1)

    def both(joints: str) -> str:
        other = " ".join(re.sub(*right, word) for word in joints.split())
        return f"{branch(joints)} {branch(other)}"

    return middle.replace("ARMS", both(left_arm)).replace("LEGS", both(left_leg))


LR = ("Left", "Right")
MIXAMO = person(
    "mixamorig7:Hips(mixamorig7:Spine(mixamorig7:Spine1(mixamorig7:Spine2(mixamorig7:Neck(mixamorig7:Head("
    "mixamorig7:HeadTop_End mixamorig7:LeftEye)) ARMS))) LEGS)",
    "mixamorig7:LeftShoulder mixamorig7:LeftArm mixamorig7:LeftForeArm mixamorig7:LeftHand mixamorig7:LeftHandThumb1",
    "mixamorig7:LeftUpLeg mixamorig7:LeftLeg mixamorig7:LeftFoot mixamorig7:LeftToeBase mixamorig7:LeftToe_End",
    LR,
)
# Family: its tree, and which of its joints is which of ours where one could err.
FAMILIES: dict[str, tuple[str, dict[str, str]]] = {
    "A CMU cgspeed": (
        person(
            "Hips(LHipJoint(LeftUpLeg(LeftLeg(LeftFoot(LeftToeBase)))) "
            "RHipJoint(RightUpLeg(RightLeg(RightFoot(RightToeBase)))) "
            "LowerBack(Spine(Spine1(Neck(Neck1(Head)) ARMS))))",
            "LeftShoulder LeftArm LeftForeArm LeftHand LeftFingerBase LeftHandIndex1",
            "",
            LR,
        ),
        {
            **{"spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck", "head": "Head"},
            **{"left_hip": "LeftUpLeg", "left_collar": "LeftShoulder", "left_shoulder": "LeftArm"},
            **{"right_foot": "RightToeBase"},
        },
    ),
    "A2 CMU renamed": (
        person(
            "Hips(LHipJoint(LeftHip(LeftKnee(LeftAnkle(LeftToe)))) "
            "RHipJoint(RightHip(RightKnee(RightAnkle(RightToe)))) "
            "lowerback(Chest(Chest2(lowerneck(Neck(Head)) ARMS))))",
            "LeftCollar LeftShoulder LeftElbow LeftWrist lhand LFingers",
            "",
            LR,
        ),
        {
            **{"spine1": "lowerback", "spine2": "Chest", "spine3": "Chest2", "neck": "Neck", "left_hip": "LeftHip"},
            **{"left_wrist": "LeftWrist", "left_foot": "LeftToe", "left_collar": "LeftCollar"},
        },
    ),
    "A3 CMU Daz": (
        "hip(lhipjoint(lhip(lknee(lfoot(lefttoebase)))) rhipjoint(rhip(rknee(rfoot(righttoebase)))) "
        "lowerback(abdomen(chest(neck(neck1(head)) lcollar(lshoulder(lelbow(lhand))) "
        "rcollar(rshoulder(relbow(rhand)))))))",
        {
            **{"pelvis": "hip", "spine1": "lowerback", "spine3": "chest", "left_hip": "lhip"},
            **{"left_foot": "lefttoebase"},
            **{"left_ankle": "lfoot", "left_shoulder": "lshoulder", "left_collar": "lcollar", "left_wrist": "lhand"},
        },
    ),
    "B Bandai-Namco": (
        person(
            "joint_Root(Hips(Spine(Chest(Neck(Head) ARMS)) LEGS))",
            "Shoulder_L UpperArm_L LowerArm_L Hand_L",
            "UpperLeg_L LowerLeg_L Foot_L Toes_L",
            ("_L$", "_R"),
        ),
        {
            **{"pelvis": "Hips", "spine1": "Spine", "spine3": "Chest", "left_collar": "Shoulder_L"},
            **{"left_shoulder": "UpperArm_L", "right_foot": "Toes_R", "left_elbow": "LowerArm_L"},
        },
    ),
    "C LAFAN1": (
        person(
            "Hips(LEGS Spine(Spine1(Spine2(Neck(Head) ARMS))))",
            "LeftShoulder LeftArm LeftForeArm LeftHand",
            "LeftUpLeg LeftLeg LeftFoot LeftToe",
            LR,
        ),
        {"spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "left_knee": "LeftLeg", "left_foot": "LeftToe"},
    ),
    "D Xsens": (
        person(
            "Hips(Chest(Chest2(Chest3(Chest4(Neck(Head) ARMS)))) LEGS)",
            "LeftCollar LeftShoulder LeftElbow LeftWrist Prop1",
            "LeftHip LeftKnee LeftAnkle LeftToe",
            LR,
        ),
        {"spine1": "Chest", "spine2": "Chest2", "spine3": "Chest4", "left_shoulder": "LeftShoulder"},
    ),
    "E MVN chain": (
        person(
            "Hips(Spine(Spine1(Spine2(Spine3(Neck(Neck1(Head)) ARMS)))) LEGS)",
            "LeftShoulder LeftArm LeftForeArm LeftHand LeftHandEnd",
            "LeftUpLeg LeftLeg LeftFoot LeftForeFoot",
            LR,
        ),
        {"spine1": "Spine", "spine3": "Spine3", "neck": "Neck", "left_foot": "LeftForeFoot"},
    ),
    "F Mixamo": (
        MIXAMO,
        {
            **{"pelvis": "mixamorig7:Hips", "spine2": "mixamorig7:Spine1", "head": "mixamorig7:Head"},
            **{"left_wrist": "mixamorig7:LeftHand", "left_foot": "mixamorig7:LeftToeBase"},
        },
    ),
    "G Rokoko": (
        person(
            "Hips(Spine(Spine1(Spine2(ARMS Neck(Head)))) LEGS)",
            "LeftShoulder LeftArm LeftForeArm LeftHand LeftInHandIndex LeftHandIndex1",
            "LeftUpLeg LeftLeg LeftFoot LeftToeBase",
            LR,
        ),
        {"spine3": "Spine2", "left_wrist": "LeftHand", "right_collar": "RightShoulder"},
    ),
    "H SMPL": (
        person(
            "Pelvis(LEGS Spine1(Spine2(Spine3(Neck(Head) ARMS))))",
            "Left_collar Left_shoulder Left_elbow Left_wrist Left_palm",
            "Left_hip Left_knee Left_ankle Left_foot",
            LR,
        ),
        {
            **{"pelvis": "Pelvis", "spine2": "Spine2", "left_collar": "Left_collar", "left_shoulder": "Left_shoulder"},
            **{"left_ankle": "Left_ankle", "left_foot": "Left_foot", "left_wrist": "Left_wrist"},
        },
    ),
    "J Daz": (
        person(
            "hip(abdomen(chest(neck(head(leftEye rightEye __tongue1 tongue1)) ARMS)) lButtock(lThigh(lShin(lFoot))) "
            "rButtock(rThigh(rShin(rFoot))))",
            "lCollar lShldr lForeArm lHand lThumb1",
            "",
            ("^l", "r"),
        ),
        {
            **{"pelvis": "hip", "spine1": "abdomen", "spine3": "chest", "left_hip": "lThigh", "left_knee": "lShin"},
            **{"left_shoulder": "lShldr", "right_ankle": "rFoot"},
        },
    ),
    "J MocapNET": (
        "hip(abdomen(chest(neck(neck1(head)) lcollar(lshoulder(lelbow(lhand))) rcollar(rshoulder(relbow(rhand))))) "
        "lbuttock(lhip(lknee(lfoot))) rbuttock(rhip(rknee(rfoot))))",
        {"left_hip": "lhip", "left_shoulder": "lshoulder", "left_ankle": "lfoot"},
    ),
    "K BioVision": (
        person(
            "Hips(LEGS Chest(Neck(Head) ARMS))",
            "LeftCollar LeftUpArm LeftLowArm LeftHand",
            "LeftUpLeg LeftLowLeg LeftFoot",
            LR,
        ),
        {"spine2": "Chest", "left_shoulder": "LeftUpArm", "left_elbow": "LeftLowArm", "left_knee": "LeftLowLeg"},
    ),
    "L mocapbank": (
        person(
            "Hips(Chest(Chest2(ARMS Neck(Head))) LEGS)",
            "LeftCollar LeftShoulder LeftElbow LeftWrist",
            "LeftHip LeftKnee LeftAnkle",
            LR,
        ),
        {"spine1": "Chest", "spine3": "Chest2", "left_ankle": "LeftAnkle"},
    ),
    "M short": (
        person(
            "Hips(LEGS Spine(Spine1(Neck(Head) ARMS)))",
            "LeftShoulder LeftArm LeftForeArm LeftHand",
            "LeftUpLeg LeftLeg LeftFoot",
            LR,
        ),
        {"spine1": "Spine", "spine3": "Spine1"},
    ),
    "N toes": (
        person(
            "Hips(Ab(Chest(Neck(Head) ARMS)) LEGS)",
            "LeftCollar LeftShoulder LeftElbow LeftWrist",
            "LeftHip LeftKnee LeftAnkle LeftToes",
            LR,
        ),
        {"spine1": "Ab", "spine3": "Chest", "left_foot": "LeftToes"},
    ),
    "O PyMO": (
        person(
            "Hips(Spine(Head ARMS) LEGS)",
            "LeftShoulder LeftArm LeftForeArm LeftHand LeftHandThumb1",
            "LeftUpLeg LeftLeg LeftFoot LeftToeBase",
            LR,
        ),
        {"spine2": "Spine", "head": "Head", "left_collar": "LeftShoulder"},
    ),
    "P SnapMoGen": (
        person(
            "ROOT(C_pelvis0001_bind_JNT(LEGS) C_spine0001_bind_JNT(C_spine0002_bind_JNT(C_spine0003_bind_JNT("
            "C_neck0001_bind_JNT(C_head_bind_JNT) ARMS))))",
            "L_clavicle_bind_JNT L_armUpper0001_bind_JNT L_armLower0001_bind_JNT L_hand0001_bind_JNT",
            "L_legUpper0001_bind_JNT L_legLower0001_bind_JNT L_foot0001_bind_JNT L_foot0002_bind_JNT",
            ("^L_", "R_"),
        ),
        {
            **{"spine1": "C_spine0001_bind_JNT", "spine3": "C_spine0003_bind_JNT", "neck": "C_neck0001_bind_JNT"},
            **{"left_ankle": "L_foot0001_bind_JNT", "left_foot": "L_foot0002_bind_JNT", "head": "C_head_bind_JNT"},
            **{"left_elbow": "L_armLower0001_bind_JNT", "left_wrist": "L_hand0001_bind_JNT"},
        },
    ),
    "Q MakeHuman old": (
        person(
            "Root(Spine1(Spine2(Spine3(Neck(Head(__Jaw(Jaw))) ARMS))) Hips(LEGS))",
            "__Clavicle_L Clavicle_L UpArm_L LoArm_L Hand_L __Thumb1_L Thumb1_L",
            "__UpLeg_L UpLeg_L LoLeg_L Foot_L Toe_L",
            ("_L$", "_R"),
        ),
        {
            **{"pelvis": "Hips", "spine1": "Spine1", "spine2": "Spine2", "spine3": "Spine3", "left_hip": "UpLeg_L"},
            **{"left_collar": "Clavicle_L", "left_shoulder": "UpArm_L", "right_foot": "Toe_R"},
        },
    ),
    "Q with Hips as a leaf": (
        person(
            "Root(Hips Spine1(Spine2(Spine3(Neck(Head) ARMS))) LEGS)",
            "Clavicle_L UpArm_L LoArm_L Hand_L",
            "UpLeg_L LoLeg_L Foot_L Toe_L",
            ("_L$", "_R"),
        ),
        {"pelvis": "Root", "spine1": "Spine1"},
    ),
    "R MakeHuman": (
        person(
            "root(spine05(spine04(spine03(spine02(spine01(neck01(neck02(head)) ARMS))))) "
            "pelvis.L(upperleg01.L(upperleg02.L(lowerleg01.L(lowerleg02.L(foot.L(toe1-1.L)))))) "
            "pelvis.R(upperleg01.R(upperleg02.R(lowerleg01.R("
            "lowerleg02.R(foot.R(toe1-1.R)))))))",
            "clavicle.L shoulder01.L upperarm01.L upperarm02.L lowerarm01.L lowerarm02.L wrist.L metacarpal1.L",
            "",
            (r"\.L$", ".R"),
        ),
        {
            **{"pelvis": "root", "spine1": "spine05", "spine2": "spine03", "spine3": "spine01", "neck": "neck01"},
            **{"left_collar": "clavicle.L", "left_shoulder": "upperarm01.L", "left_wrist": "wrist.L"},
            **{"left_hip": "upperleg01.L", "left_knee": "lowerleg01.L", "left_ankle": "foot.L"},
        },
    ),
    "S 3ds Max Biped": (
        person(
            "Bip01(Bip01_Pelvis(Bip01_Spine(Bip01_Spine1(Bip01_Neck(Bip01_Head ARMS)) LEGS)))",
            "Bip01_L_Clavicle Bip01_L_UpperArm Bip01_L_Forearm Bip01_L_Hand Bip01_L_Finger0",
            "Bip01_L_Thigh Bip01_L_Calf Bip01_L_Foot Bip01_L_Toe0",
            ("_L_", "_R_"),
        ),
        {
            **{"left_hip": "Bip01_L_Thigh", "left_foot": "Bip01_L_Toe0", "left_collar": "Bip01_L_Clavicle"},
            **{"neck": "Bip01_Neck", "left_elbow": "Bip01_L_Forearm", "spine3": "Bip01_Spine1"},
        },
    ),
    "Unreal": (
        person(
            "root(pelvis(spine_01(spine_02(spine_03(neck_01(head) ARMS))) LEGS))",
            "clavicle_l upperarm_l lowerarm_l hand_l index_01_l",
            "thigh_l calf_l foot_l ball_l",
            ("_l$", "_r"),
        ),
        {"pelvis": "pelvis", "spine2": "spine_02", "left_foot": "ball_l", "left_knee": "calf_l"},
    ),
    "Leg and shin": (
        person(
            "Hips(Spine1(Spine2(Chest(Neck1(Head) ARMS))) LEGS)",
            "LeftShoulder LeftArm LeftForeArm LeftHand",
            "LeftLeg LeftShin LeftFoot LeftToeBase",
            LR,
        ),
        {"left_hip": "LeftLeg", "left_knee": "LeftShin"},
    ),
    "CMU ASF": (
        person(
            "root(lhipjoint(lfemur(ltibia(lfoot(ltoes)))) rhipjoint(rfemur(rtibia(rfoot(rtoes)))) "
            "lowerback(upperback(thorax(lowerneck(upperneck(head)) ARMS))))",
            "lclavicle lhumerus lradius lwrist lhand lfingers",
            "",
            ("^l", "r"),
        ),
        {
            **{"spine1": "lowerback", "spine2": "upperback", "spine3": "thorax", "neck": "lowerneck"},
            **{"left_hip": "lfemur", "left_ankle": "lfoot", "left_foot": "ltoes", "left_wrist": "lhand"},
        },
    ),
}  # fmt: skip


WITHOUT_TOES = ("J Daz", "J MocapNET", "K BioVision", "L mocapbank", "M short", "R MakeHuman")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_understood(family: str) -> None:
    tree, expected = FAMILIES[family]
    names, parents = parse(tree)
    found = find_joints(names, parents, family)
    assert {ours: names[found[ours]] for ours in expected} == expected
    assert set(NEEDED) <= set(found)
    assert len(set(found.values())) == len(found)  # one joint plays one part
    for ours, at in found.items():  # left and right are read by one rule
        other = ours.replace("left", "right") if "left" in ours else ours.replace("right", "left")
        assert other in found and (found[other] != at or other == ours)
    assert ("left_foot" in found) == (family not in WITHOUT_TOES)


def test_names_do_not_depend_on_the_order_of_joints() -> None:
    names, parents = parse(FAMILIES["R MakeHuman"][0])
    found = find_joints(names, parents, "body")
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    order = sorted(range(len(names)), key=lambda index: (depth[index], -index))  # parents first, else turned round
    again = find_joints(
        [names[i] for i in order], [-1 if parents[i] < 0 else order.index(parents[i]) for i in order], "body"
    )
    assert {ours: order[at] for ours, at in again.items()} == found


def test_numbers_for_names_are_the_order_of_smpl() -> None:
    found = find_joints([str(number) for number in range(24)], (-1,) * 24, "joints")
    assert found["left_wrist"] == 20 and len(found) == 22


def test_key_points_have_neither_tree_nor_pelvis() -> None:
    parts = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = [f"{side}_{part}" for part in parts for side in ("left", "right")]
    found = find_joints(["nose", *names], (-1,) * 13, "coco")
    assert found["left_shoulder"] == 1 and "pelvis" not in found and "neck" not in found


def test_a_person_may_say_better() -> None:
    names, parents = parse(FAMILIES["M short"][0])
    names[names.index("LeftLeg")] = "Thing"
    with pytest.raises(InputError, match=r"walk: found no left knee among the joints Hips, .*mapping=\{'left_hip'"):
        find_joints(names, parents, "walk")
    found = find_joints(names, parents, "walk", {"left_knee": "Thing", "spine2": "Spine1"})
    assert names[found["left_knee"]] == "Thing" and found["spine2"] == names.index("Spine1")
    assert "spine1" not in found  # whoever names a part of the spine names all of it
    with pytest.raises(InputError, match="a mapping of left_knee: Knie"):
        find_joints(names, parents, "walk", {"left_knee": "Knie"})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("Hips(Spine(Head) LeftLeg)", "no right hip, left knee, right knee"),
        ("tail(fin(fin2))", "no left hip"),
        (
            "hip(waist(chest(lcollar(lshoulder(lelbow)) rcollar(rshoulder(relbow)))))",
            "no left hip, right hip, left knee, right knee, left ankle, right ankle among",
        ),
    ],
)
def test_bodies_without_legs_are_refused(tree: str, message: str) -> None:
    names, parents = parse(tree)
    with pytest.raises(InputError, match=message):
        find_joints(names, parents, "creature")
