"""VlaPolicy: pictures of several views, an instruction and the robot's state to a chunk of actions.

    images [B, S, 3, H, W] -> backbone -> features -> standardise \\
    instructions, list[str]  -> language -> text features ---------> fusion [B, dim] \\
    state [B, 8]             -> (x - mean) / std ------------------------------------> head -> actions

With a frozen backbone the road begins at kept features (`losses`, `predict` take `Features`); with pictures it begins
at `features`. Both give the same, up to the float16 of what is kept.

Everything that a prediction depends on is a parameter or a buffer of this module, the statistics of features, state and
actions included. Policies fail in silence when the statistics come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.runtime import evaluating
from motionlab.vla.actions import ActionLosses, Actions, ActionTargets
from motionlab.vla.backbone.features import Features
from motionlab.vla.backbone.standardise import FLOOR, Standardise
from motionlab.vla.fusion import Fusion, FusionInputs
from motionlab.vla.head import Head
from motionlab.vla.language import LanguageEncoder

STATE = 8
"""Numbers of the state: place 3, axis-angle 3, fingers 2."""


class PoseNormaliser(Protocol):
    """Six numbers of an action to about [-1, 1] and back, by statistics of the training split; `[..., 6]`."""

    def normalize(self, pose: Tensor, /) -> Tensor: ...

    def denormalize(self, pose: Tensor, /) -> Tensor: ...


class VlaPolicy(nn.Module):
    """A policy from its parts.

    Args:
        backbone: images and view mask to `Features`: a `FeatureReader`, usually inside `Frozen`.
        language: sentences to text features.
        fusion: both to one vector.
        head: one vector, with the state behind it, to actions; its width is `context_dim(fusion, use_state)`.
        normaliser: of the poses. If it is a module, its buffers are kept with the policy.
        views: their names, in the order of S.
        standardise: of the features; None uses them as they are.
        use_state: whether the head reads the state of the robot.
    """

    state_mean: Tensor
    state_std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        language: LanguageEncoder,
        fusion: Fusion,
        head: Head,
        normaliser: PoseNormaliser,
        *,
        views: Sequence[str],
        standardise: Standardise | None = None,
        use_state: bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.language, self.standardise = backbone, language, standardise
        self.fusion, self.head, self.normaliser = fusion, head, normaliser
        self.views, self.use_state = tuple(views), use_state
        self.register_buffer("state_mean", torch.zeros(STATE))
        self.register_buffer("state_std", torch.ones(STATE))

    @property
    def horizon(self) -> int:
        """T, actions in a chunk."""
        return self.head.horizon

    @torch.no_grad()
    def fit_state(self, states: Tensor) -> None:
        """Take mean and deviation of states `[N, 8]`: those of the training split.

        Raises:
            InputError: another shape, or numbers that are not finite.
        """
        _check_state(states, len(states))
        if not len(states) or not bool(torch.isfinite(states).all()):
            found = "NaN or infinity" if len(states) else "no states"
            raise InputError("state", found=found, expected="finite numbers", fix="Check the data.")
        self.state_mean.copy_(states.double().mean(0))
        self.state_std.copy_(states.double().std(0, correction=0).clamp(min=FLOOR))

    @torch.no_grad()
    def fit_language(self, instructions: Sequence[str]) -> None:
        """Take the different instructions of the training split, before training; see `Fusion.fit_text`.

        Raises:
            InputError: an empty or unknown one.
        """
        with evaluating(self):
            self.fusion.fit_text(self.language(list(dict.fromkeys(instructions))))

    def features(self, images: Tensor, view_mask: Tensor) -> Features:
        """The output of the backbone: images `[B, S, 3, H, W]` in [0, 1], bool `[B, S]`."""
        found: Features = self.backbone(images, view_mask)
        return found

    def context(self, features: Features, instructions: Sequence[str], state: Tensor) -> Tensor:
        """All that the head reads, `[B, dim]`.

        Raises:
            InputError: an unknown word, another number of sentences or states than of frames, other features.
        """
        if len(instructions) != len(features):
            raise InputError(
                "instructions", found=len(instructions), expected=f"{len(features)}, one for each frame",
                fix="Repeat the sentence for each frame.",
            )  # fmt: skip
        if self.standardise is not None:
            features = self.standardise(features)
        fused: Tensor = self.fusion(FusionInputs(features, self.language(instructions)))
        if not self.use_state:
            return fused
        _check_state(state, len(features))
        return torch.cat([fused, (state.float() - self.state_mean) / self.state_std], -1)

    def losses(
        self, features: Features, instructions: Sequence[str], state: Tensor, targets: ActionTargets
    ) -> ActionLosses:
        """Losses of a batch, means over valid steps.

        Args:
            targets: poses in units of the controller; they are normalised here.
        """
        normal = ActionTargets(self.normaliser.normalize(targets.pose), targets.gripper, targets.action_is_pad)
        return self.head.losses(self.context(features, instructions, state), normal)

    def predict(
        self,
        features: Features,
        instructions: Sequence[str],
        state: Tensor,
        generator: torch.Generator | None = None,
    ) -> Actions:
        """A chunk for each frame; the pose is normalised, `controls` makes commands of it."""
        return self.head.predict(self.context(features, instructions, state), generator)

    def forward(self, images: Tensor, view_mask: Tensor, instructions: Sequence[str], state: Tensor) -> Actions:
        """From pictures: images `[B, S, 3, H, W]` in [0, 1], view mask bool `[B, S]`, state `[B, 8]`."""
        return self.predict(self.features(images, view_mask), instructions, state)

    def controls(self, actions: Actions) -> Tensor:
        """Commands for the controller `[B, T, 7]`: the pose in its units, within [-1, 1], and the gripper -1 or +1."""
        pose = self.normaliser.denormalize(actions.pose.float()).clamp(-1, 1)
        return torch.cat([pose, actions.closes()], -1)

    def act(
        self,
        images: Mapping[str, np.ndarray],
        instruction: str,
        state: np.ndarray,
        generator: torch.Generator | None = None,
    ) -> np.ndarray:
        """The commands for one observation, float32 `[T, 7]`; the first row is the next action.

        Args:
            images: view -> `uint8 [H, W, 3]`, upright.
            instruction: a sentence of known words.
            state: `[8]`.

        Raises:
            InputError: a view is missing, or a picture, the state or the sentence is of another kind.
        """
        row: np.ndarray = self.act_together([images], [instruction], np.asarray(state)[None], generator)[0]
        return row

    def act_together(
        self,
        images: Sequence[Mapping[str, np.ndarray]],
        instructions: Sequence[str],
        states: np.ndarray,
        generator: torch.Generator | None = None,
    ) -> np.ndarray:
        """The commands for B observations in one pass, float32 `[B, T, 7]`; see `act`. `states`: `[B, 8]`."""
        device = self.state_mean.device
        stacked = np.stack([[_picture(one, view) for view in self.views] for one in images])  # [B, S, H, W, 3]
        batch = (torch.from_numpy(stacked).to(device).float() / 255).movedim(-1, 2)  # [B, S, 3, H, W]
        mask = torch.ones(batch.shape[:2], dtype=torch.bool, device=device)
        state = torch.as_tensor(np.asarray(states, dtype=np.float32), device=device)
        with evaluating(self), torch.no_grad():
            actions = self.predict(self.features(batch, mask), instructions, state, generator)
            rows: np.ndarray = self.controls(actions).cpu().numpy()
        return rows


def context_dim(fusion: Fusion, use_state: bool) -> int:
    """Numbers that the head reads."""
    return fusion.dim + STATE * use_state


def _picture(images: Mapping[str, np.ndarray], view: str) -> np.ndarray:
    if view not in images:
        raise InputError(
            f"view {view}", found="views " + ", ".join(images), expected="all views that the policy was trained with",
            fix="Add this camera, or train a policy without it.",
        )  # fmt: skip
    picture = images[view]
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise InputError(
            f"view {view}", found=f"{picture.dtype} {list(picture.shape)}", expected="uint8 [H, W, 3]",
            fix="Give the picture as the camera gives it; the policy scales it.",
        )  # fmt: skip
    return np.ascontiguousarray(picture)


def _check_state(state: Tensor, rows: int) -> None:
    if state.shape != (rows, STATE):
        raise InputError(
            "state", found=f"shape {list(state.shape)}", expected=f"[{rows}, {STATE}]",
            fix="Give place 3, axis-angle 3 and the two fingers.",
        )  # fmt: skip
