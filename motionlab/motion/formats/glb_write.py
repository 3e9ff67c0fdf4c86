"""Write a motion as GLB, the binary form of glTF 2.0, which Blender, three.js and game engines open.

One file holds all: a tree of 22 nodes in the rest pose (a T-pose that stands on the floor), a stick figure skinned to
them, and an animation of each joint's rotation and of the pelvis' place. glTF counts in metres, y up, and a body
faces +z, as ours does, so numbers go in as they are.

A file is a header of 12 bytes and two chunks, each with its length and kind: JSON that describes, and the bytes that it
describes. A `bufferView` is a part of these bytes, an `accessor` says which numbers lie in it.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import printable
from motionlab.files import atomic_path
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.formats.stick_figure import stick_figure
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import matrix_to_quaternion
from motionlab.motion.skeleton import JOINT_COUNT, JOINT_NAMES, PARENTS, canonical_skeleton, forward_kinematics

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_FLOAT, _BYTE = 5126, 5121
_ARRAY_BUFFER = 34962
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


def write_glb(path: str | Path, motion: Motion) -> None:
    """Write a motion as one self-contained .glb.

    Keys are at the frames of the motion and LINEAR; the quaternions of a joint never change their sign from one frame
    to the next, so that a program that mixes two of them takes the short way.

    Raises:
        InputError: the motion is normalised, or the file cannot be written. No partial file is left.
    """
    offsets = (motion.skeleton or canonical_skeleton()).offsets.double()
    unturned = torch.eye(3, dtype=torch.float64).expand(JOINT_COUNT, 3, 3)
    rest = forward_kinematics(unturned, torch.zeros(3, dtype=torch.float64), offsets)  # [22, 3]
    pelvis = torch.tensor([0.0, -float(rest[:, 1].min()), 0.0], dtype=torch.float64)  # the lowest joint at 0
    rest = rest + pelvis
    document = _Document()
    nodes: list[dict[str, Any]] = []
    for joint, name in enumerate(JOINT_NAMES):
        place = pelvis if joint == 0 else offsets[joint]
        node: dict[str, Any] = {"name": name, "translation": [round(value, 9) + 0.0 for value in place.tolist()]}
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        nodes.append({**node, "children": children} if children else node)
    nodes.append({"name": "stick_figure", "mesh": 0, "skin": 0})
    content = {
        "asset": {"version": "2.0", "generator": "motionlab"},
        "scene": 0,
        "scenes": [{"name": "scene", "nodes": [0, JOINT_COUNT]}],
        "nodes": nodes,
        "meshes": [{"name": "stick_figure", "primitives": [_primitive(document, rest)]}],
        "materials": [{"name": "bones", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8}}],
        "skins": [{"joints": list(range(JOINT_COUNT)), "skeleton": 0, "inverseBindMatrices": _unbind(document, rest)}],
        "animations": [_animation(document, motion)],
    }
    binary = document.binary()
    described = document.described(content, len(binary))
    text = json.dumps(described, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)  # chunks are whole numbers of four bytes
    header = struct.pack("<III", _MAGIC, 2, 12 + 8 + len(text) + 8 + len(binary))
    with atomic_path(path) as temporary:
        temporary.write_bytes(
            header + struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(binary), _BIN) + binary
        )


class _Document:
    """Collects arrays as bytes, with their views and accessors."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(self, values: np.ndarray, *, vertices: bool = False, bounds: bool = False, share: bool = False) -> int:
        """Index of the accessor for `values` `[N]` or `[N, n]`, float32 or uint8.

        Args:
            vertices: they belong to a mesh.
            bounds: say the smallest and the largest value, which the format wants of places and times.
            share: bytes count as 0 to 1.
        """
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._bytes), "byteLength": values.nbytes}
        self._views.append({**view, "target": _ARRAY_BUFFER} if vertices else view)
        self._bytes += values.tobytes() + bytes(-values.nbytes % 4)
        table = values.reshape(len(values), -1)
        accessor: dict[str, Any] = {
            "bufferView": len(self._views) - 1,
            "componentType": _FLOAT if values.dtype == np.float32 else _BYTE,
            "count": len(table),
            "type": _KINDS[table.shape[1]],
        }
        if bounds:
            accessor |= {"min": table.min(0).tolist(), "max": table.max(0).tolist()}
        if share:
            accessor["normalized"] = True
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def binary(self) -> bytes:
        return bytes(self._bytes)

    def described(self, content: dict[str, Any], size: int) -> dict[str, Any]:
        return {
            **content,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": size}],
        }


def _primitive(document: _Document, rest: Tensor) -> dict[str, Any]:
    figure = stick_figure(rest)
    joints = np.zeros((len(figure.joints), 4), dtype=np.uint8)
    joints[:, 0] = figure.joints.numpy()
    weights = np.zeros((len(figure.joints), 4), dtype=np.float32)
    weights[:, 0] = 1.0
    attributes = {
        "POSITION": document.add(_floats(figure.corners), vertices=True, bounds=True),
        "NORMAL": document.add(_floats(figure.normals), vertices=True),
        "COLOR_0": document.add(figure.colours.numpy().astype(np.uint8), vertices=True, share=True),
        "JOINTS_0": document.add(joints, vertices=True),
        "WEIGHTS_0": document.add(weights, vertices=True),
    }
    return {"attributes": attributes, "material": 0}


def _unbind(document: _Document, rest: Tensor) -> int:
    """Matrices that move each joint of the rest pose to the origin, `[22, 16]`, column after column."""
    matrices = torch.eye(4, dtype=torch.float64).repeat(JOINT_COUNT, 1, 1)
    matrices[:, :3, 3] = -rest
    return document.add(_floats(matrices.mT.flatten(1)))


def _animation(document: _Document, motion: Motion) -> dict[str, Any]:
    rotations = motion.rotations().double()  # [T, 22, 3, 3]
    quaternions = continuous(matrix_to_quaternion(rotations))[..., [1, 2, 3, 0]]  # glTF writes x, y, z, w
    times = document.add((np.arange(len(motion)) / motion.fps).astype(np.float32), bounds=True)
    outputs = [("translation", 0, document.add(_floats(motion.root()[0])))]
    outputs += [("rotation", joint, document.add(_floats(quaternions[:, joint]))) for joint in range(JOINT_COUNT)]
    return {
        "name": printable(motion.name or "motion"),
        "samplers": [{"input": times, "interpolation": "LINEAR", "output": values} for _, _, values in outputs],
        "channels": [
            {"sampler": index, "target": {"node": joint, "path": path}}
            for index, (path, joint, _) in enumerate(outputs)
        ],
    }


def continuous(quaternions: Tensor) -> Tensor:
    """The same rotations `[T, ..., 4]`, each with the sign (q and -q are one rotation) nearest to the frame before."""
    dots = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True)  # [T-1, ..., 1]
    flips = torch.where(dots < 0, -1.0, 1.0).to(quaternions).cumprod(0)
    return torch.cat((quaternions[:1], quaternions[1:] * flips))


def _floats(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().cpu().float().numpy().astype("<f4"))


def _write(path: Path, motion: Motion, options: WriteOptions) -> None:
    write_glb(path, motion)


WRITER = Writer(
    name="glTF",
    key="glb",
    suffixes=(".glb",),
    loses="bones that change their length",
    write=_write,
)
