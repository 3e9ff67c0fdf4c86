"""The main job of the robot half on its smallest preset: what it leaves behind, and what it does a second time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from motionlab import cli
from motionlab.config import VlaRunConfig, load_config
from motionlab.errors import InputError, MissingExtra
from motionlab.jobs.artefacts import read_record, write_record
from motionlab.jobs.list_runs import describe_runs
from motionlab.jobs.run_folder import Run
from motionlab.jobs.vla import data as data_module
from motionlab.jobs.vla.closed_loop import FILMS, Means, make_films
from motionlab.jobs.vla.data import prepare_demonstrations
from motionlab.jobs.vla.job import run_vla
from motionlab.jobs.vla.models import make_policy_of, trained_backbone, trained_policy
from motionlab.jobs.vla.settings import vla_settings
from motionlab.training.checkpoints.tensor_files import load_model_state, save_model
from motionlab.training.reporting.history import History
from motionlab.vla.backbone.saved import load_backbone, save_backbone, weights_digest
from motionlab.vla.backbone.tiny_vggt import TinyVGGT
from motionlab.vla.closed_loop import evaluate_policy
from motionlab.vla.table_lab.env import TASKS, TableLab
from motionlab.vla.table_lab.expert import expert_action


def run_cli(*words: str) -> int:
    try:
        cli.main(list(words))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def copied(run: Run, folder: Path) -> Run:
    shutil.copytree(run.folder, folder)
    return Run.open(folder)


def test_everything_is_there(robot_run: Run) -> None:
    for name in (
        "config.yaml", "made_from.json", "metrics.json", "report.html", "report.md",
        "vla_pretrain/model.safetensors", "vla_pretrain/backbone.safetensors", "vla_pretrain/report.html",
        "vla/model.safetensors", "vla/history.csv", "vla/report.html",
    ):  # fmt: skip
        assert (robot_run.folder / name).is_file(), name
    assert isinstance(robot_run.config, VlaRunConfig)
    assert "vla/model" not in (robot_run.folder / "report.html").read_text(), "no paths in the page"
    listed = describe_runs(robot_run.folder.parent)
    assert "vla_ci/vla " in listed and "vla_ci/vla_pretrain" in listed


def test_the_numbers_are_whole(robot_run: Run) -> None:
    found = robot_run.metrics["vla"]
    assert "NaN" not in json.dumps(found)
    assert list(found["tasks"]) == list(TASKS)
    assert found["overall"]["success"][3] == 3 and found["demonstrations"].startswith("9 episodes")
    assert {"the expert", "mean action", "random actions", "other instruction", "views swapped"} < set(
        found["controls"]
    )
    total, trained, frozen = found["parameters"]["all"]
    assert total == trained + frozen and found["parameters"]["backbone"][2] == frozen > 0
    kept = sum(parameter.numel() for parameter in trained_backbone(robot_run).parameters())
    assert kept == frozen
    text = (robot_run.folder / "report.md").read_text()
    for part in ("## Success", "## Controls", "## Parameters", "mean_action_loss", "depth_rel", "0 % (0 to 56) of 3"):
        assert part in text
    assert set(robot_run.metrics["seconds"]) == {"demonstrations", "backbone", "policy", "trials"}


def test_validation_is_in_physical_units_beside_a_policy_that_knows_nothing(robot_run: Run) -> None:
    history = History.read(robot_run.folder / "vla" / "history.csv")
    row = history.rows[-1]
    demonstrations = prepare_demonstrations(robot_run.config)
    learned = demonstrations.frames.of_episodes(demonstrations.train).actions()[:, :3]
    held_out = demonstrations.frames.of_episodes(demonstrations.validation).actions()[:, :3]
    expected = np.linalg.norm(held_out - learned.mean(0), axis=1).mean() * 35  # mm in a unit of this world
    assert row["val_mean_action_mm"] == pytest.approx(expected, rel=1e-5)
    carried_out = demonstrations.frames.of_episodes(demonstrations.validation).executed()
    assert carried_out is not None
    noise = np.linalg.norm(carried_out[:, :3] - held_out, axis=1).mean() * 35
    assert 0 < noise < expected and row["val_expert_noise_mm"] == pytest.approx(noise, rel=1e-5)
    assert 0 < row["val_expert_noise_loss"] < row["val_mean_action_loss"]
    # A policy of eight steps is hardly better than the mean action, but it is near to it in the same units.
    assert 0.5 < row["val_pose_mm"] / row["val_mean_action_mm"] < 1.5
    assert row["val_loss"] == pytest.approx(row["val_pose"] + 0.5 * row["val_gripper"], rel=1e-5)
    assert 0 <= row["val_gripper_accuracy"] <= 1


def test_the_policy_of_the_folder_is_whole(robot_run: Run) -> None:
    """It acts without the demonstrations, and its backbone is the one that was pretrained."""
    policy = trained_policy(robot_run)
    assert not policy.training and policy.standardise is not None and int(policy.standardise.count.sum()) > 0
    frozen: Any = policy.backbone
    inner = frozen.inner.backbone
    assert weights_digest(inner) == weights_digest(trained_backbone(robot_run))
    assert weights_digest(inner) == weights_digest(
        load_backbone(robot_run.folder / "vla_pretrain" / "backbone.safetensors")
    )
    seen = TableLab(32).reset(0, 0)
    action = policy.act(seen.images, TASKS[0], seen.state())
    assert action.shape == (1, 7) and np.isfinite(action).all() and abs(action[0, 6]) == 1


def test_a_second_run_trains_nothing(robot_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(robot_run, tmp_path / "vla_ci")
    before = {path: path.stat().st_mtime_ns for path in run.folder.glob("vla*/*.safetensors")}
    run_vla(load_config("vla_ci", ["vla_evaluation.control_per_task=0", "vla_evaluation.max_steps=1"]), run.folder)
    assert {path: path.stat().st_mtime_ns for path in run.folder.glob("vla*/*.safetensors")} == before
    assert run.metrics["vla"]["controls"] == {}
    with pytest.raises(InputError, match=r"vla.hidden 32 -> 64"):
        run_vla(load_config("vla_ci", ["vla.hidden=64"]), run.folder)


def test_the_command_evaluates_it_again(robot_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied(robot_run, tmp_path / "vla_ci")
    words = ("vla_evaluation.per_task=2", "vla_evaluation.control_per_task=0", "vla_evaluation.max_steps=1")
    assert run_cli("evaluate", "--run", str(run.folder), *words) == 0
    assert "success: 0% (0% to 39%) of 6 episodes" in capsys.readouterr().out
    assert run.metrics["vla"]["overall"]["success"][3] == 6
    assert run_cli("evaluate", "--run", str(run.folder), "vla.hidden=3") == 2
    assert "settings that shape weights: vla.hidden 32 -> 3" in capsys.readouterr().err


def test_other_demonstrations_are_refused(robot_run: Run, tmp_path: Path) -> None:
    run = copied(robot_run, tmp_path / "vla_ci")
    write_record(run.folder, {**read_record(run.folder), "demonstrations": "0" * 64})
    before = (run.folder / "metrics.json").read_bytes()
    with pytest.raises(InputError, match="a run on other data"):
        run_vla(run.config, run.folder)
    assert (run.folder / "metrics.json").read_bytes() == before


def test_means_are_those_of_the_training_episodes(robot_run: Run) -> None:
    data = prepare_demonstrations(robot_run.config)
    means, frames = Means.of(data), data.frames.of_episodes(data.train)
    everything = np.stack([frames[i].images.numpy() for i in range(len(frames))]).mean(0)  # [S, 3, H, W]
    assert list(means.pictures) == ["agentview", "eye_in_hand"]
    for picture, expected in zip(means.pictures.values(), everything, strict=True):
        assert picture.dtype == np.uint8 and picture.shape == (32, 32, 3)
        np.testing.assert_allclose(picture, np.moveaxis(expected, 0, -1), atol=0.51)
    np.testing.assert_allclose(means.action[:6], frames.actions()[:, :6].mean(0), atol=1e-6)
    assert means.action[6] in (-1, 1)
    assert robot_run.metrics["vla"]["controls"]["the mean picture, always"]["success"][3] == 3


def test_films_show_a_success_and_a_failure(tmp_path: Path) -> None:
    env = TableLab(16)

    def half_expert(seen: object, instruction: str) -> np.ndarray:
        """Solves the first task, and does nothing in the others."""
        return expert_action(env.table) if instruction == TASKS[0] else np.zeros(7)

    result = evaluate_policy(env, half_expert, (0, 1), (0,), max_steps=40)
    films = make_films(tmp_path, env, half_expert, result, 40)
    assert films[FILMS[True]]["success"] and not films[FILMS[False]]["success"]
    assert json.loads(json.dumps(films)) == films, "all of it can be written"
    for name, film in films.items():
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (384, 192)
            shown = picture.n_frames  # type: ignore[attr-defined]
            # A hand that does nothing is one picture that stays.
            assert shown == 1 if not film["success"] else 1 < shown <= film["steps"] + 1


def test_without_h5py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> None:
        raise MissingExtra("h5py", extra="vla", purpose="read and write demonstrations in HDF5 files")

    monkeypatch.setattr(data_module, "h5py", missing)
    with pytest.raises(MissingExtra, match=r'pip install "motionlab\[vla\]"'):
        run_vla(load_config("vla_ci"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train", "vla", "--preset", "ci"], "config ci: found settings of text to motion, expected a section vla"),
        (["train", "vla"], "vla_pretrain/model.safetensors: found no such file, expected a pretrained backbone"),
        (["train", "vla", "--variant", "blue"], "train vla: found variant 'blue'"),
        (["train", "vla", "vla.hiden=3"], "Did you mean vla.hidden?"),
        (["train", "vla", "vla.backbone_path=nowhere"], "vla.backbone_path: found nowhere"),
        (["train", "vla_pretrain", "vla.backbone_path=there"], "vla.backbone_path: found there, expected null"),
        (["run", "vla_data.source=files", "vla_data.path=nowhere"], "vla_data.path: found nowhere"),
        (["run", "vla.image_size=30"], "vla.image_size: found 30"),
        (["run", "vla_data.per_task=1"], "vla_data.per_task: found 1"),
        (["run", "vla_training.freeze=[eyes]"], "vla_training.freeze: found 'eyes', expected a pattern of"),
        (["train", "vla_pretrain", "vla_pretrain_training.freeze=['*']"], "a part that is left to train"),
    ],
)
def test_wrong_words_are_refused_before_any_work(
    words: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = [] if "--preset" in words else ["--preset", "vla_ci"]
    assert run_cli(*words, *preset, "--out", str(tmp_path / "runs")) == 2
    printed = capsys.readouterr()
    assert named in printed.err and printed.err.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("verb", [["run"], ["train", "vla"]])
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["vla.backbone_path=FOLDER"], "FOLDER: found a folder, expected a safetensors file"),
        (["vla.backbone_path=OTHER"], "OTHER: found image_size 16, dim 16, depth 1, heads 2, patch 8, expected image"),
        (["vla.backbone=vggt", "vla.backbone_path=FOLDER"], "FOLDER: found no VGGT weights, expected model.safeten"),
        (["vla.language=folder", "vla.language_folder=FOLDER"], "FOLDER/config.json: found no file, expected the set"),
    ],
)
def test_parts_that_cannot_be_used_are_refused_before_any_work(
    verb: list[str], settings: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    save_backbone(tmp_path / "other.safetensors", TinyVGGT(image_size=16, dim=16, depth=1, heads=2, patch=8))
    places = {"FOLDER": str(tmp_path / "folder"), "OTHER": str(tmp_path / "other.safetensors")}
    for word, place in places.items():
        settings, named = [text.replace(word, place) for text in settings], named.replace(word, place)
    assert run_cli(*verb, "--preset", "vla_ci", "--out", str(tmp_path / "runs"), *settings) == 2
    printed = capsys.readouterr()
    assert named in printed.err and printed.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_weights_of_another_fusion_are_refused_with_file_and_tensor(robot_run: Run, tmp_path: Path) -> None:
    run = copied(robot_run, tmp_path / "run")
    other = Run.create(tmp_path / "other", load_config("vla_ci", ["vla.fusion=cross_attention"]))
    path = run.folder / "vla" / "model.safetensors"
    words = load_model_state(path)[1]
    policy = make_policy_of(vla_settings(other.config), trained_backbone(run), words["words"])
    save_model(path, policy, words)
    with pytest.raises(InputError, match=r"vla/model\.safetensors: found no fusion\.sentence_mean, no fusion"):
        trained_policy(run)


def test_files_of_another_world_are_learned_but_not_tried(
    robot_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = prepare_demonstrations(robot_run.config).files[0].parent
    words = [
        "--preset", "vla_ci", "--out", str(tmp_path), "vla_data.source=files", f"vla_data.path={folder}",
        f"vla.backbone_path={robot_run.folder / 'vla_pretrain' / 'backbone.safetensors'}",
        "vla_training.steps=4", "vla.freeze_backbone=false", "vla.horizon=3", "vla_evaluation.execute=2",
    ]  # fmt: skip
    assert run_cli("run", *words) == 0
    assert "no trials" in (tmp_path / "vla_ci" / "report.md").read_text()
    run = Run.open(tmp_path / "vla_ci")
    assert trained_policy(run).horizon == 3 and "vla" not in run.metrics
    before = weights_digest(load_backbone(robot_run.folder / "vla_pretrain" / "backbone.safetensors"))
    learned: Any = trained_policy(run).backbone
    assert weights_digest(learned.backbone) != before, "this backbone has learned"
    capsys.readouterr()
    assert run_cli("evaluate", "--run", str(run.folder)) == 2
    assert "vla_data.source: found files, expected table_lab" in capsys.readouterr().err
