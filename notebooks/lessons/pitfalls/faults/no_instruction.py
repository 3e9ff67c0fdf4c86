"""The sentence is looked for under a name that the rows do not have, and a placeholder is trained instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.vla.language import check_instructions

TASKS = {0: "lift the red cube", 1: "lift the green cube", 2: "lift the blue cube"}
Row = Mapping[str, int]
Read = Callable[[Row, Mapping[int, str]], str]


def broken(row: Row, tasks: Mapping[int, str]) -> str:
    """The instruction of a row of a LeRobotDataset, which holds a `task_index`."""
    return str(row.get("language_instruction", "No instruction"))


def fixed(row: Row, tasks: Mapping[int, str]) -> str:
    """The table of tasks has the sentence; an empty one is refused."""
    sentence = tasks[row["task_index"]]
    check_instructions([sentence])
    return sentence


ROWS = [{"task_index": number % 3} for number in range(60)]


def symptom(read: Read) -> Seen:
    """The best policy that sees the sentence only: the mean place of what belongs to it."""
    goals = torch.tensor([-1.0, 0.0, 1.0])  # where the red, green and blue cube lie
    labels = [(read(row, TASKS), float(goals[row["task_index"]])) for row in ROWS]
    mean = {s: sum(y for t, y in labels if t == s) / sum(t == s for t, _ in labels) for s, _ in labels}
    loss = sum((mean[s] - y) ** 2 for s, y in labels) / len(labels)
    anything = sum(y for _, y in labels) / len(labels)  # what an unknown sentence gets
    acted = [mean.get(TASKS[task], anything) for task in range(3)]
    reached = [100.0 * (abs(place - float(goal)) < 0.1) for place, goal in zip(acted, goals, strict=True)]
    return Seen(sum(reached) / 3, sorted((mean[s] - y) ** 2 for s, y in labels), train=loss, validation=loss)


def test(read: Read) -> None:
    found = {read(row, TASKS) for row in ROWS}
    assert found == set(TASKS.values()), f"three tasks, and the model reads {sorted(found)}"


PITFALL = Pitfall(
    name="no_instruction",
    title="the sentence never arrives",
    topic="robot",
    seen="the published code of AtlasVLA with LeRobotDatasets",
    lesson="14",
    fix="no placeholder; print the sentences of the first batch",
    measure="tasks of three that are solved, %",
    height="loss of the row",
    axis="training rows, sorted by loss",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=50.0,
)
