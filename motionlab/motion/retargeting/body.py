"""Is it a person, how large is it, and how long are its bones?"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.formats.source import UNITS
from motionlab.motion.retargeting.frames import SHORT, Places, angle_between, leg_length
from motionlab.motion.retargeting.rest_pose import OURS
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, Skeleton, canonical_skeleton

OUR_LEG = leg_length(OURS)  # metres


def check_person(places: Places, where: str) -> None:
    """Refuse bodies that have the joints of a person and are none.

    Args:
        places: over time, `[T, 3]` each.

    Raises:
        InputError: legs, hips or trunk without length; an animal on four legs.
    """
    leg = leg_length(places)
    if leg <= 1e-9:
        _refuse(where, "legs without length", "places of hips, knees and ankles that differ")
    for what, start, end in (("hips", "left_hip", "right_hip"), ("a trunk", "middle", "top")):
        if float((places[end] - places[start]).norm(dim=-1).median()) < SHORT * leg:
            _refuse(where, f"{what} without length", "places of joints that differ")
    if _four_legs(places):
        _refuse(where, "a trunk across straight legs and arms that stand next to them, in all frames", "a biped")


def without_direction(places: Places) -> list[str]:
    """Toes so near to the ankle that they do not say where a foot points (MVN bodies: straight below it)."""
    shortest = 0.08 * leg_length(places)  # a foot has 0.13 to 0.2 of a leg
    return [
        f"{side}_foot"
        for side in ("left", "right")
        if f"{side}_foot" in places
        and float((places[f"{side}_foot"] - places[f"{side}_ankle"]).norm(dim=-1).median()) < shortest
    ]


def scale_of(leg: float, body: str, metres_per_unit: float | None) -> tuple[float, str | None]:
    """Metres in a unit of the source, and a note.

    A canonical body has our legs whatever the unit is, so that scaled steps reach as far as scaled legs do.
    """
    notes = None
    if metres_per_unit is not None and not 0.2 < leg * metres_per_unit < 2:
        notes = f"With {metres_per_unit:g} m in a unit the legs would be {leg * metres_per_unit:.3g} m long."
    if body == "own" and metres_per_unit is not None:
        return metres_per_unit, notes
    if body == "own":
        unit = next((name for name, metres in UNITS.items() if 0.65 < leg * metres < 1.1), None)
        if unit is not None:
            return UNITS[unit], f"The file does not say its unit; legs of {leg:.3g} {unit} are a person's."
        notes = f"The file does not say its unit; the legs were given {OUR_LEG:.2f} m."
    return OUR_LEG / leg, notes


def own_skeleton(world: Tensor, places: Places, name: str) -> Skeleton:
    """Bones of the source, measured over a clip: each joint's mean place in the axes of its parent.

    Args:
        world: rotations of our joints in the world, `[T, 22, 3, 3]`.
        places: of the source's joints, metres, `[T, 3]` each. A joint that is not there gets our bone, scaled.
    """
    usual = canonical_skeleton(torch.float64).offsets * (leg_length(places) / OUR_LEG)
    offsets = [torch.zeros(3, dtype=torch.float64)]
    found = [places["pelvis"]]
    for joint in range(1, len(JOINT_NAMES)):
        parent = PARENTS[joint]
        offset = usual[joint]
        if JOINT_NAMES[joint] in places:
            offset = (world[:, parent].mT @ (places[JOINT_NAMES[joint]] - found[parent])[..., None])[..., 0].mean(0)
        offsets.append(offset)
        found.append(found[parent] + world[:, parent] @ offset)
    return Skeleton(name, torch.stack(offsets))


def _four_legs(places: Places) -> bool:
    """Trunk across the legs, legs straight, and arms parallel to them: no person moves so through a whole clip."""
    trunk = places["top"] - places["middle"]
    ankles = (places["left_ankle"] + places["right_ankle"]) / 2
    legs = ankles - places["middle"]
    end = "wrist" if {"left_wrist", "right_wrist"} <= set(places) else "elbow"
    arms = (places[f"left_{end}"] + places[f"right_{end}"]) - (places["left_shoulder"] + places["right_shoulder"])
    across = (angle_between(trunk, legs) - 90).abs() < 45
    straight = legs.norm(dim=-1) > 0.7 * leg_length(places)
    parallel = angle_between(arms, legs) < 45
    return bool((across & straight & parallel).float().mean() > 0.95)


def _refuse(where: str, found: str, expected: str) -> None:
    raise InputError(where, found=found, expected=expected, fix="Leave the motion out, or pass a mapping of joints.")
