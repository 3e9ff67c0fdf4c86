"""Stage 1: what its history holds, that a stop leaves no trace, and that training two in parallel changes neither."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from motionlab.config import RunConfig, load_config
from motionlab.data.batches import RaggedBatches
from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.evaluation.tokenizer import count_codes, measure_tokenizer
from motionlab.jobs.build import make_tokenizer
from motionlab.jobs.prepare import fit_normalizer, prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.tokenizer import USAGE_BATCHES, TokenizerStage
from motionlab.jobs.train_llama import train_llama
from motionlab.jobs.train_tokenizer import train_tokenizer, train_tokenizers
from motionlab.training.checkpoints.checkpoint import load_weights, read_checkpoint
from motionlab.training.distributed import World
from motionlab.training.reporting.history import History

TIMES = ("seconds", "items_per_second")


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_config("ci")


@pytest.fixture(scope="module")
def corpus(config: RunConfig) -> Splits:
    return prepare(config)


def rows(run: Run) -> list[dict[str, float]]:
    history = History.read(run.tokenizer_folder("fsq") / "history.csv")
    return [{name: value for name, value in row.items() if name not in TIMES} for row in history.rows]


def test_side_by_side_equals_one_after_the_other(finished_run: Run, tmp_path: Path) -> None:
    config = load_config("ci")
    run, corpus = Run.create(tmp_path / "ci", config), prepare(config)
    fit_normalizer(run, corpus)
    train_tokenizers(run, corpus, ["fsq", "vq_ema"], threads=2)
    for kind in ("fsq", "vq_ema"):
        apart, together = finished_run.tokenizer(kind).state_dict(), run.tokenizer(kind).state_dict()
        assert all(apart[name].allclose(together[name], atol=1e-6) for name in apart), kind


def test_the_history_holds_error_and_usage_of_every_validation(
    config: RunConfig, corpus: Splits, tmp_path: Path
) -> None:
    """The last row is what the model of the last checkpoint gives."""
    run = Run.create(tmp_path / "run", config)
    train_tokenizer(run, corpus)
    folder, settings = run.tokenizer_folder("fsq"), config.tokenizer_training
    history = History.read(folder / "history.csv")
    last = {
        name: history.points(f"val_{name}")[1][-1] for name in ("mpjpe_mm", "used_fraction", "perplexity", "tokens")
    }
    assert history.points("val_used_fraction")[0] == [6, 12]

    model = make_tokenizer(config.tokenizer)
    load_weights(model, folder / "checkpoints", "last")
    errors, _ = measure_tokenizer(model, corpus.validation, run.normalizer)
    assert last["mpjpe_mm"] == pytest.approx(errors["mpjpe_mm"], rel=1e-5)
    window = config.tokenizer.window
    windows = RaggedBatches(corpus.train, run.normalizer, window, settings.batch_size, settings.seed)
    usage = count_codes(model, windows, USAGE_BATCHES).summary()
    whole = USAGE_BATCHES * settings.batch_size * window // 4  # if no clip were shorter than the window
    assert last["tokens"] == usage.tokens and 0.8 * whole < usage.tokens < whole
    assert last["used_fraction"] == usage.used_fraction > 0
    assert last["perplexity"] == pytest.approx(usage.perplexity)


@pytest.mark.parametrize("stop", ["button", "crash"])
def test_a_stop_leaves_no_trace(config: RunConfig, corpus: Splits, tmp_path: Path, stop: str) -> None:
    """The stop button saves at once; a crash falls back to the last save. Both end as if nothing had happened."""
    whole = Run.create(tmp_path / "whole", config)
    train_tokenizer(whole, corpus)

    stopped = Run.create(tmp_path / "stopped", config)
    seen: list[int] = []

    def watch(number: int) -> None:
        seen.append(number)
        if number == 8 and stop == "button":
            signal.raise_signal(signal.SIGINT)
        elif number == 8:
            raise RuntimeError("the power went")

    with pytest.raises(KeyboardInterrupt if stop == "button" else RuntimeError):
        train_tokenizer(stopped, corpus, watch=watch)
    saved = 9 if stop == "button" else 6  # the step that began is finished and saved; saves come every 6 steps
    checkpoints = stopped.tokenizer_folder("fsq") / "checkpoints"
    assert read_checkpoint(checkpoints)[1]["step"] == saved
    assert not (stopped.tokenizer_folder("fsq") / "model.safetensors").exists(), "it is not finished"

    again: list[int] = []
    train_tokenizer(Run.open(stopped.folder), corpus, watch=again.append)
    assert seen == list(range(9)) and again == list(range(saved, 12))
    a, b = (read_checkpoint(run.tokenizer_folder("fsq") / "checkpoints")[0] for run in (whole, stopped))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)  # weights and optimizer
    assert rows(whole) == rows(stopped)
    kept = whole.tokenizer().state_dict(), stopped.tokenizer().state_dict()
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_a_finished_run_is_not_trained_again(config: RunConfig, corpus: Splits, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config)
    first = train_tokenizer(run, corpus)
    asked: list[int] = []
    again = train_tokenizer(run, corpus, watch=asked.append)
    assert asked == []
    assert all(torch.equal(x, y) for x, y in zip(first.parameters(), again.parameters(), strict=True))


def test_losses_in_metres_reach_the_training(corpus: Splits, tmp_path: Path) -> None:
    weights = {"acceleration": 0.1, "joint": 0.5, "foot": 0.1}
    config = load_config("ci", [f"tokenizer.{name}_weight={weight}" for name, weight in weights.items()])
    run = Run.create(tmp_path / "run", config)
    train_tokenizer(run, corpus)
    history = History.read(run.tokenizer_folder("fsq") / "history.csv")
    assert all(value > 0 for term in weights for value in history.column(term))


def test_the_end_of_the_training_is_for_the_decoder(corpus: Splits, tmp_path: Path) -> None:
    """No token changes in it, and only there feet and acceleration count."""
    changes = ["tokenizer.decoder_share=0.5", "tokenizer.foot_weight=0.1", "tokenizer.acceleration_weight=0.1"]
    run = Run.create(tmp_path / "run", load_config("ci", [*changes, "tokenizer_training.log_every=6"]))
    stage = TokenizerStage(run, corpus)
    stage.build()
    for number, encoder_learns in ((0, True), (5, True), (6, False), (11, False)):
        stage.model.zero_grad()
        losses = stage.step(stage.batches(number))
        losses.total.backward()
        gradients = [parameter.grad is not None for parameter in stage.model.encoder.parameters()]
        assert all(gradients) == any(gradients) == encoder_learns, number
        assert (float(losses.named()["foot"]) == 0.0) == encoder_learns
    train_tokenizer(run, corpus)
    first, second = rows(run)
    assert first["foot"] == first["acceleration"] == 0.0 and second["foot"] > 0 and second["acceleration"] > 0
    assert first["val_perplexity"] == second["val_perplexity"]


def test_a_share_for_the_decoder_needs_one_process(
    corpus: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", load_config("ci", ["tokenizer.decoder_share=0.5"]))
    monkeypatch.setattr(World, "current", classmethod(lambda cls: World(size=2)))
    with pytest.raises(InputError, match="tokenizer.decoder_share: found 0.5 with 2 processes"):
        TokenizerStage(run, corpus)


def test_the_decoder_refuses_several_codes_a_token(corpus: Splits, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", load_config("ci", ["tokenizer.quantizer=rvq"]))
    train_tokenizer(run, corpus)
    with pytest.raises(InputError, match="tokenizer.quantizer: found 'rvq' with 2 codes per token"):
        train_llama(run, corpus)
