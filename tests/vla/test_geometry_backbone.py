"""Cameras as nine numbers, depth to points, TinyVGGT and its loss, on a scene whose geometry is known by formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.vla.backbone.geometry_loss import GeometryWeights, geometry_loss, masked_mean, unsure
from motionlab.vla.backbone.pose_encoding import (
    decode_camera,
    encode_camera,
    inverse,
    matrix_from_quaternion,
    quaternion_from_matrix,
)
from motionlab.vla.backbone.targets import GeometryTargets, geometry_targets
from motionlab.vla.backbone.tiny_vggt import TinyVGGT
from motionlab.vla.backbone.unproject import unproject

SIZE = 16
FLOOR = 0.0  # height of the plane that every camera below looks at


def looking_down(x: float, y: float, height: float, turn: float) -> Tensor:
    """world_from_camera of a camera above the floor that looks straight down, turned about its axis."""
    c, s = math.cos(turn), math.sin(turn)
    # columns: the camera's x, y and z axes in the world (z up); z of the camera points down
    rotation = torch.tensor([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, torch.tensor([x, y, height])
    return pose


def tilted(angle: float) -> Tensor:
    """world_from_camera 0.5 m above the floor, tilted from straight down by an angle about its own x axis."""
    c, s = math.cos(angle), math.sin(angle)
    pose = looking_down(0.1, 0.2, 0.5, 0.0)
    pose[:3, :3] = pose[:3, :3] @ torch.tensor([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return pose


def floor_scene(batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Depth `[B, 2, H, W]`, K and world_from_camera of two cameras over a plane; depth by intersecting the rays."""
    intrinsics = torch.tensor([[20.0, 0, SIZE / 2], [0, 24.0, SIZE / 2], [0, 0, 1]]).expand(batch, 2, 3, 3)
    poses = torch.stack([torch.stack([looking_down(0.0, 0.0, 0.4 + 0.1 * i, 0.3), tilted(0.3)]) for i in range(batch)])
    pixels = torch.arange(SIZE) + 0.5
    rays = torch.stack(
        [((pixels - SIZE / 2) / 20).expand(SIZE, SIZE), ((pixels - SIZE / 2) / 24)[:, None].expand(SIZE, SIZE),
         torch.ones(SIZE, SIZE)], -1
    )  # fmt: skip
    down = torch.einsum("hwc,bsc->bshw", rays, poses[:, :, 2, :3])  # how far up a ray leads per unit of depth
    depth = (FLOOR - poses[:, :, 2, 3, None, None]) / down
    return depth, intrinsics, poses


def random_rotations(n: int) -> Tensor:
    torch.manual_seed(0)
    return matrix_from_quaternion(torch.randn(n, 4, dtype=torch.float64))


def test_quaternions_there_and_back() -> None:
    rotations = random_rotations(500)
    quaternions = quaternion_from_matrix(rotations)
    torch.testing.assert_close(matrix_from_quaternion(quaternions), rotations)
    torch.testing.assert_close(matrix_from_quaternion(-quaternions), rotations)  # w < 0 is the same rotation
    assert bool((quaternions[:, 3] >= 0).all())
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(500, 3, 3))
    # scalar last, right-handed: 90 degrees about z takes x to y
    half = math.sqrt(0.5)
    turned = matrix_from_quaternion(torch.tensor([0.0, 0.0, half, half])) @ torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)


def test_cameras_there_and_back() -> None:
    _, intrinsics, poses = floor_scene(batch=3)
    extrinsics = inverse(poses)
    torch.testing.assert_close(extrinsics @ poses, torch.eye(4).expand(3, 2, 4, 4), atol=1e-6, rtol=0)
    code = encode_camera(extrinsics, intrinsics, SIZE, SIZE)
    again, k = decode_camera(code, SIZE, SIZE)
    torch.testing.assert_close(again, extrinsics, atol=1e-5, rtol=0)
    torch.testing.assert_close(k, intrinsics)
    flipped = torch.cat([code[..., :3], -2 * code[..., 3:7], code[..., 7:]], -1)
    torch.testing.assert_close(decode_camera(flipped, SIZE, SIZE)[0], extrinsics, atol=1e-5, rtol=0)
    assert code[0, 0, 7] == pytest.approx(2 * math.atan(8 / 24))  # height with fy, and width with fx
    assert code[0, 0, 8] == pytest.approx(2 * math.atan(8 / 20))


