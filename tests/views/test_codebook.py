"""The plane of lesson 02: its pulls are negative gradients, and its counts agree."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.plots.quantizer_cells import REACH
from motionlab.views.codebook import DOTS, compute_plane, moved_codes, rescued_codes

CODES = [[-1.0, 0.5], [0.2, -0.3], [1.1, 0.4], [3.9, -3.9]]  # the last one is dead


def test_every_pull_is_a_negative_gradient() -> None:
    plane = compute_plane(CODES, probe=(0.3, 0.4), target=(2.0, -1.0), commitment=0.4)
    codes, probe = plane.codes.clone().requires_grad_(), plane.probe.clone().requires_grad_()
    (plane.points - codes[plane.owner]).square().sum(1).mean().backward()
    assert codes.grad is not None and torch.allclose(plane.code_pull, -codes.grad, atol=1e-12)
    assert plane.code_pull[:3].norm(dim=1).min() > 1e-3

    code = plane.codes[plane.token]
    seen = probe + (code - probe).detach()
    ((seen - plane.target).square().sum() + 0.4 * (probe - code).square().sum()).backward()
    assert probe.grad is not None
    assert torch.allclose(plane.decoder_pull + plane.commitment_pull, -probe.grad, atol=1e-12)


def test_counts_agree_with_each_other() -> None:
    plane = compute_plane(CODES)
    assert plane.hits.tolist() == plane.usage.histogram.tolist() and int(plane.hits.sum()) == DOTS
    assert plane.usage.used == 3 and plane.hits[3] == 0
    distances = torch.cdist(plane.points, plane.codes)
    assert torch.equal(plane.owner, distances.argmin(1))
    assert plane.distance == pytest.approx(float(distances.min(1).values.square().mean()))


def test_a_dead_code_is_pulled_by_nothing_and_rescued() -> None:
    plane = compute_plane(CODES)
    assert torch.equal(plane.means[3], plane.codes[3]) and not plane.code_pull[3].any()
    moved = moved_codes(plane)
    assert torch.equal(moved[3], plane.codes[3]) and not torch.allclose(moved[:3], plane.codes[:3])
    rescued = rescued_codes(plane)
    assert torch.equal(rescued[:3], plane.codes[:3])
    assert float((plane.points - rescued[3]).norm(dim=1).min()) == 0


def test_steps_lower_the_codebook_loss() -> None:
    plane = compute_plane(CODES)
    for _ in range(5):
        later = compute_plane(moved_codes(plane))
        assert later.distance < plane.distance
        plane = later


def test_shift_moves_the_dots() -> None:
    still, moved = compute_plane(CODES), compute_plane(CODES, shift=1.5)
    assert torch.allclose(moved.points - still.points, torch.tensor([1.5, 0.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([[0.0, 0.0]], "two or more pairs"),
        ([[0.0, 0.0, 0.0]] * 2, "two or more pairs"),
        ([[0.0, 9.0], [0.0, 0.0]], "-4 to 4"),
        ([[0.0, float("nan")], [0.0, 0.0]], "-4 to 4"),
        ("ab", "two or more pairs"),
        ([[1, 2], [3]], "two or more pairs"),
    ],
)
def test_wrong_codes_are_refused(codes: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        compute_plane(codes)


def test_a_wrong_probe_is_named() -> None:
    with pytest.raises(InputError, match="probe.*two numbers"):
        compute_plane(CODES, probe=(1.0,))


def test_each_place_of_the_plane_belongs_to_the_code_next_to_it() -> None:
    plane = compute_plane(CODES)
    column, row = ((plane.codes + REACH) / (2 * REACH) * 239).round().long().T
    assert plane.owners[row, column].tolist() == [0, 1, 2, 3]
    assert plane.owners.shape == (240, 240) and plane.owners[0, -1] == 3 and plane.owners[-1, 0] == 0
