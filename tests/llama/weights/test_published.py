"""Published checkpoints: read safely whatever else the pickle holds, loaded strictly, refused with names."""

from __future__ import annotations

import json
import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.weights.published import load_motionmillion

Make = Callable[..., MotionLlama]


def write(path: Path, model: MotionLlama, prefix: str = "", **more: object) -> Path:
    state = {prefix + name: value for name, value in model.state_dict().items()}
    torch.save({"trans": state, "nb_iter": 7, **more}, path)
    return path


def equal(model: MotionLlama, other: MotionLlama) -> bool:
    own, others = model.state_dict(), other.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[name], others[name]) for name in own)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_forward_module.module."])
def test_prefixes(make_model: Make, tmp_path: Path, prefix: str) -> None:
    model = make_model()
    loaded = load_motionmillion(write(tmp_path / "net.pth", model, prefix), n_head=4, max_length=48)
    assert equal(model, loaded) and not loaded.training
    assert loaded.max_length == 48 and loaded.n_head == 4
    torch.testing.assert_close(loaded.rotary.table, model.rotary.table, rtol=0, atol=0)


def test_a_bare_state_dict_in_bf16_is_widened(make_model: Make, tmp_path: Path) -> None:
    model = make_model().bfloat16()
    torch.save(model.state_dict(), tmp_path / "net.pth")
    loaded = load_motionmillion(tmp_path / "net.pth", n_head=4)
    assert loaded.lm_head.weight.dtype == torch.float32 and loaded.rotary.table.dtype == torch.complex64
    torch.testing.assert_close(loaded.lm_head.weight, model.lm_head.weight.float(), rtol=0, atol=0)
    narrow = load_motionmillion(tmp_path / "net.pth", n_head=4, dtype=torch.bfloat16)
    assert equal(narrow, model) and narrow.rotary.table.dtype == torch.complex64