def test_extrinsics_are_camera_from_world() -> None:
    """The origin of the world, seen by a camera 0.4 above it that looks down, is 0.4 in front of it."""
    extrinsics = inverse(looking_down(0.0, 0.0, 0.4, 1.0))
    torch.testing.assert_close(extrinsics @ torch.tensor([0.0, 0, 0, 1]), torch.tensor([0, 0, 0.4, 1]))
    torch.testing.assert_close(encode_camera(extrinsics, torch.eye(3), 2, 2)[:3], torch.tensor([0.0, 0.0, 0.4]))


def test_unprojected_depth_lies_on_the_floor() -> None:
    depth, intrinsics, poses = floor_scene()
    points = unproject(depth, intrinsics, inverse(poses))  # [1, 2, H, W, 3], in the world
    torch.testing.assert_close(points[..., 2], torch.full_like(depth, FLOOR), atol=1e-6, rtol=0)
    off = unproject(depth, intrinsics, inverse(poses), pixel_centre=0.0)[..., 2]
    assert float(off.abs().max()) > 0.003  # half a pixel is seen on a tilted camera
    # a pixel of a camera that looks straight down, by hand
    x = (2.5 - 8) / 20 * 0.4, (9.5 - 8) / 24 * 0.4
    at = poses[0, 0] @ torch.tensor([*x, 0.4, 1.0])
    torch.testing.assert_close(points[0, 0, 9, 2], at[:3])


def test_targets_are_those_of_the_first_camera() -> None:
    depth, intrinsics, poses = floor_scene(batch=2)
    targets = geometry_targets(depth, intrinsics, poses)
    torch.testing.assert_close(targets.pose_enc[:, 0, :7], torch.tensor([[0.0, 0, 0, 0, 0, 0, 1]] * 2))
    torch.testing.assert_close(targets.world_points.norm(dim=-1).flatten(1).mean(1), torch.ones(2))
    for view in range(2):  # unproject(depth, pose, fov) == world points
        camera, k = decode_camera(targets.pose_enc[:, view], SIZE, SIZE)
        again = unproject(targets.depth[:, view], k, camera)
        torch.testing.assert_close(again, targets.world_points[:, view], atol=1e-5, rtol=0)
    assert float(targets.pose_enc[0, 1, :3].norm() * targets.scale[0]) == pytest.approx(0.05**0.5 + 0, abs=0.03)


def test_targets_know_no_unit_and_no_origin() -> None:
    depth, intrinsics, poses = floor_scene()
    moved = looking_down(3.0, -2.0, 7.0, 0.9) @ poses
    larger = moved.clone()
    larger[..., :3, 3] *= 1000.0
    first, second = geometry_targets(depth, intrinsics, poses), geometry_targets(depth * 1000, intrinsics, larger)
    torch.testing.assert_close(first.pose_enc, second.pose_enc, atol=2e-4, rtol=0)
    torch.testing.assert_close(first.world_points, second.world_points, atol=2e-4, rtol=0)
    torch.testing.assert_close(first.scale * 1000, second.scale)


def test_a_padded_view_has_no_part_in_the_targets() -> None:
    depth, intrinsics, poses = (part.clone() for part in floor_scene())
    mask = torch.tensor([[True, False]])
    clean = geometry_targets(depth[:, :1], intrinsics[:, :1], poses[:, :1])
    depth[:, 1], intrinsics[:, 1], poses[:, 1] = float("nan"), 0.0, 0.0
    padded = geometry_targets(depth, intrinsics, poses, mask)
    assert torch.isfinite(padded.pose_enc).all() and torch.isfinite(padded.world_points).all()
    assert not padded.valid[:, 1].any()
    torch.testing.assert_close(padded.scale, clean.scale)
    with pytest.raises(InputError, match="depth, row 0.*no valid pixel"):
        geometry_targets(torch.zeros_like(depth), intrinsics, poses)


