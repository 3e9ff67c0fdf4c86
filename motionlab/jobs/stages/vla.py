"""Stage 2 of the robot half: a policy that imitates demonstrations, behind a backbone that is usually frozen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from motionlab.config import RunConfig
from motionlab.errors import InputError
from motionlab.jobs.artefacts import claim
from motionlab.jobs.memory_advice import recompute_blocks
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.demonstration_stage import DemonstrationStage
from motionlab.jobs.vla.batches import AllFrames, Draws, Moments, PolicyBatch
from motionlab.jobs.vla.data import (
    Demonstrations,
    bind_demonstrations,
    frames_in_memory,
)
from motionlab.jobs.vla.models import (
    check_frozen_parts,
    check_parts,
    make_policy_of,
    make_reader,
    trained_backbone,
)
from motionlab.jobs.vla.settings import vla_settings
from motionlab.runtime import cache_dir
from motionlab.training.checkpoints.tensor_files import save_model
from motionlab.training.distributed import World
from motionlab.training.stage import Losses
from motionlab.vla.action_normalizer import ActionNormalizer
from motionlab.vla.actions import Actions, ActionTargets, action_losses, action_metrics, count_valid
from motionlab.vla.backbone.feature_cache import feature_cache
from motionlab.vla.backbone.features import Features
from motionlab.vla.backbone.saved import weights_digest
from motionlab.vla.frames import collate
from motionlab.vla.language import Vocabulary
from motionlab.vla.policy import VlaPolicy

PORTION = 256  # moments that are measured at a time
AT_A_TIME = {"tiny_vggt": 64, "vggt": 1}  # frames that a backbone sees; the tokens of one fill half a gigabyte in VGGT


class VlaStage(DemonstrationStage[PolicyBatch]):
    """Pictures, an instruction and the robot's state to the losses of a chunk of actions.

    Validation columns, over held-out episodes: `val_loss` and its parts `val_pose` and `val_gripper`; `val_pose_mm`,
    `val_pose_mrad` and `val_gripper_accuracy`, which mean something; and `val_mean_action_loss` and
    `val_mean_action_mm` of a policy that always does what was done on average; and, where the files say what was
    carried out, `val_expert_noise_loss` and `val_expert_noise_mm` of the expert itself, its noise included. A loss says
    little without them.

    Raises:
        InputError: no backbone yet, or a sentence that cannot be read.
    """

    name = "vla"
    model: VlaPolicy

    def __init__(self, run: Run, splits: Demonstrations, variant: str | None = None) -> None:
        super().__init__(run, splits, variant)
        self.config = vla_settings(run.config)
        vla = self.config.vla
        self.world = World.current()
        backbone = trained_backbone(run)
        reader = make_reader(self.config, backbone).to(self.device)
        with self.world.first_alone():
            bind_demonstrations(run, splits)
            claim(self.folder, {"demonstrations": splits.digest, "backbone": weights_digest(reader)})
        frames = splits.frames
        self.sentences = sorted(set(frames.instructions))
        self.words = list(Vocabulary.of(self.sentences).words)
        with self.world.first_alone():  # every process reads what the first one has computed
            self.cache = feature_cache(
                cache_dir() / "vla_features", reader, AllFrames(frames, splits.digest),
                batch_size=AT_A_TIME[vla.backbone], device=str(self.device),
            )  # fmt: skip
        self.pictures = None if vla.freeze_backbone else frames_in_memory(self.config, splits)
        self.train = Moments.of(frames.of_episodes(splits.train), self.sentences)
        self.held_out = Moments.of(frames.of_episodes(splits.validation), self.sentences)
        self.normaliser = ActionNormalizer.fit(frames.of_episodes(splits.train).actions(), vla.normaliser)
        self.draws = Draws(len(self.train), self.settings.batch_size, self.settings.seed)
        self.baselines = self._mean_action() | self._expert_noise()
        self.architecture = {"words": " ".join(self.words), "backbone": weights_digest(reader)}
        self.constants = {"actions.offset": self.normaliser.offset, "actions.scale": self.normaliser.scale}
        self._statistics: dict[str, Tensor] | None = None

    @classmethod
    def check(cls, config: RunConfig, variant: str | None = None) -> None:
        """Refuse settings without a robot half, and parts elsewhere, or frozen parts, that cannot be used."""
        super().check(config, variant)
        check_parts(vla_settings(config))
        check_frozen_parts(vla_settings(config))

    @classmethod
    def check_run(cls, run: Run) -> None:
        """Refuse a run without a pretrained backbone, unless its settings name one."""
        path = run.stage_folder("vla_pretrain") / "model.safetensors"
        if vla_settings(run.config).vla.backbone_path is None and not path.is_file():
            raise InputError(
                path, found="no such file", expected="a pretrained backbone, whose features the policy reads",
                fix="Train it first, with the same --preset, --out and --name: motionlab train vla_pretrain.",
            )  # fmt: skip

    def make(self) -> VlaPolicy:
        """A policy with random weights behind the backbone, and the statistics of the training episodes."""
        policy = make_policy_of(self.config, trained_backbone(self.run), self.words)
        policy.fit_state(self.train.state)
        policy.fit_language(self.sentences)
        policy.normaliser.load_state_dict(self.normaliser.state_dict())  # type: ignore[attr-defined]
        if policy.standardise is not None:
            if self._statistics is None:
                index = self.train.index
                policy.standardise.fit(self.cache.rows(part) for part in index.split(PORTION))
                self._statistics = policy.standardise.state_dict()
            policy.standardise.load_state_dict(self._statistics)
        if self.settings.activation_checkpointing:
            recompute_blocks(policy)
        return policy

    def batches(self, number: int) -> PolicyBatch:
        """`batch_size` moments of training episodes."""
        self.watch(number)
        return self._batch(self.train.rows(self.draws(number)))

    def step(self, batch: PolicyBatch) -> Losses:
        """The losses of the head, means over valid steps; the logs are the parts."""
        batch = batch.to(self.device)
        losses = self.model.losses(
            self._features(batch), self._instructions(batch), batch.moments.state, batch.moments.targets
        )
        return Losses(losses.total, {"pose": losses.pose.detach(), "gripper": losses.gripper.detach()})

    def count(self, batch: PolicyBatch) -> int:
        """Steps of chunks that are not padding."""
        return count_valid(batch.moments.action_is_pad)

    def validate(self) -> dict[str, float]:
        """Means over the valid steps of all held-out moments."""
        names = ("loss", "pose", "gripper", "pose_mm", "pose_mrad", "gripper_accuracy", "steps")
        sums = dict.fromkeys(names, 0.0)
        portions = range(0, len(self.held_out), PORTION)
        for i in self.world.share(range(len(portions))):
            rows = np.arange(portions[i], min(portions[i] + PORTION, len(self.held_out)))
            batch = self._batch(self.held_out.rows(rows)).to(self.device)
            for name, value in self._measure(batch).items():
                sums[name] += value
        totals = dict(zip(names, self.world.sum(list(sums.values())), strict=True))
        steps = totals.pop("steps")
        return {name: total / steps for name, total in totals.items()} | self.baselines

    def keep(self) -> None:
        """Keep the policy with the run: its weights, and the words that it knows."""
        save_model(self.folder / "model.safetensors", self.model, {"run": self.run.config.name, "words": self.words})

    def _batch(self, moments: Moments) -> PolicyBatch:
        if self.pictures is None:
            return PolicyBatch(moments, features=self.cache.rows(moments.index))
        seen = collate([self.pictures[int(i)] for i in moments.index])
        return PolicyBatch(moments, images=seen.images, view_mask=seen.view_mask)

    def _features(self, batch: PolicyBatch) -> Features:
        if batch.features is not None:
            return batch.features
        assert batch.images is not None and batch.view_mask is not None
        return self.model.features(batch.images, batch.view_mask)

    def _instructions(self, batch: PolicyBatch) -> list[str]:
        return [self.sentences[i] for i in batch.moments.sentence.tolist()]

    def _measure(self, batch: PolicyBatch) -> dict[str, float]:
        """Sums over the valid steps of a batch, and how many these are."""
        features, instructions = self._features(batch), self._instructions(batch)
        state, targets = batch.moments.state, batch.moments.targets
        losses = self.model.losses(features, instructions, state, targets)
        actions = self.model.predict(features, instructions, state)
        pose = self.model.normaliser.denormalize(actions.pose.float())
        found = action_metrics(pose, actions.gripper, targets, self.splits.units)
        steps = found.pop("steps")
        found["pose_mrad"] = 1000 * found.pop("pose_rad")
        means: dict[str, float | Tensor] = {
            "loss": losses.total,
            "pose": losses.pose,
            "gripper": losses.gripper,
            **found,
        }
        return {name: float(value) * steps for name, value in means.items()} | {"steps": steps}

    def _mean_action(self) -> dict[str, float]:
        """Scores on the held-out episodes of a policy that always does the mean of the training actions."""
        targets, real = self.held_out.targets, ~self.train.action_is_pad
        mean_pose = self.train.pose[real].mean(0).expand_as(targets.pose)
        mean_gripper = self.train.gripper[real].mean(0).expand_as(targets.gripper)
        return self._scores("mean_action", mean_pose, mean_gripper, targets)

    def _expert_noise(self) -> dict[str, float]:
        """Scores of the actions that were carried out on the held-out episodes, against the expert's labels."""
        frames = self.splits.frames.of_episodes(self.splits.validation)
        carried_out = frames.executed()
        if carried_out is None:
            return {}
        labels, done = (torch.from_numpy(rows)[:, None] for rows in (frames.actions(), carried_out))  # [N, 1, 7]
        real = torch.zeros(labels.shape[:2], dtype=torch.bool)
        targets = ActionTargets(labels[..., :6], labels[..., 6:], real)
        return self._scores("expert_noise", done[..., :6], done[..., 6:], targets)

    def _scores(self, name: str, pose: Tensor, gripper: Tensor, targets: ActionTargets) -> dict[str, float]:
        """Error and, where it is of the same kind as the policy's, loss of given actions; poses in their units."""
        vla = self.config.vla
        scores = {f"{name}_mm": action_metrics(pose, gripper, targets, self.splits.units)["pose_mm"]}
        if vla.head == "regression" and vla.gripper == "tanh":  # else its loss is of another kind
            losses = action_losses(
                Actions(self.normaliser.normalize(pose), gripper),
                ActionTargets(self.normaliser.normalize(targets.pose), targets.gripper, targets.action_is_pad),
                pose_weight=vla.pose_weight, gripper_weight=vla.gripper_weight,
            )  # fmt: skip
            scores[f"{name}_loss"] = float(losses.total)
        return scores
