"""The jobs on motions that were not composed: splits made by hand from the bundled clips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.config import load_config
from motionlab.data.composed.samples import load_samples
from motionlab.data.splits import Splits
from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.errors import InputError
from motionlab.evaluation.baselines import BASELINES
from motionlab.jobs.build import make_tokenizer
from motionlab.jobs.evaluate import evaluate
from motionlab.jobs.list_runs import describe_runs
from motionlab.jobs.prepare import fit_normalizer, measure_normalizer
from motionlab.jobs.report import write_report
from motionlab.jobs.run_folder import Run
from motionlab.jobs.tokens import tokenise, training_codes
from motionlab.jobs.train_llama import train_llama
from motionlab.jobs.train_tokenizer import train_tokenizer, train_tokenizers
from motionlab.training.checkpoints.checkpoint import read_checkpoint
from motionlab.training.checkpoints.tensor_files import load_model_state

pytestmark = pytest.mark.usefixtures("without_pictures")

LONGEST = 400  # frames; longer than any composed clip of the `ci` preset


def make_splits(folder: Path, *, labelled: bool, shift: float = 0.0) -> Splits:
    """Real clips as they are: eight to learn from, two to validate on, and two test splits with our own names."""
    samples = [sample for sample in load_samples() if 64 <= len(sample.motion) <= LONGEST]
    samples.sort(key=lambda sample: -len(sample.motion))

    def store(name: str, chosen: list[Any]) -> MotionStore:
        clips = [
            Clip(
                sample.name,
                type(sample.motion)(sample.motion.features + shift, name=sample.name),
                list(sample.captions),
                [Segment(sample.action, sample.phrases[0], 0, len(sample.motion))] if labelled else [],
                source=sample.source,
            )
            for sample in chosen
        ]
        return MotionStore.write(folder / name, clips)

    tests = {"mine": store("mine", samples[10:12]), "hers-2": store("hers", samples[12:13])}
    return Splits("by hand", store("train", samples[:8]), store("validation", samples[8:10]), tests)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    return make_splits(tmp_path_factory.mktemp("splits"), labelled=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, splits: Splits) -> Run:
    """Both stages trained on splits that say nothing about actions. Tests must not change its folder."""
    run = Run.create(tmp_path_factory.mktemp("runs") / "own", load_config("ci", ["compare_quantizers=[]"]))
    train_tokenizer(run, splits)
    train_llama(run, splits)
    return run


def test_both_stages_are_evaluated_without_actions(trained: Run, splits: Splits) -> None:
    assert int(splits.train.lengths.max()) > trained.config.corpus.max_frames, "no clip that the composed corpus lacks"
    found = evaluate(trained, splits)
    assert list(found) == ["mine", "hers-2"] and [numbers["clips"] for numbers in found.values()] == [2, 1]
    metrics = trained.metrics
    assert set(metrics["unscored"]) == {"mine", "hers-2"} and metrics["classifier"] == {}
    assert "do not say which action" in metrics["unscored"]["mine"]
    assert set(metrics["tokenizers"]["fsq"]["errors"]) == {"mine", "hers-2"}
    assert [row["clips"] for row in metrics["corpus"].values()] == [8, 2, 2, 1]
    page = write_report(trained).read_text(encoding="utf-8")
    for words in ("hers-2", "were not scored: the training clips do not say", "by hand", "not judged"):
        assert words in page, words
    page = page.replace("source: composed", "")  # the setting; these splits were made by hand
    assert "composed" not in page and "seen-pairs" not in page


def test_splits_with_actions_are_judged_where_training_knows_them(tmp_path: Path, trained: Run, splits: Splits) -> None:
    labelled = make_splits(tmp_path / "labelled", labelled=True)
    run = Run.create(tmp_path / "run", trained.config)
    train_tokenizer(run, labelled)
    train_llama(run, labelled)
    learned = (labelled.train, labelled.validation)
    known = {segment.action for clips in learned for i in range(len(clips)) for segment in clips.segments(i)}
    tests = {"known": labelled.validation, **labelled.tests}
    found = evaluate(run, Splits("by hand", labelled.train, labelled.validation, tests))
    always = {"real", "reconstructed", "generated", "other caption", "nearest caption"}
    assert always <= set(found["known"]["score"]) <= {*always, *BASELINES}
    for name, reason in run.metrics["unscored"].items():
        asked = {segment.action for i in range(len(tests[name])) for segment in tests[name].segments(i)}
        assert "score" not in found[name] and reason.startswith("no training clip shows") and asked - known
    assert set(run.metrics["unscored"]) | set(run.metrics["classifier"]) == set(tests)


def test_other_processes_train_on_the_same_splits(tmp_path: Path, splits: Splits) -> None:
    settings = ["tokenizer_training.steps=3", "tokenizer_training.warmup_steps=1"]
    run = Run.create(tmp_path / "run", load_config("ci", settings))
    train_tokenizers(run, splits, ["fsq", "vq_ema"], threads=2)
    alone = Run.create(tmp_path / "alone", load_config("ci", settings))
    model = train_tokenizer(alone, splits, "vq_ema")
    both = model.state_dict(), run.tokenizer("vq_ema").state_dict()
    assert all(both[0][name].allclose(both[1][name], atol=1e-6) for name in both[0])


def test_tokens_are_those_of_all_clips_at_once(trained: Run, splits: Splits) -> None:
    model, normalizer = trained.tokenizer(), trained.normalizer
    expected = model.encode_clips([normalizer.normalize(splits.train.features(i)) for i in range(8)])
    assert all(torch.equal(a, b) for a, b in zip(tokenise(model, splits.train, normalizer), expected, strict=True))
    codes = training_codes(trained, splits)
    assert all(torch.equal(a, b) for a, b in zip(codes.train, expected, strict=True)) and len(codes.validation) == 2


def test_tokenising_and_statistics_read_a_few_clips_at_a_time(
    monkeypatch: pytest.MonkeyPatch, trained: Run, splits: Splits
) -> None:
    """No list of all features: the reads of clips and the passes through the model take turns."""
    monkeypatch.setattr("motionlab.jobs.tokens.CLIPS_AT_ONCE", 3)
    model = trained.tokenizer()
    events: list[str] = []
    encode, read = model.encode, MotionStore.features
    monkeypatch.setattr(MotionStore, "features", lambda self, i: events.append("read") or read(self, i))
    monkeypatch.setattr(model, "encode", lambda *arguments: events.append("encode") or encode(*arguments))
    tokenise(model, splits.train, trained.normalizer)
    assert events == [*["read"] * 3, "encode", *["read"] * 3, "encode", *["read"] * 2, "encode"]
    measure_normalizer(splits.train)
    assert events[-8:] == ["read"] * 8


def test_a_run_on_other_motions_is_refused_before_anything_is_written(
    tmp_path: Path, trained: Run, splits: Splits
) -> None:
    other = make_splits(tmp_path / "other", labelled=False, shift=0.25)
    evaluate(trained, splits)
    before = {path: path.read_bytes() for path in trained.folder.rglob("*") if path.is_file()}
    tests = {**splits.tests, "mine": other.tests["mine"]}
    for changed, name in (
        (Splits("there", other.train, splits.validation, splits.tests), "train"),
        (Splits("there", splits.train, other.validation, splits.tests), "validation"),
        (Splits("there", splits.train, splits.validation, tests), "mine"),
    ):
        for job in (evaluate, train_tokenizer, train_llama, training_codes, fit_normalizer):
            with pytest.raises(InputError, match=rf"a run on other motions \({name} [0-9a-f]{{8}}, now"):
                job(trained, changed)
    assert {path: path.read_bytes() for path in trained.folder.rglob("*") if path.is_file()} == before


def test_further_test_splits_are_welcome(trained: Run, splits: Splits) -> None:
    more = Splits("by hand", splits.train, splits.validation, {"new": splits.tests["mine"]})
    assert list(evaluate(trained, more)) == ["new"]
    record = json.loads((trained.folder / "made_from.json").read_text())
    assert set(record) == {"train", "validation", *splits.tests, "new", "record_sha256"}


def test_nothing_to_test_on(trained: Run, splits: Splits) -> None:
    with pytest.raises(InputError, match="by hand: found no test split"):
        evaluate(trained, Splits("by hand", splits.train, splits.validation, {}))


def test_a_run_without_a_record_is_known_by_its_normaliser(tmp_path: Path, splits: Splits) -> None:
    """Runs of earlier versions have no record."""
    run = Run.create(tmp_path / "run", load_config("ci"))
    measure_normalizer(splits.train).save(run.folder / "normalizer.safetensors")
    other = Splits("there", splits.validation, splits.train, {})
    with pytest.raises(InputError, match="normalizer of unknown clips"):
        fit_normalizer(run, other)
    assert not (run.folder / "made_from.json").exists()
    fit_normalizer(run, splits)
    assert json.loads((run.folder / "made_from.json").read_text())["train"] == splits.train.digest


def test_without_validation_clips_the_last_weights_are_kept(
    tmp_path: Path, splits: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    """No clips to validate on have no errors: that must not pass for the best model ever seen."""
    unvalidated = Splits("by hand", splits.train, MotionStore.write(tmp_path / "none", []), splits.tests)
    run = Run.create(tmp_path / "run", load_config("ci", ["compare_quantizers=[]"]))
    train_tokenizer(run, unvalidated)
    train_llama(run, unvalidated)
    for stage in ("tokenizer-fsq", "llama"):
        last = read_checkpoint(run.folder / stage / "checkpoints", "last")[0]
        kept = load_model_state(run.folder / stage / "model.safetensors")[0]
        assert all(torch.equal(kept[name], last[f"model.{name}"]) for name in kept)
    assert capsys.readouterr().out.count("the last weights are kept") == 2
    assert list(evaluate(run, unvalidated)) == ["mine", "hers-2"]
    assert [line for line in describe_runs(tmp_path).splitlines() if "run/llama" in line]


@pytest.mark.parametrize("captions", [[], [""], ["a person walks", "  "]])
@pytest.mark.parametrize("where", ["train", "validation", "late"])
def test_a_clip_without_captions_is_named_before_any_work(
    tmp_path: Path, trained: Run, splits: Splits, where: str, captions: list[str]
) -> None:
    motion = load_samples()[0].motion
    clips = [Clip("good", motion, ["a person moves"], []), Clip("silent", motion, captions, [])]
    parts: dict[str, Any] = {"train": splits.train, "validation": splits.validation, "late": splits.tests["mine"]}
    parts[where] = MotionStore.write(tmp_path / "clips", clips)
    mixed = Splits("by hand", parts["train"], parts["validation"], {"late": parts["late"]})
    run, job = (trained, evaluate) if where == "late" else (Run(tmp_path / "run", trained.config), train_llama)
    if where != "late":
        without = shutil.ignore_patterns("made_from.json")  # weights brought here by hand
        shutil.copytree(trained.folder / "tokenizer-fsq", run.folder / "tokenizer-fsq", ignore=without)
    before = {path for path in run.folder.rglob("*")}
    with pytest.raises(InputError, match=rf"split {where}, clip 1 \(silent\): found (no captions|a blank caption)"):
        job(run, mixed)
    assert {path for path in run.folder.rglob("*")} == before


def test_a_caption_that_cannot_be_read_is_found_before_the_judge_is_trained(
    tmp_path: Path, trained: Run, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motionlab.jobs.evaluate.train_classifier", lambda *_, **__: pytest.fail("it was trained"))
    clip = Clip("long", load_samples()[0].motion, ["walk " * 400], [])
    long = Splits("by hand", splits.train, splits.validation, {"long": MotionStore.write(tmp_path / "long", [clip])})
    told = r"split long, clip 0 \(long\), caption .*found 402 tokens, expected at most 48.*raise text.max_tokens to 402"
    with pytest.raises(InputError, match=told):
        evaluate(trained, long)


def test_a_caption_that_cannot_be_read_is_found_before_any_clip_is_tokenised(
    tmp_path: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motionlab.jobs.tokens.tokenise_group", lambda *_: pytest.fail("it was tokenised"))
    motion = load_samples()[0].motion
    clips = [Clip("good", motion, ["a person moves"], []), Clip("long", motion, ["moves", "walk " * 400], [])]
    mixed = Splits("by hand", MotionStore.write(tmp_path / "clips", clips), splits.validation, {})
    run = Run.create(tmp_path / "run", load_config("ci"))
    fit_normalizer(run, mixed)
    run.save(make_tokenizer(run.config.tokenizer), "tokenizer-fsq")
    with pytest.raises(InputError, match=r"split train, clip 1 \(long\), caption .*found 402 tokens"):
        train_llama(run, mixed)
    assert not (run.folder / "codes.safetensors").exists()
