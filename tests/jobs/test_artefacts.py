"""Artefacts are known by what they were made from: remade when that is cheap, refused by name when it is not."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from motionlab.config import load_config
from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.jobs.artefacts import claim, is_trained, read_record, require, write_record
from motionlab.jobs.evaluate import evaluate
from motionlab.jobs.generate import generate_file
from motionlab.jobs.main_job import run as main_job
from motionlab.jobs.prepare import prepare
from motionlab.jobs.report import write_report
from motionlab.jobs.run_folder import Run
from motionlab.jobs.tokens import tokenise, training_codes
from motionlab.jobs.train import train_stage
from motionlab.jobs.train_llama import train_llama
from motionlab.training.reporting.history import History

pytestmark = pytest.mark.usefixtures("without_pictures")


@pytest.fixture(scope="module")
def splits() -> Splits:
    return prepare(load_config("ci"))


@pytest.fixture
def copy(finished_run: Run, tmp_path: Path) -> Run:
    """A finished run whose folder may be changed."""
    return Run.open(shutil.copytree(finished_run.folder, tmp_path / "ci"))


def retrain(run: Run) -> None:
    """Other weights in the tokenizer's place, as another training of it would leave them."""
    torch.manual_seed(5)
    model = run.tokenizer()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    run.save(model, "tokenizer-fsq")


def test_tokens_of_another_tokenizer_are_made_again(
    copy: Run, splits: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen before this was kept: 101 of 1,423 tokens agreed, and the decoder silently trained on."""
    before = training_codes(copy, splits)
    file = copy.folder / "codes.safetensors"
    stamp = file.stat().st_mtime_ns
    assert training_codes(copy, splits).digest == before.digest and file.stat().st_mtime_ns == stamp
    assert capsys.readouterr().out == ""

    retrain(copy)
    after = training_codes(copy, splits)
    said = capsys.readouterr().out
    assert said.startswith("codes.safetensors is made again: it was made with tokenizer ") and said.count("\n") == 1
    expected = tokenise(copy.tokenizer(), splits.validation, copy.normalizer)
    assert all(torch.equal(a, b) for a, b in zip(after.validation, expected, strict=True))
    old, new = torch.cat(list(before.train)), torch.cat(list(after.train))
    assert (old == new).float().mean() < 0.9

    with pytest.raises(InputError, match=r"llama: found a training on other data \(tokenizer .*Remove this folder"):
        train_llama(copy, splits)
    with pytest.raises(InputError, match=r"model\.safetensors: found a model trained with tokenizer"):
        generate_file("a person walks", copy.folder, copy.folder / "walk.npy")
    with pytest.raises(InputError, match="found a model trained with tokenizer"):
        evaluate(Run.open(copy.folder), splits)


@pytest.mark.parametrize("harm", ["earlier version", "damaged"])
def test_tokens_that_say_nothing_are_made_again(
    copy: Run, splits: Splits, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy.folder / "codes.safetensors"
    expected = training_codes(copy, splits).digest  # the rows themselves stay in the file
    file.write_bytes(b"" if harm == "damaged" else (copy.folder / "normalizer.safetensors").read_bytes())
    assert training_codes(copy, splits).digest == expected
    assert "an earlier version" in capsys.readouterr().out


def test_a_new_decoder_on_new_tokens(copy: Run, splits: Splits) -> None:
    """The way out that the message names: without the folder, the decoder is trained on the current tokens."""
    retrain(copy)
    shutil.rmtree(copy.folder / "llama")
    train_llama(copy, splits)
    assert read_record(copy.folder / "llama")["tokens"] == training_codes(copy, splits).digest
    assert Run.open(copy.folder).llama is not None


@pytest.mark.slow
def test_an_extended_run_trains_on(copy: Run) -> None:
    """More steps than the finished run has: nothing is skipped because a file exists."""
    free = ["tokenizer_training.resume_changed=same_place", "llama_training.resume_changed=same_place"]
    more = load_config("ci", [*free, "llama_training.steps=15", "llama_training.save_every=3"])
    main_job(more, copy.folder)
    assert History.read(copy.folder / "llama" / "history.csv").column("step")[-1] >= 14
    assert History.read(copy.tokenizer_folder("fsq") / "history.csv").column("step")[-1] == 12


@pytest.mark.slow
def test_stages_one_by_one_then_evaluate(tmp_path: Path, splits: Splits) -> None:
    """`train tokenizer`, `train llama`, `evaluate`: it ended in KeyError 'environment'."""
    config, folder = load_config("ci"), tmp_path / "ci"
    with pytest.raises(InputError, match="no such file"):  # the decoder before the tokenizer
        train_stage("llama", config, folder)
    train_stage("tokenizer", config, folder)
    with pytest.raises(InputError, match="llama/model.safetensors: found no such file"):
        evaluate(Run.open(folder), splits)
    train_stage("llama", config, folder)
    run = Run.open(folder)
    evaluate(run, splits)
    page = write_report(run).read_text(encoding="utf-8")
    assert "FSQ" in page and "VQ-VAE (EMA" not in page, "the comparison was not trained"
    assert set(run.metrics["tokenizers"]) == {"fsq"} and "environment" in run.metrics
    main_job(config, folder)  # and the main job continues from there
    assert set(Run.open(folder).metrics["tokenizers"]) == {"fsq", "vq_ema"}


def test_claims(tmp_path: Path) -> None:
    claim(tmp_path, {"tokens": "1" * 64})
    claim(tmp_path, {"tokens": "2" * 64})  # nothing was trained yet
    assert read_record(tmp_path) == {"tokens": "2" * 64}
    require(tmp_path, {"tokens": "2" * 64, "text": "3" * 64}, fix="")  # the record does not speak of text
    with pytest.raises(InputError, match="tokens 22222222, now 44444444"):
        require(tmp_path, {"tokens": "4" * 64}, fix="Train it again.")
    (tmp_path / "made_from.json").write_text("{")
    with pytest.raises(InputError, match="the digests of what this was made from"):
        read_record(tmp_path)


def test_a_training_is_finished_when_all_of_it_is(finished_run: Run, tmp_path: Path) -> None:
    folder, settings = tmp_path / "llama", finished_run.config.llama_training
    shutil.copytree(finished_run.folder / "llama", folder)
    made_from = read_record(folder)
    assert made_from and is_trained(folder, made_from, settings)
    assert not is_trained(folder, {**made_from, "tokens": "2"}, settings), "made from other tokens"
    assert not is_trained(folder, made_from, dataclasses.replace(settings, steps=settings.steps + 1)), "more steps"
    (folder / "model.safetensors").unlink()
    assert not is_trained(folder, made_from, settings), "the training was stopped before its end"


def test_weights_that_were_put_there_are_taken_as_they_are(finished_run: Run, tmp_path: Path) -> None:
    shutil.copy(finished_run.folder / "llama" / "model.safetensors", tmp_path)
    assert is_trained(tmp_path, {"tokens": "1"}, finished_run.config.llama_training)
    write_record(tmp_path, {"tokens": "2"})
    assert not is_trained(tmp_path, {"tokens": "1"}, finished_run.config.llama_training)
