"""Demonstrations: robots and policies."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from motionlab.vla.head import RegressionHead


@shows("action chunk")
def _chunk() -> str:
    chunk = RegressionHead(16, horizon=4)(torch.rand(1, 16))
    return (
        f"one look at the scene -> poses {tuple(chunk.pose.shape)} and gripper {tuple(chunk.gripper.shape)}: 4 actions"
    )


@shows("behaviour cloning", "imitation learning")
def _cloning() -> str:
    states, actions = [], []
    for seed in range(6):
        kit.env.reset(task=0, seed=seed)
        for _ in range(10):
            states.append(torch.tensor(kit.env.state()).float())
            actions.append(torch.tensor(ml.expert_action(kit.env.table)).float())
            kit.env.step(actions[-1].numpy())
    x, y = torch.stack(states), torch.stack(actions)[:, :2]  # what was seen, how the expert moved in x and y
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    w = torch.linalg.lstsq(x, y, driver="gelsd").solution
    left = (y - x @ w).square().mean() / y.var()
    return f"{len(x)} pairs of state and action of an expert; a linear copy explains {ml.about(1 - float(left), 2)}"


@shows("closed loop", "trajectory")
def _loop() -> str:
    kit.env.reset(task=0, seed=0)
    path = [kit.env.state()]
    for _ in range(8):
        seen = kit.env.step(ml.expert_action(kit.env.table))  # the action depends on what the last one did
        path.append(kit.env.state())
    moved = float(np.abs(path[-1][:3] - path[0][:3]).max())
    return f"{len(path)} states and {len(seen.images)} pictures each time; the hand moved by {ml.about(moved, 2)} m"


@shows("covariate shift")
def _shift() -> str:
    off = []
    for push in (0.0, 0.3):  # a still hand; a policy that is wrong by the same bit in each of 10 steps
        kit.env.reset(task=0, seed=0)
        start = kit.env.table.hand.copy()
        for _ in range(10):
            kit.env.step(np.array([push, 0, 0, 0, 0, 0, -1.0], np.float32))
        off.append(float(np.abs(kit.env.table.hand - start).max()))
    return f"the same small error ten times over: the hand is {ml.about(100 * off[1], 2)} cm from where the expert was"


@shows("end effector", "proprioception")
def _effector() -> str:
    state = kit.env.reset(task=0, seed=0).state()
    place, gripper = [round(float(v), 2) for v in state[:3]], [round(float(v), 2) for v in state[6:]]
    return f"{len(state)} numbers; the hand is at {place} m, its fingers at {gripper} m"


@shows("FiLM")
def _film() -> str:
    features, sentence = torch.ones(1, 4, 2, 2), torch.rand(1, 8)
    scale, shift = nn.Linear(8, 8)(sentence).chunk(2, dim=-1)
    out = features * (1 + scale[..., None, None]) + shift[..., None, None]
    return f"two numbers a channel: {tuple(scale.shape)} and {tuple(shift.shape)} change a map {tuple(out.shape)}"


@shows("observation", "modality")
def _observation() -> str:
    seen = kit.env.reset(task=1, seed=0)
    words, view = kit.env.instruction.split(), seen.images["agentview"]
    return f"image: {len(seen.images)} of {view.shape}; language: {len(words)} words; state: {seen.state().shape}"


@shows("policy")
def _policy() -> str:
    kit.env.reset(task=0, seed=0)
    action = ml.expert_action(kit.env.table)
    return (
        f"what is seen -> {action.shape}: 3 numbers to move, 3 to turn, 1 for the gripper; here a rule, else a network"
    )


@shows("quantile")
def _quantile() -> str:
    x = torch.cat([torch.linspace(-1, 1, 999), torch.tensor([50.0])])  # one outlier
    low, high = torch.quantile(x, torch.tensor([0.01, 0.99])).tolist()
    return f"largest value {x.max():g}; 1 % and 99 % quantile {low:.2f} and {high:.2f}"


@shows("simulator")
def _simulator() -> str:
    before = kit.env.reset(task=0, seed=0)
    after = kit.env.step(ml.expert_action(kit.env.table))
    changed = (before.images["agentview"] != after.images["agentview"]).mean()
    return f"an action in, a new picture out: {ml.about(100 * float(changed), 2)} % of its numbers changed"


@shows("state")
def _state() -> str:
    seen = kit.env.reset(task=0, seed=0)
    return f"of the world {kit.env.state().shape}, cubes included; what the policy is told {seen.state().shape}"


@shows("unprojection")
def _unprojection() -> str:
    seen = kit.env.reset(task=0, seed=0)
    points = ml.unproject(seen.depth["agentview"], seen.cameras["agentview"])
    return f"depth {seen.depth['agentview'].shape} -> places {points.shape} in metres"


@shows("unstructured settings")
def _unstructured() -> str:
    places = []
    for seed in range(20):
        kit.env.reset(task=0, seed=seed)
        places.append(kit.env.table.cubes[:, :2])
    spread = np.stack(places).std(0).max()
    return f"the cubes lie elsewhere each time, by {ml.about(100 * float(spread), 2)} cm; rules and room stay"


@shows("vision-language-action policy")
def _vla() -> str:
    seen = kit.env.reset(task=2, seed=0)
    pictures = torch.tensor(np.stack(list(seen.images.values()))).float().flatten()
    words = ml.Words.of(list(kit.env.tasks)).encode(kit.env.instruction)
    policy = nn.Linear(len(pictures) + len(words), 7)  # the smallest one there is, untrained
    action = policy(torch.cat([pictures / 255, torch.tensor(words).float()]))
    return f"{len(pictures):,} numbers of pictures and {len(words)} word ids -> {len(action)} numbers of an action"
