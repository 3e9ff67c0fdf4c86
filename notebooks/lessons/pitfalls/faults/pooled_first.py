"""The picture is averaged over its patches before the sentence may ask where something is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen

SIDE, COLOURS = 4, 3
Fuse = Callable[[Tensor, Tensor], Tensor]


def broken(patches: Tensor, sentence: Tensor) -> Tensor:
    """Patches `[B, 16, 3 + 2]` (colours, place) and the colour that is named `[B, 3]` -> features for the head."""
    pooled = patches.mean(1)  # [B, 5]
    return torch.cat([pooled, sentence, (pooled[:, :, None] * sentence[:, None]).flatten(1)], dim=1)


def fixed(patches: Tensor, sentence: Tensor) -> Tensor:
    """The sentence weighs the patches; then they are averaged."""
    weight = torch.softmax(20 * (patches[..., :COLOURS] @ sentence[..., None])[..., 0], dim=1)  # [B, 16]
    pooled = (weight[..., None] * patches).sum(1)
    return torch.cat([pooled, sentence, (pooled[:, :, None] * sentence[:, None]).flatten(1)], dim=1)


def _scenes(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Three cubes of three colours on different patches; one is named; its place `[n, 2]` is wanted."""
    random = torch.Generator().manual_seed(seed)
    spots = torch.rand(n, SIDE * SIDE, generator=random).argsort(1)[:, :COLOURS]  # [n, 3]
    place = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).float()  # [16, 2]
    patches = torch.zeros(n, SIDE * SIDE, COLOURS)
    patches.scatter_(1, spots[..., None].expand(-1, -1, COLOURS), torch.eye(COLOURS).expand(n, -1, -1))
    named = torch.randint(COLOURS, (n,), generator=random)
    goal = place[spots[torch.arange(n), named]]
    return torch.cat([patches, place.expand(n, -1, -1)], dim=2), torch.eye(COLOURS)[named], goal


def _errors(fuse: Fuse) -> tuple[float, Tensor]:
    """The head is linear and as good as it can be: its training loss, and errors on new scenes, in patches."""
    x, s, goal = _scenes(600, seed=0)
    inputs = torch.cat([fuse(x, s), torch.ones(len(x), 1)], dim=1)
    head = torch.linalg.lstsq(inputs, goal, driver="gelsd").solution
    loss = float((inputs @ head - goal).square().mean())
    x, s, goal = _scenes(200, seed=1)
    return loss, (torch.cat([fuse(x, s), torch.ones(len(x), 1)], dim=1) @ head - goal).norm(dim=1)


def symptom(fuse: Fuse) -> Seen:
    loss, errors = _errors(fuse)
    error = float(errors.mean())
    return Seen(error, errors.sort().values.tolist(), train=loss, validation=error**2)


def test(fuse: Fuse) -> None:
    x, s, _ = _scenes(1, seed=2)
    moved = x.clone()
    spots = x[0, :, :COLOURS].sum(1) > 0
    moved[0, :, :COLOURS] = x[0, :, :COLOURS].roll(1, 0)  # every cube one patch further
    assert bool(spots.any()) and not torch.allclose(fuse(x, s), fuse(moved, s), atol=1e-3), "places do not matter"


PITFALL = Pitfall(
    name="pooled_first",
    title="pooled before the sentence may ask",
    topic="robot",
    seen="the published code of AtlasVLA",
    lesson="14",
    fix="move an object: the features that the head reads have to move",
    measure="distance from the cube that is named, patches",
    height="distance from the cube that is named, patches",
    axis="scenes, sorted by error",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.7,
)
