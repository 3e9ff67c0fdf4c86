"""Actions are brought back to units of the robot with the numbers of another kind of normalising."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.errors import InputError
from motionlab.vla.action_normalizer import ActionNormalizer

Back = Callable[[Tensor, ActionNormalizer], Tensor]


def _demonstrations() -> Tensor:
    """Moves along x that are seldom large, as in LIBERO; `[N, 6]`."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(500, 6, generator=random) ** 3 * 0.05 + 0.1


def broken(actions: Tensor, trained: ActionNormalizer) -> Tensor:
    """From what the policy says to what the robot does; the option at evaluation is z-score, whatever was trained."""
    return ActionNormalizer.fit(_demonstrations(), "zscore").denormalize(actions)


def fixed(actions: Tensor, trained: ActionNormalizer) -> Tensor:
    """The normaliser travels in the checkpoint, and one of another kind refuses its numbers."""
    here = ActionNormalizer("q01_q99")
    try:
        here.load_state_dict(trained.state_dict())
    except InputError:
        here = trained
    return here.denormalize(actions)


def _path(back: Back) -> tuple[Tensor, Tensor, float]:
    """A perfect policy replays a demonstration: the places of the hand, the right ones, and its validation loss."""
    moves = _demonstrations()
    trained = ActionNormalizer.fit(moves, "q01_q99")
    episode = moves[moves[:, 0] > 0.1][:40]  # one that goes to the left
    said = trained.normalize(episode)
    loss = float((said - trained.normalize(episode)).square().mean())
    right = trained.denormalize(said)
    return back(said, trained)[:, 0].cumsum(0), right[:, 0].cumsum(0), loss


def symptom(back: Back) -> Seen:
    found, right, loss = _path(back)
    off = (found - right).abs() * 5  # a unit is 5 cm
    return Seen(float(off[-1]), off.tolist(), train=loss, validation=loss)


def test(back: Back) -> None:
    trained = ActionNormalizer.fit(_demonstrations(), "q01_q99")
    moves = _demonstrations()[:5].clamp(-0.1, 0.3)
    assert torch.allclose(back(trained.normalize(moves), trained), moves, atol=1e-4), "there and back is another move"


PITFALL = Pitfall(
    name="wrong_statistics",
    title="unnormalised with other statistics",
    topic="robot",
    seen="openvla #203; openpi #849, #971",
    lesson="14",
    fix="statistics and their kind travel in the checkpoint",
    measure="a perfect policy misses by, cm",
    height="the hand is off by, cm",
    axis="step of the episode",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=2.0,
)
