"""The size of a grid is known, said and bounded before anything of it is made."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from motionlab import cli
from motionlab.errors import InputError
from motionlab.jobs.ablations import strategies, tokenizer
from motionlab.jobs.ablations.results import Row
from motionlab.jobs.ablations.tokenizer import MAX_POINTS, fill_file, grid_points, parse_grid, seconds_of
from motionlab.jobs.ablations.tokenizer_point import Result

NUMBERS = Result(70, 180, 5, 1000, 1, 2.5, 2.1, 20480, 846, 0.846, 387, 30)


def test_a_large_grid_is_refused_before_its_points_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = parse_grid(["seed=" + ",".join(map(str, range(200))), "steps=" + ",".join(map(str, range(40, 240)))])

    def never(point: object) -> dict[str, object]:
        raise AssertionError("a point was made")

    expected = r"grid: found 40,000 points \(200 of seed x 200 of steps\), expected at most 500 .*--max-points"
    with pytest.raises(InputError, match=expected):
        grid_points(axes, never)
    assert len(grid_points({"seed": list(range(MAX_POINTS))})) == MAX_POINTS
    with pytest.raises(InputError, match="expected at most 3 trainings"):
        grid_points({"seed": [0, 1, 2, 3]}, max_points=3)


@pytest.mark.parametrize("job", [tokenizer.ablate, strategies.ablate_strategies])
def test_both_kinds_of_ablation_have_the_limit_of_the_command_line(job: object, tmp_path: Path) -> None:
    assert callable(job) and inspect.signature(job).parameters["max_points"].default == MAX_POINTS
    for command in (cli.ablate_tokenizer, cli.ablate_strategies):
        assert inspect.signature(command).parameters["max_points"].default == MAX_POINTS


def test_nothing_is_written_for_a_grid_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="600 points"):
        tokenizer.ablate(tmp_path / "out.jsonl", {"seed": list(range(600))})
    with pytest.raises(InputError, match="600 points"):
        strategies.ablate_strategies(tmp_path, tmp_path / "out.jsonl", {"seed": list(range(600))})
    assert not list(tmp_path.iterdir())


def test_the_size_and_the_time_are_said_at_the_start(tmp_path: Path) -> None:
    said: list[str] = []
    points = [{"seed": seed} for seed in range(3)]
    (tmp_path / "out.jsonl").write_text("{}\n")
    rows = [Row({"seed": 0}, NUMBERS)]
    assert seconds_of(rows) == 30 and seconds_of([]) is None
    fill_file(tmp_path / "out.jsonl", points, points[1:], lambda _: NUMBERS, 1, said.append, str, seconds_of(rows))
    assert said[0].startswith("3 points, 1 of them in ") and said[0].endswith("; 1 at a time, about 1 min")


@pytest.mark.parametrize("text", ["seed=" + "[" * 300, "seed=&a [*a]", "\x1b[31m=1", "seed=" + "0," * 10**5, "seed=]["])
def test_a_grid_that_cannot_be_read_is_one_short_line(text: str) -> None:
    with pytest.raises(InputError, match="^grid") as caught:
        grid_points(parse_grid([text]))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 3000
