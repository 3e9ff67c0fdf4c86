"""Read animations of glTF 2.0: .glb, .gltf and .vrma (VRM Animation).

A file is a tree of nodes, each with a translation, a rotation and a scale relative to its parent; an animation moves
some of these between keys. The nodes as they stand are the rest pose, and may be turned in it; a `SourceMotion` counts
turns from the rest pose, so a joint's turn is G(t) G(rest)^-1 with G its rotation in the world. The unit is the metre.

A file with several animations is several motions. Bones that the file calls by the names of the VRM standard get these
names (`hips`, `leftUpperArm` ...), whatever their nodes are called.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.formats.gltf_channels import WIDTHS, Track
from motionlab.motion.formats.gltf_file import GltfFile
from motionlab.motion.formats.joint_tree import check_size, unique_names
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.rotations import matrix_to_quaternion, quaternion_to_matrix

FPS = 30.0  # where keys are far apart: the motion is what lies between them
SPARSE = 0.1  # seconds without a key
SAME_TIME = 1e-4  # seconds: key times are float32, and tracks round them in their own way
LONGEST = 3600.0  # seconds of a motion that is sampled
MOST_NODES, MOST_ANIMATIONS = 20_000, 1000
_PLACES = {"translation": (0.0, 0.0, 0.0), "rotation": (0.0, 0.0, 0.0, 1.0), "scale": (1.0, 1.0, 1.0)}


def _parents(file: GltfFile, nodes: list[dict[str, Any]]) -> list[int]:
    parents = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        children = node.get("children", [])
        if not isinstance(children, list):
            file.fail(f"children that are a {type(children).__name__}", "a list")
        for child in children:
            child = file.integer(child, "child", len(nodes) - 1)
            if parents[child] >= 0:
                file.fail(f"node {child} with two parents", "a tree")
            parents[child] = index
    return parents


def _ordered(file: GltfFile, parents: list[int], wanted: set[int]) -> list[int]:
    """The wanted nodes, those above and those below them, parents before children."""
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(node)
    above = set(wanted)
    for node in wanted:
        while (node := parents[node]) >= 0 and node not in above:
            above.add(node)
    result: list[int] = []
    waiting = [(node, False) for node in reversed(range(len(parents))) if parents[node] < 0]
    while waiting:
        node, inside = waiting.pop()
        inside = inside or node in wanted
        if inside or node in above:
            result.append(node)
            waiting += [(child, inside) for child in reversed(children[node])]
    if not wanted <= set(result):
        file.fail("nodes that are their own parents", "a tree")
    return result


def _vrm_names(file: GltfFile) -> dict[int, str]:
    """Node to the name that the VRM standard has for it."""
    extensions = file.dictionary(file.document.get("extensions"), "extensions")
    for key in ("VRMC_vrm_animation", "VRMC_vrm", "VRM"):
        humanoid = file.dictionary(file.dictionary(extensions.get(key), key).get("humanoid"), "humanoid")
        bones = humanoid.get("humanBones")
        if isinstance(bones, list):  # VRM 0.x
            pairs = [(str(bone.get("bone")), bone) for bone in file.items(humanoid, "humanBones")]
        else:
            known = file.dictionary(bones, "humanBones")
            pairs = [(name, file.dictionary(bone, name)) for name, bone in known.items()]
        if pairs:
            last = len(file.items(file.document, "nodes")) - 1
            return {file.integer(bone.get("node"), f"node of {name[:40]}", last): name for name, bone in pairs}
    return {}


def _rest(file: GltfFile, node: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Translation, rotation (x, y, z, w) and scale of a node as it stands."""
    if "matrix" not in node:
        rest = {key: file.numbers(node.get(key, list(value)), len(value), key) for key, value in _PLACES.items()}
        if not 1e-3 < float(np.linalg.norm(rest["rotation"])) < 1e3:
            file.fail("a rotation that is no unit quaternion", "unit quaternions")
        return rest
    matrix = file.numbers(node["matrix"], 16, "matrix").reshape(4, 4).T
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    if not bool((scale > 1e-9).all()) or np.linalg.det(matrix[:3, :3] / scale) < 0.5:
        file.fail("a node with a matrix that mirrors or flattens", "a turn, a shift and a scale")
    turned = torch.from_numpy(matrix[:3, :3] / scale)
    w, *xyz = matrix_to_quaternion(turned).tolist()
    return {"translation": matrix[:3, 3], "rotation": np.array([*xyz, w]), "scale": scale}


def _tracks(file: GltfFile, animation: dict[str, Any], nodes: int) -> dict[tuple[int, str], Track]:
    samplers = file.items(animation, "samplers")
    result = {}
    for channel in file.items(animation, "channels"):
        target = file.dictionary(channel.get("target"), "target")
        path = target.get("path")
        if not isinstance(path, str) or path not in WIDTHS or "node" not in target:
            continue  # morph targets, and properties that extensions move
        node = file.integer(target["node"], "node", nodes - 1)
        sampler = samplers[file.integer(channel.get("sampler"), "sampler", len(samplers) - 1)]
        result[node, path] = Track(file, sampler, path)
    return result


