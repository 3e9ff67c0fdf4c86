"""Which joint of a body is which of the 22: by name where names tell, by the tree where they do not.

Programs name the same knee LeftLeg, lShin, L_legLower0001_bind_JNT, LoLeg_L or left_knee. The words below, with left
and right written in the four usual ways, cover the BVH exports of twenty programs and archives. The spine has no
common names at all: its joints are those on the way from the pelvis to the neck.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from motionlab.errors import InputError
from motionlab.motion.skeleton import JOINT_COUNT, JOINT_NAMES

# The first word that a body has is taken.
_MIDDLE = {
    "pelvis": ("hips", "pelvis", "hip", "root"),
    "neck": ("neck", "neck1", "cneck1", "necklower", "lowerneck"),
    "head": ("head", "chead"),
}
_SIDES = {
    "hip": ("upleg", "thigh", "upperleg", "upperleg1", "legupper1", "legupper", "thighbend", "femur", "hip", "leg"),
    "knee": (
        *("knee", "shin", "calf", "lowleg", "lowerleg", "lowerleg1", "leglower1", "leglower", "loleg", "tibia"),
        "leg",
    ),
    "ankle": ("ankle", "foot", "foot1"),
    "foot": ("toebase", "toe", "toes", "toe0", "ball", "forefoot", "foot2", "foot"),
    "collar": ("collar", "clavicle", "shoulder"),
    "shoulder": (
        *("arm", "upperarm", "uparm", "upperarm1", "armupper1", "armupper", "shldr", "shldrbend", "humerus"),
        "shoulder",
    ),
    "elbow": (
        *("elbow", "forearm", "lowerarm", "lowerarm1", "lowarm", "armlower1", "armlower", "loarm", "forearmbend"),
        "radius",
    ),
    "wrist": ("wrist", "hand", "hand1"),
}  # fmt: skip
_PREFIX = re.compile(r"^(mixamorig\d*|bip0?\d+|model|joint|character\d*|armature)[ _.-]+(?=.)", re.IGNORECASE)
_SUFFIX = re.compile(r"[ _.-]+(bind[ _]jnt|jnt|bind|joint)$", re.IGNORECASE)
NEEDED = tuple(
    f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "shoulder", "elbow") for side in ("left", "right")
)


def find_joints(
    joints: Sequence[str], parents: Sequence[int], where: str, given: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Our joint name to the index of the source's joint. Neck, head, spine, collars, wrists and toes may be missing.

    Args:
        joints: names as the file writes them. Names `"0", "1", ...` of at least 22 joints are taken for the order of
            SMPL, whose first 22 joints are ours.
        parents: index of each joint's parent, -1 for none.
        where: for messages.
        given: our joint name to the file's, from a person who knows better. The rest is still looked for.

    Raises:
        InputError: a joint that is needed is not there, or `given` names joints that are not.

    >>> found = find_joints(("pelvis", "spine", "neck", "LThigh", "LShin", "LFoot", "RThigh", "RShin", "RFoot",
    ...     "LUpperArm", "LForeArm", "RUpperArm", "RForeArm"), (-1, 0, 1, 0, 3, 4, 0, 6, 7, 2, 9, 2, 11), "walk")
    >>> found["left_knee"], found["spine2"]
    (4, 1)
    """
    found = _given(given or {}, joints, where)
    if len(joints) >= JOINT_COUNT and list(joints) == [str(number) for number in range(len(joints))]:
        return {name: number for number, name in enumerate(JOINT_NAMES)} | found
    keys = _keys(joints)
    for name, words in _MIDDLE.items():
        _take(found, name, keys, words)
    for side in ("left", "right"):
        _find_side(found, side, keys)
    missing = [name.replace("_", " ") for name in NEEDED if name not in found]
    if missing:
        raise InputError(
            where,
            found=f"no {', '.join(missing)} among the joints {', '.join(joints[:40])}",
            expected="a person: hips, knees, ankles, shoulders and elbows of both sides",
            fix="Pass mapping={'left_hip': 'its name in the file', ...}, or leave the motion out.",
        )
    _correct_pelvis(found, parents)
    _find_spine(found, joints, parents, given or {})
    return {name: found[name] for name in JOINT_NAMES if name in found}


def _given(given: Mapping[str, str], joints: Sequence[str], where: str) -> dict[str, int]:
    wrong = [f"{ours}: {theirs}" for ours, theirs in given.items() if ours not in JOINT_NAMES or theirs not in joints]
    if wrong:
        raise InputError(
            where,
            found="a mapping of " + ", ".join(wrong),
            expected=f"names out of {', '.join(JOINT_NAMES)} to joints out of {', '.join(joints[:40])}",
            fix="Correct the mapping.",
        )
    return {ours: list(joints).index(theirs) for ours, theirs in given.items()}


