"""Joining clips: nothing jumps, nothing sinks, nothing is lost."""

import math

import pytest
import torch

from motionlab.data.composed.join import Track, fade_position, fade_velocity, join, join_tracks
from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_to_axis_angle, yaw_matrix
from motionlab.motion.skeleton import canonical_skeleton, forward_kinematics
from motionlab.motion.transforms import resample


def make_clip(seed: int, frames: int = 40, speed: float = 0.03, turn: float = 0.02) -> torch.Tensor:
    """A smooth motion: swinging limbs, walking along a curve, feet on the floor. `[T, 272]` float64."""
    generator = torch.Generator().manual_seed(seed)
    rest = 0.3 * torch.randn(22, 3, generator=generator, dtype=torch.float64)
    phase = 6 * torch.rand(22, 3, generator=generator, dtype=torch.float64)
    time = torch.arange(frames, dtype=torch.float64)
    rotations = axis_angle_to_matrix(rest + 0.2 * torch.sin(time[:, None, None] / 6 + phase))
    heading = turn * time
    rotations[:, 0] = yaw_matrix(heading) @ rotations[:, 0]
    root = torch.stack((speed * heading.sin(), torch.zeros_like(time), speed * heading.cos()), -1).cumsum(0)
    offsets = canonical_skeleton(torch.float64).offsets
    root[:, 1] = -forward_kinematics(rotations, root, offsets)[..., 1].amin(-1)
    return f.encode(forward_kinematics(rotations, root, offsets), rotations)


def speed_of(joints: torch.Tensor, order: int = 1) -> torch.Tensor:
    """`[T - order]`: fastest joint, by the difference of that order."""
    return joints.diff(n=order, dim=0).norm(dim=-1).amax(-1)


def test_fades_meet_their_end_conditions():
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for fade, start, slope in ((fade_position, 1.0, 0.0), (fade_velocity, 0.0, 1.0)):
        values = fade(t)
        assert values[0] == start and values[-1].abs() < 1e-12
        velocity = values.diff() / 1e-3
        assert velocity[0].item() == pytest.approx(slope, abs=2e-3)
        assert velocity[-1].abs() < 1e-3
        acceleration = velocity.diff() / 1e-3
        assert acceleration[[0, -1]].abs().max() < 0.1
        assert not fade(torch.tensor(1.5))


def test_parts_and_whole_are_the_same():
    clip = make_clip(0)
    torch.testing.assert_close(Track.of(clip).features(), clip, atol=1e-12, rtol=0)
    joined, starts = join([clip], 10)
    torch.testing.assert_close(joined, clip, atol=1e-12, rtol=0)
    assert starts == [0]


@pytest.mark.parametrize("step", [0.8, 1.0, 1.25, 2.0])
def test_fast_resampling_equals_the_plain_one(step):
    clip = make_clip(1)
    torch.testing.assert_close(Track.of(clip).resampled(step).features(), resample(clip, step), atol=1e-9, rtol=0)


def test_length_starts_and_the_frames_outside_the_blend():
    first, second = make_clip(1, 30), make_clip(2, 50)
    joined, starts = join([first, second], 10)
    assert starts == [0, 30] and len(joined) == 30 + 49
    torch.testing.assert_close(joined[:30], first, atol=1e-12, rtol=0)
    # After the blend (at most twice the window) the second clip plays unchanged, wherever it is and faces.
    torch.testing.assert_close(joined[52:], second[23:], atol=1e-9, rtol=0)
    assert (joined[31, f.ROTATIONS] - second[2, f.ROTATIONS]).abs().max() > 0.01


def test_pose_travel_and_heading_are_continuous():
    first, second = make_clip(1, speed=0.1, turn=0.05), make_clip(2, speed=0.0, turn=-0.05)
    joined, (_, seam) = join([first, second], 10)
    joints = f.decode_positions(joined)
    own = max(speed_of(f.decode_positions(clip)).max() for clip in (first, second))
    assert speed_of(joints[seam - 2 :]).max() < 1.5 * own
    own_jerk = max(speed_of(f.decode_positions(clip), 3).max() for clip in (first, second))
    assert speed_of(joints[seam - 4 : seam + 24], 3).max() < 0.05 + 3 * own_jerk
    turn = f.decode_heading(joined).diff()
    assert turn[seam - 1].item() == pytest.approx(turn[seam - 2].item(), abs=0.02)

    cut = torch.cat((joints[:seam], f.decode_positions(second)[1:] + joints[seam - 1, :1] * torch.tensor([1.0, 0, 1])))
    assert speed_of(cut)[seam - 1] > 2 * own  # what a plain cut would do


def test_a_stopping_runner_does_not_slide_back():
    joined, (_, seam) = join([make_clip(1, speed=0.15, turn=0.0), make_clip(2, speed=0.0, turn=0.0)], 10)
    forward = f.decode_rotations(joined)[1][:, 2]
    assert forward[seam:].diff().min() > -1e-3
    assert 0.3 < forward[-1] - forward[seam - 1] < 1.5  # coasts to a stop


def test_feet_stay_on_the_floor():
    for seed in range(6):
        joined, _ = join([make_clip(seed), make_clip(seed + 10), make_clip(seed + 20)], 10)
        low = f.decode_positions(joined)[..., 1].amin(-1)
        assert low.abs().max() < 1e-9  # the clips themselves keep their lowest joint at exactly 0


def test_bones_keep_their_length():
    joined, _ = join([make_clip(1), make_clip(2)], 10)
    bones = f.decode_positions(joined)[:, 4] - f.decode_positions(joined)[:, 1]
    lengths = bones.norm(dim=-1)
    torch.testing.assert_close(lengths, canonical_skeleton(torch.float64).offsets[4].norm().expand_as(lengths))


def test_half_turns_of_a_joint_blend_without_a_jump():
    clip = make_clip(1)
    track, turned = Track.of(clip), Track.of(clip)
    turned.rotations[:, 16] = turned.rotations[:, 16] @ axis_angle_to_matrix(
        torch.tensor([0.0, 0.0, math.pi], dtype=torch.float64)
    )
    joined, _ = join_tracks([track, turned], 10)
    before, after = joined.rotations[:-1, 16], joined.rotations[1:, 16]
    steps = matrix_to_axis_angle(before.mT @ after).norm(dim=-1)
    assert steps.max() < 2 * math.pi / 20 * 1.3  # least-jerk peak is 1.875 of the mean, over 20 frames


def test_a_blend_longer_than_the_clip_ends_with_it():
    joined, starts = join([make_clip(1), make_clip(2, frames=5), make_clip(3)], 10)
    assert len(joined) == 40 + 4 + 39 and starts == [0, 40, 44]
    assert torch.isfinite(joined).all()


def test_one_frame_cannot_be_joined():
    with pytest.raises(InputError, match="clip 1: found one frame"):
        join([make_clip(1), make_clip(2, frames=1)], 10)
