"""The numbers of finished main jobs of the robot half, kept small enough for the repository, and two films.

    for seed in 0 1 2; do motionlab run --preset vla --name vla$seed seed=$seed \\
        vla_pretrain_training.seed=$seed vla_training.seed=$seed; done
    cd notebooks && python -m lessons.vla.kept results/vla.json ../runs/vla0 ../runs/vla1 ../runs/vla2

All seeds learn from the same demonstrations and act on the same tables. The films are made with the policy of the first
run: a success, and the same table with the pictures turned by 180 degrees. They are written next to the numbers, as
`vla_upright.gif` and `vla_rotated.gif`. Runs in LIBERO (`--preset vla_libero`) are kept without films, since pictures
of its scenes are not ours to give away:

    cd notebooks && python -m lessons.vla.kept results/libero.json ../runs/libero0 ../runs/libero1 ../runs/libero2

The policy of one pooled vector a view, behind the same backbone, succeeds nowhere and is kept without films, too:

    motionlab run --preset vla --name pooled vla.fusion=cross_attention \\
        vla.backbone_path=runs/vla0/vla_pretrain/backbone.safetensors
    cd notebooks && python -m lessons.vla.kept results/vla_pooled.json ../runs/pooled --no-films
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lessons.shared.main_job import Number, Rows, span
from lessons.shared.results import short
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.jobs.run_folder import Run
from motionlab.jobs.vla.models import trained_policy
from motionlab.jobs.vla.settings import vla_settings
from motionlab.plots.robot_gif import write_robot_gif
from motionlab.training.reporting.history import History
from motionlab.vla.acting import Actor
from motionlab.vla.closed_loop import EpisodeResult, run_episode
from motionlab.vla.convention_controls import CONTROLS, Controlled
from motionlab.vla.observation import VIEWS
from motionlab.vla.table_lab.env import TableLab

KEPT = ("environment", "seconds")
TRIALS = ("demonstrations", "parameters", "tasks", "overall", "controls", "variants")
CURVES = {
    "vla_pretrain": ("loss", "val_loss", "val_pose_l1", "val_depth_rel", "val_rgb_l1"),
    "vla": (
        "loss", "val_loss", "val_pose_mm", "val_gripper_accuracy", "val_mean_action_loss", "val_mean_action_mm",
    ),
}  # fmt: skip
FILMS = {"vla_upright.gif": "unchanged", "vla_rotated.gif": "images rotated by 180 degrees"}
POINTS = 120  # of a curve; more are not seen in a figure


def keep(out: str | Path, *run_folders: str | Path, films: bool = True) -> None:
    """Copy the numbers of some runs that the lesson shows, and make the films unless they are not wanted.

    Raises:
        InputError: a run is not finished, or there is none.
    """
    if not run_folders:
        raise InputError("main job", found="no run", expected="the folders of finished runs", fix="Name them.")
    runs = [_kept(Run.open(folder)) for folder in run_folders]
    first = Run.open(run_folders[0])
    is_ours = vla_settings(first.config).vla_data.source == "table_lab"
    made = make_films(first, Path(out).parent) if is_ours and films else {}
    write_text(out, json.dumps({"runs": runs, "films": made}, indent=1) + "\n")


def _kept(run: Run) -> dict[str, Any]:
    metrics, config = run.metrics, vla_settings(run.config)
    if "vla" not in metrics:
        raise InputError(run.folder, found="no trials", expected="a finished run", fix="Continue it: motionlab run.")
    kept = {name: metrics[name] for name in KEPT if name in metrics}
    kept |= {name: metrics["vla"][name] for name in TRIALS if name in metrics["vla"]}
    kept["curves"] = {stage: _curves(run.folder / stage, names) for stage, names in CURVES.items()}
    kept["steps"] = {"vla_pretrain": config.vla_pretrain_training.steps, "vla": config.vla_training.steps}
    return kept


def _curves(folder: Path, names: Sequence[str]) -> dict[str, list[list[float]]]:
    """Name -> steps and values, thinned out."""
    path = folder / "history.csv"
    if not path.is_file():  # the backbone came from a file
        return {}
    history = History.read(path)
    found = {}
    for name in names:
        if name in history.columns:
            steps, values = history.points(name)
            every = max(1, -(-len(steps) // POINTS))
            found[name] = [[float(step) for step in steps[::every]], [short(value) for value in values[::every]]]
    return found


def make_films(run: Run, folder: Path) -> dict[str, dict[str, Any]]:
    """A success of this policy, and the same table behind turned pictures: file -> what it shows.

    The films show what the policy sees. Without a success there is none to show, and the films are of the first table.
    """
    config = vla_settings(run.config)
    env, settings = TableLab(config.vla.image_size), config.vla_evaluation
    actor = Actor(trained_policy(run), execute=settings.execute, seed=settings.seed)
    changes = {control.name: control for control in CONTROLS}

    def film(name: str, task: int, seed: int) -> EpisodeResult:
        policy = Controlled(actor, changes[name], env.tasks)
        return run_episode(env, policy, task, seed, settings.max_steps, keep_observations=True)

    places = [(task, seed) for seed in range(settings.seed, settings.seed + 20) for task in range(len(env.tasks))]
    task, seed = next((place for place in places if film("unchanged", *place).success), places[0])
    kept = {}
    for file, name in FILMS.items():
        episode = film(name, task, seed)
        seen = [changes[name].see(one) for one in episode.seen][:: 1 if len(episode.seen) <= 40 else 2]
        pictures = [np.concatenate([one.images[view] for view in VIEWS], axis=1) for one in seen]
        write_robot_gif(folder / file, pictures, height=128)
        kept[file] = {
            "change": name, "instruction": env.tasks[task], "table": seed, "success": bool(episode.success),
            "grasped": bool(episode.grasped), "steps": episode.steps,
        }  # fmt: skip
    return kept


# ---- what the lesson shows ------------------------------------------------------------------------------------------
def load_kept(path: str | Path) -> dict[str, Any]:
    """The whole file."""
    kept: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return kept


def film_pictures(path: str | Path) -> list[np.ndarray]:
    """The pictures of a film `uint8 [H, W, 3]`, in their order."""
    with Image.open(path) as film:
        pictures = []
        for number in range(getattr(film, "n_frames", 1)):
            film.seek(number)
            pictures.append(np.asarray(film.convert("RGB")))
    return pictures


def _share(numbers: Sequence[float]) -> Number:
    return (numbers[0], numbers[1], numbers[2])


def _cell(runs: Sequence[dict[str, Any]], value: Callable[[dict[str, Any]], Number]) -> str:
    return span(runs, value, ".0%")


def success_rows(path: str | Path) -> Rows:
    """Rows for a table: success and grasps of each task. One run: Wilson's interval; several: lowest to highest."""
    runs = load_kept(path)["runs"]
    rows: Rows = [("task", "episodes", "success", "grasped")]
    for task in [*runs[0]["tasks"], "all tasks"]:
        cells = [
            _cell(runs, lambda run, task=task, kind=kind: _share(_trials(run, task)[kind]))  # type: ignore[misc]
            for kind in ("success", "grasp")
        ]
        rows.append((task, str(sum(int(_trials(run, task)["success"][3]) for run in runs)), *cells))
    return rows


