"""From the fused vector to a chunk of actions: by regression, or by flow matching.

Regression predicts one chunk: the median (L1) or mean (L2) of what the demonstrations did. Where they go left or right
with equal right, that is the middle, which nobody did. Flow matching (Lipman et al., arXiv:2210.02747) learns to carry
noise to actions, so each draw ends at one of them. Its times and signs are those of pi0 (Black et al.,
arXiv:2410.24164): t = 1 is noise and t = 0 an action,

    x_t = t noise + (1 - t) action        velocity to learn: noise - action        x <- x - dt * velocity

Both heads share an interface: `losses(context, targets)` and `predict(context)`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.checks import check_sizes
from motionlab.vla.actions import ActionLosses, Actions, ActionTargets, action_losses
from motionlab.vla.backbone.geometry_loss import masked_mean

DIMS = 7
"""Six numbers of the pose and the gripper."""


class Head(nn.Module):
    """The interface. `horizon`: T, actions in a chunk; `draws`: whether `predict` begins with noise."""

    horizon: int
    draws = False

    def losses(self, context: Tensor, targets: ActionTargets) -> ActionLosses:
        """Losses of a batch; `context` is `[B, dim]`."""
        raise NotImplementedError

    def predict(self, context: Tensor, generator: torch.Generator | None = None) -> Actions:
        """A chunk for each row; `generator` is for a head that draws."""
        raise NotImplementedError


class RegressionHead(Head):
    """An MLP, then a linear pose and a gripper.

    Args:
        dim: width of the context.
        horizon: T.
        hidden: width of the two hidden layers.
        gripper: "tanh" is trained by L1 against -1 and +1, "logit" by cross-entropy. Both close above 0.
        pose_weight, gripper_weight: of the losses.
    """

    def __init__(
        self,
        dim: int,
        horizon: int = 1,
        hidden: int = 256,
        gripper: Literal["tanh", "logit"] = "tanh",
        *,
        pose_weight: float = 1.0,
        gripper_weight: float = 0.5,
    ) -> None:
        super().__init__()
        check_sizes(dim=dim, horizon=horizon, hidden=hidden)
        if gripper not in ("tanh", "logit"):
            raise InputError("gripper", found=repr(gripper), expected="tanh or logit", fix="Choose one of these.")
        self.horizon, self.kind = horizon, gripper
        self.pose_weight, self.gripper_weight = pose_weight, gripper_weight
        self.trunk = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.pose, self.gripper = nn.Linear(hidden, 6 * horizon), nn.Linear(hidden, horizon)

    def forward(self, context: Tensor) -> Actions:
        x = self.trunk(context)
        gripper = self.gripper(x).unflatten(-1, (self.horizon, 1))
        pose = self.pose(x).unflatten(-1, (self.horizon, 6))
        return Actions(pose, gripper.tanh() if self.kind == "tanh" else gripper)

    def losses(self, context: Tensor, targets: ActionTargets) -> ActionLosses:
        return action_losses(
            self(context), targets, pose_weight=self.pose_weight, gripper_weight=self.gripper_weight,
            gripper_loss="l1" if self.kind == "tanh" else "bce",
        )  # fmt: skip

    def predict(self, context: Tensor, generator: torch.Generator | None = None) -> Actions:
        actions: Actions = self(context)
        return actions


class FlowMatchingHead(Head):
    """A network for the velocity, and Euler steps from noise to a chunk of actions.

    Args:
        dim: width of the context.
        horizon: T.
        hidden: width of the network.
        steps: of Euler; each calls the network once.

    The losses are means of the squared error of the velocity, over valid steps; `total` weights all 7 numbers equally.
    """

    draws = True

    def __init__(self, dim: int, horizon: int = 1, hidden: int = 256, steps: int = 10) -> None:
        super().__init__()
        check_sizes(dim=dim, horizon=horizon, hidden=hidden, steps=steps)
        self.horizon, self.steps = horizon, steps
        self.actions = nn.Linear(DIMS * horizon, hidden)
        self.context = nn.Linear(dim, hidden)
        self.time = nn.Linear(2 * len(_periods()), hidden)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, 2 * hidden), nn.SiLU(), nn.Linear(2 * hidden, hidden))
            for _ in range(2)
        )
        self.out = nn.Sequential(nn.LayerNorm(hidden), nn.SiLU(), nn.Linear(hidden, DIMS * horizon))

    def velocity(self, noisy: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """`x_t [B, T, 7]`, `t [B]` and context `[B, dim]` to `noise - action` `[B, T, 7]`."""
        x = self.actions(noisy.flatten(1)) + self.context(context) + self.time(time_features(time))  # [B, hidden]
        for layer in self.layers:
            x = x + layer(x)
        found: Tensor = self.out(x).unflatten(-1, (self.horizon, DIMS))
        return found

    def losses(self, context: Tensor, targets: ActionTargets) -> ActionLosses:
        if targets.pose.shape[1] != self.horizon:
            raise InputError(
                "actions", found=f"chunks of {targets.pose.shape[1]}", expected=self.horizon,
                fix="Use the horizon that the policy was made with.",
            )  # fmt: skip
        real = ~targets.action_is_pad  # [B, T]
        # The network reads the whole chunk: what a padded step holds must not reach it.
        action = torch.cat([targets.pose, targets.gripper], -1).masked_fill(~real[..., None], 0)  # [B, T, 7]
        noise = torch.randn_like(action)
        time = draw_times(len(action), action.device)
        t = time[:, None, None]
        error = self.velocity(t * noise + (1 - t) * action, time, context).float() - (noise - action)
        square = error.square()
        pose, gripper = masked_mean(square[..., :6].mean(-1), real), masked_mean(square[..., 6], real)
        return ActionLosses((6 * pose + gripper) / DIMS, pose, gripper)

    def predict(self, context: Tensor, generator: torch.Generator | None = None) -> Actions:
        x = torch.randn(len(context), self.horizon, DIMS, generator=generator).to(context.device)  # [B, T, 7]
        for step in range(self.steps):
            time = torch.full((len(context),), 1 - step / self.steps, device=context.device)
            x = x - self.velocity(x, time, context).float() / self.steps
        return Actions(x[..., :6], x[..., 6:])


def draw_times(n: int, device: torch.device) -> Tensor:
    """`0.999 Beta(1.5, 1) + 0.001`, `[n]`: more often near the noise, where the choice between modes is made.

    The distribution function of Beta(a, 1) is x^a, so a uniform number to the power 1 / a is a draw from it.
    """
    return 0.999 * torch.rand(n, device=device) ** (2 / 3) + 0.001


def time_features(time: Tensor) -> Tensor:
    """Sines and cosines of a time in [0, 1], `[B]` to `[B, 2k]`, from slow to fast."""
    angle = time[:, None] * (2 * math.pi / _periods().to(time.device))  # [B, k]
    return torch.cat([angle.sin(), angle.cos()], -1)


def _periods(k: int = 16) -> Tensor:
    return torch.logspace(math.log10(4.0), math.log10(0.1), k)
