"""The height of the floor under a clip."""

from __future__ import annotations

from torch import Tensor

LOW = 0.05  # of the frames may be lower


def floor_height(joints: Tensor) -> float:
    """Where the floor is, in the unit of joints `[T, n, 3]` with y up.

    The lowest joint of each frame is a foot that stands (a hand, a back), so a low percentile over the clip is the
    floor. The lowest of all frames is not: one bad frame put 12 of 631 public clips more than 8 cm into the air.
    """
    return float(joints[..., 1].amin(-1).quantile(LOW))
