"""Forward kinematics of a tree, against a chain of 4 x 4 matrices."""

from __future__ import annotations

import torch

from motionlab.motion.formats.euler_angles import euler_to_matrix
from motionlab.motion.formats.joint_tree import rest_places, world_places, world_rotations

PARENTS = (-1, 0, 1, 0, -1, 4)


def test_places_and_turns_are_those_of_a_chain_of_matrices() -> None:
    generator = torch.Generator().manual_seed(0)
    local = euler_to_matrix(torch.rand(4, 6, 3, generator=generator, dtype=torch.float64) * 360, "ZXY")
    steps = torch.rand(4, 6, 3, generator=generator, dtype=torch.float64)
    for tracks in ({}, {0: steps[:, 0], 2: steps[:, 2]}, {joint: steps[:, joint] for joint in range(6)}):
        step = torch.eye(4, dtype=torch.float64).repeat(4, 6, 1, 1)
        step[..., :3, :3] = local
        step[..., :3, 3] = steps[0]
        for joint, track in tracks.items():
            step[:, joint, :3, 3] = track
        chain: list[torch.Tensor] = []
        for joint, parent in enumerate(PARENTS):
            chain.append(step[:, joint] if parent < 0 else chain[parent] @ step[:, joint])
        expected = torch.stack(chain, dim=1)
        world = world_rotations(PARENTS, local)
        torch.testing.assert_close(world, expected[..., :3, :3])
        torch.testing.assert_close(world_places(PARENTS, world, steps[0], tracks), expected[..., :3, 3])


def test_rest_places_add_up_from_the_root() -> None:
    offsets = torch.tensor([[9.0, 9.0, 9.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    assert rest_places((-1, 0, 1), offsets).tolist() == [[0, 0, 0], [1, 0, 0], [1, 2, 0]]
