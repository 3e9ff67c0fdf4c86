"""A GLB file, taken apart by its specification: the layout, the skin, and joints by forward kinematics of its nodes."""

from __future__ import annotations

import errno
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.glb_write import continuous, write_glb
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import quaternion_to_matrix
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, Skeleton, canonical_skeleton

SAMPLES = {sample.name: sample.motion for sample in load_samples()}
SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """The content of a file by the letter of the specification."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack_from("<I4s", content, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.json: dict[str, Any] = json.loads(content[20 : 20 + size])
        binary_size, kind = struct.unpack_from("<I4s", content, 20 + size)
        self.binary = content[28 + size :]
        assert kind == b"BIN\0" and binary_size % 4 == 0 and binary_size == len(self.binary)
        assert self.json["buffers"] == [{"byteLength": binary_size}]

    def values(self, index: int) -> np.ndarray:
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        dtype = np.dtype({5126: "<f4", 5121: "u1"}[accessor["componentType"]])
        shape = (accessor["count"], SIZES[accessor["type"]])
        assert view["byteOffset"] % 4 == 0 and view["byteLength"] == shape[0] * shape[1] * dtype.itemsize
        values = np.frombuffer(self.binary, dtype, shape[0] * shape[1], view["byteOffset"]).reshape(shape)
        if "min" in accessor:
            assert values.min(0).tolist() == accessor["min"] and values.max(0).tolist() == accessor["max"]
        return values


def animated(glb: Glb) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Times `[T]`, world matrices of the 22 nodes `[T, 22, 4, 4]`, quaternions (x, y, z, w) `[T, 22, 4]`."""
    animation = glb.json["animations"][0]
    times = None
    local: dict[tuple[int, str], torch.Tensor] = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        assert sampler["interpolation"] == "LINEAR"
        times = glb.values(sampler["input"])[:, 0]
        target = channel["target"]
        local[target["node"], target["path"]] = torch.tensor(glb.values(sampler["output"])).double()
    assert times is not None
    quaternions = torch.stack([local[joint, "rotation"] for joint in range(22)], dim=1)
    world: list[torch.Tensor] = []
    for joint, parent in enumerate(PARENTS):
        matrix = torch.eye(4, dtype=torch.float64).repeat(len(times), 1, 1)
        matrix[:, :3, :3] = quaternion_to_matrix(quaternions[:, joint][:, [3, 0, 1, 2]])
        node = glb.json["nodes"][joint]
        matrix[:, :3, 3] = local.get((joint, "translation"), torch.tensor(node["translation"]).double())
        world.append(matrix if parent < 0 else world[parent] @ matrix)
    return times, torch.stack(world, dim=1), quaternions


@pytest.mark.parametrize("name", list(SAMPLES))
def test_nodes_move_as_the_joints_do(name: str, tmp_path: Path) -> None:
    motion = SAMPLES[name]
    write_glb(tmp_path / "a.glb", motion)
    times, world, quaternions = animated(Glb(tmp_path / "a.glb"))
    assert float((world[:, :, :3, 3] - motion.joints("rotations")).abs().max()) < 2e-5
    np.testing.assert_allclose(times, np.arange(len(motion)) / 30, atol=1e-6)
    assert float((quaternions[1:] * quaternions[:-1]).sum(-1).min()) >= 0  # no sign flips between frames
    torch.testing.assert_close(quaternions.norm(dim=-1), torch.ones(len(motion), 22, dtype=torch.float64))


def test_the_tree_has_our_names_and_parents(tmp_path: Path) -> None:
    write_glb(tmp_path / "a.glb", SAMPLES["walk"])
    glb = Glb(tmp_path / "a.glb")
    nodes = glb.json["nodes"]
    assert [node["name"] for node in nodes] == [*JOINT_NAMES, "stick_figure"]
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            assert joint in nodes[parent]["children"]
    assert sum(len(node.get("children", [])) for node in nodes) == 21
    assert glb.json["animations"][0]["name"] == "walk"


