"""The 272 features against files made by the original scripts, and their algebra."""

import math

import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion.rotations import axis_angle_to_matrix, heading_vector, matrix_to_axis_angle, yaw_matrix
from motionlab.motion.skeleton import Skeleton, canonical_skeleton, forward_kinematics


def random_motion(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints `[..., 22, 3]` and rotations `[..., 22, 3, 3]` of wild, but consistent, poses."""
    generator = torch.Generator().manual_seed(seed)
    rotations = axis_angle_to_matrix(torch.randn(*shape, 22, 3, generator=generator, dtype=torch.float64))
    root = torch.randn(*shape, 3, generator=generator, dtype=torch.float64) + torch.tensor([3.0, 5.0, -2.0])
    return forward_kinematics(rotations, root, canonical_skeleton(torch.float64).offsets), rotations


def tumbling(frames: int = 61) -> tuple[torch.Tensor, torch.Tensor]:
    """A somersault about x: the pelvis' z axis points exactly down in frame 15 and up in frame 45."""
    angle = torch.linspace(0, 2 * math.pi, frames, dtype=torch.float64)
    rotations = torch.eye(3, dtype=torch.float64).repeat(frames, 22, 1, 1)
    rotations[:, 0] = axis_angle_to_matrix(torch.stack((angle, torch.zeros_like(angle), torch.zeros_like(angle)), -1))
    root = torch.stack((0.1 * angle, 1 + angle.sin() ** 2, 0.3 * angle), -1)
    return forward_kinematics(rotations, root, canonical_skeleton(torch.float64).offsets), rotations


def heading_angle(root_rotation: torch.Tensor) -> torch.Tensor:
    """Radians, `[..., 3, 3] -> [...]`."""
    cosine, sine = heading_vector(root_rotation)
    return torch.atan2(sine, cosine)


def aligned(joints: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Move a clip to where decoding starts: first pelvis above the origin, facing +z, floor at 0."""
    shift = torch.stack((joints[0, 0, 0], joints[..., 1].min(), joints[0, 0, 2]))
    return (joints - shift) @ yaw_matrix(-heading_angle(rotations[0, 0])).mT


def on_the_floor(joints: torch.Tensor) -> torch.Tensor:
    return joints - joints.new_tensor([0.0, 1.0, 0.0]) * joints[..., 1].min()


@pytest.fixture(scope="module")
def original(golden):
    data = golden("motion272.npz")
    joints = torch.from_numpy(data["joints"])
    rotations = axis_angle_to_matrix(torch.from_numpy(data["smpl85_face_z"][:, :66]).double().reshape(-1, 22, 3))
    return joints, rotations, torch.from_numpy(data["features"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_equal_those_of_the_original_scripts(original, dtype):
    joints, rotations, expected = original
    values = f.encode(joints.to(dtype), rotations.to(dtype))
    assert values.dtype == dtype
    for name, part in f.FEATURE_SLICES.items():
        error = (values[:, part].double() - expected[:, part]).abs().max().item()
        assert error <= 3e-7, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_original_features_decode_to_the_original_joints(original, dtype):
    joints, rotations, values = original
    joints = joints.double()
    expected = joints - torch.stack((joints[0, 0, 0], joints[..., 1].min(), joints[0, 0, 2]))
    values = values.to(dtype)
    assert (f.decode_positions(values) - expected).abs().max() <= 1e-6
    decoded, root = f.decode_rotations(values)
    assert matrix_to_axis_angle(decoded.double().mT @ rotations).norm(dim=-1).max() <= 1e-6
    offsets = Skeleton.measure(joints, rotations).offsets
    assert (forward_kinematics(decoded, root, offsets) - expected).abs().max() <= 1e-6


def test_known_values_of_the_original_clip(original):
    values = original[2]
    assert values.sum().item() == pytest.approx(81202.517468, abs=1e-5)
    heading = f.decode_heading(values)
    assert math.degrees(heading[-1].item()) == pytest.approx(6.2255, abs=1e-4)
    torch.testing.assert_close(heading, heading_angle(original[1][:, 0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("ground", [True, False])
def test_joints_alone_determine_all_but_the_rotations(ground):
    joints, rotations = random_motion(2, 20)
    whole, alone = f.encode(joints, rotations, ground), f.encode_positions(joints, ground)
    assert alone.shape == (2, 20, 140)
    torch.testing.assert_close(alone, whole[..., :140], rtol=0, atol=1e-9)


def test_slices_cover_all_272_features_once():
    covered = [index for part in f.FEATURE_SLICES.values() for index in range(part.start, part.stop)]
    assert covered == list(range(f.DIM))


def test_round_trip_of_wild_motion_is_exact():
    joints, rotations = random_motion(40)
    values = f.encode(joints, rotations)
    torch.testing.assert_close(f.decode_positions(values), aligned(joints, rotations), atol=1e-12, rtol=0)
    decoded, root = f.decode_rotations(values)
    torch.testing.assert_close(
        forward_kinematics(decoded, root, canonical_skeleton(torch.float64).offsets),
        f.decode_positions(values),
        atol=1e-12,
        rtol=0,
    )


@pytest.mark.parametrize("exact", [True, False])
def test_a_somersault_decodes_exactly_although_its_heading_jumps(exact):
    joints, rotations = tumbling()
    if exact:  # not 6e-17 but 0: the heading is undefined
        rotations[15, 0] = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        assert rotations[15, 0, 2, 2] == 0 and rotations[15, 0, 0, 2] == 0
    root = joints[:, 0]
    joints = forward_kinematics(rotations, root, canonical_skeleton(torch.float64).offsets)
    values = f.encode(joints, rotations)
    torch.testing.assert_close(f.decode_positions(values), aligned(joints, rotations), atol=1e-12, rtol=0)
    torch.testing.assert_close(f.decode_rotations(values)[0], rotations, atol=1e-12, rtol=0)
    assert f.decode_heading(values).diff().abs().max() > 1  # the jump is really there


def test_moving_or_turning_a_clip_does_not_change_its_features():
    joints, rotations = random_motion(20)
    turn = yaw_matrix(torch.tensor(2.1, dtype=torch.float64))
    turned = rotations.clone()
    turned[:, 0] = turn @ rotations[:, 0]
    moved = joints @ turn.mT + torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(f.encode(moved, turned), f.encode(joints, rotations), atol=1e-12, rtol=0)


def test_crop_equals_encoding_the_cut_joints():
    joints, rotations = random_motion(30)
    joints = on_the_floor(joints)
    values = f.encode(joints, rotations)
    expected = f.encode(joints[7:19], rotations[7:19], ground=False)
    torch.testing.assert_close(f.crop(values, 7, 12), expected, atol=1e-12, rtol=0)
    assert (values[7:19] - expected).abs().max() > 1e-3  # without the reset it differs


def test_crop_of_the_original_clip(original):
    joints, rotations, _ = original
    joints = joints.double()
    values = f.encode(joints, rotations)
    expected = f.encode(on_the_floor(joints)[643:843], rotations[643:843], ground=False)
    torch.testing.assert_close(f.crop(values, 643, 200), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("start", "length"), [(-1, 5), (0, 0), (8, 3), (0, 11)])
def test_crop_outside_the_motion_is_an_input_error(start, length):
    with pytest.raises(InputError, match="inside 0 to 10"):
        f.crop(torch.zeros(10, 272), start, length)


def test_batched_equals_one_by_one():
    joints, rotations = random_motion(2, 3, 12)
    values = f.encode(joints, rotations)
    assert values.shape == (2, 3, 12, 272)
    decoded, (turned, root) = f.decode_positions(values), f.decode_rotations(values)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(values[i, j], f.encode(joints[i, j], rotations[i, j]))
            torch.testing.assert_close(decoded[i, j], f.decode_positions(values[i, j]))
            torch.testing.assert_close(turned[i, j], f.decode_rotations(values[i, j])[0])
            torch.testing.assert_close(root[i, j], f.decode_rotations(values[i, j])[1])


def test_velocities_are_per_frame_and_row_0_is_at_rest():
    joints, rotations = random_motion(10)
    values = f.encode(joints, rotations)
    torch.testing.assert_close(values[1:, f.VELOCITIES], values[1:, f.POSITIONS] - values[:-1, f.POSITIONS])
    assert not values[0, f.ROOT_VELOCITY].any() and not values[0, f.VELOCITIES].any()
    assert values[0, f.HEADING].tolist() == list(f.NO_TURN)


def test_gradients_are_correct_and_finite():
    joints, rotations = random_motion(2)
    joints.requires_grad_(), rotations.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda j, r: f.encode(j, r, ground=False), (joints, rotations), atol=1e-5, fast_mode=True
    )
    values = f.encode(joints, rotations).detach().requires_grad_()
    assert torch.autograd.gradcheck(f.decode_positions, (values,), atol=1e-5, fast_mode=True)
    assert torch.autograd.gradcheck(lambda x: f.decode_rotations(x)[0], (values,), atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_decoding_any_network_output_has_finite_gradients(fill):
    values = torch.full((4, 272), fill, requires_grad=True)
    joints = f.decode_positions(values)
    rotations, root = f.decode_rotations(values)
    (joints.sum() + rotations.sum() + root.sum()).backward()
    assert torch.isfinite(joints).all()
    assert values.grad is not None and torch.isfinite(values.grad).all()


def test_gradient_at_an_undefined_heading_is_finite():
    joints, rotations = tumbling()
    rotations[15, 0] = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    rotations.requires_grad_()
    f.encode(joints, rotations).sum().backward()
    assert rotations.grad is not None and torch.isfinite(rotations.grad).all()


def test_everything_stays_on_the_device_of_the_input():
    """The meta device computes shapes only, and fails when a tensor of another device is mixed in, as a GPU does."""
    joints, rotations = (values.to("meta") for values in random_motion(2, 5))
    values = f.encode(joints, rotations)
    decoded, root = f.decode_rotations(f.crop(values, 1, 3))
    assert {x.device.type for x in (values, decoded, root, f.decode_positions(values))} == {"meta"}


def test_constant_features_are_ignored_when_the_root_is_decoded():
    joints, rotations = random_motion(10)
    values = f.encode(joints, rotations)
    noisy = values.clone()
    noisy[:, [3, 5, 6, 7]] += 0.1
    assert torch.equal(f.decode_positions(noisy), f.decode_positions(values))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 263), "HumanML3D"),
        ((5, 85), "SMPL"),
        ((272,), r"found shape \(272,\)"),
        ((0, 272), r"\(frames, 272\)"),
    ],
)
def test_wrong_shapes_are_input_errors(shape, message):
    with pytest.raises(InputError, match=message) as error:
        f.check_features(torch.zeros(shape), "walk.npy")
    assert str(error.value).startswith("walk.npy: ")


def test_nan_is_named_by_frame_and_slice():
    values = torch.zeros(9, 272)
    values[4, 80] = math.nan
    with pytest.raises(InputError, match=r"nan in frame 4, feature 80 \(velocities\)"):
        f.check_features(values, "walk.npy")
    f.check_features(torch.zeros(9, 272), "walk.npy")
