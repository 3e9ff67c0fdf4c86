"""glTF animations against 4 x 4 matrices, and curves against their formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.glb_write import write_glb
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from tests.motion.formats.gltf_builder import GltfBuilder, a_body

HALF = 0.5**0.5


def read(path: Path, fps: float | None = None) -> list[SourceMotion]:
    return [motion(reading) for reading in read_file(path, ReadOptions(fps=fps))]


def motion(reading: Reading) -> SourceMotion:
    assert isinstance(reading.motion, SourceMotion)
    return reading.motion


def matrix(node: dict[str, Any]) -> np.ndarray:
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    result = np.eye(4)
    result[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    result[:3, :3] *= node.get("scale", (1, 1, 1))
    result[:3, 3] = node.get("translation", (0, 0, 0))
    return result


def one_track(path: str, way: str, times: list[float], values: list[list[float]]) -> GltfBuilder:
    builder = GltfBuilder([{"name": "a", "children": [1]}, {"name": "b", "translation": [1, 0, 0]}])
    builder.animate((0, path, way, times, values))
    return builder


def test_places_and_turns_are_those_of_the_matrices(tmp_path: Path) -> None:
    builder = a_body()
    (found,) = read(builder.write(tmp_path / "walk.glb"))
    assert found.joints == ("Armature", "Hips", "UpLeg", "Leg") and found.parents == (-1, 0, 1, 2)  # not the mesh
    assert found.metres_per_unit == 1.0 and found.name == "walk"
    np.testing.assert_allclose(found.times, [0, 0.05, 0.1, 0.15], atol=1e-7)
    assert found.rest is not None and found.rotations is not None
    root, hips, leg, shin = (matrix(node) for node in builder.document["nodes"][:4])
    rest = [root, root @ hips, root @ hips @ leg, root @ hips @ leg @ shin]
    np.testing.assert_allclose(found.rest, [place[:3, 3] for place in rest], atol=1e-12)
    for frame, (place, angle) in enumerate(
        zip([[0, 0, 90], [1, 0, 91], [2, 1, 92], [4, 1, 90]], [0, 0.5, 1, 3], strict=True)
    ):
        hips[:3, 3] = place
        bent = leg @ matrix({"rotation": (np.sin(angle / 2), 0, 0, np.cos(angle / 2))})
        world = [root, root @ hips, root @ hips @ bent, root @ hips @ bent @ shin]
        np.testing.assert_allclose(found.positions[frame], [one[:3, 3] for one in world], atol=1e-7)
        for joint, (now, before) in enumerate(zip(world, rest, strict=True)):
            turn = now[:3, :3] @ np.linalg.inv(before[:3, :3])  # the scale is the same in both
            np.testing.assert_allclose(found.rotations[frame, joint], turn, atol=1e-6)


def test_a_bone_of_the_rest_pose_turned_by_its_joint_is_the_bone(tmp_path: Path) -> None:
    """The promise of a `SourceMotion`, which the retargeting builds on."""
    (found,) = read(a_body().write(tmp_path / "walk.glb"))
    assert found.rest is not None and found.rotations is not None
    bone = found.rest[3] - found.rest[2]
    turned = found.rotations[:, 2] @ bone
    torch.testing.assert_close(turned, found.positions[:, 3] - found.positions[:, 2], atol=1e-9, rtol=0)


@pytest.mark.parametrize("uri", [None, "walk data.bin"])
def test_a_document_with_its_buffer(uri: str | None, tmp_path: Path) -> None:
    (glb,) = read(a_body().write(tmp_path / "walk.glb"))
    (found,) = read(a_body().write(tmp_path / "walk.gltf", uri))
    assert torch.equal(found.positions, glb.positions)
    if uri:
        path = tmp_path / "walk.gltf"
        path.write_text(path.read_text().replace("walk data", "walk%20data"))
        assert torch.equal(read(path)[0].positions, glb.positions)


def test_linear_turns_go_the_shorter_way_at_a_steady_speed(tmp_path: Path) -> None:
    values = [[0.0, 0, 0, 1], [-HALF, 0, 0, -HALF]]  # the second is +90 degrees about x, written the other way round
    (found,) = read(one_track("rotation", "LINEAR", [0, 1], values).write(tmp_path / "a.glb"), fps=4)
    assert found.rotations is not None
    cosine = found.rotations[:, 0, 1, 1]
    np.testing.assert_allclose(cosine, np.cos(np.radians([0, 22.5, 45, 67.5, 90])), atol=1e-6)


def test_steps_hold_until_the_next_key(tmp_path: Path) -> None:
    track = one_track("translation", "STEP", [0, 0.5, 1], [[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    (found,) = read(track.write(tmp_path / "a.glb"), fps=4)
    assert found.positions[:, 0, 0].tolist() == [0, 0, 1, 1, 2]


def test_cubic_splines_use_their_tangents(tmp_path: Path) -> None:
    """x = t^3 - 2 t up to 2, then a straight line of slope 5: the key at 2 is left by another slope than it is met."""
    times = [0.0, 2.0, 3.0]
    triples: list[list[float]] = []
    for arriving, value, leaving in ((99.0, 0.0, -2.0), (10.0, 4.0, 5.0), (5.0, 9.0, 99.0)):
        triples += [[arriving, 0.0, 0.0], [value, 0.0, 0.0], [leaving, 0.0, 0.0]]
    (found,) = read(one_track("translation", "CUBICSPLINE", times, triples).write(tmp_path / "a.glb"), fps=10)
    moments = np.arange(31) / 10
    expected = np.where(moments <= 2, moments**3 - 2 * moments, 4 + 5 * (moments - 2))
    np.testing.assert_allclose(found.positions[:, 0, 0], expected, atol=1e-6)


def test_cubic_splines_of_turns_are_unit_quaternions(tmp_path: Path) -> None:
    triples: list[list[float]] = [
        [9, 9, 9, 9],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [HALF, 0, 0, HALF],
        [9, 9, 9, 9],
    ]
    (found,) = read(one_track("rotation", "CUBICSPLINE", [0, 1], triples).write(tmp_path / "a.glb"), fps=2)
    assert found.rotations is not None
    np.testing.assert_allclose(torch.linalg.det(found.rotations), 1, atol=1e-12)
    np.testing.assert_allclose(found.rotations[1, 0, 1, 1], np.cos(np.radians(45)), atol=1e-6)


def test_sparse_keys_are_sampled_and_dense_ones_kept(tmp_path: Path) -> None:
    (found,) = read(one_track("translation", "LINEAR", [1, 2], [[0, 0, 0], [3, 0, 0]]).write(tmp_path / "a.glb"))
    assert len(found) == 31 and found.fps == pytest.approx(30)
    np.testing.assert_allclose(found.positions[:, 0, 0], np.arange(31) / 10, atol=1e-6)
    builder = a_body()
    times = [0.00001, 0.05, 0.1, 0.15001]  # another track with the same times, rounded otherwise
    builder.document["animations"][0]["samplers"][1]["input"] = builder.numbers(times)
    assert len(read(builder.write(tmp_path / "b.glb"))[0]) == 4
    (found,) = read(one_track("translation", "LINEAR", [2], [[5, 0, 0]]).write(tmp_path / "c.glb"))
    assert len(found) == 1 and found.positions[0, 1].tolist() == [6, 0, 0]


def test_several_animations_are_several_motions(tmp_path: Path) -> None:
    builder = a_body("walk|fast")
    builder.animate((1, "scale", "LINEAR", [0, 0.1], [[1, 1, 1], [2, 2, 2]]))
    builder.document["animations"].append({"samplers": [], "channels": []})
    first, second = read(builder.write(tmp_path / "clips.glb"))
    assert (first.name, second.name) == ("clips_1_walk_fast", "clips_2")
    near, far = (second.positions[frame, 3] - second.positions[frame, 1] for frame in (0, 1))
    torch.testing.assert_close(far, 2 * near)


@pytest.mark.parametrize("version", ["VRMC_vrm_animation", "VRMC_vrm", "VRM"])
def test_bones_of_the_vrm_standard(version: str, tmp_path: Path) -> None:
    bones = {"hips": 1, "leftUpperLeg": 2, "leftLowerLeg": 3}
    named: Any = {name: {"node": node} for name, node in bones.items()}
    if version == "VRM":
        named = [{"bone": name, "node": node} for name, node in bones.items()]
    builder = a_body()
    builder.document["extensions"] = {version: {"humanoid": {"humanBones": named}}}
    builder.document["nodes"][0]["name"] = "hips"
    path = tmp_path / "walk.vrma"
    builder.write(tmp_path / "walk.glb").rename(path)
    (reading,) = read_file(path)
    assert motion(reading).joints == ("hips", "hips#2", "leftUpperLeg", "leftLowerLeg")
    assert "got a number: hips#2" in reading.notes[0]


def test_a_node_with_a_matrix_is_one_with_parts(tmp_path: Path) -> None:
    builder = a_body()
    (plain,) = read(builder.write(tmp_path / "a.glb"))
    whole = matrix(builder.document["nodes"][0]).T.reshape(-1).tolist()
    builder.document["nodes"][0] = {"name": "Armature", "children": [1, 4], "matrix": whole}
    (found,) = read(builder.write(tmp_path / "b.glb"))
    torch.testing.assert_close(found.positions, plain.positions)
    torch.testing.assert_close(found.rotations, plain.rotations)


def test_integers_strides_and_sparse_values(tmp_path: Path) -> None:
    builder = a_body()
    (plain,) = read(builder.write(tmp_path / "a.glb"))
    sampler = builder.document["animations"][0]["samplers"][1]
    angle = np.array([0.0, 0.5, 1.0, 3.0])
    turns = np.stack((np.sin(angle / 2), 0 * angle, 0 * angle, np.cos(angle / 2)), axis=1)
    rounded = np.round(turns * 32767)
    sampler["output"] = builder.numbers(rounded, "<i2", normalized=True)
    (found,) = read(builder.write(tmp_path / "b.glb"))
    torch.testing.assert_close(found.positions, plain.positions, atol=1e-4, rtol=0)
    wide = np.zeros((4, 6), dtype="<i2")
    wide[:, :4] = rounded
    view = builder.view(wide.tobytes(), byteStride=12)
    builder.document["accessors"][sampler["output"]]["bufferView"] = view
    assert torch.equal(read(builder.write(tmp_path / "c.glb"))[0].positions, found.positions)
    # No bytes but the four rows that a sparse accessor puts in their places.
    accessor = builder.document["accessors"][sampler["output"]]
    del accessor["bufferView"]
    accessor["sparse"] = {
        "count": 4,
        "indices": {"bufferView": builder.view(bytes([2, 0, 1, 3])), "componentType": 5121},
        "values": {"bufferView": builder.view(rounded[[2, 0, 1, 3]].astype("<i2").tobytes())},
    }
    assert torch.equal(read(builder.write(tmp_path / "d.glb"))[0].positions, found.positions)


def changed(key: str, *path: Any, value: Any) -> Any:
    def change(document: dict[str, Any]) -> None:
        place: Any = document[key]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (changed("asset", "version", value="1.0"), "version 1.0"),
        (changed("animations", slice(None), value=[]), "no animation"),
        (lambda document: document["animations"].extend([{}] * 1000), "1,001 animations"),
        (changed("nodes", 2, "children", value=[3, 1]), "node 1 with two parents"),
        (changed("nodes", 1, "children", value=[1]), "with two parents"),
        (changed("nodes", 1, "children", value=[99]), "child 99"),
        (changed("nodes", 1, "rotation", value=[0, 0, 0, 0]), "no unit quaternion"),
        (changed("nodes", 1, "translation", value=[0, 0]), "translation [0, 0]"),
        (changed("nodes", 1, "matrix", value=[-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), "mirrors or flattens"),
        (changed("accessors", 0, "count", value=10**12), "1,000,000,000,000 values in"),
        (changed("accessors", 1, "count", value=0), "key times that do not increase"),
        (changed("accessors", 1, "type", value="VEC9"), "type VEC9"),
        (changed("accessors", 1, "componentType", value=[]), "component type"),
        (changed("accessors", 0, value={"count": 10**9, "type": "SCALAR", "componentType": 5126}), "without bytes"),
        (changed("bufferViews", 0, "byteOffset", value=10**9), "byteOffset 1000000000"),
        (changed("bufferViews", 0, "extensions", value={"EXT_meshopt_compression": {}}), "EXT_meshopt_compression"),
        (changed("animations", 0, "samplers", 0, "interpolation", value="SPLINE"), "interpolation SPLINE"),
        (changed("animations", 0, "samplers", 0, "output", value=1), "translation of shape (4, 1)"),
        (changed("animations", 0, "samplers", 1, "input", value=0), "key times of 3 comp"),
        (changed("animations", 0, "channels", 0, "target", value=7), "target that is a int"),
    ],
)  # fmt: skip
def test_refused(change: Any, found: str, tmp_path: Path) -> None:
    builder = a_body()
    change(builder.document)
    with pytest.raises(InputError) as caught:
        read(builder.write(tmp_path / "walk.glb"))
    assert found in caught.value.found


@pytest.mark.parametrize(
    "uri", ["../secret.bin", "/etc/hostname", "http://localhost/a.bin", "file:///etc/hostname", "a/../../secret.bin",
            "%2e%2e/secret.bin", "..\\secret.bin"],
)  # fmt: skip
def test_no_buffer_outside_of_the_folder(uri: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 10_000)
    folder = tmp_path / "in"
    folder.mkdir()
    path = a_body().write(folder / "walk.gltf", "walk.bin")
    document = json.loads(path.read_text())
    document["buffers"][0]["uri"] = uri
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="a file in the folder of the document"):
        read(path)


def test_a_link_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = a_body().write(folder / "walk.gltf", "walk.bin")
    (folder / "walk.bin").rename(tmp_path / "walk.bin")
    (folder / "walk.bin").symlink_to(tmp_path / "walk.bin")
    with pytest.raises(InputError, match="a file in the folder"):
        read(path)


def test_a_download_that_was_cut_off(tmp_path: Path) -> None:
    path = a_body().write(tmp_path / "walk.glb")
    content = path.read_bytes()
    for size in (0, 3, 11, 15, 40, len(content) - 8):
        path.write_bytes(content[:size])
        with pytest.raises(InputError):
            read(path)


def test_fbx_is_refused_with_the_way_around_it(tmp_path: Path) -> None:
    (tmp_path / "walk.FBX").write_bytes(b"Kaydara FBX Binary")
    with pytest.raises(InputError, match=r"found an FBX file.*glTF, which keeps the pelvis track, or as BVH"):
        list(read_file(tmp_path / "walk.FBX"))


def test_y_is_up_in_every_file(tmp_path: Path) -> None:
    """Also for somebody who sits through the whole clip, whose poses leave a doubt."""
    sits = next(sample.motion for sample in load_samples() if sample.name == "boxing_sit")
    write_glb(tmp_path / "sits.glb", sits)
    (reading,) = read_file(tmp_path / "sits.glb")
    assert isinstance(reading.motion, SourceMotion) and reading.motion.up == "y"