def _moments(file: GltfFile, tracks: dict[tuple[int, str], Track], fps: float | None) -> NDArray[np.float64]:
    """Seconds, `[T]`: those of all keys together, or a steady rate where keys are far apart or a rate is asked for."""
    keys: NDArray[np.float64] = np.unique(np.concatenate([track.times for track in tracks.values()]))
    keys = keys[np.append(True, np.diff(keys) > SAME_TIME)]
    if fps is None and (len(keys) == 1 or float(np.diff(keys).max()) <= SPARSE + SAME_TIME):
        return keys
    duration = float(keys[-1] - keys[0])
    if duration > LONGEST or duration * (fps or FPS) > 1000 * LONGEST:
        file.fail(f"keys over {duration:.3g} s", f"at most {LONGEST:g} s")
    steps: NDArray[np.float64] = np.arange(int(duration * (fps or FPS) + 1e-3) + 1) / (fps or FPS)
    steps += keys[0]
    return steps


def _world(order: list[int], parents: list[int], local: list[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Turns `[T, J, 3, 3]` and places `[T, J, 3]` in the world; `local` has, for each node in order, `[T, n]` each."""
    index = {node: at for at, node in enumerate(order)}
    turns: list[Tensor] = []
    places: list[Tensor] = []
    linear: list[Tensor] = []  # turn and scale
    for at, node in enumerate(order):
        x, y, z, w = local[at]["rotation"].unbind(-1)
        turn = quaternion_to_matrix(torch.stack((w, x, y, z), dim=-1))  # [T, 3, 3]
        scaled = turn * local[at]["scale"][:, None, :]
        if (parent := index.get(parents[node], -1)) < 0:
            turns.append(turn)
            linear.append(scaled)
            places.append(local[at]["translation"])
        else:
            turns.append(turns[parent] @ turn)
            linear.append(linear[parent] @ scaled)
            places.append(places[parent] + (linear[parent] @ local[at]["translation"][..., None])[..., 0])
    return torch.stack(turns, dim=1), torch.stack(places, dim=1)


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    file = GltfFile(path)
    nodes, animations = file.items(file.document, "nodes"), file.items(file.document, "animations")
    if not animations or not nodes:
        raise InputError(path, found="no animation", expected="at least one", fix="Export the file with its animation.")
    if len(nodes) > MOST_NODES:
        file.fail(f"{len(nodes):,} nodes", f"at most {MOST_NODES:,}")
    if len(animations) > MOST_ANIMATIONS:
        file.fail(f"{len(animations):,} animations", f"at most {MOST_ANIMATIONS:,}")
    frames = 0  # of all animations: they may share the bytes of one
    parents, vrm = _parents(file, nodes), _vrm_names(file)
    for number, animation in enumerate(animations, start=1):
        tracks = _tracks(file, animation, len(nodes))
        if not tracks:
            continue
        order = _ordered(file, parents, {node for node, _ in tracks} | set(vrm))
        moments = _moments(file, tracks, options.fps)
        frames += len(moments)
        check_size(path, frames, len(order))
        still = [{key: torch.from_numpy(x)[None] for key, x in _rest(file, nodes[node]).items()} for node in order]
        moving = [
            {
                key: tracks[node, key].at(moments) if (node, key) in tracks else value.expand(len(moments), -1)
                for key, value in still[at].items()
            }
            for at, node in enumerate(order)
        ]
        rest_turns, rest = _world(order, parents, still)
        turns, places = _world(order, parents, moving)
        names, notes = unique_names([_name(nodes[node], node, vrm) for node in order])
        index = {node: at for at, node in enumerate(order)}
        yield Reading(
            SourceMotion(
                name=_title(path, animation, number, len(animations)),
                joints=names,
                parents=tuple(index.get(parents[node], -1) for node in order),
                times=torch.from_numpy(moments - moments[0]),
                positions=places,
                rotations=turns @ rest_turns.mT,
                rest=rest[0],
                metres_per_unit=options.metres(1.0),
                up=options.up or "y",  # as glTF 2.0 fixes it, section 3.4
            ),
            notes=tuple(notes),
        )


def _name(node: dict[str, Any], index: int, vrm: dict[int, str]) -> str:
    name = node.get("name")
    return vrm.get(index) or (name if isinstance(name, str) and name.strip() else f"node{index}")


def _title(path: Path, animation: dict[str, Any], number: int, count: int) -> str:
    if count == 1:
        return path.stem
    name = "".join(letter if letter.isalnum() else "_" for letter in str(animation.get("name", "")))[:60]
    return f"{path.stem}_{number}_{name}".rstrip("_")


FORMAT = Format(
    name="glTF, VRM animation",
    suffixes=(".glb", ".gltf", ".vrma"),
    carries="a skeleton in metres and its turns and places between keys; several animations in a file",
    loses="morph targets, and bytes that are compressed",
    recognises=any_file,
    read=_read,
)
