"""Lesson 16: every fault is caught by its test, its symptom is there, and it says where it was seen."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest
import torch

from lessons.pitfalls import museum
from lessons.pitfalls.pitfall import TOPICS, Pitfall
from motionlab.errors import InputError

FAULTS = Path(inspect.getfile(museum)).parent / "faults"
PITFALLS = [pytest.param(museum.find(name), id=name) for name in museum.NAMES]


def test_every_file_is_in_the_museum_and_every_topic_has_faults() -> None:
    files = {path.stem for path in FAULTS.glob("*.py")} - {"__init__"}
    assert files == set(museum.NAMES) and len(museum.NAMES) == len(files) >= 24
    assert {pitfall.topic for pitfall in museum.every()} == set(TOPICS)
    assert [p.name for p in museum.every()] == list(museum.NAMES)
    assert {p.topic for p in museum.every("robot")} == {"robot"}


@pytest.mark.parametrize("pitfall", PITFALLS)
def test_the_catching_test_fails_on_broken_and_passes_on_mended(pitfall: Pitfall) -> None:
    assert pitfall.complaint(pitfall.broken)
    assert pitfall.complaint(pitfall.fixed) is None
    assert museum.verdict(pitfall) == "✓"


@pytest.mark.parametrize("pitfall", PITFALLS)
def test_the_symptom_differs_by_its_margin(pitfall: Pitfall) -> None:
    broken, fixed = museum.seen(pitfall.name)
    assert pitfall.margin > 0 and abs(broken.number - fixed.number) >= pitfall.margin
    assert len(broken.curve) >= 2 and len(fixed.curve) >= 2
    assert list(broken.curve) != list(fixed.curve)


@pytest.mark.parametrize("pitfall", PITFALLS)
def test_it_says_where_it_was_seen_and_reads_well(pitfall: Pitfall) -> None:
    public = r"#\d+|PR \d+|published code of AtlasVLA|MotionMillion|272-dim-Motion-Representation|T2M-GPT"
    assert re.search(public, pitfall.seen)
    assert re.fullmatch(r"\d\d", pitfall.lesson)
    lessons = {path.stem[:2] for path in FAULTS.parents[2].glob("[0-9][0-9]_*.ipynb")}
    assert pitfall.lesson in lessons
    file = FAULTS / f"{pitfall.name}.py"
    assert file.is_file() and len(file.read_text(encoding="utf-8").splitlines()) <= 100
    assert len(pitfall.title) <= 50 and len(pitfall.fix) <= 80 and len(pitfall.height) <= 50
    assert len(pitfall.at) in (0, len(museum.seen(pitfall.name)[0].curve))


@pytest.mark.parametrize("name", ["chunk_tail", "missing_parameter", "rescue_ceiling"])
def test_symptoms_are_the_same_at_every_call_and_leave_the_random_numbers_alone(name: str) -> None:
    pitfall = museum.find(name)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for version in (pitfall.broken, pitfall.fixed):
        assert pitfall.symptom(version) == pitfall.symptom(version)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("broken", "fixed", "words"),
    [
        (None, None, "-"),
        (1.0, None, "-"),
        (float("nan"), 1.0, "nan"),
        (1.2, 1.0, "worse"),
        (1.05, 1.0, "the same"),
        (0.8, 1.0, "better"),
        (0.0, 0.0, "the same"),
        (1e-5, 1e-8, "the same"),
    ],
)
def test_effect_of_a_fault_on_a_number(broken: float | None, fixed: float | None, words: str) -> None:
    assert museum.effect(broken, fixed) == words


def test_the_claims_of_the_lesson_about_losses() -> None:
    """The lesson builds on these groups."""
    found = museum.visibility()
    assert found["zero_grad_inside"] == found["foreign_tokens"] == ("the same", "the same")
    assert found["chunk_tail"] == ("better", "better") and found["mirrored_leak"] == ("the same", "better")
    assert found["nan_clip"][0] == "nan" and found["negative_clip"] == ("worse", "worse")
    silent = [name for name, (train, validation) in found.items() if not {"worse", "nan"} & {train, validation}]
    assert len(silent) > len(found) / 2


def test_tables_of_the_lesson() -> None:
    table = museum.topic_table("precision", "evaluation")
    assert len(table.rows) == 1 + 4 + 3 and all(row[-1].startswith("✓ ") for row in table.rows[1:])
    answers = museum.answers().rows
    assert [row[0] for row in answers[1:]] == list("ABCDE")
    assert sum(row[1] == "nothing is wrong" for row in answers) == 1


def test_unknown_names() -> None:
    with pytest.raises(InputError, match="bvh_pelvis_twice"):
        museum.find("os")
    with pytest.raises(InputError, match="tokenizer"):
        museum.every("poetry")


def test_a_test_that_crashes_has_caught_nothing() -> None:
    pitfall = museum.find("index_in_bf16")
    with pytest.raises(TypeError):
        pitfall.complaint(lambda: None)


def test_a_test_that_tells_nothing_apart_is_marked() -> None:
    pitfall = museum.find("wavelet_no_op")
    assert museum.verdict(dataclasses.replace(pitfall, fixed=pitfall.broken)) == "✗"
    assert museum.verdict(dataclasses.replace(pitfall, broken=pitfall.fixed)) == "✗"


def test_the_lesson_says_how_many_there_are() -> None:
    text = (FAULTS.parents[2] / "16_pitfalls.ipynb").read_text(encoding="utf-8")
    readme = (FAULTS.parents[3] / "README.md").read_text(encoding="utf-8")
    for found in (re.search(r"# 16 · (\d+) bugs", text), re.search(r"\| 16 \| (\d+) bugs", readme)):
        assert found is not None and int(found[1]) == len(museum.NAMES)
