"""Parameter tables against hand-counted ones and against the real modules."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.config import LlamaConfig, RunConfig, TextConfig, TokenizerConfig, load_config
from motionlab.cost.parameters import (
    ParameterRow,
    format_rows,
    llama_parameters,
    parameter_rows,
    tokenizer_parameters,
    training_memory,
)
from motionlab.errors import InputError
from motionlab.jobs.build import make_llama, make_tokenizer
from motionlab.llama.sizes import SIZES
from motionlab.quantizers.build import KINDS
from motionlab.tokenizer.model import MotionTokenizer


def published_log() -> list[tuple[str, list[int]]]:
    """The 66 rows that the published training script prints, written out by hand."""
    rows: list[tuple[str, list[int]]] = []

    def layer(name: str, *shape: int) -> None:
        rows.extend([(f"vqvae.{name}.weight", list(shape)), (f"vqvae.{name}.bias", [shape[0]])])

    def blocks(name: str) -> None:
        for i in (0, 1, 2):
            layer(f"{name}.model.{i}.norm1", 512)
            layer(f"{name}.model.{i}.norm2", 512)
            layer(f"{name}.model.{i}.conv1", 512, 512, 3)
            layer(f"{name}.model.{i}.conv2", 512, 512, 1)

    layer("encoder.model.1", 512, 272, 3)
    layer("encoder.model.3.0", 512, 512, 4)
    blocks("encoder.model.3.1")
    layer("encoder.model.4", 512, 512, 3)
    layer("decoder.model.0", 512, 512, 3)
    blocks("decoder.model.2.0")
    layer("decoder.model.2.2", 512, 512, 3)
    layer("decoder.model.3", 512, 512, 3)
    layer("decoder.model.5", 272, 512, 3)
    layer("quantizer.project_in", 6, 512)
    layer("quantizer.project_out", 512, 6)
    return rows


def tokenizer_on_meta(config: TokenizerConfig) -> MotionTokenizer:
    with torch.device("meta"):
        return make_tokenizer(config)


def test_the_published_table() -> None:
    config = load_config("motionmillion").tokenizer
    for rows in (tokenizer_parameters(config), parameter_rows(tokenizer_on_meta(config), prefix="vqvae.")):
        assert [(row.name, list(row.shape)) for row in rows] == published_log()
        assert len(rows) == 66 and sum(row.count for row in rows) == 11_349_782
    rows = tokenizer_parameters(config, prefix="")
    parts = [
        sum(row.count for row in rows if row.name.startswith(part)) for part in ("encoder", "decoder", "quantizer")
    ]
    assert parts == [5_409_280, 5_933_840, 6_662]


def test_the_log_line_by_line() -> None:
    text = format_rows(tokenizer_parameters(TokenizerConfig()), language="zh").splitlines()
    assert text[0] == "vqvae.encoder.model.1.weight: torch.Size([512, 272, 3]) | 参数数量: 417,792"
    assert text[-3] == "vqvae.quantizer.project_out.bias: torch.Size([512]) | 参数数量: 512"
    assert text[-2:] == ["总参数量: 11,349,782", "可训练参数量: 11,349,782"]
    assert len(text) == 68


# The models of the published code, counted there, and our settings for them.
PUBLISHED_TOTALS: list[tuple[dict[str, Any], int]] = [
    ({}, 11_349_782),
    ({"patcher": "compat"}, 11_349_782),
    ({"norm": None}, 11_337_494),
    ({"norm": "GN"}, 11_349_782),
    ({"norm": "BN"}, 11_349_782),
    ({"causal": True}, 11_349_782),
    ({"down_t": 2}, 19_495_702),
    ({"down_t": 3}, 27_641_622),
    ({"kernel_size": 5}, 16_625_430),
    ({"codebook_size": 256}, 11_346_707),
    ({"codebook_size": 512}, 11_346_707),
    ({"codebook_size": 1024}, 11_347_732),
    ({"codebook_size": 2048}, 11_347_732),
    ({"codebook_size": 4096}, 11_348_757),
    ({"codebook_size": 16384}, 11_348_757),
    ({"quantizer": "lfq"}, 11_360_032),
    ({"quantizer": "vq"}, 44_897_552),
    ({"quantizer": "vq_ema"}, 11_343_120),
    # The wavelet as intended: p times the channels at both ends, 835,856 (p - 1) parameters more.
    ({"patcher": "wavelet", "patch_size": 2}, 12_185_638),
    ({"patcher": "wavelet", "patch_size": 4}, 13_857_350),
    ({"patcher": "wavelet", "patch_size": 8}, 17_200_774),
]


@pytest.mark.parametrize(("changes", "total"), PUBLISHED_TOTALS, ids=str)
def test_published_totals_by_formula_by_module_and_by_torchinfo(changes: dict[str, Any], total: int) -> None:
    from torchinfo import summary

    config = TokenizerConfig(**changes)
    assert sum(row.count for row in tokenizer_parameters(config)) == total
    model = tokenizer_on_meta(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == total
    assert summary(model, verbose=0).total_params == total


def test_the_published_causal_model_ignores_its_kernel_size_in_the_residual_blocks() -> None:
    """The one total that is not ours: 13,479,702 there, because six convolutions have size 3 instead of 5."""
    ours = sum(row.count for row in tokenizer_parameters(TokenizerConfig(causal=True, kernel_size=5)))
    assert ours == 16_625_430
    assert ours - 6 * (2 * 512 * 512) == 13_479_702


@pytest.mark.parametrize("quantizer", KINDS)
def test_formula_equals_the_module_for_every_quantizer(quantizer: Any) -> None:
    equal_to_the_module(TokenizerConfig(quantizer=quantizer, codebook_size=256, width=24, code_dim=10, depth=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"down_t": 0, "depth": 3},
        {"down_t": 1, "depth": 0, "norm": "BN"},
        {"down_t": 2, "depth": 1, "norm": None, "kernel_size": 5},
        {"down_t": 3, "depth": 2, "norm": "GN", "width": 64},
        {"patcher": "wavelet", "patch_size": 4, "causal": True},
        {"patcher": "compat"},
    ],
    ids=str,
)
def test_formula_equals_the_module(changes: dict[str, Any]) -> None:
    equal_to_the_module(TokenizerConfig(**{"codebook_size": 256, "width": 24, "code_dim": 10} | changes))


def equal_to_the_module(config: TokenizerConfig) -> None:
    model = tokenizer_on_meta(config)
    rows = tokenizer_parameters(config, prefix="")
    assert rows == parameter_rows(model)


@pytest.mark.parametrize(("quantizer", "codes"), [("fsq", 1000), ("ifsq", 1000), ("vq", 1024), ("bsq", 1024)])
def test_the_decoder_has_an_entry_for_each_real_code(quantizer: Any, codes: int) -> None:
    config = RunConfig(llama=LlamaConfig(2, 4, None, 64), tokenizer=TokenizerConfig(quantizer, codebook_size=1024))
    rows = {row.name: row.shape for row in llama_parameters(config)}
    assert rows["transformer.wte.weight"] == (codes + 2, 64) and rows["lm_head.weight"] == (codes + 1, 64)


@pytest.mark.parametrize(
    "llama",
    [
        LlamaConfig(3, 6, 2, 96),
        LlamaConfig(2, 4, None, 64, 100),
        LlamaConfig(2, 4, 2, 64, qk_norm=True, tied_embeddings=True),
        LlamaConfig(),
    ],
)
def test_decoder_formula_equals_the_module(llama: LlamaConfig) -> None:
    config = RunConfig(llama=llama, tokenizer=TokenizerConfig(codebook_size=1024))
    with torch.device("meta"):
        model = make_llama(config, codebook_size=1000, text_dim=384)
    rows = llama_parameters(config)
    assert {row.name: row.shape for row in rows} == {row.name: row.shape for row in parameter_rows(model)}
    assert [row.name for row in rows] == [row.name for row in parameter_rows(model)]


@pytest.mark.parametrize(
    ("name", "total"), [("44M", 93_858_304), ("111M", 184_833_792), ("3B", 3_404_764_800), ("7B", 7_818_498_048)]
)
def test_published_decoder_totals(name: str, total: int) -> None:
    n_layer, n_head, dim = SIZES[name]
    config = RunConfig(text=TextConfig(encoder="t5"), llama=LlamaConfig(n_layer=n_layer, n_head=n_head, dim=dim))
    assert sum(row.count for row in llama_parameters(config)) == total


def test_frozen_parameters_are_not_counted_as_trainable() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    rows = parameter_rows(layer, prefix="head.")
    assert rows == [ParameterRow("head.weight", (2, 3), True), ParameterRow("head.bias", (2,), False)]
    assert format_rows(rows).splitlines()[-2:] == ["total: 8", "trainable: 6"]


def test_memory_is_what_adamw_holds() -> None:
    layer = nn.Linear(30, 20)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.randn(2, 30)).sum().backward()
    optimizer.step()
    weights = list(layer.parameters())
    averages = [state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")]
    estimate = training_memory(sum(weight.numel() for weight in weights))
    assert estimate.weights == sum(weight.nbytes for weight in weights)
    assert estimate.gradients == sum(weight.grad.nbytes for weight in weights if weight.grad is not None)
    assert estimate.optimizer == sum(average.nbytes for average in averages)
    assert estimate.total == estimate.weights + estimate.gradients + estimate.optimizer


def test_unknown_language() -> None:
    with pytest.raises(InputError, match="found 'de', expected en or zh"):
        format_rows([], language="de")


def test_tables_come_without_torch() -> None:
    code = "import sys, motionlab.cost.parameters; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
