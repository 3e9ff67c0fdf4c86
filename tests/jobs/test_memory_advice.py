"""The message after a training of the decoder ran out of memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from motionlab.config import LlamaConfig, TokenizerConfig, TrainConfig, load_config
from motionlab.cost.llama_step import llama_step_memory
from motionlab.cost.settings import MIB, StepSettings
from motionlab.errors import InputError
from motionlab.jobs.memory_advice import llama_memory_advice, longest_row, tokenizer_memory_advice
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train_llama import train_llama
from motionlab.jobs.train_tokenizer import train_tokenizer
from motionlab.llama.objectives import strategies
from motionlab.llama.objectives.losses import TokenLosses, labelled_losses
from motionlab.llama.sequence import SequenceBatches
from motionlab.text.encoder import TextFeatures
from motionlab.training.checkpoints.checkpoint import read_checkpoint

CPU = torch.device("cpu")
DECODER = LlamaConfig(n_layer=3, n_head=4, n_kv_heads=2, dim=64)


class Words:
    """A text source without a model: one slot per word."""

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        return [len(caption.split()) for caption in captions]

    def features(self, captions: Sequence[str]) -> TextFeatures:
        return TextFeatures.from_rows([torch.zeros(count, 16) for count in self.token_counts(captions)])


def sequences() -> SequenceBatches:
    """The longest row is not that of the longest motion: 3 + 70 + 1 against 9 + 66 + 1."""
    codes = [torch.zeros(count, dtype=torch.long) for count in (70, 66, 5)]
    captions = [["walk"], ["a", "a b c d e f g h i"], ["one two three four five six seven eight nine ten"]]
    return SequenceBatches(codes, captions, Words(), codebook_size=1000, batch_size=2, seed=0)


def test_the_longest_row_is_found() -> None:
    assert longest_row(sequences()) == (76, 10)


def test_advice_is_the_formula() -> None:
    def peak(**changes: Any) -> str:
        settings = replace(StepSettings(batch=64, window=76), **changes)
        memory = llama_step_memory(DECODER, settings, codebook_size=1000, text_dim=16, text_slots=10)
        return f"{memory.peak / MIB:.0f}"

    advice = llama_memory_advice(DECODER, TrainConfig(batch_size=64, precision="fp32"), CPU, sequences(), 16)
    assert advice is not None
    text = advice(64)
    assert text.startswith(f"{peak()} MiB (activations ") and "logits" in text and "optimizer state" in text
    assert f"{peak(batch=32, accumulates=True)} with half the micro-batch" in text
    assert f"{peak(checkpointing=True)} with activation_checkpointing" in text
    assert f"{peak(precision='bf16')} with precision=bf16" in text
    assert "rows of 76 positions" in text


def test_knobs_that_are_turned_already_are_not_offered() -> None:
    settings = TrainConfig(batch_size=8, precision="bf16", activation_checkpointing=True)
    advice = llama_memory_advice(DECODER, settings, CPU, sequences(), 16)
    assert advice is not None
    assert "half the micro-batch" in advice(8) and "precision" not in advice(8) and "checkpointing" not in advice(8)
    assert " with " not in advice(1)


@pytest.mark.parametrize("changes", [{"grad_accum_steps": 4}, {"batch_size": 32}], ids=str)
def test_gradients_of_earlier_pieces_count(changes: dict[str, Any]) -> None:
    wide = LlamaConfig(n_layer=2, n_head=4, dim=256)
    plain = TrainConfig(batch_size=16, precision="fp32")
    texts = []
    for settings in (plain, replace(plain, **changes)):
        advice = llama_memory_advice(wide, settings, CPU, sequences(), 16)
        assert advice is not None
        texts.append(advice(16))
    before, after = (int(text.split()[0]) for text in texts)
    assert before < after


def test_averaged_weights_count() -> None:
    for make in (
        lambda settings: llama_memory_advice(LlamaConfig(), settings, CPU, sequences(), 16),
        lambda settings: tokenizer_memory_advice(TokenizerConfig(), settings, CPU),
    ):
        advice, plain = make(TrainConfig(ema_decay=0.9)), make(TrainConfig())
        assert advice is not None and plain is not None
        weights = re.search(r"weights (\d+)", advice(4).replace("averaged weights", "averages"))
        assert weights is not None and f"averaged weights {weights[1]}" in advice(4)
        assert "averaged" not in plain(4)


@pytest.mark.parametrize(
    "changes",
    [{"config": replace(DECODER, qk_norm=True)}, {"settings": TrainConfig(freeze=["transformer.wte"])}],
    ids=["qk_norm", "freeze"],
)
def test_without_a_formula_there_is_no_advice(changes: dict[str, Any]) -> None:
    arguments = {"config": DECODER, "settings": TrainConfig()} | changes
    assert llama_memory_advice(**arguments, device=CPU, sequences=sequences(), text_dim=16) is None


def test_too_little_memory_for_the_decoder_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("ci", ["llama.dim=64", "llama_training.precision=fp32", "llama_training.steps=3"])
    run, corpus = Run.create(tmp_path / "run", config), prepare(config)
    train_tokenizer(run, corpus)

    def too_large(model: Any, hidden: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> TokenLosses:
        if len(labels) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return labelled_losses(model, hidden, labels, label_smoothing)

    monkeypatch.setattr(strategies, "labelled_losses", too_large)
    with pytest.raises(InputError) as caught:
        train_llama(run, corpus)
    assert re.search(
        r"room for \d+ MiB \(activations \d+.*\), or \d+ with half the micro-batch, \d+ with activation_checkpointing, "
        r"\d+ with precision=bf16; for rows of \d+ positions.*--auto-batch",
        str(caught.value),
        re.DOTALL,
    )
    config.llama_training.auto_batch = True
    train_llama(run, corpus)
    assert read_checkpoint(run.folder / "llama" / "checkpoints")[1]["counters"]["pieces"] == 2
