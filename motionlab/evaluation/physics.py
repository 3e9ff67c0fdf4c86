"""Does a motion look like something a body could do? Skating, floating, penetration, jerk, bones, drift.

A score of captions does not see quality: noise of 50 mm on every joint may leave it where it was. These numbers do, and
they need no network. None of them is zero for recorded motion (toes roll, dancers slide, who jumps floats), and none is
good because it is low: a body that stands still is perfect in all. So `physics_table` puts the value of real motion
next to each.

Foot skating by height, three ways. `skate_weighted`: v (2 - 2^(h/H)) with height h and limit H (Zhang et al.,
"Mode-Adaptive Neural Networks for Quadruped Motion Control", SIGGRAPH 2018). `skate_ratio`: the share of steps in which
a toe below 5 cm moves by more than 2.5 cm a frame at 20 fps (Karunratanakul et al., "Guided Motion Diffusion", ICCV
2023). `sliding`: of the toes near the floor, the share that moves faster than 30 cm/s; such a share does not fall
because a motion lifts its feet more often. By contacts: the mean speed of feet that stand (`motion/contacts.py`).
Floating and penetration are those of Yuan et al., "PhysDiff", ICCV 2023, on joints instead of a surface.

Everything is Y up, metres, and works on many clips at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation import physics_measures as measures
from motionlab.evaluation.embeddings import mean_interval
from motionlab.evaluation.intervals import Interval
from motionlab.motion.contacts import FEET
from motionlab.motion.features import POSITIONS, ROTATIONS, check_features, decode_positions, decode_rotations
from motionlab.motion.rotations import matrix_from_6d
from motionlab.motion.skeleton import JOINT_COUNT, Skeleton, canonical_skeleton, forward_kinematics

CLIPS_AT_ONCE = 256  # clips that are laid end to end
FLOOR = 0.05  # quantile of the lowest joint that stands for the floor where it is asked for


@dataclass(frozen=True)
class Physics:
    """The numbers of one motion, each a mean over its frames; nan where there is nothing to measure.

    Fields:
        skate_weighted: m/s. Speed of the toes along the floor, weighted by how near the floor they are.
        skate_ratio: share of steps with a toe below 5 cm that is faster than 0.5 m/s.
        sliding: share of the toes near the floor (below 7 cm) that are faster than 0.3 m/s.
        near_floor: share of toes and steps that `sliding` looks at. (Few: nothing was asked.)
        skate_contacts: m/s. Speed along the floor of feet in contact.
        in_contact: share of the frames in which a foot is in contact.
        float_mm: mm. Height of the lowest joint above the floor, where it is more than 5 mm.
        penetration_mm: mm. Depth of the lowest joint below the floor, where it is more than 5 mm.
        acceleration_mm: mm/frame^2. Length of the second difference, mean over joints.
        acceleration_m_s2: m/s^2. The same.
        jerk_mm: mm/frame^3. Length of the third difference, mean over joints.
        jerk_m_s3: m/s^3. The same.
        bone_drift_mm: mm. Distance of the bones' lengths from their means over the clip.
        bone_drift_percent: percent of the length. The same.
        path_drift_mm: mm. Distance of the pelvis on the floor from a reference that starts alike; nan without one.
        heading_drift_deg: degrees. Angle between its heading and that of the reference; nan without one.
        rotations_gap_mm: mm. Distance between the joints by the positions of features and by their rotations; nan
            without features.
    """

    skate_weighted: float
    skate_ratio: float
    sliding: float
    near_floor: float
    skate_contacts: float
    in_contact: float
    float_mm: float
    penetration_mm: float
    acceleration_mm: float
    acceleration_m_s2: float
    jerk_mm: float
    jerk_m_s3: float
    bone_drift_mm: float
    bone_drift_percent: float
    path_drift_mm: float = float("nan")
    heading_drift_deg: float = float("nan")
    rotations_gap_mm: float = float("nan")


UNITS: dict[str, str] = {
    "skate_weighted": "m/s", "skate_ratio": "share", "sliding": "share", "near_floor": "share",
    "skate_contacts": "m/s", "in_contact": "share", "float_mm": "mm", "penetration_mm": "mm",
    "acceleration_mm": "mm/frame^2", "acceleration_m_s2": "m/s^2", "jerk_mm": "mm/frame^3", "jerk_m_s3": "m/s^3",
    "bone_drift_mm": "mm", "bone_drift_percent": "%", "path_drift_mm": "mm", "heading_drift_deg": "degrees",
    "rotations_gap_mm": "mm",
}  # fmt: skip


def physics(
    joints: Tensor,
    fps: float = 30.0,
    *,
    contacts: Tensor | None = None,
    floor: float | None = 0.0,
    reference: Tensor | None = None,
    features: Tensor | None = None,
    skeleton: Skeleton | None = None,
) -> Physics:
    """The numbers of one motion.

    Args:
        joints: `[T, 22, 3]` metres, y up.
        fps: frames a second.
        contacts: `[T, 4]` bool, ankle and toe, left then right (`FEET`); found by height and speed if not given. A
            foot that slides is then no contact, so give those of the real motion where there is one.
        floor: its height in metres; motions of a data set stand at 0. None: the 5 % quantile of the lowest joint.
        reference: joints `[T, 22, 3]` of the real motion, for the drift.
        features: `[T, 272]` of the same motion, for `rotations_gap_mm`.
        skeleton: the bones for it, as in `Motion`.

    Raises:
        InputError: shapes that do not fit, an empty motion, or NaN.

    >>> still = torch.zeros(30, 22, 3)
    >>> still[:, [10, 11], 1] = 0.01
    >>> physics(still).jerk_mm, physics(still).sliding
    (0.0, 0.0)
    """
    table = physics_of_clips(
        [joints], fps, contacts=None if contacts is None else [contacts], floor=floor,
        reference=None if reference is None else [reference], features=None if features is None else [features],
        skeletons=None if skeleton is None else [skeleton],
    )  # fmt: skip
    return Physics(**{name: float(values[0]) for name, values in table.items()})


def physics_of_clips(
    clips: Sequence[Tensor],
    fps: float = 30.0,
    *,
    contacts: Sequence[Tensor] | None = None,
    floor: float | None = 0.0,
    reference: Sequence[Tensor] | None = None,
    features: Sequence[Tensor] | None = None,
    skeletons: Sequence[Skeleton | None] | None = None,
) -> dict[str, np.ndarray]:
    """`physics` of many motions: for every field of `Physics` that can be measured one number a clip, `[C]`."""
    for values, width in ((clips, (JOINT_COUNT, 3)), (contacts, (len(FEET),)), (reference, (JOINT_COUNT, 3))):
        _check(clips, values, width)
    if not fps > 0:
        raise InputError("fps", found=fps, expected="a positive number", fix="Give the frame rate.")
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(clips), CLIPS_AT_ONCE):
        part = slice(start, start + CLIPS_AT_ONCE)
        some = [clip if clip.dtype == torch.float64 else clip.float() for clip in clips[part]]
        laid = measures.Laid.of(some)
        ground = torch.stack([_floor(clip, floor) for clip in some])  # [C]
        given = measures.contacts_of(some, fps, ground) if contacts is None else torch.cat(list(contacts[part])).bool()
        found = {
            **measures.skating(laid, fps, ground),
            **measures.skating_contacts(laid, fps, given),
            **measures.floor_contact(laid, ground),
            **measures.smoothness(laid),
            **measures.bone_drift(laid),
        }
        found["acceleration_m_s2"] = found["acceleration_mm"] / measures.MM * fps**2
        found["jerk_m_s3"] = found["jerk_mm"] / measures.MM * fps**3
        if reference is not None:
            found |= measures.drift(laid, measures.Laid.of([clip.to(laid.joints) for clip in reference[part]]))
        parts.append(found)
    table = {field: torch.cat([part[field] for part in parts]).numpy() for field in UNITS if field in parts[0]}
    if features is not None:
        _check(clips, features, None)
        bones = [None] * len(clips) if skeletons is None else skeletons
        table["rotations_gap_mm"] = _rotations_gaps(features, bones)
    return table


def physics_of(
    clips: Sequence[Tensor], fps: float = 30.0, *, groups: Sequence[Any] | None = None, **more: Any
) -> dict[str, Interval]:
    """The mean of every number over the clips with its 95 % interval over clips (or groups of them, such as takes).

    Clips that have nothing to measure are left out of a number, and its `n` says so.

    Args:
        more: as in `physics_of_clips`.
    """
    summary: dict[str, Interval] = {}
    for name, values in physics_of_clips(clips, fps, **more).items():
        known = np.isfinite(values)
        if known.any():
            kept = None if groups is None else [g for g, used in zip(groups, known, strict=True) if used]
            summary[name] = mean_interval(values[known], kept)
    return summary


def physics_table(motions: Mapping[str, Mapping[str, Interval]], real: Mapping[str, Interval]) -> list[list[str]]:
    """Rows for a table: number, unit, real motion's own value, and then for each named set its value and the ratio.

    >>> made, real = {"jerk_mm": Interval(20.9, 20, 22, 64)}, {"jerk_mm": Interval(12.4, 12, 13, 64)}
    >>> for row in physics_table({"generated": made}, real):
    ...     print(row)
    ['', 'unit', 'real', 'generated', 'generated / real']
    ['jerk_mm', 'mm/frame^3', '12.4 (12 to 13)', '20.9 (20 to 22)', '1.69']
    """
    rows = [["", "unit", "real", *(cell for name in motions for cell in (name, f"{name} / real"))]]
    for field, unit in UNITS.items():
        if field not in real and not any(field in found for found in motions.values()):
            continue
        row = [field, unit, _cell(real.get(field))]
        for found in motions.values():
            both = field in found and field in real and real[field].value != 0
            row += [_cell(found.get(field)), f"{found[field].value / real[field].value:.2f}" if both else ""]
        rows.append(row)
    return rows


def rotations_gap(features: Tensor, skeleton: Skeleton | None = None) -> float:
    """Mean distance in mm between the joints by the positions `8:74` and by the rotations `140:272` of features.

    For recorded motion it is rounding. A network predicts both, and nothing makes them agree: a character that is
    driven by the rotations then does not do as the stick figure does.

    Args:
        features: `[T, 272]` physical units.
        skeleton: bones for the rotations; the canonical ones if not given.
    """
    check_features(features, "features")
    features = features.float()
    rotations, root = decode_rotations(features)
    turned = forward_kinematics(rotations, root, (skeleton or canonical_skeleton()).offsets)
    return float((turned - decode_positions(features)).norm(dim=-1).mean()) * measures.MM


def _rotations_gaps(clips: Sequence[Tensor], skeletons: Sequence[Skeleton | None]) -> np.ndarray:
    """`rotations_gap` of many clips `[C]`, those of one skeleton at once, and without their path.

    Path and heading move both kinds of joints alike, so the body's own frame, in which features are, gives the same.
    """
    gaps = np.empty(len(clips))
    for skeleton in {id(one): one for one in skeletons}.values():
        mine = [number for number, one in enumerate(skeletons) if one is skeleton]
        for start in range(0, len(mine), CLIPS_AT_ONCE):
            part = mine[start : start + CLIPS_AT_ONCE]
            for number in part:
                check_features(clips[number], "features")
            laid = torch.cat([clips[number].float() for number in part])  # [S, 272], S frames of all clips
            joints = laid[:, POSITIONS].unflatten(-1, (JOINT_COUNT, 3))  # [S, 22, 3]
            rotations = matrix_from_6d(laid[:, ROTATIONS].unflatten(-1, (JOINT_COUNT, 6)))  # [S, 22, 3, 3]
            pelvis = joints[:, 0] * joints.new_tensor((0.0, 1.0, 0.0))  # [S, 3]
            turned = forward_kinematics(rotations, pelvis, (skeleton or canonical_skeleton()).offsets)  # [S, 22, 3]
            away = (turned - joints).norm(dim=-1).mean(-1)  # [S]
            for number, clip in zip(part, away.split([len(clips[number]) for number in part]), strict=True):
                gaps[number] = float(clip.mean()) * measures.MM
    return gaps


def _cell(found: Interval | None) -> str:
    return "" if found is None else f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"


def _floor(joints: Tensor, floor: float | None) -> Tensor:
    if floor is None:
        return torch.quantile(joints[..., 1].amin(-1), FLOOR)
    return joints.new_tensor(floor)


def _check(clips: Sequence[Tensor], values: Sequence[Tensor] | None, width: tuple[int, ...] | None) -> None:
    """Every clip has frames, and `values` as many as it, each of the right width."""
    if values is None:
        return
    if len(values) == 0 or len(values) != len(clips):
        raise InputError("clips", found=f"{len(values)} for {len(clips)}", expected="one or more", fix="Give clips.")
    for number, (clip, value) in enumerate(zip(clips, values, strict=True)):
        shape = tuple(value.shape)
        if value.ndim < 2 or len(value) == 0 or len(value) != len(clip) or (width and shape[1:] != width):
            expected = f"({len(clip) or 'T'}, {', '.join(map(str, width or (272,)))})"
            raise InputError(f"clip {number}", found=f"shape {shape}", expected=expected, fix="Pass motion.joints().")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError(f"clip {number}", found="NaN or infinity", expected="finite numbers", fix="Leave it out.")
