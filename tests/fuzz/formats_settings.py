"""Settings as text: YAML files, overrides, grids of ablations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motionlab.config import RunConfig, from_mapping, load_config, to_yaml
from motionlab.config.yaml_values import read_yaml
from motionlab.jobs.ablations.strategies import full_point, strategy_grid
from motionlab.jobs.ablations.tokenizer import grid_points, parse_grid
from tests.fuzz.registry import Format, register

SETTINGS = """name: mine
seed: 3
llama: {dim: 64, n_head: 2, text_drop: 0.1}
llama_training: &training
  steps: 100
  warmup_steps: 10
  lr: 1e-3
  betas: [0.9, 0.95]
tokenizer_training: *training
sampling:
  max_tokens: 60
  temperature: 0.8
"""
OVERRIDES = "llama.dim=96\nllama_training.lr=1e-3\nllama={dim: 64, n_head: 2}\nname='a b'\ncompare_quantizers=[fsq]\n"
TOKENIZER_GRID = "quantizer=fsq,vq_ema\ncodebook_size=256,1024\nbetas=[0.9,0.99],[0.9,0.95]\nseed=0,1\n"
STRATEGY_GRID = "strategy=masked,keep_50\nseed=0,1\nsteps=20\nclips=null,8\n"
MAX_POINTS = 40


def _text(name: str, content: str) -> Any:
    def make(folder: Path) -> list[Path]:
        (folder / name).write_text(content)
        return [folder / name]

    return make


def _lines(folder: Path) -> list[str]:
    return (folder / "texts").read_bytes().decode("utf-8", "surrogateescape").split("\n")


def _config_stays(config: RunConfig) -> None:
    assert from_mapping(RunConfig, read_yaml(to_yaml(config), "again"), "again") == config


def _points_fit(points: list[dict[str, Any]]) -> None:
    assert 0 < len(points) <= MAX_POINTS


def _overridden(folder: Path) -> RunConfig:
    (folder / "base.yaml").write_text("llama_training: {steps: 100}\n")
    config = RunConfig()
    for text in _lines(folder):
        if text:
            config = load_config(folder / "base.yaml", [text])
    return config


register(
    Format(
        "settings YAML", _text("mine.yaml", SETTINGS), lambda folder: load_config(folder / "mine.yaml"),
        _config_stays, ("bytes", "text", "yaml"),
    )
)  # fmt: skip
register(Format("overrides", _text("texts", OVERRIDES), _overridden, _config_stays, ("bytes", "text", "yaml")))
register(
    Format(
        "tokenizer grid", _text("texts", TOKENIZER_GRID),
        lambda folder: grid_points(parse_grid(_lines(folder)[:-1]), max_points=MAX_POINTS),
        _points_fit, ("bytes", "text", "yaml"),
    )
)  # fmt: skip
register(
    Format(
        "strategy grid", _text("texts", STRATEGY_GRID),
        lambda folder: grid_points(strategy_grid(_lines(folder)[:-1]), full_point, MAX_POINTS),
        _points_fit, ("bytes", "text", "yaml"),
    )
)  # fmt: skip
