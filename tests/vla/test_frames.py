"""Moments out of files: pairing, chunks, masks, geometry, splits, workers."""

from __future__ import annotations

import multiprocessing
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from motionlab.errors import InputError
from motionlab.vla.batch import Batch, collate
from motionlab.vla.frames import LiberoFrames
from motionlab.vla.libero.index import Conventions
from motionlab.vla.libero.read import read_libero
from motionlab.vla.libero.write import write_libero
from motionlab.vla.observation import VIEWS
from motionlab.vla.table_lab.env import TASKS, TableLab

pytest.importorskip("h5py")


def same(one: Batch, two: Batch) -> bool:
    tensors = ("images", "view_mask", "pose", "gripper", "action_is_pad", "state", "index")
    return one.instructions == two.instructions and all(
        torch.equal(getattr(one, name), getattr(two, name)) for name in tensors
    )


def test_a_moment_is_what_the_world_showed(demonstrations):
    frames = LiberoFrames(demonstrations, horizon=3)
    episodes = [episode for path in demonstrations for episode in read_libero(path)]
    number, row = 4, 2
    episode = episodes[number]
    assert episode.states is not None
    moment = sum(len(one.actions) for one in episodes[:number]) + row
    frame, seen = frames[moment], TableLab(16).set_state(episode.states[row])
    assert frame.instruction == episode.instruction == TASKS[1]
    for place, view in enumerate(VIEWS):
        np.testing.assert_array_equal(frame.images[place].permute(1, 2, 0).numpy(), seen.images[view])
        assert frame.depth is not None and frame.K is not None and frame.world_from_camera is not None
        np.testing.assert_allclose(frame.depth[place], seen.depth[view], rtol=6e-4)
        np.testing.assert_allclose(frame.K[place], seen.cameras[view].K, rtol=1e-6)
        np.testing.assert_allclose(frame.world_from_camera[place], seen.cameras[view].world_from_camera, atol=1e-6)
    np.testing.assert_array_equal(frame.state, seen.state())
    np.testing.assert_array_equal(frame.pose, episode.actions[row : row + 3, :6])
    np.testing.assert_array_equal(frame.gripper, episode.actions[row : row + 3, 6:])
    assert not frame.action_is_pad.any() and frame.index == moment
    assert len(frames) == sum(len(one.actions) for one in episodes)


def test_the_end_of_a_chunk_behind_the_episode_is_marked(demonstrations):
    frames = LiberoFrames(demonstrations[:1], horizon=4).of_episodes([1])
    actions = read_libero(demonstrations[0])[1].actions
    last = frames[len(frames) - 1]
    assert last.action_is_pad.tolist() == [False, True, True, True]
    np.testing.assert_array_equal(last.pose, np.tile(actions[-1:, :6], (4, 1)))
    assert frames[len(frames) - 3].action_is_pad.tolist() == [False, False, False, True]


def test_an_offset_pairs_an_observation_with_the_action_after_it(official):
    path = official()
    shifted, plain = LiberoFrames([path]), LiberoFrames([path], conventions=Conventions(None, 0))
    assert len(plain) - len(shifted) == 11  # the last observation of each episode has no action
    episode = read_libero(path)[0]
    for frames, offset in ((shifted, 1), (plain, 0)):
        np.testing.assert_array_equal(frames[2].pose[0], episode.actions[2 + offset, :6])
        np.testing.assert_array_equal(frames[2].images[0].permute(1, 2, 0), episode.images["agentview"][2])
    np.testing.assert_array_equal(shifted.actions()[:3], episode.actions[1:4])


def test_what_was_carried_out_stands_beside_the_labels(demonstrations, official):
    frames = LiberoFrames(demonstrations).of_episodes([1, 0])  # the second is carried out with noise
    episodes = read_libero(demonstrations[0])
    expected = np.concatenate([episodes[number].executed for number in (1, 0)]).astype(np.float32)
    np.testing.assert_array_equal(frames.executed(), expected)
    assert np.abs(frames.executed() - frames.actions()).max() > 0.05
    shifted = LiberoFrames([demonstrations[0]], conventions=Conventions(None, 1)).of_episodes([1])
    np.testing.assert_array_equal(shifted.executed(), np.asarray(episodes[1].executed)[1:].astype(np.float32))
    assert LiberoFrames([*demonstrations, official()], image_size=8).executed() is None


