"""What do features know, and what has a policy learned?

The plainest reader of all, ridge regression, asks features where things are. Each number of an action is looked
at alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionlab.jobs.stages.vla import VlaStage
from motionlab.jobs.vla.batches import Moments
from motionlab.jobs.vla.data import Demonstrations
from motionlab.vla.backbone.features import Features
from motionlab.vla.libero.index import index_file
from motionlab.vla.table_lab.world import TableState


@dataclass(frozen=True)
class Places:
    """Where things are, at every moment of all demonstrations.

    Fields:
        hand: `[N, 2]` x and y of the grip point, metres.
        cubes: `[N, 3, 2]` from the hand to the middle of the red, green and blue cube.
    """

    hand: np.ndarray
    cubes: np.ndarray


def places_of(data: Demonstrations) -> Places:
    """Read from the states that the demonstrations keep; a policy never sees them."""
    states = [row for path in data.files for demo in index_file(path).demos if demo.states is not None
              for row in demo.states]  # fmt: skip
    assert len(states) == len(data.frames), "a state for each moment"
    tables = [TableState.from_vector(state) for state in states]
    hand = np.stack([table.hand[:2] for table in tables])
    cubes = np.stack([table.cubes[:, :2] for table in tables])
    return Places(hand, cubes - hand[:, None])


def pooled(features: Features) -> Tensor:
    """One vector a view, as a mean over patches, and the cameras: `[N, S * (D + 9)]`."""
    return torch.cat([features.grid.mean((2, 3)), features.pose_enc], -1).flatten(1)


def whole_grid(features: Features) -> Tensor:
    """Every patch where it is, and the cameras: `[N, S * (h * w * D + 9)]`."""
    return torch.cat([features.grid.flatten(2), features.pose_enc], -1).flatten(1)


@torch.no_grad()
def action_r2(stage: VlaStage, moments: Moments) -> list[float]:
    """R^2 of each of the six numbers of the first action, for the policy of a trained stage.

    It is `1 - sum (predicted - label)^2 / sum (mean - label)^2` with the mean of the training episodes: 1 is perfect,
    0 what the mean action gets. A number that is always the mean has no R^2, and gives NaN.
    """
    sentences = [stage.sentences[i] for i in moments.sentence.tolist()]
    said = stage.model.predict(stage.cache.rows(moments.index), sentences, moments.state)
    label = moments.pose[:, 0]  # [N, 6]
    left = (stage.model.normaliser.denormalize(said.pose)[:, 0] - label).square().sum(0)
    spread = (stage.train.pose[:, 0].mean(0) - label).square().sum(0)
    found: list[float] = torch.where(spread > 0, 1 - left / spread, torch.nan).tolist()
    return found


def ridge_r2(
    known: Tensor, answers: np.ndarray, new: Tensor, truth: np.ndarray, strengths: Sequence[float] = (0.01, 0.1, 1.0)
) -> float:
    """Share of the variance of `truth` that ridge regression explains on new rows; 0 is what the mean would do.

    It is the best over the strengths, for every reader alike: what a linear reader could know at most.
    """
    mean, std = known.mean(0), known.std(0).clamp(min=1e-4)
    a, b = (known - mean) / std, (new - mean) / std
    centre = torch.from_numpy(answers.mean(0))
    y, target = torch.from_numpy(answers) - centre, torch.from_numpy(truth) - centre
    gram, across = (a @ a.T).double(), (b @ a.T).double()  # [n, n], [m, n]: rows are fewer than columns
    scale = gram.diagonal().mean()
    found = []
    for strength in strengths:
        weights = torch.linalg.solve(gram + strength * scale * torch.eye(len(a), dtype=torch.float64), y)
        left = (across @ weights - target).square().sum()
        found.append(1 - float(left / target.square().sum()))
    return max(found)