@pytest.fixture(scope="module")
def model() -> TinyVGGT:
    torch.manual_seed(0)
    return TinyVGGT(image_size=SIZE, dim=16, depth=2, heads=2, patch=4).eval()


def test_contract(model: TinyVGGT) -> None:
    """Keys and ranks of VGGT."""
    output = model(torch.rand(2, 3, 3, SIZE, SIZE))
    shapes = {name: list(value.shape) for name, value in output.items() if isinstance(value, Tensor)}
    assert shapes == {
        "pose_enc": [2, 3, 9],
        "depth": [2, 3, SIZE, SIZE, 1],
        "depth_conf": [2, 3, SIZE, SIZE],
        "world_points": [2, 3, SIZE, SIZE, 3],
        "world_points_conf": [2, 3, SIZE, SIZE],
        "patch_rgb": [2, 3, SIZE, SIZE, 3],
    }
    assert [list(part.shape) for part in output["tokens"]] == [[2, 3, 3 + 16, 32]] * 2
    assert output["patch_start_idx"] == 3 and torch.equal(output["pose_enc_list"][-1], output["pose_enc"])
    assert float(output["depth"].detach().min()) > 0 and float(output["depth_conf"].detach().min()) > 1


def test_views(model: TinyVGGT) -> None:
    """Later views may be permuted; the first one defines the frame; padded ones are not seen, NaN included."""
    images = torch.rand(1, 3, 3, SIZE, SIZE)
    with torch.no_grad():
        plain, swapped = model(images)["pose_enc"], model(images[:, [0, 2, 1]])["pose_enc"]
        other_first = model(images[:, [1, 0, 2]])["pose_enc"]
        torch.testing.assert_close(swapped[:, [0, 2, 1]], plain, atol=1e-5, rtol=0)
        assert not torch.allclose(other_first[:, [1, 0, 2]], plain, atol=1e-5)
        mask = torch.tensor([[True, True, False]])
        short = model(images[:, :2])["pose_enc"]
        torch.testing.assert_close(model(images, mask)["pose_enc"][:, :2], short, atol=1e-5, rtol=0)
        images = images.clone()
        before = model(images, mask)["world_points"][:, :2]
        images[:, 2] = torch.rand(3, SIZE, SIZE)
        assert torch.equal(model(images, mask)["world_points"][:, :2], before)
        # a padded view in front: the first REAL view is the frame
        front = model(images[:, [2, 0, 1]], torch.tensor([[False, True, True]]))["pose_enc"]
        torch.testing.assert_close(front[:, 1:], short, atol=1e-5, rtol=0)


def test_parameters_are_those_of_the_prototype() -> None:
    count = sum(parameter.numel() for parameter in TinyVGGT().parameters())
    assert 280_000 < count < 340_000


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(1, 2, 3, 24, SIZE), "24 x 16 pixels, expected 16 x 16"),
        (torch.rand(1, 2, SIZE, SIZE, 3), r"\[1, 2, 16, 16, 3\]"),
        (torch.zeros(1, 2, 3, SIZE, SIZE, dtype=torch.uint8), "torch.uint8"),
        (torch.rand(1, 2, 3, SIZE, SIZE) * 255, "values in"),
        (torch.full((1, 2, 3, SIZE, SIZE), float("nan")), "values nan to nan"),
    ],
)
def test_other_images_are_refused(model: TinyVGGT, images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model(images)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="image_size=20, patch=8"):
        TinyVGGT(image_size=20)


def perfect(targets: GeometryTargets, images: Tensor) -> Any:
    one = torch.ones_like(targets.depth)
    return {
        "pose_enc": targets.pose_enc, "pose_enc_list": [targets.pose_enc],
        "depth": targets.depth[..., None], "depth_conf": one,
        "world_points": targets.world_points, "world_points_conf": one,
        "patch_rgb": images.movedim(2, -1),
    }  # fmt: skip


