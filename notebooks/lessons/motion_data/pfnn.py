"""A phase-functioned network, small enough to read: the weights of each layer are a curve over the phase of a step.

(Holden, Komura, Saito: "Phase-Functioned Neural Networks for Character Control", 2017.) Four sets of weights lie on a
circle at phase 0, 1/4, 1/2 and 3/4. Between them runs a cubic Catmull-Rom curve, so a left step and a right step are
computed by different networks that turn into each other without a jump.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.motion.formats.pfnn import X_COLUMNS, Y_COLUMNS, PfnnVectors

POINTS = 4
JOINT_WEIGHT = 0.1  # of the joints in X: the trajectory, which a user steers, must not be drowned by them
SPARSITY = 0.01  # weight of the mean size of the parameters in the loss
RATE, BATCH = 1e-4, 32


def catmull_rom(phase: Tensor) -> Tensor:
    """The share of each of the four control points at a phase, `[B] -> [B, 4]`; they sum to 1.

    >>> catmull_rom(torch.tensor([0.25, 0.375]))
    tensor([[ 0.0000,  1.0000,  0.0000,  0.0000],
            [-0.0625,  0.5625,  0.5625, -0.0625]])
    """
    place = POINTS * phase
    before = place.floor()
    u = (place - before)[:, None]  # [B, 1] of the way to the next point
    shares = torch.cat(
        (
            -0.5 * u + u**2 - 0.5 * u**3,
            1 - 2.5 * u**2 + 1.5 * u**3,
            0.5 * u + 2 * u**2 - 1.5 * u**3,
            -0.5 * u**2 + 0.5 * u**3,
        ),
        dim=1,
    )  # of the point before the last one, the last one, the next one and the one after it
    points = (before.long()[:, None] + torch.arange(-1, 3)) % POINTS  # [B, 4]
    return torch.zeros_like(shares).scatter_add(1, points, shares)


class PhaseLinear(nn.Module):
    """A linear layer whose weights follow the phase."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = (6 / (inputs + outputs)) ** 0.5  # Glorot and Bengio, 2010
        self.weight = nn.Parameter(torch.empty(POINTS, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(POINTS, outputs))

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """`[B, inputs], [B, 4] -> [B, outputs]`.

        A layer is linear in its weights, so mixing the four results is the same as mixing the four weights, and
        cheaper: a batch needs no matrix for each of its rows.
        """
        each = torch.einsum("bi,poi->bpo", x, self.weight) + self.bias  # [B, 4, outputs]
        return torch.einsum("bp,bpo->bo", shares, each)


class PhaseFunctionedNetwork(nn.Module):
    """Three layers with ELU between them.

    Args:
        inputs, outputs: columns of X and of Y.
        hidden: width; 512 in the paper.
        dropout: share of the inputs of each layer that is left out in training; 0.3 in the paper.
    """

    def __init__(
        self, inputs: int = len(X_COLUMNS), outputs: int = len(Y_COLUMNS), hidden: int = 512, dropout: float = 0.3
    ) -> None:
        super().__init__()
        sizes = ((inputs, hidden), (hidden, hidden), (hidden, outputs))
        self.layers = nn.ModuleList(PhaseLinear(*size) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, phase: Tensor) -> Tensor:
        """`[B, inputs], [B] -> [B, outputs]`."""
        shares = catmull_rom(phase)
        for layer in self.layers[:-1]:
            x = F.elu(layer(self.dropout(x), shares))
        y: Tensor = self.layers[-1](self.dropout(x), shares)
        return y


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and spread of the columns, the spread as one number for each block, as the public script has it."""

    x_mean: Tensor
    x_std: Tensor
    y_mean: Tensor
    y_std: Tensor

    @classmethod
    def of(cls, vectors: PfnnVectors) -> Scaling:
        """Measured on the vectors of the training set."""
        x_std = _block_std(vectors.x, X_COLUMNS)
        joints = torch.tensor([name.startswith(("position", "velocity")) for name in X_COLUMNS])
        x_std = torch.where(joints, x_std / JOINT_WEIGHT, x_std)
        return cls(vectors.x.mean(0), x_std, vectors.y.mean(0), _block_std(vectors.y, Y_COLUMNS))

    def apply(self, vectors: PfnnVectors) -> PfnnVectors:
        """Columns of mean 0 and, block by block, of spread 1."""
        x, y = (vectors.x - self.x_mean) / self.x_std, (vectors.y - self.y_mean) / self.y_std
        return PfnnVectors(x, y, vectors.phase)


def _block_std(values: Tensor, columns: tuple[str, ...]) -> Tensor:
    """`[N, n] -> [n]`; a block is one quantity over all its moments or joints."""
    std = values.std(0)
    blocks = [_block(name) for name in columns]
    result = torch.ones_like(std)
    for name in dict.fromkeys(blocks):
        block = torch.tensor([other == name for other in blocks])
        mean = std[block].mean()
        result[block] = mean if float(mean) > 1e-6 else 1.0  # terrain of flat ground never changes
    return result


def _block(column: str) -> str:
    """`position_left_hip_x` belongs to `position`, `trajectory_direction_x_+10` to `trajectory_direction_x`."""
    word = column.split("_")[0]
    return word if word in ("position", "velocity", "rotation", "contact") else column.rpartition("_")[0]


def join(parts: list[PfnnVectors]) -> PfnnVectors:
    """The vectors of several motions."""
    return PfnnVectors(*(torch.cat([getattr(part, name) for part in parts]) for name in ("x", "y", "phase")))


def error(network: PhaseFunctionedNetwork, vectors: PfnnVectors) -> Tensor:
    """Mean squared error of the scaled columns, a scalar."""
    return F.mse_loss(network(vectors.x, vectors.phase), vectors.y)


def measure_error(network: PhaseFunctionedNetwork, vectors: PfnnVectors) -> float:
    """The same as a number, without dropout."""
    with torch.inference_mode():
        return float(error(network.eval(), vectors))


def train_epoch(
    network: PhaseFunctionedNetwork, optimizer: torch.optim.Optimizer, vectors: PfnnVectors, generator: torch.Generator
) -> list[float]:
    """Show the network each vector once, in random order; the error of each batch."""
    network.train()
    errors = []
    for rows in torch.randperm(len(vectors), generator=generator).split(BATCH):
        batch = PfnnVectors(vectors.x[rows], vectors.y[rows], vectors.phase[rows])
        mistake = error(network, batch)
        size = torch.stack([parameter.abs().mean() for parameter in network.parameters()]).mean()
        optimizer.zero_grad()
        (mistake + SPARSITY * size).backward()
        optimizer.step()
        errors.append(float(mistake.detach()))
    return errors
