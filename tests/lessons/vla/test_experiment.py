"""Lesson 14: what it watches, what its probe reads, and what its kept files say."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lessons.vla import kept
from lessons.vla.ablation import ASKED, CHANGES, FUSIONS, changes_of
from lessons.vla.experiment import ride, settings
from lessons.vla.probe import action_r2, ridge_r2
from motionlab.errors import InputError
from motionlab.views.policy_trials import choices, load_policies
from motionlab.vla.actions import Actions
from motionlab.vla.table_lab.env import TableLab
from motionlab.vla.table_lab.expert import expert_action


def test_a_ride_measures_the_hand_that_the_policy_cannot_see() -> None:
    env = TableLab(8)
    found = ride(env, lambda seen, instruction: expert_action(env.table), task=2, seed=5)
    assert found.episode.success and found.closest_cm < 2
    assert found.distances.shape == (found.episode.steps + 1, 3)
    assert found.distances[0, 2] > found.distances[:, 2].min()
    still = ride(env, lambda seen, instruction: np.zeros(7), task=2, seed=5, max_steps=3)
    assert np.allclose(still.distances[:, 2], found.distances[0, 2]) and not still.episode.success
    assert len(still.pictures()) == 4 and still.pictures()[0].shape == (8, 16, 3)


def test_the_settings_of_every_profile_load() -> None:
    assert settings("cpu").vla.image_size == settings("gpu").vla.image_size == 64
    for fusion in FUSIONS:
        config = settings("ci", changes_of(fusion, freeze=False, standardise=True, seed=2))
        assert not config.vla.freeze_backbone and config.vla_training.seed == 2


def test_ridge_finds_what_is_linear_and_nothing_else() -> None:
    random = torch.Generator().manual_seed(0)
    known, new, noise = (torch.randn(200, 12, generator=random) for _ in range(3))
    weights = torch.randn(12, 2, generator=random)
    answers, truth = (known @ weights).double().numpy(), (new @ weights).double().numpy()
    assert ridge_r2(known, answers, new, truth) > 0.98
    assert ridge_r2(noise, answers, new, truth) < 0.2


def test_r2_is_1_for_the_labels_0_for_their_mean_and_below_for_worse() -> None:
    """Six numbers: right, the mean of training, the label with its sign turned, always 0, and two halves."""
    label = torch.tensor([[1.0, 2.0, 3.0, 0.0, 4.0, 4.0], [-1.0, -2.0, -3.0, 0.0, -4.0, -4.0]])
    said = label * torch.tensor([1.0, 0.0, -1.0, 1.0, 0.5, 0.5])
    twice: Any = SimpleNamespace(denormalize=lambda pose: 2 * pose)
    asked: list[list[str]] = []

    def predict(features: str, sentences: list[str], state: str) -> Actions:
        assert (features, state) == ("features of [7, 9]", "state")
        asked.append(sentences)
        return Actions(said[:, None] / 2, torch.zeros(2, 1, 1))

    stage: Any = SimpleNamespace(
        sentences=["red", "blue"], train=SimpleNamespace(pose=torch.zeros(5, 1, 6)),
        cache=SimpleNamespace(rows=lambda index: f"features of {index}"),
        model=SimpleNamespace(predict=predict, normaliser=twice),
    )  # fmt: skip
    moments: Any = SimpleNamespace(sentence=torch.tensor([1, 0]), index=[7, 9], state="state", pose=label[:, None])
    found = action_r2(stage, moments)
    assert asked == [["blue", "red"]]
    assert np.isnan(found[3]) and [found[i] for i in (0, 1, 2, 4, 5)] == [1.0, 0.0, -3.0, 0.75, 0.75]


@pytest.fixture(scope="module")
def results(root: Path) -> Path:
    return root / "notebooks" / "results"


def test_the_committed_ablation_is_whole(results: Path) -> None:
    policies = load_policies(results / "vla_ablation.json")
    known = choices(policies)
    assert known["fusion"] == list(FUSIONS) and known["instruction"] == list(ASKED)
    assert known["change"] == [change.name for change in CHANGES]
    kinds = {(one["fusion"], one["freeze"], one["standardise"]) for one in policies}
    assert kinds == set(product(FUSIONS, (True, False), (True, False))), "a panel with holes"


def test_the_committed_ablation_carries_what_the_lesson_says(results: Path) -> None:
    policies = load_policies(results / "vla_ablation.json")
    mine = [one for one in policies if one["freeze"] and one["standardise"]]
    film = {(one["freeze"], one["standardise"]): one["val_loss"] for one in policies if one["fusion"] == "spatial FiLM"}
    assert film[True, True] < 0.7 * film[True, False] and abs(film[True, True] / film[False, True] - 1) < 0.2
    for one in (one for one in mine if one["fusion"] == "spatial FiLM"):
        loop = one["closed_loop"]
        assert loop["unchanged"]["of the task"][0] > 0
        assert loop["images rotated by 180 degrees"]["of the task"][0] == 0
        assert loop["unchanged"]["of the task"][3] < loop["images rotated by 180 degrees"]["of the task"][3]
    pooled = [one for one in policies if one["fusion"] == "cross-attention, one vector a view" and one["freeze"]]
    for one in pooled:
        assert one["val_loss"] < 0.5 * one["val_mean_action_loss"]
        assert one["closed_loop"]["unchanged"]["of the task"][0] == 0
    for one in (one for one in pooled if not one["standardise"]):  # it does not look at all
        near = [one["closed_loop"][name]["of the task"][3] for name in one["closed_loop"] if "image" in name]
        assert max(near) - min(near) < 0.1


def test_the_committed_runs_fill_every_table(results: Path) -> None:
    path = results / "vla.json"
    assert [row[0] for row in kept.success_rows(path)][-1] == "all tasks"
    assert {"the expert", "mean action", "images rotated by 180 degrees"} < {row[0] for row in kept.control_rows(path)}
    for rows in (kept.success_rows(path), kept.control_rows(path), kept.loss_rows(path), kept.second_rows(path)):
        assert len({len(row) for row in rows}) == 1 and len(rows) > 2
    films = kept.load_kept(path)["films"]
    assert list(films) == list(kept.FILMS)
    for name in films:
        assert (results / name).stat().st_size < 300_000
        assert kept.film_pictures(results / name)[0].shape[2] == 3


def test_the_kept_runs_on_the_table_say_what_the_readme_says(results: Path) -> None:
    runs = kept.load_kept(results / "vla.json")["runs"]
    assert [run["overall"]["success"][3] for run in runs] == [60, 60, 60]
    assert np.mean([run["overall"]["success"][0] for run in runs]) >= 0.9
    for name in ("other instruction", "the mean picture, always", "images rotated by 180 degrees"):
        assert all(run["controls"][name]["success"][0] <= 0.05 for run in runs)
    (pooled,) = kept.load_kept(results / "vla_pooled.json")["runs"]
    assert pooled["overall"]["success"][0] == 0 and pooled["overall"]["success"][3] == 60


def test_the_kept_runs_in_libero_say_what_the_lesson_says() -> None:
    results = Path(__file__).parents[3] / "notebooks" / "results"
    runs = kept.load_kept(results / "libero.json")["runs"]
    assert len(runs) == 3
    assert all(run["overall"]["success"][0] >= 0.8 and run["overall"]["success"][3] == 100 for run in runs)
    assert all(run["controls"]["other instruction"]["success"][0] <= 0.05 for run in runs)
    for row in kept.variant_rows(results / "libero.json")[1:]:
        share = int(row[3].split("%")[0])
        assert share >= 90 if row[0].endswith("_lan") else share == 0
    (pooled,) = kept.load_kept(results / "libero_pooled.json")["runs"]
    assert pooled["overall"]["success"][0] > 0.5


def test_shares_of_one_run_have_wilsons_interval_and_of_several_their_ends(tmp_path: Path) -> None:
    def run(value: float) -> dict[str, object]:
        numbers = {"success": [value, value - 0.1, value + 0.1, 60], "grasp": [value, 0.0, 1.0, 60], "steps": 20.0}
        return {"tasks": {"pick": numbers}, "overall": numbers, "controls": {"mean action": numbers}}

    path = tmp_path / "kept.json"
    path.write_text(json.dumps({"runs": [run(0.5)]}))
    assert kept.success_rows(path)[1] == ("pick", "60", "50% (40% to 60%)", "50% (0% to 100%)")
    path.write_text(json.dumps({"runs": [run(0.5), run(0.7)]}))
    assert kept.control_rows(path)[2] == ("mean action", "120", "60% (50% to 70%)", "60% (50% to 70%)")


def test_a_run_without_trials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run"):
        kept.keep(tmp_path / "out.json")
    with pytest.raises(InputError, match=r"config\.yaml"):
        kept.keep(tmp_path / "out.json", tmp_path)
