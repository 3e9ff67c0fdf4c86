"""State dicts: names of wrappers, kinds of numbers, and tensors that no model has a place for."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.files.weights import bare_names, check_tensors, headers, require_tensors, shapes_only


class Deep(nn.Module):
    """A module inside a module, so that wrappers can sit at two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def require(found: dict[str, torch.Tensor], **changes: object) -> None:
    state = {name: value for name, value in (found | changes).items() if isinstance(value, torch.Tensor)}
    require_tensors(headers(state), headers(Deep().state_dict()), "net.pth", model="Deep", fix="Fix it.")


def test_names_of_real_wrappers_at_every_level() -> None:
    model = Deep()
    expected = set(model.state_dict())
    model.inner = torch.compile(nn.DataParallel(model.inner))  # type: ignore[assignment]
    wrapped: Any = torch.compile(nn.DataParallel(model))
    names = wrapped.state_dict()
    assert any(name.startswith("_orig_mod.module.inner._orig_mod.module.0") for name in names)
    assert set(bare_names(names, "net.pth")) == expected


@pytest.mark.parametrize("name", ["_forward_module.a", "_fsdp_wrapped_module.b.module.a"])
def test_other_wrappers(name: str) -> None:
    assert list(bare_names({name: 1}, "net.pth")) == [
        name.replace("_forward_module.", "").replace("_fsdp_wrapped_module.", "").replace("module.", "")
    ]


def test_names_that_meet_are_refused() -> None:
    with pytest.raises(InputError, match=r"net.pth: a: found it twice"):
        bare_names({"module.a": 1, "a": 2}, "net.pth")


@pytest.mark.parametrize("name", [3, None, ("a",), "a\nb", "\x1b[31m", "a" * 301, "\ud800"])
def test_names_that_a_message_cannot_show(name: Any) -> None:
    with pytest.raises(InputError) as caught:
        bare_names({name: 1}, "net.pth")
    assert str(caught.value).isprintable() and "net.pth: found the key" in str(caught.value)


def test_floats_stand_for_each_other_and_nothing_else() -> None:
    state = Deep().state_dict()
    require(state)
    require({name: value.bfloat16() if value.is_floating_point() else value for name, value in state.items()})
    for dtype in (torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn):
        with pytest.raises(
            InputError, match=rf"net.pth: found inner.0.weight of {str(dtype)[6:]}, expected the weights"
        ):
            require(state, **{"inner.0.weight": torch.zeros(2, 2).to(dtype)})
    with pytest.raises(InputError, match=r"inner.1.num_batches_tracked of float32"):
        require(state, **{"inner.1.num_batches_tracked": torch.tensor(1.0)})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("inner.0.weight_scale_inv", "quantised weights"),
        ("inner.0.weight_scale", "quantised weights"),
        ("inner.0.qweight", "quantised weights"),
        ("inner.0.g_idx", "quantised weights"),
        ("inner.0.SCB", "quantised weights"),
        ("inner.0.weight.quant_state.bitsandbytes__nf4", "quantised weights"),
        ("inner.0.weight_packed", "quantised weights"),
        ("inner.0.gate_up_proj_blocks", "quantised weights"),
        ("inner.0.lora_A.weight", "a LoRA adapter"),
        ("base_model.model.inner.0.weight", "a LoRA adapter"),
        ("inner.2.bias", "biases"),
        ("inner.0.extra", "unknown"),
    ],
)
def test_tensors_without_a_place_are_named_with_their_reason(name: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        require(Deep().state_dict(), **{name: torch.ones(2)})
    assert reason in str(caught.value) and name in str(caught.value)


def test_many_are_counted() -> None:
    more = {f"inner.{i}.lora_A": torch.ones(1) for i in range(5)}
    with pytest.raises(InputError, match=r"a LoRA adapter \(5 tensors: inner.0.lora_A, .* and 2 more\)"):
        require(Deep().state_dict() | more)


def test_missing_and_reshaped() -> None:
    state = Deep().state_dict()
    del state["inner.0.bias"]
    with pytest.raises(InputError, match=r"no inner.0.bias, inner.1.weight \[3\] instead of \[2\]"):
        require(state, **{"inner.1.weight": torch.ones(3)})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "str"),
        ([1.0], "list"),
        (torch.tensor([1.0, float("nan")]), "NaN or infinity"),
        (torch.tensor([1.0, float("-inf")]).half(), "NaN or infinity"),
        (torch.zeros(2, device="meta"), "on meta"),
        (torch.eye(2).to_sparse(), "torch.sparse_coo"),
        (torch.zeros(1).expand(1000), r"the shape \[1000\] with 4 bytes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_are_no_plain_tensors(value: object, words: str) -> None:
    with pytest.raises(InputError, match=rf"net.pth: a: found .*{words}"):
        check_tensors({"fine": torch.ones(3), "empty": torch.ones(0), "a": value}, "net.pth")
    check_tensors({"whole": torch.ones(2, 3).T, "part": torch.ones(5)[1:3], "count": torch.tensor(3)}, "net.pth")


def test_shapes_alone_take_neither_memory_nor_random_numbers_nor_the_compiler() -> None:
    before = torch.get_rng_state()
    with shapes_only():
        model = nn.ModuleDict({"words": nn.Embedding(10**9, 64), "head": nn.Linear(64, 10**9), "norm": nn.LayerNorm(3)})
    assert {value.device.type for value in model.state_dict().values()} == {"meta"}
    assert headers(model.state_dict())["words.weight"].shape == (10**9, 64)
    assert torch.equal(torch.get_rng_state(), before)
    with shapes_only():
        real = torch.zeros(100, device="cpu").normal_()
    assert 0.5 < real.std() < 1.5, "a tensor with memory gets its numbers"
    code = "from motionlab.files.weights import shapes_only; from torch import nn; import sys\n"
    code += "with shapes_only():\n    nn.Embedding(9, 4), nn.Linear(9, 4)\nsys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
