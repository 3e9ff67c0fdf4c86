"""Frame by frame probabilities to one label for each frame, of which it is known that labels rarely change.

The best label of every frame alone flickers where two actions look alike for a moment. An action lasts, so each change
costs as much as `cost` nats of log-probability, and the path of labels that is best in total is found by dynamic
programming (Viterbi, IEEE Trans. Information Theory 1967), for a chain that stays or goes anywhere else.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor


def best_path(log_probabilities: Tensor, cost: float) -> list[int]:
    """The labels `[N]` whose sum of log-probabilities, less `cost` for every change, is largest.

    Args:
        log_probabilities: `[N, K]`.
        cost: 0 gives the best label of every frame.

    >>> import torch
    >>> sure, unsure = [2.0, 0.0], [0.0, 0.5]
    >>> best_path(torch.tensor([sure, unsure, sure]), 0.0), best_path(torch.tensor([sure, unsure, sure]), 1.0)
    ([0, 1, 0], [0, 0, 0])
    """
    table = log_probabilities.double().cpu().numpy()  # [N, K]
    if not len(table):
        return []
    labels = np.arange(table.shape[1])
    score, came = table[0], np.zeros(table.shape, dtype=np.int64)
    for frame in range(1, len(table)):
        best = int(score.argmax())
        stay = score >= score[best] - cost
        came[frame] = np.where(stay, labels, best)
        score = np.where(stay, score, score[best] - cost) + table[frame]
    path = [int(score.argmax())]
    for frame in range(len(table) - 1, 0, -1):
        path.append(int(came[frame, path[-1]]))
    return path[::-1]
