"""Demonstrations into a file in LIBERO's layout, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from motionlab.errors import InputError
from motionlab.files import atomic_path
from motionlab.vla.libero import layout
from motionlab.vla.libero.hdf5 import Group, h5py
from motionlab.vla.libero.layout import Episode
from motionlab.vla.libero.orientation import DEFAULT, check_convention, upright
from motionlab.vla.libero.quaternions import to_quaternion

_LEVEL = 4  # of gzip


def write_libero(
    path: str | Path,
    episodes: Iterable[Episode],
    *,
    image_convention: str = DEFAULT,
    problem_name: str = "motionlab",
    notes: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write the demonstrations of one task. Observations are those before their actions: `obs_action_offset` 0.

    Episodes are taken one at a time, so they may be made while the file is written.

    Args:
        path: LIBERO names such a file `<task>_demo.hdf5`.
        image_convention: how pictures are stored; the default is LIBERO's, upside down.
        problem_name: of the world that they come from.
        notes: more attributes of /data.

    Raises:
        InputError: no episode, or episodes of different instructions; or the file cannot be written.
        MissingExtra: h5py is not installed.
    """
    package = h5py()
    check_convention(image_convention, "image_convention")
    sentence, lengths = None, []
    with atomic_path(path) as temporary, package.File(temporary, "w") as file:
        data = file.create_group("data")
        for number, episode in enumerate(episodes):
            if sentence not in (None, episode.instruction):
                found = f"{sentence!r} and {episode.instruction!r}"
                raise InputError(path, found=found, expected="one instruction", fix="Write one file for each task.")
            sentence = episode.instruction
            lengths.append(len(episode.actions))
            _write_episode(data.create_group(f"demo_{number}"), episode, image_convention)
        if not lengths:
            raise InputError(path, found="no episode", expected="one at least", fix="Give demonstrations.")
        info = {"problem_name": problem_name, "domain_name": "robosuite", "language_instruction": sentence}
        data.attrs.update(
            {
                "problem_info": json.dumps(info),
                layout.CONVENTION: image_convention,
                "num_demos": len(lengths),
                "total": sum(lengths),
                layout.OFFSET: 0,
                layout.EXTRAS: "executed_actions; *_depth in metres; *_K and *_world_from_camera of upright pictures",
                **(notes or {}),
            }
        )


def _write_episode(group: Group, episode: Episode, convention: str) -> None:
    length = len(episode.actions)
    group.attrs.update({**episode.attributes, "num_samples": length})
    last = (np.arange(length) == length - 1).astype(np.uint8)
    rows: dict[str, np.ndarray] = {"actions": episode.actions.astype(np.float64), "rewards": last, "dones": last}
    if episode.states is not None:
        rows["states"] = episode.states
        group.attrs["init_state"] = episode.states[0]
    if episode.executed is not None:
        rows["executed_actions"] = episode.executed.astype(np.float64)
    seen: dict[str, np.ndarray] = {}
    if episode.ee_pos is not None and episode.ee_ori is not None:
        seen |= {"ee_pos": episode.ee_pos, "ee_ori": episode.ee_ori}
        seen["ee_states"] = np.concatenate([episode.ee_pos, episode.ee_ori], axis=1)
    if episode.gripper is not None:
        seen["gripper_states"] = episode.gripper
        if "ee_states" in seen:
            quaternion = to_quaternion(seen["ee_ori"].astype(np.float64))
            rows["robot_states"] = np.concatenate([episode.gripper, seen["ee_pos"], quaternion], axis=1)
    for view, track in episode.cameras.items():
        seen[layout.K_KEYS[view]], seen[layout.POSE_KEYS[view]] = track.K, track.world_from_camera
    obs = group.create_group("obs")
    for key, value in rows.items():
        group.create_dataset(key, data=value)
    for key, value in seen.items():
        obs.create_dataset(key, data=value.astype(np.float32))
    for view, pictures in episode.images.items():
        _store(obs, layout.IMAGE_KEYS[view][0], upright(pictures, convention))
    for view, depth in episode.depth.items():
        stored = _store(obs, layout.DEPTH_KEYS[view], upright(depth[..., None], convention).astype(np.float16))
        stored.attrs[layout.UNITS] = layout.METRES


def _store(obs: Group, key: str, pictures: np.ndarray) -> Group:
    """Packed, a picture a chunk: training reads them one at a time, in any order."""
    return obs.create_dataset(
        key, data=pictures, chunks=(1, *pictures.shape[1:]), compression="gzip", compression_opts=_LEVEL
    )