def test_every_corner_of_the_figure_follows_one_joint(tmp_path: Path) -> None:
    """Skinning by the specification: world matrix times inverse bind matrix; the rest pose moves nothing."""
    motion = SAMPLES["cartwheel"]
    write_glb(tmp_path / "a.glb", motion)
    glb = Glb(tmp_path / "a.glb")
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    corners = torch.tensor(glb.values(attributes["POSITION"])).double()
    weights = glb.values(attributes["WEIGHTS_0"])
    joints = glb.values(attributes["JOINTS_0"])
    assert (weights == [1, 0, 0, 0]).all() and set(joints[:, 0]) <= set(range(22)) and not joints[:, 1:].any()
    unbind = torch.tensor(glb.values(glb.json["skins"][0]["inverseBindMatrices"])).double().reshape(22, 4, 4).mT
    rest = [torch.tensor(node["translation"]).double() for node in glb.json["nodes"][:22]]
    for joint, parent in enumerate(PARENTS):
        rest[joint] = rest[joint] + (rest[parent] if parent >= 0 else 0)
        torch.testing.assert_close(unbind[joint, :3, 3], -rest[joint], atol=1e-6, rtol=0)
    assert min(float(place[1]) for place in rest) == pytest.approx(0, abs=1e-6)  # the rest pose stands on the floor
    _, world, _ = animated(glb)
    skinned = world @ unbind  # [T, 22, 4, 4]
    whole = torch.cat((corners, torch.ones(len(corners), 1)), dim=1)
    owner = torch.tensor(joints[:, 0].astype(np.int64))
    moved = (skinned[:, owner] @ whole[:, :, None])[..., :3, 0]  # [T, V, 3]
    # A bone keeps its shape: distances of its corners to its own joint never change.
    places = world[:, owner, :3, 3]
    distance = (moved - places).norm(dim=-1)
    torch.testing.assert_close(distance, distance[:1].expand_as(distance), atol=1e-5, rtol=0)
    # The bone that ends at the left knee belongs to the left hip and has a corner at both.
    thigh = moved[:, owner == JOINT_NAMES.index("left_hip")]
    for end in ("left_hip", "left_knee"):
        gap = (thigh - world[:, JOINT_NAMES.index(end), None, :3, 3]).norm(dim=-1).min(1).values
        assert float(gap.max()) < 1e-5


def test_faces_look_outwards(tmp_path: Path) -> None:
    write_glb(tmp_path / "a.glb", SAMPLES["walk"])
    glb = Glb(tmp_path / "a.glb")
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    triangles = glb.values(attributes["POSITION"]).reshape(-1, 8, 3, 3)  # bones of eight triangles
    normals = glb.values(attributes["NORMAL"]).reshape(-1, 8, 3, 3)
    middle = triangles.mean((1, 2))[:, None]
    outwards = ((triangles.mean(2) - middle) * normals[:, :, 0]).sum(-1)
    assert (outwards > 0).all() and len(triangles) == 21 + 1 + 2


def test_a_body_of_its_own_and_a_single_frame(tmp_path: Path) -> None:
    offsets = canonical_skeleton().offsets.clone() * 1.3
    offsets[13] = 0  # a collar at the place of the chest
    motion = SAMPLES["walk"]
    own = Motion.from_joints_rotations(
        motion.joints()[:1], motion.rotations()[:1], name='a "b"\x1b', skeleton=Skeleton("own", offsets)
    )
    write_glb(tmp_path / "a.glb", own)
    glb = Glb(tmp_path / "a.glb")
    assert glb.json["nodes"][4]["translation"] == pytest.approx(offsets[4].tolist())
    assert glb.json["animations"][0]["name"] == 'a "b"\\x1b'
    times, world, _ = animated(glb)
    assert times.tolist() == [0.0]
    torch.testing.assert_close(world[:, :, :3, 3].float(), own.joints("rotations"), atol=1e-5, rtol=0)


def test_signs_follow_the_frame_before() -> None:
    turn = torch.linspace(0, 4 * torch.pi, 100)  # two whole turns
    quaternions = torch.stack((torch.cos(turn / 2), torch.sin(turn / 2), 0 * turn, 0 * turn), dim=-1)
    upper = torch.where(quaternions[:, :1] < 0, -quaternions, quaternions)  # as a conversion from matrices gives them
    torch.testing.assert_close(continuous(upper), quaternions)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"a\.glb: found No space left"):
        write_glb(tmp_path / "a.glb", SAMPLES["walk"])
    assert not list(tmp_path.iterdir())
