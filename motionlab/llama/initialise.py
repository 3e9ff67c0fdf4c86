"""The weights that a decoder starts with, when it is trained from scratch."""

from __future__ import annotations

from torch import nn


def initialise(model: nn.Module, n_layer: int) -> None:
    """Normal(0, 0.02) for every matrix, divided by sqrt(2 * n_layer) where a matrix writes to the residual stream.

    Each layer adds two terms to the stream, so the division keeps its size from growing with depth (GPT-2's rule).
    The published training code defines this rule but never calls it: its embeddings start at N(0, 1) and its matrices
    at torch's default. Checkpoints are not affected; a training from scratch is.

    Args:
        model: a decoder whose residual writers are named `c_proj`, as those of `MotionLlama`. Biases become 0, the
            scales of norms 1.
        n_layer: its number of layers.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            writes_residual = name.endswith("c_proj.weight")
            nn.init.normal_(parameter, std=0.02 / (2 * n_layer) ** 0.5 if writes_residual else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.ones_(parameter)
