"""A learned codebook on a plane of two latent numbers: which dots each code gets, and where the gradients pull it.

Everything here is a pure function of its arguments. Notation: n dots, K codes.

The plane has the three gradients of a VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937). For one vector z with code
c, and a decoder whose loss is L(c), each arrow is a descent direction, the negative gradient:

    codebook loss    |sg[z] - c|^2, mean over the dots     moves c_k:  2 (hits_k / n) (mean_k - c_k)
    straight-through L(c), its gradient copied to z        moves z:    -dL/dc
    commitment loss  beta |z - sg[c]|^2                    moves z:    2 beta (c - z)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.plots.codebook import Plane
from motionlab.plots.quantizer_cells import REACH
from motionlab.quantizers.codebook import nearest_codes
from motionlab.quantizers.usage import CodeUsage
from motionlab.runtime import random_generator
from motionlab.views.quantizer_cells import toy_latents

DOTS = 160


def compute_plane(
    codes: Any,
    probe: Any = (0.0, 0.0),
    target: Any = (2.0, 0.0),
    *,
    spread: float = 1.2,
    shift: float = 0.0,
    commitment: float = 0.25,
) -> Plane:
    """Quantize the toy dots and the probe with the given codes.

    Args:
        codes: `[K, 2]` places inside the plane, -4 to 4.
        probe, target: one place each.
        spread, shift: how far the encoder has spread the dots, and moved them to the right.
        commitment: beta.

    >>> plane = compute_plane([[-1.0, 0.0], [1.0, 0.0], [3.9, 3.9]])
    >>> plane.hits.tolist(), plane.token
    ([79, 81, 0], 0)

    Raises:
        InputError: not two or more places, or one outside the plane.
    """
    book = check_places("codes", codes)
    z, wish = check_places("probe", [probe])[0], check_places("target", [target])[0]
    points = toy_latents(spread, count=DOTS) + torch.tensor([shift, 0.0], dtype=torch.float64)
    owner = nearest_codes(points, book)  # [n]
    usage = CodeUsage(len(book))
    usage.update(owner)
    hits = torch.bincount(owner, minlength=len(book))  # [K]
    sums = torch.zeros_like(book).index_add_(0, owner, points)
    means = torch.where(hits[:, None] > 0, sums / hits.clamp(min=1)[:, None], book)
    token = int(nearest_codes(z[None], book))
    side = torch.linspace(-REACH, REACH, 240, dtype=torch.float64)
    y, x = torch.meshgrid(side, side, indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2)  # [240 * 240, 2]
    return Plane(
        points=points,
        codes=book,
        owner=owner,
        hits=hits,
        usage=usage.summary(),
        owners=nearest_codes(pixels, book).view(240, 240),
        means=means,
        code_pull=2 * (hits / len(points))[:, None] * (means - book),
        distance=float((points - book[owner]).square().sum(1).mean()),
        probe=z,
        target=wish,
        token=token,
        decoder_pull=2 * (wish - book[token]),
        commitment_pull=2 * commitment * (book[token] - z),
    )


def rounded(places: Tensor) -> Tensor:
    """Places to a thousandth, same shape: as finely as a mouse can put them."""
    return places.mul(1000).round().div(1000)


def check_places(name: str, places: Any) -> Tensor:
    """Places as a float64 tensor `[K, 2]`, rounded as a mouse would place them.

    Raises:
        InputError: another shape, or a place outside the plane.
    """
    try:
        tensor = torch.as_tensor(places, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        tensor = torch.empty(0)
    least = 2 if name == "codes" else 1
    if tensor.ndim != 2 or tensor.shape[1] != 2 or len(tensor) < least:
        shape = "two numbers" if least == 1 else "two or more pairs of numbers"
        raise InputError(name, found=repr(places)[:80], expected=shape, fix="Give x and y of each place.")
    if not bool((tensor.abs() <= REACH).all()):  # also false for nan
        raise InputError(
            name, found=f"{float(tensor.abs().max()):g}", expected=f"-{REACH:g} to {REACH:g}", fix="Stay in the plane."
        )
    return rounded(tensor)


def moved_codes(plane: Plane, share: float = 0.3) -> Tensor:
    """`[K, 2]`: every used code goes a share of the way to the mean of its dots. A dead code has nowhere to go."""
    return plane.codes + share * (plane.means - plane.codes)


def rescued_codes(plane: Plane, seed: int = 0) -> Tensor:
    """`[K, 2]`: every dead code is put onto a dot drawn at random."""
    order = torch.randperm(len(plane.points), generator=random_generator(seed))[: len(plane.codes)]
    return torch.where(plane.hits[:, None] > 0, plane.codes, plane.points[order])


def plane_places(places: dict[str, Any]) -> dict[str, Any]:
    """Codes, probe and target of a plane as lists of rounded numbers, which is what a page can send.

    Raises:
        InputError: a place that is none, or outside the plane.
    """
    known = {"codes": places["codes"], "probe": [places["probe"]], "target": [places["target"]]}
    checked = {name: check_places(name, value).tolist() for name, value in known.items()}
    if len(checked["codes"]) > 64:
        raise InputError("codes", found=len(checked["codes"]), expected="at most 64", fix="Use fewer codes.")
    return {"codes": checked["codes"], "probe": checked["probe"][0], "target": checked["target"][0]}


# Twelve of the dots at spread 1.2: the result of a start from the first batch.
ON_THE_DATA = tuple(tuple(point) for point in rounded(toy_latents(1.2, count=DOTS)[:12]).tolist())

# Drawn without looking at the dots.
FAR_AWAY = (
    (3.3, 3.2), (2.2, 3.6), (3.6, 1.9), (1.4, 2.9), (2.9, 2.5), (3.7, 0.4), (-3.4, 3.3), (-2.2, 2.8), (-3.5, 1.2),
    (-3.1, -2.6), (2.6, -3.2), (0.2, -3.5),
)  # fmt: skip
