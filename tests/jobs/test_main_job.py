"""The main job end to end on the smallest preset: what it leaves behind, and that it can be continued."""

import json
import re
import shutil
import signal

import pytest

from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.evaluation.baselines import BASELINES
from motionlab.files.records import write_record
from motionlab.interrupt import Stopped
from motionlab.jobs.main_job import run
from motionlab.jobs.report import write_report
from motionlab.jobs.run_folder import Run
from motionlab.training.checkpoints.checkpoint import read_record
from motionlab.training.reporting.history import History


def test_the_folder_holds_what_the_docstring_promises(finished_run):
    for name in (
        "config.yaml",
        "normalizer.safetensors",
        "tokenizer-fsq/model.safetensors",
        "tokenizer-fsq/history.csv",
        "tokenizer-vq_ema/model.safetensors",
        "llama/model.safetensors",
        "llama/checkpoints/last.json",
        "llama/checkpoints/best.json",
        "codes.safetensors",
        "metrics.json",
        "report.html",
    ):
        assert (finished_run.folder / name).is_file(), name
    assert not list(finished_run.folder.rglob("*.pt")) and not list(finished_run.folder.rglob("*.pkl"))
    assert not [path for path in finished_run.folder.rglob(".*") if path.is_file()], "temporary files left behind"


def test_the_two_tokenizers_had_the_same_budget(finished_run):
    histories = [History.read(finished_run.tokenizer_folder(kind) / "history.csv") for kind in ("fsq", "vq_ema")]
    assert histories[0].column("items") == histories[1].column("items")
    assert histories[0].column("lr") == histories[1].column("lr")


def test_the_metrics_are_whole_and_finite(finished_run):
    metrics = finished_run.metrics
    text = json.dumps(metrics)
    assert "NaN" not in text and "Infinity" not in text
    for kind in ("fsq", "vq_ema"):
        values = metrics["tokenizers"][kind]
        assert values["used"] + values["dead"] == values["codebook_size"] == len(values["histogram"])
        assert sum(values["histogram"]) == values["tokens"]
        assert 1.0 <= values["perplexity"] <= values["codebook_size"]
    for split in ("seen_pairs", "unseen_pairs"):
        values = metrics["generation"][split]
        wanted = {"real", "reconstructed", "generated", *BASELINES} - {"same actions"}  # not in every corpus
        for measure in ("score", "exact", "order_blind"):
            assert wanted <= set(values[measure])
            for kind, score in values[measure].items():
                low, high, count = values["intervals"][measure][kind]
                clips = [number for number in values["per_clip"][measure][kind] if number is not None]
                assert 0.0 <= low <= score <= high <= 1.0 and count <= len(clips) <= values["clips"]
                assert score == pytest.approx(sum(clips) / len(clips), abs=1e-4)
    assert metrics["judge_split"] == "new_takes"
    assert metrics["classifier"]["new_takes"]["confusion"]
    assert metrics["generation"]["seen_pairs_one_take"]["apart"] and not values["apart"]


def test_the_judge_says_how_far_it_can_be_trusted(finished_run):
    metrics, judge = finished_run.metrics, finished_run.judge
    assert judge.accuracy.order_score == metrics["classifier"]["new_takes"]["order_score"]
    assert f"The judge {judge.describe().split(' (')[0]}" in (finished_run.folder / "report.html").read_text("utf-8")


def test_a_run_that_an_earlier_version_scored_opens_and_is_told_to_be_scored_again(finished_run, tmp_path):
    copy = Run.open(shutil.copytree(finished_run.folder, tmp_path / "ci"))
    old = copy.metrics
    for split in old["generation"].values():
        for name in ("intervals", "per_clip", "actions", "order_blind", "made_from", "apart"):
            del split[name]
    for judge in old["classifier"].values():
        for name in ("order_blind", "takes", "intervals", "confusion"):
            del judge[name]
    del old["judge_split"], old["diversity"]
    write_record(copy.folder / "metrics.json", old)
    assert "motionlab evaluate --run ci" in write_report(copy).read_text("utf-8")