def test_batches(demonstrations):
    frames = LiberoFrames(demonstrations, horizon=2)
    batch = collate([frames[i] for i in (0, 5, 9)])
    assert batch.images.shape == (3, 2, 3, 16, 16) and batch.images.dtype == torch.float32
    assert 0 <= batch.images.min() and batch.images.max() <= 1 and batch.images.max() > 0.5
    assert batch.view_mask.all() and batch.view_mask.shape == (3, 2)
    assert batch.pose.shape == (3, 2, 6) and batch.gripper.shape == (3, 2, 1) and batch.state.shape == (3, 8)
    assert set(batch.gripper.unique().tolist()) <= {-1.0, 1.0}
    assert batch.depth is not None and batch.depth.shape == (3, 2, 16, 16)
    assert batch.index is not None and batch.index.tolist() == [0, 5, 9]
    assert batch.to("cpu").instructions == batch.instructions and len(batch) == 3


def test_collate_pads_views_and_steps_with_marks(demonstrations):
    both = LiberoFrames(demonstrations, horizon=3)[0]
    one = LiberoFrames(demonstrations, views=["agentview"], horizon=1)[0]
    batch = collate([both, replace(one, depth=None)])
    assert batch.view_mask.tolist() == [[True, True], [True, False]]
    assert not batch.images[1, 1].any()
    assert batch.action_is_pad.tolist() == [[False] * 3, [False, True, True]]
    assert torch.equal(batch.pose[1, 2], one.pose[0]) and batch.gripper[1, 2, 0].abs() == 1
    assert batch.depth is None and batch.K is not None


def test_in_memory_equals_from_the_file(demonstrations):
    lazy, kept = LiberoFrames(demonstrations), LiberoFrames(demonstrations, in_memory=True)
    numbers = range(0, len(lazy), 7)
    one, two = collate([lazy[i] for i in numbers]), collate([kept[i] for i in numbers])
    assert same(one, two) and one.depth is not None and two.depth is not None and torch.equal(one.depth, two.depth)


def test_views_come_in_the_order_that_is_asked_for(demonstrations):
    plain, swapped = LiberoFrames(demonstrations)[3], LiberoFrames(demonstrations, views=VIEWS[::-1])[3]
    assert torch.equal(plain.images, swapped.images.flip(0))
    assert plain.K is not None and swapped.K is not None and torch.equal(plain.K, swapped.K.flip(0))


def test_resized_pictures_keep_their_geometry(demonstrations):
    plain, small = LiberoFrames(demonstrations)[3], LiberoFrames(demonstrations, image_size=8)[3]
    assert small.images.shape == (2, 3, 8, 8) and small.depth is not None and small.depth.shape == (2, 8, 8)
    means = plain.images.float().reshape(2, 3, 8, 2, 8, 2).mean((3, 5))
    assert (means - small.images).abs().mean() < 12  # an antialiasing filter is wider than a block
    assert plain.K is not None and small.K is not None
    np.testing.assert_allclose(small.K[:, :2], plain.K[:, :2] / 2)
    np.testing.assert_array_equal(small.K[:, 2], plain.K[:, 2])


