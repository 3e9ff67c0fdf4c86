"""Markers of a full body around the joints of a sample, and a C3D file of them: for tests of the reader.

Each marker is put on the skin by its anatomy, from the joints and rotations of the sample: nothing is shared with the
estimates of the reader.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, global_rotations

# Left half: marker, the joint it moves with, and its place from that joint in the joint's own axes (x left, y up,
# z forward, metres; arms of the rest pose point sideways). The right half is the mirror image.
SKIN = {
    "ASI": ("pelvis", (0.118, 0.07, 0.075)),  # the width between them is 0.236: hips at 36 % of it
    "PSI": ("pelvis", (0.05, 0.09, -0.12)),
    "KNE": ("left_knee", (0.052, 0.0, 0.0)),
    "ANK": ("left_ankle", (0.042, 0.0, 0.0)),
    "HEE": ("left_ankle", (0.0, -0.05, -0.06)),
    "TOE": ("left_foot", (0.0, 0.0, 0.0)),
    "SHO": ("left_collar", (0.108, 0.0335 + 0.062, -0.009)),
    "ELB": ("left_elbow", (0.0, 0.036, 0.0)),  # the outer side of the elbow is up in a T-pose, palms down
    "WRA": ("left_wrist", (0.0, 0.0, 0.03)),
    "WRB": ("left_wrist", (0.0, 0.0, -0.03)),
    "FHD": ("head", (0.07, 0.06, 0.09)),
    "BHD": ("head", (0.07, -0.06, -0.09)),
    "FIN": ("left_wrist", (0.09, 0.0, 0.0)),
    "MT5": ("left_foot", (0.05, 0.0, -0.03)),
}
MIDDLE = {
    "C7": ("neck", (0.0, 0.03, -0.06)),
    "CLAV": ("neck", (0.0, -0.03, 0.06)),
    "T10": ("spine3", (0.0, 0.02, -0.12)),
    "STRN": ("spine3", (0.0, -0.02, 0.12)),
}


def markers(motion: Motion) -> dict[str, np.ndarray]:
    """Marker to `[T, 3]` millimetres, z up."""
    joints, turns = motion.joints().double(), global_rotations(motion.rotations().double())
    places = {}
    for name, (joint, offset) in MIDDLE.items():
        places[name] = (joint, offset)
    for name, (joint, (x, y, z)) in SKIN.items():
        places[f"L{name}"] = (joint, (x, y, z))
        places[f"R{name}"] = (joint.replace("left", "right"), (-x, y, z))
    to_file = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    result = {}
    for name, (joint, at) in places.items():
        index = JOINT_NAMES.index(joint)
        place = joints[:, index] + turns[:, index] @ torch.tensor(at, dtype=torch.float64)
        result[name] = (1000 * place @ to_file.T).numpy()
    return result


def write_c3d(
    ezc3d: Any,
    path: Path,
    values: dict[str, np.ndarray],
    fps: float,
    unit: str = "mm",
    subject: str = "",
    up: str | None = None,
) -> None:
    """A C3D file of markers `[T, 3]`; `up` as the file writes the axis that a screen shows upwards."""
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [fps]
    file["parameters"]["POINT"]["UNITS"]["value"] = [unit]
    file["parameters"]["POINT"]["LABELS"]["value"] = [subject + name for name in values]
    if up is not None:
        file.add_parameter("POINT", "Y_SCREEN", [up])
    points = np.ones((4, len(values), len(next(iter(values.values())))))
    points[:3] = np.stack(list(values.values()), axis=1).transpose(2, 1, 0)
    file["data"]["points"] = points
    file.write(str(path))