def test_the_report_is_one_file_that_asks_for_nothing(finished_run):
    page = (finished_run.folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    for place in (str(finished_run.folder.parent), "made-once"):  # where it is, and where it was made
        assert place not in page, "a path of the machine in the report"
    for words in ("unseen-pairs", "perplexity", "Learning rate", "tokens a second", "MPJPE", "decoder: total"):
        assert words in page, words
    captions = [player["caption"] for player in finished_run.metrics["generation"]["seen_pairs"]["players"]]
    assert captions and all(caption in page for caption in captions)
    assert page.count("motionlabPlayer(") >= 2 * len(captions)


def test_the_report_is_a_function_of_the_folder(finished_run, tmp_path):
    copy = Run.open(shutil.copytree(finished_run.folder, tmp_path / "ci"))
    before = (copy.folder / "report.html").read_bytes()
    assert write_report(copy).read_bytes() == before


def test_a_run_that_was_stopped_goes_on(finished_run, tmp_path, capsys):
    folder = shutil.copytree(finished_run.folder, tmp_path / "ci")
    (folder / "llama" / "model.safetensors").unlink()  # stopped after the last checkpoint
    weights = (folder / "tokenizer-fsq" / "model.safetensors").stat().st_mtime_ns
    run(load_config("ci"), folder)
    assert (folder / "tokenizer-fsq" / "model.safetensors").stat().st_mtime_ns == weights, "stage 1 was done again"
    again, first = Run.open(folder).llama, finished_run.llama
    assert all(a.equal(b) for a, b in zip(again.state_dict().values(), first.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("stop", "told"),
    [(KeyboardInterrupt(), "corpus"), (Stopped("saved after step 9", signal.SIGTERM), "corpus: saved after step 9")],
    ids=["Ctrl-C", "a training"],
)
def test_an_interrupt_names_the_stage(tmp_path, monkeypatch, stop, told):
    def stopped(*_, **__):
        raise stop

    monkeypatch.setattr("motionlab.jobs.main_job.prepare", stopped)
    with pytest.raises(type(stop)) as caught:
        run(load_config("ci"), tmp_path / "run")
    assert caught.value is stop and str(stop) == told


def weights(folder):
    """The bytes of all trained models of a run."""
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/model.safetensors")}


def test_a_finished_run_takes_other_settings_of_what_shapes_no_weights(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.folder, tmp_path / "ci")
    before = weights(folder)
    assert (folder / "motions" / "seen_pairs-00-vq_ema.npy").is_file()
    changes = [
        "sampling.max_tokens=50",
        "sampling.temperature=0.5",
        "evaluation.n_generate=2",
        "evaluation.n_players=0",
    ]
    run(load_config("ci", [*changes, "compare_quantizers=[]", "device=cpu"]), folder)
    again = Run.open(folder)
    assert weights(folder) == before, "something was trained again"
    assert again.metrics["generation"]["seen_pairs"]["clips"] == 2
    assert list((folder / "motions").iterdir()) == [], "motions of players that the report no longer has"
    assert again.config.sampling.max_tokens == 50 and list(again.metrics["tokenizers"]) == ["fsq"]
    assert "temperature: 0.5" in (folder / "report.html").read_text(encoding="utf-8")


def test_more_steps_train_on(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.folder, tmp_path / "ci")
    before = weights(folder)
    more = ["llama_training.steps=18", "llama_training.resume_changed=same_place", "evaluation.classifier_steps=2"]
    run(load_config("ci", more), folder)
    history = History.read(folder / "llama" / "history.csv").column("step")
    assert history[-1] == 18 and history == sorted(set(history))
    after = weights(folder)
    assert after.pop("llama") != before.pop("llama") and after == before
    step = read_record(folder / "llama" / "checkpoints")[1]["counters"]["step"]
    assert step == 18


def test_another_config_does_not_overwrite_a_run(finished_run):
    with pytest.raises(InputError, match=r"config\.yaml: found a run with other settings: llama\.dim 32 -> 64, "):
        run(load_config("ci", ["llama.dim=64"]), finished_run.folder)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tokenizer.codebook_size=999"], r"tokenizer\.codebook_size: found 999 with quantizer fsq"),
        (
            ["tokenizer.codebook_size=512", "compare_quantizers=[bsq, rfsq]", "tokenizer.quantizer=rvq"],
            "2 codes per token",
        ),
        (["text.encoder=t5", "text.folder=/no/such"], "/no/such"),
        (["device=mps"], "device"),
        (["llama_training.freeze=[encoder]"], "llama_training.freeze: found 'encoder', expected a pattern of"),
        (["tokenizer_training.freeze=['*']"], "tokenizer_training.freeze: .* a part that is left to train"),
        ([f"corpus.n_{name}=0" for name in ("seen_pairs", "unseen_pairs", "new_takes")], "at least one test clip"),
        (["llama_training.precision=tf32", "device=cpu"], "tf32 on cpu"),
        (["llama_training.schedule=multi_step", "llama_training.milestones=[900]"], "milestones: found"),
    ],
)
def test_settings_that_cannot_be_built_are_found_before_any_work(tmp_path, overrides, message):
    with pytest.raises(InputError, match=message):
        run(load_config("ci", overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_report_needs_scores(tmp_path):
    started = Run.create(tmp_path / "fresh", load_config("ci"))
    with pytest.raises(InputError, match="without scores"):
        write_report(started)


def test_torchrun_is_for_the_training_stages(monkeypatch, tmp_path):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="2 processes of torchrun, expected one process.*train llama"):
        run(load_config("ci"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
