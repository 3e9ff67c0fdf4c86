"""Binary spherical quantization: LFQ on the unit sphere.

Zhao et al. 2024, "Image and Video Tokenization with Binary Spherical Quantization" (arXiv 2406.07548, section 4):

    u      = v / |v|                      v: d = log2 K numbers
    code_i = sign(u_i) / sqrt d           so |code| = 1 too
    p_n(c) = softmax over all codes of -inv_temperature |u_n - c|^2
    loss   = entropy * (mean_n H(p_n) - diversity * H(mean_n p_n)) + commitment * mean (u - sg[code])^2

On the sphere no vector is far from its code (the angle is below 90 degrees and none can run away), so the paper needs
no commitment. It estimates the second entropy bit by bit; `lfq` computes it exactly.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from motionlab.quantizers.lfq import LFQ


class BSQ(LFQ):
    """Sign quantizer on the unit sphere, with a linear map in and out.

    Args: those of `LFQ`.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        entropy: float = 0.1,
        diversity: float = 1.0,
        commitment: float = 0.0,
        inv_temperature: float = 1.0,
    ) -> None:
        super().__init__(
            codebook_size,
            dim,
            entropy=entropy,
            diversity=diversity,
            commitment=commitment,
            inv_temperature=inv_temperature,
        )

    @property
    def scale(self) -> float:
        return float(self.project_in.out_features**-0.5)

    def _place(self, points: Tensor) -> Tensor:
        """On the unit sphere; a vector of zeros stays where it is."""
        return F.normalize(points, dim=-1)
