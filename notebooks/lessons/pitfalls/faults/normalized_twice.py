"""Pictures are normalised by the evaluation and once more by the model, which clamps what it gets to 0..1 first."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen

MEAN, STD = 0.45, 0.225  # about ImageNet's
Prepare = Callable[[Tensor], Tensor]


def broken(picture: Tensor) -> Tensor:
    """The evaluation's input of the model, from `[...]` in 0..1; training hands over the picture itself."""
    return (picture - MEAN) / STD


def fixed(picture: Tensor) -> Tensor:
    """One function for training, evaluation and video. The model normalises."""
    return picture


def _tower(picture: Tensor) -> Tensor:
    """The first lines of the model."""
    return (picture.clamp(0, 1) - MEAN) / STD


def _policy(prepare: Prepare) -> tuple[float, float, float]:
    """A linear policy that is trained on pictures; its error in training, on held-out pictures, and when it acts."""
    random = torch.Generator().manual_seed(0)
    pictures, target = torch.rand(400, 9, generator=random), torch.randn(9, generator=random)
    actions = pictures @ target
    inputs = torch.cat([_tower(pictures), torch.ones(400, 1)], dim=1)
    weights = torch.linalg.lstsq(inputs[:300], actions[:300, None]).solution

    def error(x: Tensor, y: Tensor) -> float:
        return float((torch.cat([_tower(x), torch.ones(len(x), 1)], dim=1) @ weights - y[:, None]).square().mean())

    held_out, scale = pictures[300:], float(actions.var())
    train, validation = error(pictures[:300], actions[:300]), error(held_out, actions[300:])
    return train / scale, validation / scale, error(prepare(held_out), actions[300:]) / scale


def symptom(prepare: Prepare) -> Seen:
    grey = torch.linspace(0, 1, 41)
    train, validation, acting = _policy(prepare)
    return Seen(100 * acting, _tower(prepare(grey)).tolist(), train=round(train, 6), validation=round(validation, 6))


def test(prepare: Prepare) -> None:
    grey = torch.linspace(0, 1, 11)
    assert torch.allclose(_tower(prepare(grey)), _tower(grey), atol=1e-5), "evaluation shows the model other pictures"


PITFALL = Pitfall(
    name="normalized_twice",
    title="pictures normalised twice at evaluation",
    topic="robot",
    seen="the published code of AtlasVLA",
    lesson="14",
    fix="one function for training, evaluation and video",
    measure="error of the actions, % of their variance",
    height="what the model sees",
    axis="grey value of the picture, black to white",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=20.0,
    at=torch.linspace(0, 1, 41).tolist(),
)
