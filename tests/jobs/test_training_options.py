"""The options of a training, set by overrides of a config and obeyed by the jobs of both stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages import tokenizer as stage
from motionlab.jobs.train_llama import train_llama
from motionlab.jobs.train_tokenizer import train_tokenizer
from motionlab.tokenizer.losses import tokenizer_losses
from motionlab.training.checkpoints.checkpoint import read_checkpoint

OPTIONS = ("activation_checkpointing=true", "deterministic=true", "keep_last=2", "save_every=2", "val_every=2",
           "steps=4", "warmup_steps=1", "schedule=wsd")  # fmt: skip


def overrides(*more: str, groups: tuple[str, ...] = ("tokenizer_training",)) -> list[str]:
    return [f"{group}.{text}" for group in groups for text in (*OPTIONS, *more)]


def test_both_stages_with_options(tmp_path: Path) -> None:
    config = load_config("ci", overrides(groups=("tokenizer_training", "llama_training")))
    run, corpus = Run.create(tmp_path / "run", config), prepare(config)
    train_tokenizer(run, corpus)
    train_llama(run, corpus)
    for folder in (run.tokenizer_folder("fsq"), run.folder / "llama"):
        assert (folder / "schedule.png").is_file()
        steps = sorted(path.stem for path in (folder / "checkpoints").glob("step-*.json"))
        assert steps == ["step-00000002", "step-00000004"]
        tensors, _ = read_checkpoint(folder / "checkpoints")
        assert torch.equal(tensors["constant.normalizer.mean"], run.normalizer.mean)


def test_frozen_encoder_and_averaged_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config("ci", overrides("freeze=[encoder]", "ema_decay=0.9"))
    run = Run.create(tmp_path / "run", config)
    model = train_tokenizer(run, prepare(config))
    tensors, _ = read_checkpoint(run.tokenizer_folder("fsq") / "checkpoints")
    assert not any(name.startswith(("ema.encoder", "optimizer.encoder")) for name in tensors)
    assert any(name.startswith("ema.decoder") for name in tensors)
    assert "encoder" in capsys.readouterr().out
    assert torch.equal(model.state_dict()["encoder.model.1.weight"], tensors["model.encoder.model.1.weight"])


def test_too_little_memory_is_explained_with_the_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(output: Any, x: torch.Tensor, *more: Any, **named: Any) -> dict[str, torch.Tensor]:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return tokenizer_losses(output, x, *more, **named)

    monkeypatch.setattr(stage, "tokenizer_losses", too_large)
    config = load_config("ci", overrides("batch_size=16", "precision=fp32"))
    run, corpus = Run.create(tmp_path / "run", config), prepare(config)
    with pytest.raises(InputError, match=r"MiB \(.*activations.*with half the micro-batch.*--auto-batch"):
        train_tokenizer(run, corpus)
    config.tokenizer_training.auto_batch = True
    run = Run.create(tmp_path / "again", config)
    train_tokenizer(run, corpus)
    record = read_checkpoint(run.tokenizer_folder("fsq") / "checkpoints")[1]
    assert record["counters"]["pieces"] == 4 and 4 * 16 * 56 < record["counters"]["items"] <= 4 * 16 * 64
