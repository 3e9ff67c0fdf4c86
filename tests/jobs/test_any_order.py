"""Every command on every state of a run folder: it does its work, or says in one line why it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from motionlab import cli
from motionlab.jobs.ablations.strategy_point import open_ground

pytestmark = [pytest.mark.usefixtures("without_pictures"), pytest.mark.slow]

FEW = {"steps": 2, "val_every": 2, "save_every": 2, "warmup_steps": 0}
SMALL = [
    *(f"{stage}_training.{key}={value}" for stage in ("tokenizer", "llama") for key, value in FEW.items()),
    "compare_quantizers=[]", "corpus.n_train=24", "corpus.n_seen_pairs=2", "corpus.n_unseen_pairs=2",
    "corpus.n_new_takes=2", "corpus.n_validation=4",
    "evaluation.n_generate=1", "evaluation.n_players=1", "evaluation.classifier_steps=1",
]  # fmt: skip
COMMANDS = ("generate", "evaluate", "train tokenizer", "train llama", "run", "runs", "compare", "ablate")
# The commands that do their work in each state; all others end with one line.
DONE = {
    "nothing": {"train tokenizer", "run", "runs"},
    "settings only": {"train tokenizer", "run", "runs"},
    "tokenizer only": {"train tokenizer", "train llama", "run", "runs", "ablate"},
    "decoder's weights only": {"train tokenizer", "run", "runs"},
    "weights only": set(COMMANDS) - {"compare"},
    "checkpoints only": {"train tokenizer", "run", "runs", "compare"},
    "no curves": set(COMMANDS) - {"compare"},
    "finished": set(COMMANDS),
}


def words(command: str, folder: Path) -> list[str]:
    """A command of the README for the run in `folder`."""
    out = ["--preset", "ci", "--out", str(folder.parent)]
    if command == "generate":
        return ["generate", "a person walks", "--run", str(folder), "--out", str(folder.parent / "walk.bvh")]
    if command == "evaluate":
        return ["evaluate", "--run", str(folder)]
    if command == "runs":
        return ["runs", "--out", str(folder.parent)]
    if command == "compare":
        return ["runs", "ci/llama", "ci/tokenizer-fsq", "--out", str(folder.parent)]
    if command == "ablate":
        file = str(folder.parent / "strategies.jsonl")
        grid = ["--grid", "strategy=teacher_forcing", "steps=1"]  # all strategies: ablations/test_strategies.py
        return ["ablate", "strategies", "--run", str(folder), *grid, "--workers", "1", "--out", file]
    return [*command.split(), *out, *SMALL]


def call(command: str, folder: Path) -> int:
    """The exit code of a command; the test fails on anything but an end that was meant."""
    open_ground.cache_clear()
    try:
        cli.main(words(command, folder))
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("the command line always exits")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orders") / "ci"
    assert call("run", folder) == 0
    return folder


def make(state: str, finished: Path, folder: Path) -> None:
    """Copy the finished run and take away what this state does not have."""
    if state == "nothing":
        folder.parent.mkdir()
        return
    shutil.copytree(finished, folder)

    def kept(path: Path) -> bool:
        inside = path.relative_to(folder)
        training, name = len(inside.parts) > 1, inside.name
        return {
            "settings only": name == "config.yaml",
            "tokenizer only": inside.parts[0] in ("config.yaml", "normalizer.safetensors", "made_from.json")
            or inside.parts[0].startswith("tokenizer-"),
            "decoder's weights only": str(inside) in ("config.yaml", "llama/model.safetensors"),
            "weights only": name == "model.safetensors" or str(inside) in ("config.yaml", "normalizer.safetensors"),
            "checkpoints only": name != "model.safetensors" or inside.parts[1:2] == ("checkpoints",),
            "no curves": not (training and name.startswith(("history", "training"))),
            "finished": True,
        }[state]

    for path in [path for path in folder.rglob("*") if path.is_file() and not kept(path)]:
        path.unlink()
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()


@pytest.fixture
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    capsys.readouterr()
    yield capsys


@pytest.mark.parametrize("state", DONE)
def test_every_command_ends_well_or_with_one_line(
    state: str, finished: Path, tmp_path: Path, quiet: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS:
        folder = tmp_path / command.replace(" ", "-") / "ci"
        make(state, finished, folder)
        code, told = call(command, folder), quiet.readouterr().err
        assert (code == 0) == (command in DONE[state]), f"{command}: {told}"
        if code:
            lines = told.splitlines()
            assert code == 2 and len(lines) == 1 and lines[0].startswith("motionlab: error: "), f"{command}: {told}"
            assert "found" in told and "expected" in told


@pytest.mark.parametrize(
    "order",
    [
        ["train tokenizer", "train llama", "evaluate", "generate", "runs", "run", "evaluate", "ablate"],
        ["run", "train llama", "train tokenizer", "evaluate", "run", "generate"],
    ],
    ids=" > ".join,
)
def test_a_chain_of_commands_on_one_folder(order: list[str], tmp_path: Path) -> None:
    for command in order:
        assert call(command, tmp_path / "runs" / "ci") == 0, command
    assert (tmp_path / "runs" / "ci" / "report.html").is_file()


def test_a_decoder_without_a_tokenizer_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "ci"
    assert call("train llama", folder) == 2
    assert "expected a trained tokenizer" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
