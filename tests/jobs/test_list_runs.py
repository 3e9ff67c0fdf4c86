"""Which trainings exist, and how they differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from motionlab.errors import InputError, printable
from motionlab.jobs.list_runs import comparison_figure, describe_runs, differences, find_trainings
from motionlab.jobs.run_folder import Run


@pytest.fixture
def out(finished_run: Run, tmp_path: Path) -> Path:
    """A run twice, the second with another rate and another name."""
    for name in ("first", "second"):
        shutil.copytree(finished_run.folder, tmp_path / "runs" / name)
    path = tmp_path / "runs" / "second" / "config.yaml"
    text = path.read_text().replace("name: ci", "name: second").replace("lr: 0.001", "lr: 0.002", 1)
    path.write_text(text)
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def test_every_training_is_listed(out: Path) -> None:
    names = [
        f"{run}/{stage}" for run in ("first", "second") for stage in ("llama", "tokenizer-fsq", "tokenizer-vq_ema")
    ]
    assert [training.name for training in find_trainings(out)] == names
    head, *lines = describe_runs(out).splitlines()
    assert head.split() == ["training", "steps", "ended", "loss", "best", "at", "step", "items/s", "minutes"]
    assert [line.split()[0] for line in lines] == names
    assert all("12/12" in line and "done" in line for line in lines)
    assert "mpjpe_mm" in lines[1] and not (out / "comparison.png").exists()


def test_one_name_is_a_filter(out: Path) -> None:
    assert [line.split()[0] for line in describe_runs(out, ["second/llama"]).splitlines()[1:]] == ["second/llama"]
    assert len(describe_runs(out, ["second"]).splitlines()) == 4


def test_two_names_are_compared(out: Path) -> None:
    text = describe_runs(out, ["first/tokenizer-fsq", "second/tokenizer-fsq"])
    assert [line.split() for line in text.splitlines() if line.startswith("tokenizer_training")] == [
        ["tokenizer_training.lr", "0.001", "0.002"]
    ]
    assert text.endswith(f"picture: {out / 'comparison.png'}")
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    trainings = find_trainings(out)
    assert differences(trainings[:3]) == {}
    assert "no setting differs" in describe_runs(out, ["first/llama", "first/tokenizer-fsq"])


def test_the_picture_shows_what_all_have(out: Path) -> None:
    by_name = {training.name: training for training in find_trainings(out)}
    decoders = comparison_figure([by_name["first/llama"], by_name["second/llama"]]).axes[0]
    assert decoders.get_ylabel() == "val_loss" and len(decoders.lines) == 2
    mixed = comparison_figure([by_name["first/llama"], by_name["first/tokenizer-fsq"]]).axes[0]
    assert mixed.get_ylabel() == "loss"


def test_an_unknown_name_gets_the_nearest(out: Path) -> None:
    with pytest.raises(InputError, match="no run 'secnd'.*Did you mean 'second'"):
        describe_runs(out, ["secnd"])


def test_a_folder_without_runs(tmp_path: Path) -> None:
    assert "no training in" in describe_runs(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        describe_runs(tmp_path / "nothing")


def test_names_that_a_terminal_or_a_formula_would_act_on(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "first").rename(out / "a$x$ \x1b[31m$")
    (out / "second").rename(out / "_$\\frac$")
    text = describe_runs(out, [training.name for training in find_trainings(out)])
    assert printable(text, lines=True) == text and "a$x$ \\x1b[31m$/llama" in text
    legend = comparison_figure(find_trainings(out)).axes[0].get_legend()
    assert legend is not None and len(legend.get_texts()) == len(find_trainings(out))


def test_a_damaged_summary_is_said_and_hides_no_other(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "second" / "llama" / "training.json").write_bytes(b"{}")
    assert "second/llama" not in describe_runs(out) and "first/llama" in describe_runs(out)
    assert "not shown: " in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a: [1", b"- 1"])
@pytest.mark.parametrize("name", ["config.yaml", "metrics.json", "made_from.json"])
def test_a_damaged_run_does_not_hide_the_others(out: Path, name: str, content: bytes) -> None:
    (out / "second" / name).write_bytes(content)
    assert len(describe_runs(out).splitlines()) == 7


def test_a_run_is_found_by_its_name_and_by_the_one_that_is_shown(finished_run, tmp_path):
    shutil.copytree(finished_run.folder, tmp_path / "red\x1b[31m")
    raw, shown = (describe_runs(tmp_path, [name]) for name in ("red\x1b[31m", "red\\x1b[31m"))
    assert raw == shown and "red\\x1b[31m/llama" in raw
