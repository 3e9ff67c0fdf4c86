"""From a folder of BVH files with captions to a trained run, by the commands that a person gives."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from motionlab import cli
from motionlab.config import load_config
from motionlab.data.folder import read_clips
from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.jobs import import_motions as import_module
from motionlab.jobs.ablations.strategies import ablate_strategies
from motionlab.jobs.ablations.tokenizer import ablate, parse_grid
from motionlab.jobs.imports.files import Source
from motionlab.jobs.imports.one_file import import_file
from motionlab.jobs.imports.records import FileEntry, Settings
from motionlab.jobs.main_job import run
from motionlab.jobs.plain_folder import import_folder
from motionlab.jobs.prepare import describe_splits, prepare
from motionlab.jobs.run_folder import Run
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.motion import Motion
from motionlab.training.checkpoints.checkpoint import read_record
from motionlab.training.reporting.history import History
from tests.data.folders import Tree, short_samples

pytestmark = pytest.mark.usefixtures("without_pictures")

SHORT = ["compare_quantizers=[]", "tokenizer_training.steps=6", "llama_training.steps=6"]


def write_plain(folder: Path, count: int) -> Path:
    """BVH files and `captions.csv`."""
    folder.mkdir()
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["name", "caption"])
        for sample in short_samples(count):
            write_bvh(folder / f"{sample.name}.bvh", sample.motion, unit="cm")
            table.writerows([sample.name, caption] for caption in sample.captions)
    return folder


def command_line(arguments: list[str]) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    return int(stop.value.code or 0)


def settings(folder: Path, *more: str) -> list[str]:
    return ["data.source=folder", f"data.path={folder}", *SHORT, *more]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plain(tmp_path_factory.mktemp("own") / "my_motions", 6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, plain: Path) -> Run:
    """One command. Tests must not change its folder."""
    out = tmp_path_factory.mktemp("runs")
    assert command_line(["run", "--preset", "ci", *settings(plain), "--out", str(out), "--name", "own"]) == 0
    return Run.open(out / "own")


def test_one_command_leads_to_a_trained_run_and_generate(trained: Run, tmp_path: Path) -> None:
    page = (trained.folder / "report.html").read_text(encoding="utf-8")
    assert "Takes are kept whole: 4 to learn from, 1 to validate on and 1 to test on" in page
    assert [row["clips"] for row in trained.metrics["corpus"].values()] == [4, 1, 1]
    out = tmp_path / "walk.bvh"
    assert command_line(["generate", "a person walks", "--run", str(trained.folder), "--out", str(out)]) == 0
    assert out.read_text().startswith("HIERARCHY")


def test_the_motions_are_those_of_the_files(plain: Path) -> None:
    splits = prepare(load_config("ci", settings(plain)))
    for clips in splits.named().values():
        for i in range(len(clips)):
            sample = next(sample for sample in short_samples(6) if sample.name == clips.name(i))
            made, there = Motion(clips.features(i)).joints(), sample.motion.joints()
            assert len(made) == len(sample.motion) and clips.captions(i) == sample.captions
            apart = made - there
            assert float((apart - apart.mean(dim=(0, 1))).norm(dim=-1).max()) < 0.02  # the floor is found anew


def test_a_finished_run_trains_nothing_again(trained: Run, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionlab.jobs.main_job.train_llama", lambda *_: pytest.fail("it was trained again"))
    weights = sha256(trained.folder / "llama" / "model.safetensors")
    run(trained.config, trained.folder)
    assert sha256(trained.folder / "llama" / "model.safetensors") == weights


def test_a_training_continues_where_it_was(tmp_path: Path, plain: Path) -> None:
    more = settings(plain, "tokenizer_training.schedule=constant")
    command = ["train", "tokenizer", "--preset", "ci", "--out", str(tmp_path), "--name", "r", *more]
    assert command_line(command) == 0
    assert command_line([*command, "tokenizer_training.steps=8"]) == 0
    folder = tmp_path / "r" / "tokenizer-fsq"
    assert read_record(folder / "checkpoints")[1]["counters"]["step"] == 8
    assert History.read(folder / "history.csv").rows[-1]["step"] == 8


def test_other_motions_are_refused_and_a_moved_folder_is_not(trained: Run, plain: Path, tmp_path: Path) -> None:
    other = write_plain(tmp_path / "other", 7)
    with pytest.raises(InputError, match="a run on other motions"):
        run(load_config("ci", settings(other, "name=own")), trained.folder)
    moved = write_plain(tmp_path / "moved", 6)
    run(load_config("ci", settings(moved, "name=own")), trained.folder)
    assert command_line(["evaluate", "--run", str(trained.folder), f"data.path={plain}"]) == 0


def test_a_changed_caption_is_another_folder(trained: Run, tmp_path: Path) -> None:
    changed = write_plain(tmp_path / "changed", 6)
    path = changed / "captions.csv"
    path.write_text(path.read_text().replace("person", "human"), encoding="utf-8")
    with pytest.raises(InputError, match="a run on other motions"):
        run(load_config("ci", settings(changed, "name=own")), trained.folder)


def test_nothing_is_written_when_the_motions_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for preset, texts, told in (
        ("motionmillion", [], "data.path: found null, expected the folder of motionmillion"),
        ("ci", ["data.source=folder", f"data.path={tmp_path / 'gone'}"], "no such folder"),
        ("ci", ["data.source=folder"], "data.path: found null"),
        ("ci", ["data.path=x"], "Set data.source=folder, too"),
    ):
        for command in (["run"], ["train", "tokenizer"]):
            arguments = [*command, "--preset", preset, *texts, "--out", str(tmp_path / "runs")]
            assert command_line(arguments) == 2
            assert told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_broken_file_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    folder = write_plain(tmp_path / "mine", 4)
    (folder / "broken.bvh").write_text("HIERARCHY\nnothing\n")
    splits = prepare(load_config("ci", settings(folder)))
    assert sum(map(len, splits.named().values())) == 4
    assert "1 file could not be used: broken.bvh (" in splits.note and splits.note in describe_splits(splits)


def test_a_folder_is_imported_once(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = import_folder(plain, tmp_path)
    monkeypatch.setattr("motionlab.jobs.plain_folder.import_motions", lambda *_, **__: pytest.fail("read again"))
    assert import_folder(plain, tmp_path) == first and len(first.captions) == 6 and not first.notes


def test_a_folder_that_moved_after_a_kill_is_imported_once(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (shutil.copytree(plain, tmp_path / name / "mine") for name in ("one", "two"))
    real, calls = import_file, list[Path]()

    def killed(source: Source, out: Path, settings: Settings) -> FileEntry:
        calls.append(source.path)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return real(source, out, settings)

    monkeypatch.setattr(import_module, "import_file", killed)
    with pytest.raises(KeyboardInterrupt):
        import_folder(first, tmp_path / "cache")
    monkeypatch.setattr(import_module, "import_file", real)
    shutil.rmtree(first)
    found = import_folder(second, tmp_path / "cache")
    assert sorted(record.name for record in read_clips(found.folder)) == sorted(
        path.stem for path in second.glob("*.bvh")
    )


def test_an_import_that_has_not_ended_is_no_folder_of_motions(plain: Path, tmp_path: Path) -> None:
    import_module.import_motions([plain], tmp_path / "in", workers=1)
    assert prepare(load_config("ci", settings(tmp_path / "in"))).train
    (tmp_path / "in" / "clips.jsonl").unlink()
    with pytest.raises(InputError, match="an import that was stopped"):
        prepare(load_config("ci", settings(tmp_path / "in")))


def test_an_import_at_work_in_the_folder_is_waited_for(plain: Path, tmp_path: Path) -> None:
    import_module.import_motions([plain], tmp_path / "in", workers=1)
    hold = "import sys; from motionlab.files.lock import using\nwith using(sys.argv[1]): print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "in")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        with pytest.raises(InputError, match=f"an import by process {process.pid}"):
            prepare(load_config("ci", settings(tmp_path / "in")))
        process.communicate("\n")
    assert prepare(load_config("ci", settings(tmp_path / "in"))).train


def test_captions_in_inner_folders_are_about_the_motions_there(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for number, (name, file) in enumerate((("s", "captions.csv"), ("t", "Captions.CSV"))):
        (folder / name).mkdir(parents=True)
        for sample, stem in zip(short_samples(4)[2 * number :], ("a", name), strict=False):
            write_bvh(folder / name / f"{stem}.bvh", sample.motion, unit="cm")
        (folder / name / file).write_text(f"name,caption\na,one of {name}\n{name},two of {name}\n")
    clips = prepare(load_config("ci", settings(folder))).named().values()
    found = {some.name(i): some.captions(i) for some in clips for i in range(len(some))}
    assert found == {"s__a": ["one of s"], "s": ["two of s"], "t__a": ["one of t"], "t": ["two of t"]}


def test_a_file_that_cannot_be_read_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_plain(tmp_path / "mine", 3)

    def fails(path: Path) -> str:
        if path.stem == short_samples(1)[0].name:
            raise PermissionError(13, "Permission denied")
        return sha256(path)

    monkeypatch.setattr("motionlab.jobs.plain_folder.sha256", fails)
    assert sum(map(len, prepare(load_config("ci", settings(folder))).named().values())) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_very_few_takes_run_and_say_so(tmp_path: Path, count: int) -> None:
    folder = write_plain(tmp_path / "few", count)
    report = run(load_config("ci", settings(folder)), tmp_path / "run")
    assert f"There {'is only one take' if count == 1 else 'are only two takes'}" in report.read_text(encoding="utf-8")


def test_clips_without_text_train_a_tokenizer_only_when_asked(tmp_path: Path) -> None:
    folder = write_plain(tmp_path / "mute", 4)
    (folder / "captions.csv").unlink()
    config = settings(folder, "data.captions=optional")
    with pytest.raises(InputError, match="no clip to learn from"):
        prepare(load_config("ci", settings(folder)))
    assert command_line(["train", "tokenizer", "--preset", "ci", "--out", str(tmp_path), "--name", "r", *config]) == 0
    with pytest.raises(InputError, match="no captions"):
        run(load_config("ci", config), tmp_path / "r")


def test_clips_that_are_all_shorter_than_the_window_are_told(plain: Path) -> None:
    splits = prepare(load_config("ci", settings(plain, "tokenizer.window=400")))
    assert f"{len(splits.train)} of {len(splits.train)} training clips" in splits.note
    assert "shorter than the window of 400 frames" in splits.note


def test_an_ablation_trains_on_the_folder(plain: Path, tmp_path: Path) -> None:
    grid = ["seed=0", "steps=3", "warmup_steps=1", "width=16", "window=32", "data.source=folder", f"data.path={plain}"]
    out = tmp_path / "grid.jsonl"
    (row,) = ablate(out, parse_grid(grid), workers=1)
    assert row.result.mpjpe_mm > 0
    header = json.loads(out.read_text().splitlines()[0])
    assert header["settings"]["data"] == {"source": "folder"}
    with pytest.raises(InputError, match="results with"):
        ablate(out, parse_grid(grid[:-2]), workers=1, corpus={"n_train": 20})
    with pytest.raises(InputError, match="2 values"):
        ablate(out, parse_grid([*grid[:-1], "data.path=a,b"]), workers=1)


def test_strategies_are_compared_on_the_folder(trained: Run, tmp_path: Path) -> None:
    (row,) = ablate_strategies(
        trained.folder, tmp_path / "out.jsonl", {"strategy": ["teacher_forcing"], "steps": [2]}, workers=1
    )
    assert row.result.score_seen is row.result.exact_unseen is None
    assert row.result.loss > 0 and row.result.multimodality >= 0


def test_motionmillion_trains_both_stages(tmp_path: Path) -> None:
    folder = Tree().write_archives(tmp_path / "mm")
    config = load_config("ci", ["data.source=motionmillion", f"data.path={folder}", *SHORT])
    page = run(config, tmp_path / "run").read_text(encoding="utf-8")
    assert "Splits are those of the split files" in page


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo, as CI has it")
def test_two_processes_train_on_the_folder(root: Path, plain: Path, tmp_path: Path) -> None:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "motionlab"]
    command += ["train", "tokenizer", "--preset", "ci", "--out", str(tmp_path), "--name", "r", *settings(plain)]
    cache = tmp_path / "cache"  # empty: both processes want what only one may make
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "MOTIONLAB_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "r" / "tokenizer-fsq" / "model.safetensors").is_file()
