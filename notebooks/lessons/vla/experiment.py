"""Lesson 14, "train a vision-language-action policy": its run by profile, and what it watches in closed loop.

The exercises are in `exercises.py`, the question "what does pooling lose?" in `probe.py`, the trainings behind the
panel in `ablation.py`, and the numbers of the main job in `kept.py`.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motionlab import runtime
from motionlab.config import RunConfig, VlaRunConfig, load_config, to_yaml
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train import train as train
from motionlab.jobs.vla.settings import vla_settings
from motionlab.vla.closed_loop import EpisodeResult, Policy, run_episode
from motionlab.vla.convention_controls import CONTROLS
from motionlab.vla.observation import VIEWS, Observation
from motionlab.vla.table_lab.env import TableLab

# `ci`: small pictures, 144 demonstrations, seconds on one thread. Patches of 4 pixels keep a cube larger than a patch.
# `cpu` and `gpu` are the main job.
SETTINGS: dict[str, tuple[str, ...]] = {
    "ci": (
        "vla_data.per_task=48", "vla_data.validation_share=0.125",
        "vla.image_size=32", "vla.patch=4", "vla.backbone_dim=32", "vla.backbone_depth=1", "vla.backbone_heads=4",
        "vla.read_colours=4", "vla.language_dim=32", "vla.language_heads=4", "vla.hidden=128", "vla.geometry_dim=128",
        "vla_pretrain_training.steps=40", "vla_pretrain_training.batch_size=16",
        "vla_pretrain_training.warmup_steps=10", "vla_pretrain_training.val_every=40",
        "vla_pretrain_training.save_every=40",
        "vla_training.steps=500", "vla_training.batch_size=32", "vla_training.warmup_steps=30",
        "vla_training.val_every=100", "vla_training.save_every=500", "vla_training.log_every=1",
        "vla_evaluation.per_task=2", "vla_evaluation.max_steps=40",
    ),
    "cpu": ("vla_training.log_every=1",),
    "gpu": ("vla_training.log_every=1",),
}  # fmt: skip
PRESETS = {"ci": "vla_ci", "cpu": "vla", "gpu": "vla"}
CHANGES = {control.name: control for control in CONTROLS}  # what can be changed between a policy and the world
_folders: list[tempfile.TemporaryDirectory[str]] = []  # gone when the kernel ends


def settings(level: str | None = None, changes: Sequence[str] = ()) -> VlaRunConfig:
    """The settings of the lesson's run.

    Args:
        level: "ci", "cpu" or "gpu"; by default that of `runtime.profile()`.
        changes: further `key.sub=value` overrides.

    >>> settings("ci").vla.image_size, settings("cpu").vla.image_size
    (32, 64)
    """
    level = level or runtime.profile()
    config: RunConfig = load_config(PRESETS[level], [f"name=lesson14-{level}", *SETTINGS[level], *changes])
    return vla_settings(config)


def open_run(changes: Sequence[str] = ()) -> Run:
    """The lesson's run: new each time under `ci`, kept in the cache folder under the other profiles."""
    level, config = runtime.profile(), settings(changes=changes)
    if level == "ci":
        _folders.append(tempfile.TemporaryDirectory())
        return Run.create(Path(_folders[-1].name) / "run", config)
    digest = hashlib.sha256(to_yaml(config).encode()).hexdigest()[:12]
    return Run.create(runtime.cache_dir() / f"lesson14-{level}-{digest}", config)


@dataclass(frozen=True)
class Ride:
    """An episode, and how far the hand was from each cube in it.

    Fields:
        episode: with every observation.
        distances: `[steps + 1, 3]` metres from the grip point to the middle of the red, green and blue cube.
    """

    episode: EpisodeResult
    distances: np.ndarray

    def pictures(self) -> list[np.ndarray]:
        """Both views side by side, `uint8 [H, 2 W, 3]`, one an observation."""
        return [np.concatenate([seen.images[view] for view in VIEWS], axis=1) for seen in self.episode.seen]

    @property
    def closest_cm(self) -> float:
        """How near the hand came to the cube that the task names."""
        return 100 * float(self.distances[:, self.episode.task].min())


def ride(env: TableLab, policy: Policy, task: int, seed: int, max_steps: int = 40) -> Ride:
    """Run one episode and measure, which a policy could not do: it sees pictures only."""
    distances: list[np.ndarray] = []

    def measured(observation: Observation, instruction: str) -> np.ndarray:
        distances.append(_distances(env))
        return policy(observation, instruction)

    reset = getattr(policy, "reset", None)
    if reset is not None:
        reset()
    episode = run_episode(env, measured, task, seed, max_steps, keep_observations=True)
    return Ride(episode, np.stack([*distances, _distances(env)]))


def rides(env: TableLab, policy: Policy, seeds: Sequence[int] = (0, 1), max_steps: int = 40) -> list[Ride]:
    """Every task on every table."""
    return [ride(env, policy, task, seed, max_steps) for task in range(len(env.tasks)) for seed in seeds]


def _distances(env: TableLab) -> np.ndarray:
    table = env.table
    return np.asarray(np.linalg.norm(table.cubes[:, :3] - table.hand, axis=1))