def _keys(joints: Sequence[str]) -> dict[str, int]:
    """Simplified name to index. Helper joints (`__UpLeg_L`, next to a real `UpLeg_L`) have none."""
    keys: dict[str, int] = {}
    for index, joint in enumerate(joints):
        if joint.startswith("__"):
            continue
        name = _SUFFIX.sub("", _PREFIX.sub("", re.split(r"[:|]", joint)[-1]))
        key = re.sub(r"[^a-z0-9]", "", name.lower())
        key = re.sub(r"(?<!\d)0+(?=\d)", "", key)  # upperarm01 and legUpper0001 count from one
        keys.setdefault(key, index)  # of two joints with one name, that nearer to the root
    return keys


def _take(found: dict[str, int], name: str, keys: Mapping[str, int], words: Sequence[str]) -> None:
    for word in words:
        if name in found:
            return
        if word in keys and keys[word] not in found.values():
            found[name] = keys[word]


def _find_side(found: dict[str, int], side: str, keys: Mapping[str, int]) -> None:
    """The joints of one side. Each is taken once, so a `LeftFoot` below a `LeftAnkle` is the toe."""
    own: dict[str, int] = {}  # word without its side -> index
    for key, index in keys.items():
        for long in (side, side[0]):
            for word in (key.removeprefix(long), key.removesuffix(long), re.sub(rf"{long}(\d*)$", r"\1", key)):
                if word != key:
                    own.setdefault(word, index)
    order = ["ankle", "hip", "knee", "foot", "shoulder", "collar", "elbow", "wrist"]
    for joint in order:
        words = _SIDES[joint]
        if joint == "wrist" and "radius" in own:  # ASF: lwrist is a bone of the forearm's end, lhand begins the hand
            words = ("hand", "wrist")
        if joint == "ankle" and "ankle" not in own and "foot1" in own:
            words = ("foot1", "foot")
        _take(found, f"{side}_{joint}", own, words)


def _correct_pelvis(found: dict[str, int], parents: Sequence[int]) -> None:
    """The pelvis carries both hips. A joint of that name elsewhere in the tree is not it."""
    left, right = (_way_up(found[f"{side}_hip"], parents) for side in ("left", "right"))
    shared = [joint for joint in left[1:] if joint in right]
    if not shared:
        return  # no tree
    if found.get("pelvis") not in shared:
        found["pelvis"] = shared[0]


def _find_spine(found: dict[str, int], joints: Sequence[str], parents: Sequence[int], given: Mapping[str, str]) -> None:
    """First, middle and last joint between pelvis and neck. Of two, spine1 and spine3; one alone is spine2."""
    if "pelvis" not in found:
        return
    if any(name in given for name in ("spine1", "spine2", "spine3")):
        return
    arms = "collar" if {"left_collar", "right_collar"} <= set(found) else "shoulder"
    ways = [_way_up(found[f"{side}_{arms}"], parents)[1:] for side in ("left", "right")]
    chest = next((joint for joint in ways[0] if joint in ways[1]), None)  # the joint that carries both arms
    if chest is None:
        _spine_by_name(found, joints)
        return
    below = set(_way_up(found["pelvis"], parents))
    taken = set(found.values())
    way = []
    for joint in _way_up(chest, parents):
        if joint in below:
            break
        if joint not in taken and not joints[joint].startswith("__") and "neck" not in joints[joint].lower():
            way.append(joint)
    way.reverse()
    if len(way) == 1:
        found["spine2"] = way[0]
    elif len(way) >= 2:
        found["spine1"], found["spine3"] = way[0], way[-1]
        if len(way) > 2:
            found["spine2"] = way[(len(way) - 1) // 2 if len(way) > 3 else 1]


def _spine_by_name(found: dict[str, int], joints: Sequence[str]) -> None:
    keys = _keys(joints)
    for name in ("spine1", "spine2", "spine3"):
        _take(found, name, keys, (name,))
    if not any(name in found for name in ("spine1", "spine2", "spine3")):
        _take(found, "spine2", keys, ("spine", "torso", "chest", "abdomen"))


def _way_up(joint: int, parents: Sequence[int]) -> list[int]:
    """A joint, its parent, and so on to the root."""
    way = [joint]
    while parents[way[-1]] >= 0:
        way.append(parents[way[-1]])
    return way