def test_the_loss_of_a_perfect_output_is_zero_and_each_fault_is_seen() -> None:
    targets = geometry_targets(*floor_scene(batch=2))
    images = torch.rand(2, 2, 3, SIZE, SIZE)
    output = perfect(targets, images)
    assert float(geometry_loss(output, targets, images).total) == pytest.approx(0, abs=1e-6)
    for name, part in (
        ("pose_enc", "pose_l1"),
        ("depth", "depth_rel"),
        ("world_points", "points"),
        ("patch_rgb", "rgb_l1"),
    ):
        spoiled: Any = dict(output)
        spoiled[name] = output[name] + 0.1
        spoiled["pose_enc_list"] = [spoiled["pose_enc"]]
        losses = geometry_loss(spoiled, targets, images)
        assert float(losses.total) > 0.05
        assert [key for key, value in losses.parts.items() if value > 1e-6] == [part]


def test_the_loss_ignores_padded_views_and_invalid_pixels() -> None:
    depth, intrinsics, poses = floor_scene()
    depth = depth.clone()
    depth[0, 0, 0, 0] = float("nan")
    mask = torch.tensor([[True, False]])
    targets = geometry_targets(depth, intrinsics, poses, mask)
    images = torch.rand(1, 2, 3, SIZE, SIZE)
    output = perfect(targets, images)
    for value in output.values():
        for tensor in value if isinstance(value, list) else [value]:
            tensor[0, 1] = 99.0
    output["depth"][0, 0, 0, 0] = 99.0
    losses = geometry_loss(output, targets, torch.where(mask[..., None, None, None], images, 0))
    assert float(losses.total) == pytest.approx(0, abs=1e-6)


def test_the_best_confidence_is_a_fifth_of_one_over_the_error() -> None:
    confidence = torch.linspace(0.5, 20, 2000)
    costs = torch.stack([unsure(torch.tensor([0.04]), c[None], torch.tensor([True])) for c in confidence])
    assert float(confidence[costs.argmin()]) == pytest.approx(5.0, abs=0.02)
    assert float(masked_mean(torch.ones(2), torch.zeros(2, dtype=torch.bool))) == 0


def test_training_lowers_every_part() -> None:
    torch.manual_seed(0)
    model = TinyVGGT(image_size=SIZE, dim=16, depth=1, heads=2, patch=4)
    depth, intrinsics, poses = floor_scene(batch=4)
    targets, images = geometry_targets(depth, intrinsics, poses), torch.rand(4, 2, 3, SIZE, SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    seen = []
    for _ in range(60):
        losses = geometry_loss(model(images), targets, images)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        seen.append(losses.parts)
    assert all(seen[-1][name] < 0.5 * seen[0][name] for name in ("pose_l1", "depth_rel", "points")), seen[-1]
    assert seen[-1]["rgb_l1"] < seen[0]["rgb_l1"]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_half_precision_is_finite() -> None:
    model = TinyVGGT(image_size=SIZE, dim=16, depth=1, heads=2, patch=4)
    images, targets = torch.rand(2, 2, 3, SIZE, SIZE), geometry_targets(*floor_scene(batch=2))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images)
        losses = geometry_loss(output, targets, images)
    assert all(output[name].dtype == torch.float32 for name in ("depth", "world_points", "pose_enc"))
    losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_lost_cube_costs_more_than_haze() -> None:
    """Both have the same mean L1. A backbone that may lose small things cannot tell which cube is the red one."""
    targets = geometry_targets(*floor_scene())
    table = torch.full((1, 2, 3, SIZE, SIZE), 0.4)
    images = table.clone()
    images[:, :, 0, 4:6, 4:6] = 0.9  # 4 of 256 pixels
    haze = float((images - table).abs().mean())
    lost, hazy = perfect(targets, table), perfect(targets, images + haze)
    losses = [geometry_loss(output, targets, images) for output in (lost, hazy)]
    assert float(losses[0].parts["rgb_l1"]) == pytest.approx(float(losses[1].parts["rgb_l1"]), rel=1e-3)
    assert float(losses[0].total) > 20 * float(losses[1].total)


def test_no_colours_without_a_head() -> None:
    targets, images = geometry_targets(*floor_scene()), torch.rand(1, 2, 3, SIZE, SIZE)
    output = perfect(targets, images)
    del output["patch_rgb"]
    assert "rgb_l1" not in geometry_loss(output, targets, images, GeometryWeights(colours=0)).parts
    with pytest.raises(InputError, match="without patch_rgb"):
        geometry_loss(output, targets, images)
