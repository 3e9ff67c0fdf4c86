"""The ablation command, with a corpus of a few clips and two steps per point."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from motionlab.config import TokenizerConfig, TrainConfig
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.jobs.ablations import results as ablate_results
from motionlab.jobs.ablations import tokenizer as job
from motionlab.jobs.ablations import tokenizer_point as ablate_point
from motionlab.jobs.ablations.results import Row, append_row, load_rows
from motionlab.jobs.ablations.tokenizer_point import Result, canonical, make_point_tokenizer, point_config, train_point
from motionlab.quantizers.build import KINDS
from motionlab.quantizers.vq_ema import VQEMA

CORPUS = {"n_train": 12, "n_seen_pairs": 2, "n_unseen_pairs": 2, "n_new_takes": 2, "n_validation": 4}
TINY = {"width": 16, "code_dim": 8, "steps": 2, "batch_size": 4, "warmup_steps": 1, "codebook_size": 64}
GRID: dict[str, list[Any]] = {
    **{key: [value] for key, value in TINY.items()},
    "quantizer": ["fsq", "vq_ema"],
    "seed": [0, 1],
}
NUMBERS = Result(70.0, 180.0, 5.0, 1000, 1, 2.5, 2.1, 20480, 846, 0.846, 387.0, 30.0)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The corpus of these tests in its own folder, which child processes inherit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(ablate_point, "USAGE_BATCHES", 2)
        job._motions.cache_clear()
        yield
        job._motions.cache_clear()


@pytest.fixture(scope="module")
def corpus(cache: None) -> Corpus:
    return build_corpus(point_config(corpus=CORPUS).corpus)


# ---- one point -------------------------------------------------------------------------------------------------------
def test_the_usual_point_of_a_lesson_is_written_out() -> None:
    """A key that is left out of SETTINGS would change the committed results with the next change of a default."""
    named = {key for section in ("tokenizer", "tokenizer_training") for key in ablate_point.SETTINGS[section]}
    decides_nothing = {"val_every", "save_every", "log_every", "eps"}
    assert {"quantizer", "width", "lr", "steps", "seed", "velocity_loss"} <= named
    assert not named & decides_nothing
    assert set(TokenizerConfig.__dataclass_fields__).isdisjoint(TrainConfig.__dataclass_fields__), "one name, two keys"
    assert set(Result.__dataclass_fields__).isdisjoint(ablate_point.KEYS), "row[name] would be ambiguous"


def test_only_the_quantizer_differs(corpus: Corpus) -> None:
    def shapes(kind: str) -> list[Any]:
        model = make_point_tokenizer(point_config({**TINY, "quantizer": kind}))
        return [(name, tuple(p.shape)) for name, p in model.named_parameters() if not name.startswith("quantizer")]

    assert all(shapes(kind) == shapes("fsq") for kind in KINDS)


def test_no_quantizer_gets_more_codes_than_fsq_has() -> None:
    sizes = {
        kind: make_point_tokenizer(point_config({**TINY, "codebook_size": 256, "quantizer": kind})).codebook_size
        for kind in KINDS
    }
    powers = {kind: sizes.pop(kind) for kind in ablate_point.POWERS_OF_TWO if kind in sizes}
    assert set(sizes.values()) == {240} and set(powers.values()) <= {256}


@pytest.mark.parametrize("kind", KINDS)
def test_every_quantizer_can_be_a_point(corpus: Corpus, kind: str) -> None:
    trained = train_point(point_config({**TINY, "quantizer": kind}, CORPUS), corpus)
    result, books = trained.result, trained.result.codebooks
    assert result.tokens == 2 * 4 * 16  # two batches of four windows of 64 frames, 4 frames per token
    assert 1 <= result.used <= books * result.codes and result.used_fraction == round(
        result.used / (books * result.codes), 5
    )
    assert 0 <= result.entropy_bits_per_frame <= result.bits_per_frame == round(books * 6 / 4, 4)
    assert 1 <= result.perplexity <= result.codes == 64
    assert min(result.mpjpe_heading_mm, result.mpjpe_mm, result.acceleration_mm) > 0
    assert books == trained.model.quantizer.n_codebooks


def test_the_same_point_gives_the_same_numbers(corpus: Corpus) -> None:
    def numbers(**point: Any) -> dict[str, Any]:
        result = train_point(point_config({**TINY, "quantizer": "vq_ema", **point}, CORPUS), corpus).result
        return {**result.__dict__, "seconds": 0}

    first = numbers(seed=1)
    assert numbers(seed=1) == first != numbers(seed=2)
    assert numbers(seed=1, lr=1e-4)["mpjpe_mm"] != first["mpjpe_mm"], "an axis must reach the training"


def test_rescue_is_what_its_name_says() -> None:
    if "vq_ema_no_reset" in KINDS:
        books = [make_point_tokenizer(point_config({"quantizer": kind})).quantizer for kind in KINDS]
        assert [book.reset for book in books if isinstance(book, VQEMA)][:2] == [True, False]


# ---- the grid --------------------------------------------------------------------------------------------------------
def test_a_grid_is_read_as_yaml() -> None:
    axes = job.parse_grid(["quantizer=fsq, vq_ema", "norm=LN,null", "betas=[0.9,0.99],[0.5,0.9]", "lr=1e-3"])
    assert axes == {
        "quantizer": ["fsq", "vq_ema"], "norm": ["LN", None], "betas": [[0.9, 0.99], [0.5, 0.9]], "lr": [0.001],
    }  # fmt: skip
    assert canonical({"lr": axes["lr"][0]})["lr"] == 0.001


def test_whole_seeds_come_first() -> None:
    points = job.grid_points({"quantizer": ["fsq", "vq_ema"], "codebook_size": [256, 1024], "seed": [0, 1, 2]})
    assert [point["seed"] for point in points] == [0] * 4 + [1] * 4 + [2] * 4
    assert points[1] == {"quantizer": "fsq", "codebook_size": 1024, "seed": 0}


def test_a_value_that_is_usual_is_not_a_point_of_its_own() -> None:
    assert job.grid_points({"lr": [0.003, 3e-3]}) == [canonical({})]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["quantiser=fsq"], "Did you mean quantizer?"),
        (["tokenizer.widht=8"], "Did you mean width?"),
        (["zzz=1"], "The keys are: quantizer"),
        (["seed"], "key=value,value"),
        (["seed="], "key=value,value"),
        (["betas=[0.9"], "key=value,value"),
        (["seed=0", "seed=1"], "twice"),
        ([], "no axis"),
    ],
)
def test_a_wrong_grid_says_what_is_wrong(texts: list[str], words: str) -> None:
    with pytest.raises(InputError) as error:
        job.parse_grid(texts)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"quantizer": ["fsqq"]}, "tokenizer.quantizer"),
        ({"steps": ["many"]}, "tokenizer_training.steps"),
        ({"steps": [20]}, "tokenizer_training.warmup_steps"),  # the usual warm-up has 30
    ],
)
def test_a_wrong_value_names_its_key(axes: dict[str, list[Any]], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        job.ablate(tmp_path / "out.jsonl", axes)
    assert list(tmp_path.iterdir()) == []


# ---- the file --------------------------------------------------------------------------------------------------------
@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, corpus: Corpus) -> list[Any]:
    """Put a recorder in the place of the training: these tests are about the file only."""
    points: list[Any] = []

    def run_point(point: Any, corpus: Any, data: Any) -> Result:
        if point.get("lr") == 1.0:
            raise InputError("training step 2", found="loss nan", expected="a finite number", fix="Lower lr.")
        points.append(point)
        return replace(NUMBERS, used=point["seed"])

    monkeypatch.setattr(job, "run_point", run_point)
    monkeypatch.setattr(job, "overview_figure", lambda rows: None)
    monkeypatch.setattr(job, "figure_to_png", lambda figure: b"a picture")
    return points


def test_a_stopped_ablation_goes_on(tmp_path: Path, trained: list[Any]) -> None:
    out = tmp_path / "out.jsonl"
    said: list[str] = []
    first = job.ablate(out, {**GRID, "seed": [0]}, workers=1, corpus=CORPUS, say=said.append)
    assert said[0] == f"2 points, 0 of them in {out}; 1 at a time"
    trained.clear()
    rows = job.ablate(out, GRID, workers=1, corpus=CORPUS, say=said.append)
    assert [point["seed"] for point in trained] == [1, 1] and rows[:2] == first and load_rows(out) == rows
    there = f"4 points, 2 of them in {out}; 1 at a time, about "  # the first two say how long a point takes
    assert any(line.startswith(there) for line in said) and said[-1].startswith("2/2 vq_ema codebook_size=64")
    assert job.ablate(out, GRID, corpus=CORPUS, say=said.append) == rows and len(trained) == 2
    assert out.with_suffix(".png").read_bytes() == b"a picture"


def test_half_a_line_is_cut_off_and_done_again(tmp_path: Path, trained: list[Any]) -> None:
    out = tmp_path / "out.jsonl"
    rows = job.ablate(out, GRID, workers=1, corpus=CORPUS, say=lambda line: None)
    whole = out.read_bytes()
    for cut in (1, 40, len(whole.splitlines(keepends=True)[-1]) - 1):  # no line break, half a line, one letter
        out.write_bytes(whole[:-cut])
        assert load_rows(out) == rows[:-1]
        trained.clear()
        assert job.ablate(out, GRID, workers=1, corpus=CORPUS, say=lambda line: None) == rows
        assert trained == [rows[-1].point] and out.read_bytes() == whole


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    ablate_results.start_file(out, point_config(corpus=CORPUS))
    with pytest.raises(InputError, match="corpus.n_train: found results with 12, expected 300"):
        ablate_results.start_file(out, point_config())


def test_results_on_other_motions_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.jsonl"
    ablate_results.start_file(out, point_config(corpus=CORPUS))
    assert ablate_results.start_file(out, point_config(corpus=CORPUS)) == []
    samples = load_samples()
    samples[0].phrases[0] += " again"
    monkeypatch.setattr("motionlab.data.composed.corpus.load_samples", lambda: samples)
    with pytest.raises(InputError, match=r"corpus\.digest: found results with"):
        ablate_results.start_file(out, point_config(corpus=CORPUS))


def test_files_that_are_none(tmp_path: Path) -> None:
    header = json.dumps({"settings": {}}) + "\n"
    for name, text in {
        "broken.jsonl": header + '{"point": {"seed": 0}}\n',
        "torn_inside.jsonl": header + '{"poi\n{"point": {}}\n',
        "empty.jsonl": "",
        "other.jsonl": "[1]\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=f"{name}.*motionlab ablate"):
            load_rows(tmp_path / name)
    with pytest.raises(InputError, match="missing.jsonl"):
        load_rows(tmp_path / "missing.jsonl")


def test_a_point_that_fails_does_not_stop_the_others(tmp_path: Path, trained: list[Any]) -> None:
    out = tmp_path / "out.jsonl"
    said: list[str] = []
    with pytest.raises(InputError, match="2 of 4 points failed; fsq .*lr=1.0 .*loss nan.*Change lr=1.0 in the grid"):
        grid = {**GRID, "quantizer": ["fsq"], "lr": [1.0, 0.001]}
        job.ablate(out, grid, workers=1, corpus=CORPUS, say=said.append)
    assert [row["lr"] for row in load_rows(out)] == [0.001, 0.001]
    assert sum("FAILED" in line for line in said) == 2


def test_append_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    ablate_results.start_file(path, point_config())
    rows = [Row(canonical({"seed": seed}), NUMBERS) for seed in range(3)]
    for row in rows:
        append_row(path, row)
        with open(path, "a") as file:
            file.write('{"point": {"quan')  # killed while writing the next one
    assert load_rows(path) == rows


def test_rows_answer_for_named_and_usual_keys() -> None:
    rows = [Row(canonical({"seed": seed, "quantizer": "vq_ema"}), NUMBERS) for seed in (0, 1)]
    rows.append(Row(canonical({"lr": 0.01}), NUMBERS))
    assert [row["lr"] for row in rows] == [0.003, 0.003, 0.01] and rows[0]["codes"] == 1000
    assert len(ablate_results.select(rows, lr=0.003)) == 2 and len(ablate_results.select(rows, lr=(0.003, 0.01))) == 3
    assert ablate_results.mean(rows, "seed", quantizer="vq_ema") == 0.5
    with pytest.raises(InputError, match="none"):
        ablate_results.mean(rows, "mpjpe_mm", quantizer="lfq")
    with pytest.raises(InputError, match="colour"):
        _ = rows[0]["colour"]


# ---- processes -------------------------------------------------------------------------------------------------------
SLOW = """
    from ablate_child import slow_point
    from motionlab.jobs.ablations import tokenizer as job

    if __name__ == "__main__":
        job.run_point, job.prepare = slow_point, lambda settings: None
        job.ablate("out.jsonl", {"quantizer": ["fsq"], "seed": list(range(6))}, workers=2)
