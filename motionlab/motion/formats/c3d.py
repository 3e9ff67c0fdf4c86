"""Read C3D files of optical motion capture with the full-body Plug-in-Gait marker set: markers to joint centres.

Markers lie on the skin; joints lie inside. Each centre is a simple, published estimate, good to 2 or 3 cm:

| joint         | from                                                                                           |
|---------------|------------------------------------------------------------------------------------------------|
| hips          | middle of the ASIS markers, and of their distance 36 % outwards, 19 % back, 30 % down [1]       |
| pelvis        | the middle between the hips                                                                    |
| knees, ankles | the lateral marker, 5 and 4 cm inwards; the middle of both where there is a medial marker       |
| feet          | the toe marker                                                                                 |
| spine3, neck  | the middles of T10 and STRN, of C7 and CLAV                                                    |
| head          | the middle of the head markers                                                                 |
| shoulders     | below the acromion, by 17 % of the distance between the two [2]                                 |
| elbows        | the lateral marker, 3.5 cm along the hinge; the middle of both where there is a medial marker   |
| wrists        | the middle of both wrist markers                                                               |

[1] Bell, Pedersen and Brand, Journal of Biomechanics 23, 1990. [2] Rab, Petuskey and Bagley, Gait and Posture 15, 2002.

A hidden marker has a negative residual, or is NaN (with residual 0 when ezc3d wrote the file), or 0, 0, 0. Gaps up to
0.2 s are closed by straight lines, longer ones refused; frames before everything needed was seen, and after, are cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.motion.formats.c3d_file import read_c3d
from motionlab.motion.formats.numpy_motion import LARGEST, need_fps, times_at, wrong
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import UNITS, UPS, Reading, ReadOptions, SourceMotion
from motionlab.motion.retargeting.frames import unit
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

NEEDED = ("C7", "T10", "CLAV", "STRN", "LFHD", "RFHD") + tuple(
    f"{side}{name}" for side in "LR" for name in ("ASI", "PSI", "KNE", "ANK", "HEE", "TOE", "SHO", "ELB", "WRA", "WRB")
)
OPTIONAL = ("LBHD", "RBHD") + tuple(
    f"{side}{name}" for side in "LR" for name in ("KNM", "MKNE", "ANM", "MMA", "ELM", "MELB")
)
MEDIAL = {"KNE": ("KNM", "MKNE"), "ANK": ("ANM", "MMA"), "ELB": ("ELM", "MELB")}
LONGEST_GAP = 0.2  # seconds
KNEE, ANKLE, ELBOW = 0.05, 0.04, 0.035  # metres from a lateral marker to the centre of the joint
BENT = 0.25  # sine of the elbow's angle, below which it has no visible hinge
_EXPECTED = "a C3D file with a full-body marker set (Plug-in-Gait)"
_FIX = "Export the trial again, or take another one."


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    file = read_c3d(path, expected=_EXPECTED, fix=_FIX)
    values = np.where(np.abs(file.points) > LARGEST, np.nan, file.points)  # [T, N, 3]
    found = _by_name(path, file.labels, values)
    rate = file.rate if 0 < file.rate <= LARGEST else None
    fps = need_fps(path, options.fps if options.fps is not None else rate, "100, 120 and 200 are common")
    metres = options.metres(UNITS.get(file.unit.lower()))
    if metres is None:
        raise wrong(path, f"unit {file.unit[:20]!r}", ", ".join(UNITS), "Give --unit.")
    markers, start, notes = close_gaps(path, found, fps)
    places = joint_centres({name: torch.from_numpy(value) * metres for name, value in markers.items()})
    joints = [name for name in JOINT_NAMES if name in places]
    if start:
        notes.append(f"The first {start} frames were cut, because not all markers are seen in them.")
    motion = SourceMotion(
        path.stem,
        tuple(joints),
        tuple(_parent(name, joints) for name in joints),
        times_at(len(places["pelvis"]), fps),
        torch.stack([places[name] for name in joints], dim=1),
        metres_per_unit=1.0,
        up=options.up or _up(file.up),
    )
    yield Reading(motion, notes=("Joint centres were estimated from markers on the skin.", *notes))


def _up(written: str) -> str | None:
    """The axis that points up, when the file says so: "+Z" is "z"."""
    axis = written.lower().removeprefix("+")
    return axis if axis in UPS else None


def _by_name(path: Path, labels: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """Marker name without the subject's name to `[T, 3]`.

    Raises:
        InputError: markers of the full-body set are missing; they are named.
    """
    found: dict[str, np.ndarray] = {}
    for column, label in enumerate(labels):
        name = label.rsplit(":", 1)[-1].strip().upper()
        if name in NEEDED + OPTIONAL:
            found.setdefault(name, values[:, column])
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise wrong(
            path,
            f"no marker {', '.join(missing)}",
            "all markers of a full body: " + ", ".join(NEEDED),
            "Take a trial with the full-body Plug-in-Gait set; a part of a body is no motion of 22 joints.",
        )
    return found


def close_gaps(path: object, found: dict[str, np.ndarray], fps: float) -> tuple[dict[str, np.ndarray], int, list[str]]:
    """Markers without NaN, the number of frames cut at the start, and notes.

    Optional markers with longer gaps are left out.

    Raises:
        InputError: a needed marker is hidden for longer than 0.2 s between frames in which all were seen.
    """
    seen: np.ndarray = np.logical_and.reduce([np.isfinite(found[name]).all(1) for name in NEEDED])  # [T]
    if not seen.any():
        never = [name for name in NEEDED if not np.isfinite(found[name]).all(1).any()]
        raise wrong(path, f"no frame that shows {', '.join(never) or 'all markers at once'}", "one at least", _FIX)
    start, stop = int(seen.argmax()), len(seen) - int(seen[::-1].argmax())
    result, notes, closed = {}, [], 0
    if stop < len(seen):
        notes.append(f"The last {len(seen) - stop} frames were cut, because not all markers are seen in them.")
    for name, values in found.items():
        part = values[start:stop].copy()
        good = np.isfinite(part).all(1)
        longest = _longest_gap(good)
        if longest > LONGEST_GAP * fps or not good.any():
            if name in NEEDED:
                raise wrong(
                    path, f"marker {name} hidden for {longest / fps:.2f} s", f"gaps up to {LONGEST_GAP} s",
                    "Fill the gaps in the program that recorded it.",
                )  # fmt: skip
            continue
        if not good.all():
            closed += int((~good).sum())
            frames = np.arange(len(part))
            for axis in range(3):
                part[:, axis] = np.interp(frames, frames[good], part[good, axis])
        result[name] = part
    if closed:
        notes.append(f"{closed} hidden places of markers, in gaps up to {LONGEST_GAP} s, were interpolated.")
    return result, start, notes


def _longest_gap(good: np.ndarray) -> int:
    edges = np.flatnonzero(np.concatenate(([True], good, [True])))
    return int(np.diff(edges).max()) - 1


def joint_centres(markers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Joint name to `[T, 3]`, from markers `[T, 3]` in metres, in any axes."""
    left_asis, right_asis = markers["LASI"], markers["RASI"]
    middle = (left_asis + right_asis) / 2
    width = (left_asis - right_asis).norm(dim=-1).mean()
    left = unit(left_asis - right_asis)
    forward = _across(middle - (markers["LPSI"] + markers["RPSI"]) / 2, left)
    up = torch.linalg.cross(forward, left)
    places = {
        "spine3": (markers["T10"] + markers["STRN"]) / 2,
        "neck": (markers["C7"] + markers["CLAV"]) / 2,
        "head": torch.stack([markers[name] for name in ("LFHD", "RFHD", "LBHD", "RBHD") if name in markers]).mean(0),
    }
    shoulders = (markers["LSHO"] - markers["RSHO"]).norm(dim=-1).mean()
    trunk = unit(places["neck"] - places["spine3"])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        letter = side[0].upper()
        hip = middle + width * (sign * 0.36 * left - 0.19 * forward - 0.30 * up)
        toe, heel, ankle = (markers[f"{letter}{name}"] for name in ("TOE", "HEE", "ANK"))
        shank = unit(markers[f"{letter}KNE"] - ankle)
        outwards = sign * unit(torch.linalg.cross(shank, toe - heel))  # the axis of the ankle
        hinge = unit(outwards + sign * left)  # the knee's, between the ankle's and the hips'
        knee = _centre(markers, letter, "KNE", -KNEE * _across(hinge, unit(hip - markers[f"{letter}KNE"])))
        places |= {
            f"{side}_hip": hip,
            f"{side}_knee": knee,
            f"{side}_ankle": _centre(markers, letter, "ANK", -ANKLE * outwards),
            f"{side}_foot": toe,
        }
        shoulder = markers[f"{letter}SHO"] - 0.17 * shoulders * trunk
        wrist = (markers[f"{letter}WRA"] + markers[f"{letter}WRB"]) / 2
        axis = _elbow_axis(shoulder, markers[f"{letter}ELB"], wrist)
        places |= {
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": _centre(markers, letter, "ELB", sign * ELBOW * axis),
            f"{side}_wrist": wrist,
        }
    places["pelvis"] = (places["left_hip"] + places["right_hip"]) / 2
    return places


