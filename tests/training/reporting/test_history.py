import json
import math
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.training.reporting.history import FIRST_COLUMNS, History, open_history


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv")
    history.append({"step": 1, "loss": 1 / 3, "lr": 1e-5})
    history.append({"step": 2, "loss": 0.25, "val_loss": 0.5})
    history.append({"step": 3, "loss": 0.125})
    again = History.read(tmp_path / "history.csv")
    assert again.rows == history.rows
    assert again.columns == history.columns == [*FIRST_COLUMNS, "val_loss"]
    assert isinstance(again.rows[0]["step"], int)


def test_columns_do_not_depend_on_when_a_value_first_came(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    history = History(path)
    for row in ({"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0, "late": 2.0}, {"step": 3, "loss": 1.0}):
        history.append(row)
    lines = path.read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1 and len(lines) == 4


def test_column_and_points() -> None:
    history = History(rows=[{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0, "val_loss": 1.0}])
    values = history.column("val_loss")
    assert math.isnan(values[0]) and values[1] == 1.0
    assert history.points("val_loss") == ([2.0], [1.0])
    with pytest.raises(InputError, match="found 'accuracy', expected step, .*val_loss"):
        history.column("accuracy")


def test_resume_drops_rows_beyond_the_step_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    history = History(path)
    for step in (1, 2, 3):
        history.append({"step": step, "loss": float(step)})
    with open(path, "a") as file:
        file.write("4,,,,")  # killed while writing
    assert [row["step"] for row in History.read(path).rows] == [1, 2, 3]
    resumed = History.resume(path, 2)
    resumed.append({"step": 3, "loss": 9.0})
    assert History.read(path).column("loss") == [1.0, 2.0, 9.0]


def test_resume_without_a_file_starts_one(tmp_path: Path) -> None:
    History.resume(tmp_path / "history.csv", 5)
    assert History.read(tmp_path / "history.csv").rows == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,loss\n1,0.5\n2,oops\n3,0.5\n", "line 3: found 2,oops, expected 2 numbers"),
        ("step,loss\n1,0.5,7\n", "line 2: found 1,0.5,7"),
        ("step,loss\n,0.5\n", "line 2"),
        ("a,b\n1,2\n", "no column step"),
        ("", "no column step"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        History.read(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="history.csv"):
        History.read(tmp_path / "history.csv")


def test_nan_and_inf_survive(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv")
    history.append({"step": 1, "loss": math.nan, "grad_norm": math.inf})
    row = History.read(tmp_path / "history.csv").rows[0]
    assert math.isnan(row["loss"]) and row["grad_norm"] == math.inf


def json_lines(path: Path) -> list[dict[str, float | None]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_same_rows_as_json_lines(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append({"step": 1, "loss": 1 / 3})
    before = (tmp_path / "history.jsonl").read_text()
    history.append({"step": 2, "loss": math.nan, "new": math.inf})
    assert (tmp_path / "history.jsonl").read_text().startswith(before)  # lines are only added
    assert json_lines(tmp_path / "history.jsonl") == [
        {"step": 1, "loss": 1 / 3},
        {"step": 2, "loss": None, "new": None},
    ]
    open_history(tmp_path, 1).append({"step": 2, "loss": 0.5})
    assert [row["loss"] for row in json_lines(tmp_path / "history.jsonl")] == [1 / 3, 0.5]


def test_without_a_folder_nothing_is_written() -> None:
    history = open_history(None, 5)
    history.append({"step": 6, "loss": 1.0})
    assert history.path is None and history.rows == [{"step": 6, "loss": 1.0}]


def test_a_history_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    (tmp_path / "history.jsonl").unlink()
    (tmp_path / "history.jsonl").mkdir()
    with pytest.raises(InputError, match="history.jsonl: found .* while writing"):
        history.append({"step": 1, "loss": 1.0})


@pytest.mark.parametrize(
    "text", ["step,loss\n1.5,2\n", "step,loss\n-1,2\n", "step,step\n1,2\n", "step,loss\n²,1\n", "step,loss\n1,1_0\n"]
)
def test_a_history_has_whole_steps_and_plain_numbers(text: str, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"history\.csv"):
        History.read(tmp_path / "history.csv")


def test_a_number_without_end_becomes_infinite_and_is_no_overflow(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(f"step,loss\n1,{'9' * 400}\n")
    assert History.read(tmp_path / "history.csv").column("loss") == [math.inf]


@pytest.mark.parametrize("name", ["history.csv", "history.jsonl"])
def test_a_number_that_changed_in_one_of_the_two_files_is_found(tmp_path: Path, name: str) -> None:
    rows = [{"step": 1, "loss": 0.5, "val_loss": float("nan")}, {"step": 2, "loss": 0.25}]
    History(tmp_path / "history.csv", rows)
    assert len(History.read(tmp_path / "history.csv").rows) == 2
    changed = (tmp_path / name).read_text().replace("0.25", "0.35")
    (tmp_path / name).write_text(changed)
    with pytest.raises(InputError, match=r"history.csv, step 2: found loss 0\.[23]5, expected 0\.[23]5, as in"):
        History.read(tmp_path / "history.csv")
    with pytest.raises(InputError, match="step 2"):
        History.resume(tmp_path / "history.csv", 2)
    (tmp_path / "history.jsonl").unlink()
    assert len(History.read(tmp_path / "history.csv").rows) == 2


def test_a_row_that_a_kill_left_in_one_of_the_two_files_is_no_fault(tmp_path: Path) -> None:
    History(tmp_path / "history.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}])
    twin = tmp_path / "history.jsonl"
    whole = twin.read_text()
    for left in (whole.splitlines(keepends=True)[0], whole[:-5], whole + '{"step": 3, "loss"'):
        twin.write_text(left)
        assert len(History.read(tmp_path / "history.csv").rows) == 2