"""
CHILD = """
    import os, time
    from pathlib import Path
    from motionlab.jobs.ablations.tokenizer_point import Result

    def slow_point(point, corpus=None, data=None):  # a fake training: the first two are quick, the others never end
        Path(f"started-{point['seed']}-{os.getpid()}").touch()
        while point["seed"] > 1:
            time.sleep(0.05)
        return Result(70.0, 180.0, 5.0, 1000, 1, 2.5, 2.1, 20480, 846, 0.846, 387.0, 30.0)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_kill_9_loses_only_the_running_points_and_leaves_no_process(tmp_path: Path, root: Path) -> None:
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    (tmp_path / "ablate_child.py").write_text(textwrap.dedent(CHILD))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(tmp_path)])}
    parent = subprocess.Popen([sys.executable, "slow.py"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    running = wait_for(lambda: [int(p.name.split("-")[2]) for p in tmp_path.glob("started-[2-9]-*")], 2)
    assert parent.poll() is None
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: [True] * (not any(alive(pid) for pid in running)), 1)
    rows = load_rows(tmp_path / "out.jsonl")
    assert sorted(row["seed"] for row in rows) == [0, 1]


def wait_for(look: Any, count: int) -> list[Any]:
    """Ask again until there are so many; a machine may be slow, so the limit is generous."""
    deadline = time.monotonic() + 120
    while len(found := look()) < count:
        assert time.monotonic() < deadline, f"waited for {count}, found {found}"
        time.sleep(0.05)
    return list(found)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_processes_give_the_numbers_of_one(tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "overview_figure", lambda rows: figure.append(rows))
    monkeypatch.setattr(job, "figure_to_png", lambda _: b"a picture")
    figure: list[Any] = []
    grid = {**GRID, "quantizer": ["fsq"]}
    two = job.ablate(tmp_path / "two.jsonl", grid, workers=2, corpus=CORPUS, say=lambda line: None)
    for row in two:  # USAGE_BATCHES is 2 in this process only, so the counts differ; the trained model may not
        alone = job.run_point(row.point, CORPUS)
        for name in ("mpjpe_heading_mm", "mpjpe_mm", "acceleration_mm", "codes", "bits_per_frame"):
            assert row[name] == getattr(alone, name)
    assert figure == [load_rows(tmp_path / "two.jsonl")]


# ---- the results that lesson 03 shows --------------------------------------------------------------------------------
def test_the_committed_results_are_complete(root: Path) -> None:
    path = root / "notebooks" / "results" / "tokenizer_ablation.jsonl"
    rows = ablate_results.start_file(path, point_config())  # refuses them when SETTINGS have changed since
    seeds, sizes = [0, 1, 2], [256, 1024, 4096, 16384, 65536]
    wanted = [
        *job.grid_points({"quantizer": ["fsq", "ifsq", "vq_ema"], "codebook_size": sizes, "seed": seeds}),
        *job.grid_points({"quantizer": ["vq_ema_no_reset"], "codebook_size": sizes[:-1], "seed": seeds}),
        *job.grid_points({"quantizer": KINDS, "seed": seeds}),
        *job.grid_points({"lr": [0.01], "seed": seeds}),
    ]
    held = {ablate_results.key_of(row.point) for row in rows}
    assert {ablate_results.key_of(point) for point in wanted} == held
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_result_that_no_reader_takes_is_not_written(tmp_path: Path, number: float) -> None:
    path = tmp_path / "out.jsonl"
    ablate_results.start_file(path, point_config())
    append_row(path, Row(canonical({"seed": 0}), NUMBERS))
    before = path.read_text()
    with pytest.raises(InputError, match="NaN or infinity"):
        append_row(path, Row(canonical({"seed": 1}), replace(NUMBERS, mpjpe_mm=number)))
    assert path.read_text() == before and len(load_rows(path)) == 1