def _centre(markers: dict[str, Tensor], letter: str, name: str, inwards: Tensor) -> Tensor:
    """The middle of the lateral and the medial marker, or the lateral one moved inwards."""
    lateral = markers[f"{letter}{name}"]
    medial = next((markers[f"{letter}{one}"] for one in MEDIAL[name] if f"{letter}{one}" in markers), None)
    return lateral + inwards if medial is None else (lateral + medial) / 2


def _elbow_axis(shoulder: Tensor, elbow: Tensor, wrist: Tensor) -> Tensor:
    """The hinge of an elbow `[T, 3]`, inwards for the left one; zeros when the arm is never bent.

    A straight arm shows no hinge; there it is taken from the frames around it.
    """
    axis = torch.linalg.cross(unit(elbow - shoulder), unit(wrist - elbow))
    bent = (axis.norm(dim=-1) > BENT).numpy()
    if not bent.any():
        return torch.zeros_like(axis)
    frames = np.arange(len(axis))
    filled = [np.interp(frames, frames[bent], unit(axis)[bent, column].numpy()) for column in range(3)]
    return unit(torch.from_numpy(np.stack(filled, axis=1)))


def _across(vector: Tensor, axis: Tensor) -> Tensor:
    """The direction of `vector` at right angles to `axis`, which has length 1."""
    return unit(vector - (vector * axis).sum(-1, keepdim=True) * axis)


def _parent(name: str, joints: list[str]) -> int:
    """The nearest joint above that markers give."""
    joint = PARENTS[JOINT_NAMES.index(name)]
    while joint >= 0 and JOINT_NAMES[joint] not in joints:
        joint = PARENTS[joint]
    return joints.index(JOINT_NAMES[joint]) if joint >= 0 else -1


FORMAT = Format(
    name="C3D (full-body Plug-in-Gait markers)",
    suffixes=(".c3d",),
    carries="joint centres estimated from markers, frame rate, unit",
    loses="rotations (solved from the centres), collars, force plates; centres are 2 to 3 cm off",
    recognises=any_file,
    read=_read,
)
