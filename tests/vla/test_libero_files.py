"""Files in LIBERO's layout: written and read back, read as others write them, and refused by file and key."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from motionlab.errors import InputError, MissingExtra
from motionlab.vla.libero import layout
from motionlab.vla.libero.index import Conventions, index_file
from motionlab.vla.libero.orientation import upright
from motionlab.vla.libero.quaternions import to_axis_angle, to_quaternion
from motionlab.vla.libero.read import read_libero
from motionlab.vla.libero.write import write_libero
from motionlab.vla.observation import VIEWS
from motionlab.vla.table_lab.env import TASKS, TableLab

h5py = pytest.importorskip("h5py")


def test_what_is_written_is_read_back(demonstrations, tmp_path):
    first = read_libero(demonstrations[1])
    for convention in ("opengl", "opencv"):
        write_libero(tmp_path / "copy_demo.hdf5", first, image_convention=convention)
        again = read_libero(tmp_path / "copy_demo.hdf5")
        assert len(again) == len(first) == 3
        for one, two in zip(first, again, strict=True):
            assert two.instruction == TASKS[1] == one.instruction
            assert two.attributes == {**one.attributes, "num_samples": len(one.actions)}
            for name in ("actions", "ee_pos", "ee_ori", "gripper", "executed", "states"):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
            for view in VIEWS:
                np.testing.assert_array_equal(one.images[view], two.images[view])
                np.testing.assert_array_equal(one.depth[view], two.depth[view])
                np.testing.assert_array_equal(one.cameras[view].K, two.cameras[view].K)
                np.testing.assert_array_equal(one.cameras[view].world_from_camera, two.cameras[view].world_from_camera)


def test_pictures_in_a_file_are_upright_again_and_upside_down_on_disk(demonstrations):
    """The picture test: what is read equals what the world shows, and the file holds it flipped, not rotated."""
    episode = read_libero(demonstrations[0])[0]
    assert episode.states is not None
    seen = TableLab(16).set_state(episode.states[4])
    with h5py.File(demonstrations[0]) as file:
        stored = file["data/demo_0/obs/agentview_rgb"][4]
        assert file["data"].attrs[layout.CONVENTION] == "opengl"
    np.testing.assert_array_equal(episode.images["agentview"][4], seen.images["agentview"])
    np.testing.assert_array_equal(stored, seen.images["agentview"][::-1])
    assert not np.array_equal(stored, seen.images["agentview"][::-1, ::-1])
    np.testing.assert_allclose(episode.depth["eye_in_hand"][4], seen.depth["eye_in_hand"], rtol=6e-4)


def test_the_layout_is_that_of_libero(demonstrations):
    with h5py.File(demonstrations[2]) as file:
        data, demo = file["data"], file["data/demo_2"]
        length = len(demo["actions"])
        assert json.loads(data.attrs["problem_info"])["language_instruction"] == TASKS[2]
        assert data.attrs["num_demos"] == 3 and data.attrs["total"] == sum(len(data[k]["actions"]) for k in data)
        assert demo.attrs["num_samples"] == length
        assert demo["rewards"][()].tolist() == demo["dones"][()].tolist() == [0] * (length - 1) + [1]
        np.testing.assert_array_equal(demo.attrs["init_state"], demo["states"][0])
        shapes = {key: value.shape[1:] for key, value in demo["obs"].items()}
        assert shapes["agentview_rgb"] == shapes["eye_in_hand_rgb"] == (16, 16, 3)
        assert (shapes["ee_pos"], shapes["ee_states"], shapes["gripper_states"]) == ((3,), (6,), (2,))
        assert demo["robot_states"].shape == (length, 9)
        quaternion = demo["robot_states"][:, 5:]
        np.testing.assert_allclose(to_axis_angle(quaternion), demo["obs/ee_ori"], atol=1e-6)
        assert demo["obs/agentview_depth"].dtype == np.float16
        assert demo["obs/agentview_depth"].attrs["units"] == "metres"
        assert demo["obs/agentview_rgb"].chunks == (1, 16, 16, 3)


def test_demonstrations_are_sorted_by_number(official):
    index = index_file(official())
    assert [demo.name for demo in index.demos] == [f"demo_{number}" for number in range(11)]
    assert [round(float(demo.actions[0, 0])) for demo in index.demos] == list(range(11))


def test_conventions_come_from_the_file_or_from_the_caller(official, demonstrations):
    assert (index_file(official()).image_convention, index_file(official()).obs_action_offset) == ("opengl", 1)
    assert index_file(demonstrations[0]).obs_action_offset == 0
    bare = official(lambda file: [file["data"].attrs.pop(key) for key in ("env_args", "macros_image_convention")])
    assert (index_file(bare).image_convention, index_file(bare).obs_action_offset) == ("opengl", 0)
    chosen = index_file(bare, Conventions("opencv", 1))
    assert (chosen.image_convention, chosen.obs_action_offset) == ("opencv", 1)
    stored = read_libero(bare, Conventions("opencv"))[0].images["agentview"]
    np.testing.assert_array_equal(read_libero(bare)[0].images["agentview"], stored[:, ::-1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("agentview_rgb", "agentview_image"),
        ("eye_in_hand_rgb", "robot0_eye_in_hand_image"),
        ("eye_in_hand_rgb", "wrist_image"),
        ("ee_pos", "robot0_eef_pos"),
        ("gripper_states", "robot0_gripper_qpos"),
    ],
)
def test_other_names_of_the_same_thing(official, old, new):
    plain = read_libero(official())[2]
    renamed = read_libero(official(lambda file: [file[f"data/{d}/obs"].move(old, new) for d in file["data"]]))[2]
    for name in ("ee_pos", "gripper"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(renamed, name))
    for view in VIEWS:
        np.testing.assert_array_equal(plain.images[view], renamed.images[view])


def test_the_instruction_as_dataset_and_as_attribute_of_a_demonstration(official):
    def per_demo(file):
        del file["data"].attrs["problem_info"]
        file["data/demo_0/language"] = "from a dataset"
        file["data/demo_1"].attrs["language_instruction"] = b"from an attribute"

    index = index_file(official(per_demo, name="stack_the_cups_demo.hdf5"))
    assert [demo.instruction for demo in index.demos[:3]] == ["from a dataset", "from an attribute", "stack the cups"]


def test_the_state_of_the_hand_from_robot_states(official):
    def without(file):
        for demo in file["data"].values():
            for key in ("ee_pos", "ee_ori", "gripper_states"):
                del demo["obs"][key]

    episode = read_libero(official(without))[0]
    assert episode.ee_pos is not None and episode.ee_ori is not None and episode.gripper is not None
    np.testing.assert_allclose(episode.ee_pos, 0.1)
    np.testing.assert_allclose(episode.ee_ori[0], np.array([np.pi, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(episode.gripper, 0.1)


def test_float_pictures_in_range_are_scaled(official):
    def to_float(file):
        pictures = file["data/demo_0/obs/agentview_rgb"][()] / 255
        del file["data/demo_0/obs/agentview_rgb"]
        file["data/demo_0/obs/agentview_rgb"] = pictures

    plain, scaled = read_libero(official())[0], read_libero(official(to_float))[0]
    np.testing.assert_array_equal(plain.images["agentview"], scaled.images["agentview"])


def test_too_many_observations_are_left_out_with_a_warning(official):
    def shorten(file):
        actions = file["data/demo_5/actions"][:-2]
        del file["data/demo_5/actions"]
        file["data/demo_5/actions"] = actions

    with pytest.warns(UserWarning, match="demo_5: actions has 7 rows, others more; the first 7 are used"):
        episode = read_libero(official(shorten))[5]
    assert episode.ee_pos is not None
    assert len(episode.actions) == len(episode.images["agentview"]) == len(episode.ee_pos) == 7


def _set(key, value):
    def change(file):
        if key in file:
            del file[key]
        file[key] = value

    return change


def _actions(row, column, value):
    def change(file):
        file["data/demo_3/actions"][row, column] = value

    return change


def _attribute(key, value):
    return lambda file: file["data"].attrs.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_actions(2, 1, np.nan), r"data/demo_3/actions: found NaN or infinity in row 2, column 1"),
        (_actions(1, 6, 0.0), r"data/demo_3/actions, column 6: found 0, expected -1 \(open\) or \+1"),
        (_set("data/demo_3/actions", np.zeros((4, 6))), r"data/demo_3/actions: found shape \(4, 6\)"),
        (_set("data/demo_3/actions", np.zeros((0, 7))), r"data/demo_3/actions: found shape \(0, 7\)"),
        (_set("data/demo_3/actions", "text"), "data/demo_3/actions: found shape"),
        (_set("data/demo_3/obs/agentview_rgb", np.zeros((7, 8, 8), np.uint8)), "obs/agentview_rgb: found shape"),
        (_set("data/demo_3/obs/agentview_rgb", np.full((7, 8, 8, 3), 1.5)), "agentview_rgb: found values from 1.5"),
        (_set("data/demo_3/obs/agentview_rgb", np.full((7, 8, 8, 3), np.nan)), "agentview_rgb: found values from nan"),
        (_set("data/demo_3/obs/agentview_rgb", np.full((7, 8, 8, 3), 300)), "agentview_rgb: found values from 300"),
        (lambda f: [f["data/demo_3/obs"].pop(k) for k in ("agentview_rgb", "eye_in_hand_rgb")], "found no pictures"),
        (lambda file: file["data/demo_3"].pop("obs"), "data/demo_3: found no obs"),
        (lambda file: file["data/demo_3"].pop("actions"), "data/demo_3: found no actions"),
        (lambda file: [file["data"].pop(f"demo_{n}") for n in range(11)], "data: found no demonstrations"),
        (lambda file: file.pop("data"), "found the groups none, expected an HDF5 file of demonstrations"),
        (_set("data/demo_3/obs/ee_pos", np.full((7, 3), np.inf)), "obs/ee_pos: found NaN or infinity"),
        (_attribute("problem_info", '{"language_instruction": " "}'), "language_instruction: found an empty text"),
        (_attribute("problem_info", "{"), "data.problem_info: found '{', expected a JSON object"),
        (_attribute("macros_image_convention", "metal"), "macros_image_convention: found 'metal', expected opengl"),
        (_attribute("obs_action_offset", 2), "obs_action_offset: found 2"),
    ],
)
def test_faults_are_refused_with_file_and_key(official, change, message):
    path = official(lambda file: change(file) and None)
    with pytest.raises(InputError, match=message) as caught:
        read_libero(path)
    assert str(path) in str(caught.value)


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.hdf5").write_text("no HDF5")
    for name, found in (("text.hdf5", "found"), ("absent.hdf5", "found no file"), (".", "found a folder")):
        with pytest.raises(InputError, match=found):
            read_libero(tmp_path / name)


def test_a_claim_of_petabytes_is_not_believed(official):
    def claim(file):
        del file["data/demo_3/actions"]
        file["data/demo_3"].create_dataset("actions", shape=(1 << 40, 7), dtype="f8", chunks=(1024, 7))

    with pytest.raises(InputError, match=r"data/demo_3/actions: found 61,572,651,155,456 bytes claimed, 0 stored"):
        read_libero(official(claim))


def test_without_h5py_the_extra_is_named(monkeypatch, demonstrations, tmp_path):
    episodes = read_libero(demonstrations[0])
    monkeypatch.setitem(sys.modules, "h5py", None)
    for call in (lambda: read_libero(demonstrations[0]), lambda: write_libero(tmp_path / "x.hdf5", episodes)):
        with pytest.raises(MissingExtra, match=r'h5py is not installed.*pip install "motionlab\[vla\]"'):
            call()
    assert not list(tmp_path.iterdir())


def test_a_file_holds_one_instruction_and_a_failed_write_leaves_nothing(demonstrations, tmp_path):
    one, two = read_libero(demonstrations[0])[:2]
    for episodes, found in (([one, replace(two, instruction="dance")], "'dance'"), ([], "found no episode")):
        with pytest.raises(InputError, match=found):
            write_libero(tmp_path / "new.hdf5", episodes)
    assert not list(tmp_path.iterdir())


def test_upright_turns_upside_down_without_mirroring():
    picture = np.arange(12).reshape(2, 2, 3)
    np.testing.assert_array_equal(upright(picture, "opengl"), picture[::-1])
    np.testing.assert_array_equal(upright(picture, "opencv"), picture)
    with pytest.raises(InputError, match="image_convention: found 'upside'"):
        upright(picture, "upside")


def test_quaternions_come_back_and_do_not_jump_at_half_a_turn():
    turns = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(to_axis_angle(to_quaternion(turns)), turns, atol=1e-9)
    near = np.array([[np.pi - 0.01, 0, 0], [np.pi + 0.01, 0, 0]])  # the shorter turn would have the opposite axis
    np.testing.assert_allclose(to_axis_angle(to_quaternion(near)), near, atol=1e-9)
    np.testing.assert_array_equal(to_axis_angle(to_quaternion(np.zeros((1, 3)))), np.zeros((1, 3)))