def test_golden_weights_as_a_checkpoint(golden: Callable[[str], Any], tmp_path: Path) -> None:
    data = golden("llama_prefix.npz")
    config = json.loads(str(data["config"]))
    state = {name[6:]: torch.from_numpy(data[name]) for name in data.files if name.startswith("param/")}
    torch.save({"trans": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "net.pth")
    model = load_motionmillion(tmp_path / "net.pth", n_head=config["n_head"], max_length=config["block_size"])
    tokens, text, mask = (torch.from_numpy(data[name]) for name in ("tokens", "text", "text_mask"))
    torch.testing.assert_close(model(tokens, text, mask), torch.from_numpy(data["logits"]), rtol=0, atol=1e-5)


def test_the_number_of_heads_of_a_published_size_is_known(tmp_path: Path) -> None:
    model = MotionLlama(16, n_layer=8, n_head=8, dim=512, text_dim=4)
    loaded = load_motionmillion(write(tmp_path / "net.pth", model))
    assert loaded.n_head == 8
    tokens, text = torch.arange(10)[None], torch.ones(1, 2, 4)
    torch.testing.assert_close(loaded(tokens, text, torch.ones(1, 2)), model(tokens, text, torch.ones(1, 2)))


def test_an_unknown_size_needs_its_heads(make_model: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 layers of width 32.*44M.*Say n_head"):
        load_motionmillion(write(tmp_path / "net.pth", make_model()))


def test_foreign_classes_are_skipped(make_model: Make, tmp_path: Path) -> None:
    """As in the released files, whose optimizer needs DeepSpeed. Here the class is removed after saving."""
    module = types.ModuleType("deepspeed_like")
    kind = type("Scaler", (), {"__module__": "deepspeed_like"})
    module.Scaler = kind  # type: ignore[attr-defined]
    sys.modules["deepspeed_like"] = module
    scaler = kind()
    scaler.scale, scaler.parts = 3.0, [torch.ones(2)]
    path = write(tmp_path / "net.pth", make_model(), optimizer={"state": [scaler]})
    del sys.modules["deepspeed_like"]
    assert equal(load_motionmillion(path, n_head=4), make_model())


class Attack:
    """A malicious pickle: it can name a function and have it called."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, Path.mkdir])
def test_no_code_of_the_file_runs(make_model: Make, tmp_path: Path, function: Callable[..., object]) -> None:
    harm = tmp_path / "harm"
    argument = str(harm) if function is os.mkdir else harm
    path = write(tmp_path / "net.pth", make_model(), optimizer=Attack(function, argument))
    try:
        assert equal(load_motionmillion(path, n_head=4), make_model())
    except InputError as error:  # torch refuses some modules by name; that is as good
        assert "net.pth" in str(error)
    assert not harm.exists()
    with pytest.raises(FileExistsError):  # the file is dangerous indeed: an ordinary load runs it
        harm.mkdir()
        torch.load(path, weights_only=False)


def test_differences_are_named(make_model: Make, tmp_path: Path) -> None:
    state = make_model().state_dict()
    del state["transformer.h.1.rms_2.scale"]
    state["extra"] = torch.zeros(1)
    state["lm_head.weight"] = state["lm_head.weight"][:-1]
    torch.save({"trans": state}, tmp_path / "net.pth")
    with pytest.raises(InputError) as caught:
        load_motionmillion(tmp_path / "net.pth", n_head=4)
    for part in ("no transformer.h.1.rms_2.scale", "unknown extra", "lm_head.weight [20, 32] instead of [21, 32]"):
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"trans": 1})])
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(InputError, match="net.pth"):
        load_motionmillion(tmp_path / "net.pth")


def test_other_contents(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_motionmillion(tmp_path / "none.pth")
    torch.save({"net": {"vqvae.encoder.model.1.weight": torch.zeros(2)}}, tmp_path / "tokenizer.pth")
    with pytest.raises(InputError, match="keys net"):
        load_motionmillion(tmp_path / "tokenizer.pth")
    torch.save({"trans": {"encoder.weight": torch.zeros(2)}}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"no matrix transformer\.wte\.weight"):
        load_motionmillion(tmp_path / "other.pth")


def test_a_cut_file(make_model: Make, tmp_path: Path) -> None:
    path = write(tmp_path / "net.pth", make_model())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="Copy or download"):
        load_motionmillion(path, n_head=4)


def test_wrappers_inside_the_model(make_model: Make, tmp_path: Path) -> None:
    """As after activation checkpointing and `torch.compile` of single layers."""
    state = {
        name.replace("h.1.", "h.1._checkpoint_wrapped_module._orig_mod."): value
        for name, value in make_model().state_dict().items()
    }
    torch.save({"trans": state}, tmp_path / "net.pth")
    assert equal(load_motionmillion(tmp_path / "net.pth", n_head=4), make_model())


def test_other_numbers_than_floats_are_refused(make_model: Make, tmp_path: Path) -> None:
    name = "transformer.h.1.mlp.c_fc1.weight"
    for value, words in (
        (torch.ones(48, 32, dtype=torch.int8), f"{name} of int8"),
        (torch.ones(48, 32).to(torch.float8_e4m3fn), f"{name} of float8_e4m3fn"),
        (torch.full((48, 32), float("inf")), f"{name}: found NaN or infinity"),
        ("text", f"{name}: found str"),
    ):
        torch.save({"trans": make_model().state_dict() | {name: value}}, tmp_path / "net.pth")
        with pytest.raises(InputError, match=words):
            load_motionmillion(tmp_path / "net.pth", n_head=4)
    torch.save({"trans": make_model().state_dict() | {f"{name}_scale": torch.ones(48)}}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=rf"quantised weights \({name}_scale\)"):
        load_motionmillion(tmp_path / "net.pth", n_head=4)


def test_a_weight_beyond_the_range_of_the_dtype(make_model: Make, tmp_path: Path) -> None:
    model = make_model()
    model.llama_proj.bias.data[0] = 1e5
    path = write(tmp_path / "net.pth", model)
    assert load_motionmillion(path, n_head=4, dtype=torch.bfloat16).llama_proj.bias[0] == torch.tensor(1e5).bfloat16()
    with pytest.raises(InputError, match="as torch.float16: llama_proj.bias: found NaN or infinity"):
        load_motionmillion(path, n_head=4, dtype=torch.float16)
    with pytest.raises(InputError, match="dtype: found torch.int8"):
        load_motionmillion(path, n_head=4, dtype=torch.int8)


@pytest.mark.parametrize("n_head", [0, -4, 3, 32])
def test_heads_that_do_not_divide(make_model: Make, tmp_path: Path, n_head: int) -> None:
    with pytest.raises(InputError, match=f"n_head: found {n_head}"):
        load_motionmillion(write(tmp_path / "net.pth", make_model()), n_head=n_head)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_generates(make_model: Make, tmp_path: Path, dtype: torch.dtype) -> None:
    """The text of every encoder is float32."""
    model = load_motionmillion(write(tmp_path / "net.pth", make_model()), n_head=4, max_length=48, dtype=dtype)
    made = generate(model, torch.ones(1, 3, 6), torch.ones(1, 3), Sampling(max_tokens=9, min_tokens=9))
    assert len(made[0].tokens) == 9
