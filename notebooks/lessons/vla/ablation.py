"""The trainings behind the panel of lesson 14: fusion, freezing, standardising in all combinations, at `ci` size.

    cd notebooks && python -m lessons.vla.ablation results/vla_ablation.json

Each policy learns from the same demonstrations behind the same pretrained backbone of its seed; then it acts on six
tables behind each changed convention, with the instruction of the task and with another one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from lessons.shared.results import Point, Record, main, short
from lessons.vla.experiment import SETTINGS, rides, settings
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.vla import VlaStage
from motionlab.jobs.stages.vla_pretrain import FILE, VlaPretrainStage
from motionlab.jobs.train import train
from motionlab.jobs.vla.data import Demonstrations, prepare_demonstrations
from motionlab.jobs.vla.models import trained_policy
from motionlab.runtime import seed_everything
from motionlab.training.reporting.history import History
from motionlab.vla.acting import Actor
from motionlab.vla.backbone.frozen import parameter_table
from motionlab.vla.convention_controls import CONTROLS, Control, Controlled
from motionlab.vla.table_lab.env import TableLab

FUSIONS = {  # name in the panel -> settings
    "spatial FiLM": ("vla.fusion=spatial_film",),
    "cross-attention, one vector a view": ("vla.fusion=cross_attention", "vla.geometry=pooled", "vla.fusion_dim=64"),
    "cross-attention, one a patch": ("vla.fusion=cross_attention", "vla.geometry=spatial", "vla.fusion_dim=64"),
}
SEEDS = (0,)
TABLES = (0, 1)
OTHER = "other instruction"
NAMED, ANOTHER = "of the task", "another one"
CHANGES = tuple(control for control in CONTROLS if control.name not in (OTHER, "brightness x 0.7"))
ASKED = {NAMED: CONTROLS[0], ANOTHER: next(control for control in CONTROLS if control.name == OTHER)}
TRAINED = ("val_loss", "val_mean_action_loss", "val_pose_mm", "val_mean_action_mm", "val_gripper_accuracy")


def changes_of(fusion: str, freeze: bool, standardise: bool, seed: int) -> list[str]:
    """Settings of one policy."""
    flags = [f"vla.freeze_backbone={str(freeze).lower()}", f"vla.standardise={str(standardise).lower()}"]
    return [*FUSIONS[fusion], *flags, f"vla_training.seed={seed}"]


def backbone_of(folder: Path, seed: int) -> Path:
    """The pretrained backbone of a seed, in this folder."""
    run = Run.planned(folder / f"backbone{seed}", settings("ci", [f"vla_pretrain_training.seed={seed}"]))
    path = run.folder / "vla_pretrain" / FILE
    if not path.is_file():
        run.save_config()
        seed_everything(seed)
        train(VlaPretrainStage(run, prepare_demonstrations(run.config)))
    return path


def learn(folder: Path, fusion: str, freeze: bool, standardise: bool, seed: int) -> tuple[Run, float]:
    """Train one policy; the run, and processor milliseconds a step."""
    path = backbone_of(folder, seed)
    config = settings("ci", [*changes_of(fusion, freeze, standardise, seed), f"vla.backbone_path={path}"])
    run = Run.create(folder / f"policy-{fusion}-{freeze}-{standardise}-{seed}".replace(" ", "_"), config)
    data: Demonstrations = prepare_demonstrations(config)
    seed_everything(seed)
    stage = VlaStage(run, data)
    began = time.process_time()
    train(stage)
    return run, 1000 * (time.process_time() - began) / config.vla_training.steps


def act(run: Run, tables: Sequence[int] = TABLES) -> dict[str, dict[str, list[float]]]:
    """Change -> instruction -> [successes, grasps, episodes, mean closest approach in cm]."""
    config: Any = run.config
    env, actor = TableLab(config.vla.image_size), Actor(trained_policy(run))
    return {change.name: {name: _try(env, actor, change, asked, tables) for name, asked in ASKED.items()}
            for change in CHANGES}  # fmt: skip


def _try(env: TableLab, actor: Actor, change: Control, asked: Control, tables: Sequence[int]) -> list[float]:
    policy = Controlled(Controlled(actor, change, env.tasks), asked, env.tasks)
    found = rides(env, policy, tables)
    episodes = [one.episode for one in found]
    return [
        sum(bool(one.success) for one in episodes), sum(bool(one.grasped) for one in episodes), len(episodes),
        short(sum(one.closest_cm for one in found) / len(found)),
    ]  # fmt: skip


def _point(record: Record, *, folder: Path, fusion: str, freeze: bool, standardise: bool, seed: int) -> None:
    run, milliseconds = learn(folder, fusion, freeze, standardise, seed)
    history = History.read(run.folder / "vla" / "history.csv")
    best = min((row for row in history.rows if row.get("val_loss") is not None), key=lambda row: row["val_loss"])
    table = parameter_table(trained_policy(run))[-1]
    record.setdefault("policies", []).append({
        "fusion": fusion, "freeze": freeze, "standardise": standardise, "seed": seed,
        "parameters": [table.total, table.trainable], "ms_a_step": short(milliseconds),
        "loss": short(history.column("loss")[-1]), **{name: short(float(best[name])) for name in TRAINED},
        "closed_loop": act(run),
    })  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        POINTS: list[Point] = [
            (f"{fusion}, freeze {freeze}, standardise {standardise}, seed {seed}",
             partial(_point, folder=Path(place), fusion=fusion, freeze=freeze, standardise=standardise, seed=seed))
            for seed, freeze, standardise, fusion in product(SEEDS, (True, False), (True, False), FUSIONS)
        ]  # fmt: skip
        main(__doc__ or "", POINTS, {"ci": list(SETTINGS["ci"]), "tables": list(TABLES)})
