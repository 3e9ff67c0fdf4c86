"""Demonstrations: kept once, the same in every process, replayed bit for bit, noise only in what was carried out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.vla.demonstrations import FIRST_SEED, DemonstrationSettings, demonstrate, is_noisy, make_demonstrations
from motionlab.vla.libero.read import read_libero
from motionlab.vla.observation import VIEWS
from motionlab.vla.table_lab.env import TASKS, TableLab
from motionlab.vla.table_lab.expert import expert_action
from motionlab.vla.table_lab.world import TableState
from tests.vla.conftest import SETTINGS

pytest.importorskip("h5py")


def test_executed_actions_lead_from_the_first_state_to_the_stored_pictures(demonstrations):
    for episode in read_libero(demonstrations[1])[:2]:  # the second one with noise
        assert episode.states is not None and episode.executed is not None
        env = TableLab(16)
        seen = env.set_state(episode.states[0])
        for row, action in enumerate(episode.executed):
            for view in VIEWS:
                np.testing.assert_array_equal(seen.images[view], episode.images[view][row])
            np.testing.assert_array_equal(env.state(), episode.states[row])
            seen = env.step(action)
        assert env.success()


def test_labels_are_the_experts_and_half_of_what_was_carried_out_is_not(demonstrations):
    noisy = []
    for path in demonstrations:
        for episode in read_libero(path):
            assert episode.states is not None and episode.executed is not None
            expert = [expert_action(TableState.from_vector(state)) for state in episode.states]
            np.testing.assert_array_equal(episode.actions, np.stack(expert).astype(np.float32))
            np.testing.assert_array_equal(episode.actions[:, 6], episode.executed[:, 6])
            difference = np.abs(episode.executed - np.stack(expert)).max()
            assert (difference > 0) == (episode.attributes["action_noise_sd"] == 0.2)
            noisy.append(difference > 0)
    assert noisy == [False, True, False] * 3


@pytest.mark.parametrize(("share", "noisy"), [(0.0, 0), (0.25, 2), (0.3, 2), (0.5, 4), (0.9, 7), (1.0, 8)])
def test_the_noisy_share(share, noisy):
    assert sum(is_noisy(number, share) for number in range(8)) == noisy


def test_every_demonstration_has_a_table_of_its_own(demonstrations):
    seeds = [int(episode.attributes["seed"]) for path in demonstrations for episode in read_libero(path)]
    assert len(set(seeds)) == 9 and min(seeds) >= FIRST_SEED
    assert [read_libero(path)[0].instruction for path in demonstrations] == list(TASKS)


def test_files_are_made_once(demonstrations):
    before = [path.stat().st_mtime_ns for path in demonstrations]
    assert make_demonstrations(demonstrations[0].parent.parent, SETTINGS) == demonstrations
    assert [path.stat().st_mtime_ns for path in demonstrations] == before


def test_several_processes_make_the_same_files(demonstrations, tmp_path):
    again = make_demonstrations(tmp_path, SETTINGS, processes=2)
    assert [sha256(path) for path in again] == [sha256(path) for path in demonstrations]


def test_the_key_knows_every_setting():
    keys = {SETTINGS.key()} | {
        replace(SETTINGS, **change).key()
        for change in (
            {"per_task": 4}, {"seed": 1}, {"image_size": 32}, {"noise_sd": 0.1}, {"noisy_share": 0.4}, {"max_steps": 70}
        )
    }  # fmt: skip
    assert len(keys) == 7


def test_a_failure_leaves_no_folder(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("disk")

    monkeypatch.setattr("motionlab.vla.demonstrations.write_libero", fail)
    with pytest.raises(RuntimeError):
        make_demonstrations(tmp_path, SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_noise_that_the_expert_cannot_overcome_is_refused():
    settings = DemonstrationSettings(per_task=1, image_size=8, noise_sd=10, noisy_share=1.0, max_steps=3)
    with pytest.raises(InputError, match="demonstration 0 of task 0: found no success on 20 tables with noise 10"):
        demonstrate(settings, (0, 0))


@pytest.mark.parametrize(
    "change",
    [{"per_task": 0}, {"seed": -1}, {"image_size": 4}, {"noise_sd": -0.1}, {"noisy_share": 1.1}, {"max_steps": 0}],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(InputError, match=f"{next(iter(change))}: found"):
        DemonstrationSettings(**change)