def _trials(run: dict[str, Any], task: str) -> dict[str, Any]:
    found: dict[str, Any] = run["overall"] if task == "all tasks" else run["tasks"][task]
    return found


def control_rows(path: str | Path) -> Rows:
    """Rows for a table: the same policy behind one changed convention, and policies that know nothing."""
    runs = load_kept(path)["runs"]
    rows: Rows = [("what was changed", "episodes", "success", "grasped")]
    rows.append(("nothing", *_counts(runs, [run["overall"] for run in runs])))
    for name in runs[0]["controls"]:
        rows.append((name, *_counts(runs, [run["controls"][name] for run in runs])))
    return rows


def variant_rows(path: str | Path) -> Rows:
    """Rows for a table: the same policy in suites of LIBERO-PRO, each task with the sentence that it has there."""
    runs = load_kept(path)["runs"]
    rows: Rows = [("suite", "task", "episodes", "success", "grasped")]
    for suite, tasks in runs[0]["variants"].items():
        for task in tasks:
            rows.append((suite, task, *_counts(runs, [run["variants"][suite][task] for run in runs])))
    return rows


def _counts(runs: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    by_run = dict(zip(map(id, runs), found, strict=True))
    cells = [_cell(runs, lambda run, kind=kind: _share(by_run[id(run)][kind])) for kind in ("success", "grasp")]  # type: ignore[misc]
    return str(sum(int(one["success"][3]) for one in found)), *cells


def loss_rows(path: str | Path) -> Rows:
    """Rows for a table: what the validation says of the weights that act, next to a policy that knows nothing."""
    runs = load_kept(path)["runs"]

    def best(run: dict[str, Any], name: str) -> float:
        curves = run["curves"]["vla"]
        values = curves["val_loss"][1]
        return float(curves[name][1][values.index(min(values))])

    rows: Rows = [("held-out episodes", "policy", "mean action")]
    for words, name, other, form in (
        ("loss", "val_loss", "val_mean_action_loss", ".3f"), ("mm a step", "val_pose_mm", "val_mean_action_mm", ".1f"),
        ("gripper right", "val_gripper_accuracy", "", ".1%"),
    ):  # fmt: skip
        mine = span(runs, lambda run, name=name: best(run, name), form)  # type: ignore[misc]
        theirs = span(runs, lambda run, other=other: best(run, other), form) if other else ""  # type: ignore[misc]
        rows.append((words, mine, theirs))
    return rows


def second_rows(path: str | Path) -> Rows:
    """Rows for a table: seconds of the stages of the first run. Let it have the machine to itself."""
    seconds = load_kept(path)["runs"][0]["seconds"]
    return [("stage", "seconds"), *((name, f"{value:.0f}") for name, value in seconds.items())]


def curve(path: str | Path, stage: str, name: str, run: int = 0) -> tuple[list[float], list[float]]:
    """Steps and values of one run."""
    steps, values = load_kept(path)["runs"][run]["curves"][stage][name]
    return steps, values


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--no-films"]
    if len(names) < 2:
        raise SystemExit("usage: cd notebooks && python -m lessons.vla.kept OUT.json RUN_FOLDER... [--no-films]")
    keep(*names, films=len(names) == len(sys.argv) - 1)