def test_episodes_of_a_split_share_nothing(demonstrations):
    frames = LiberoFrames(demonstrations)
    train, rest = frames.of_episodes([0, 2, 3, 4, 6, 7]), frames.of_episodes([1, 5, 8])
    some = [{part[i].index for i in range(0, len(part), 3)} for part in (train, rest)]
    assert not some[0] & some[1] and len(train) + len(rest) == len(frames)
    assert {frames[i].instruction for i in some[1]} == set(TASKS)
    assert rest.episodes == (1, 5, 8) and rest.actions().shape == (len(rest), 7)
    for i in (0, len(rest) // 2, len(rest) - 1):
        assert rest.actions()[i].tolist() == [*rest[i].pose[0].tolist(), rest[i].gripper.item()]
    for bad in ([], [0, 0], [9]):
        with pytest.raises(InputError, match="episodes: found"):
            frames.of_episodes(bad)


def _indices_in_a_worker(frames, results):
    results.put([frames[i].images.sum().item() for i in range(4)])


@pytest.mark.parametrize("opened", [False, True])
def test_a_forked_worker_opens_its_own_file(demonstrations, opened):
    frames = LiberoFrames(demonstrations)
    expected = [frames[i].images.sum().item() for i in range(4)]
    if not opened:
        frames.close()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    worker = context.Process(target=_indices_in_a_worker, args=(frames, results))
    worker.start()
    assert results.get(timeout=20) == expected
    worker.join(20)
    assert worker.exitcode == 0
    assert [frames[i].images.sum().item() for i in range(4)] == expected  # the parent opens its own again


def test_fork_closes_what_is_open(demonstrations):
    import os

    frames = LiberoFrames(demonstrations)
    _ = frames[0]
    assert len(frames._files) == 1
    child = os.fork()
    if child == 0:
        os._exit(len(frames._files))  # no handle came along
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert frames._files == {}


def test_a_data_loader_with_a_worker_gives_the_same_batches(demonstrations):
    frames = LiberoFrames(demonstrations, horizon=2)
    _ = frames[0]  # open in this process before the worker starts
    alone = next(iter(DataLoader(frames, batch_size=5, collate_fn=collate)))
    loader = DataLoader(frames, batch_size=5, collate_fn=collate, num_workers=1, multiprocessing_context="fork")
    assert same(alone, next(iter(loader)))


def test_a_data_set_can_be_pickled_while_files_are_open(demonstrations):
    frames = LiberoFrames(demonstrations)
    _ = frames[0]
    copy = pickle.loads(pickle.dumps(frames))
    assert torch.equal(copy[7].images, frames[7].images)


def _without(view):
    return lambda file: [demo["obs"].pop(view) for demo in file["data"].values()]


def test_a_missing_view_is_refused_or_masked(official):
    path = official(_without("eye_in_hand_rgb"))
    with pytest.raises(InputError, match=r"data/demo_0/obs: found no pictures of eye_in_hand"):
        LiberoFrames([path])
    frame = LiberoFrames([path], missing="mask")[0]
    assert frame.view_mask.tolist() == [True, False] and not frame.images[1].any() and frame.depth is None
    assert LiberoFrames([path], views=["agentview"])[0].view_mask.tolist() == [True]
    with pytest.raises(InputError, match="found no pictures of eye_in_hand"):
        LiberoFrames([path], views=["eye_in_hand"], missing="mask")


def test_a_missing_state_is_refused_or_zero(official):
    def without(file):
        for demo in file["data"].values():
            del demo["robot_states"], demo["obs"]["ee_pos"]

    path = official(without)
    with pytest.raises(InputError, match=r"data/demo_0/obs: found no ee_pos"):
        LiberoFrames([path])
    state = LiberoFrames([path], missing="mask")[0].state
    assert not state[:3].any() and state[3:].any()


def test_a_z_buffer_is_no_depth(official):
    def with_buffer(file):
        for demo in file["data"].values():
            demo["obs"]["agentview_depth"] = np.full((*demo["obs"]["agentview_rgb"].shape[:3], 1), 0.99, np.float32)

    assert LiberoFrames([official(with_buffer)])[0].depth is None


def test_pictures_of_different_sizes_need_one_size(demonstrations, official):
    files = [demonstrations[0], official()]
    with pytest.raises(InputError, match=r"agentview_rgb: found \(8, 8\) pixels, expected \(16, 16\), as before"):
        LiberoFrames(files)
    frames = LiberoFrames(files, image_size=12)
    assert frames[0].images.shape == frames[len(frames) - 1].images.shape == (2, 3, 12, 12)


def test_pictures_that_are_not_square_are_refused(demonstrations, tmp_path):
    episode = read_libero(demonstrations[0])[0]
    wide = replace(episode, images={view: stack[:, :8] for view, stack in episode.images.items()}, depth={})
    write_libero(tmp_path / "wide_demo.hdf5", [wide])
    with pytest.raises(InputError, match=r"found \(8, 16\) pixels, expected square pictures"):
        LiberoFrames([tmp_path / "wide_demo.hdf5"])


def test_an_episode_without_a_pair_is_refused(demonstrations, tmp_path):
    episode = read_libero(demonstrations[0])[0]
    short = replace(
        episode, actions=episode.actions[:1], images={v: s[:1] for v, s in episode.images.items()}, depth={},
        cameras={}, ee_pos=None, ee_ori=None, gripper=None, executed=None, states=None,
    )  # fmt: skip
    write_libero(tmp_path / "short_demo.hdf5", [short])
    with pytest.raises(InputError, match="data/demo_0: found 1 rows with obs_action_offset 1"):
        LiberoFrames([tmp_path / "short_demo.hdf5"], conventions=Conventions(None, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": []}, "files: found none"),
        ({"files": "one.hdf5"}, "files: found one.hdf5, expected a list"),
        ({"views": ["front"]}, "views: found"),
        ({"views": []}, "views: found"),
        ({"views": ["agentview", "agentview"]}, "views: found"),
        ({"horizon": 0}, "horizon: found 0"),
        ({"image_size": 4}, "image_size: found 4"),
        ({"missing": "guess"}, "missing: found 'guess'"),
    ],
)
def test_arguments_out_of_range_are_refused_before_a_file_is_read(change, message):
    with pytest.raises(InputError, match=message):
        LiberoFrames(**{"files": ["absent.hdf5"], **change})


@pytest.mark.parametrize(("image", "offset"), [("metal", None), (None, 3)])
def test_conventions_out_of_range_are_refused(image, offset):
    with pytest.raises(InputError, match="image_convention: found 'metal'|obs_action_offset: found 3"):
        Conventions(image, offset)
