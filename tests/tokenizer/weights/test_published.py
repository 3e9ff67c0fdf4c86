"""Checkpoint files of the published code: read, refused, written."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.quantizers.build import make_quantizer
from motionlab.quantizers.fsq import FSQ
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.tokenizer.weights.published import settings_of


def small(kind: str = "fsq", size: int = 65536, **changes: Any) -> MotionTokenizer:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"width": 32, "depth": 2} | changes
    return MotionTokenizer(make_quantizer(kind, size, 12), **arguments)


def same(a: MotionTokenizer, b: MotionTokenizer) -> None:
    """Equal weights, and so equal numbers."""
    ours, theirs = a.state_dict(), b.state_dict()
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        if not name.endswith(("cluster_size", "cluster_sum", "initialised")):  # not part of a published file
            assert torch.equal(value, theirs[name]), name
    x = torch.randn(2, 23, 272)
    assert torch.equal(a.eval()(x).reconstruction, b.eval()(x).reconstruction)
    assert torch.equal(a.encode(x), b.encode(x))


@pytest.mark.parametrize("name", ["tokenizer_published_narrow.npz", "tokenizer_causal_down2.npz"])
def test_a_file_like_the_released_one(golden: Callable[[str], Any], tmp_path: Path, name: str) -> None:
    """Weights of the original code, in a file as distributed training writes it: nothing but the path is given."""
    file = golden(name)
    config = json.loads(str(file["config"]))
    net = {"module." + key[6:]: torch.from_numpy(file[key]) for key in file.files if key.startswith("param/")}
    torch.save({"net": net, "optimizer": {"state": {}, "param_groups": []}, "nb_iter": 7}, tmp_path / "net_last.pth")
    told = {} if config["activation"] == "relu" else {"activation": config["activation"]}
    told |= {} if config["nb_code"] == 65536 else {"codebook_size": config["nb_code"]}
    tokenizer = MotionTokenizer.from_motionmillion(tmp_path / "net_last.pth", **told)
    assert not tokenizer.training
    assert (tokenizer.causal, tokenizer.patcher) == (config["causal"], "compat" if config["use_patcher"] else None)
    x = torch.from_numpy(file["x"])
    assert torch.equal(tokenizer.encode(x), torch.from_numpy(file["indices"]).long())
    torch.testing.assert_close(tokenizer(x).reconstruction, torch.from_numpy(file["reconstruction"]), rtol=0, atol=1e-5)
    exported = tokenizer.motionmillion_state()
    assert set(exported) == {key[6:] for key in file.files if key.startswith("param/")}
    for key, value in exported.items():
        original = torch.from_numpy(file["param/" + key])
        assert torch.equal(value, original) and value.dtype == original.dtype, key


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patcher": "compat"},
        {"patcher": "wavelet", "patch_size": 2},
        {"patcher": "wavelet", "patch_size": 8, "down_t": 0, "depth": 0, "norm": None},
        {"causal": True, "down_t": 3, "norm": "BN"},
        {"causal": True, "kernel_size": 5, "patcher": "compat"},
        {"norm": None, "down_t": 2, "depth": 1, "width": 20},
        {"input_dim": 251},
    ],
    ids=str,
)
def test_written_and_read_back_is_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    tokenizer = small(**changes)
    if "input_dim" in changes:
        tokenizer.save_motionmillion(tmp_path / "net.pth")
        assert MotionTokenizer.from_motionmillion(tmp_path / "net.pth").input_dim == 251
        return
    tokenizer(torch.randn(3, 32, 272))  # running averages that are not the first ones
    tokenizer.save_motionmillion(tmp_path / "net.pth", iteration=5)
    again = MotionTokenizer.from_motionmillion(tmp_path / "net.pth")
    same(tokenizer, again)
    assert again.frames_per_token == tokenizer.frames_per_token and again.causal == tokenizer.causal
    assert again.patcher == tokenizer.patcher
    assert torch.load(tmp_path / "net.pth", weights_only=True)["nb_iter"] == 5


def test_what_the_shapes_cannot_tell_is_told(tmp_path: Path) -> None:
    tokenizer = small(norm="GN", activation="gelu", dilation_growth_rate=2)
    tokenizer.save_motionmillion(tmp_path / "net.pth")
    told: dict[str, Any] = {"norm": "GN", "activation": "gelu", "dilation_growth_rate": 2}
    same(tokenizer, MotionTokenizer.from_motionmillion(tmp_path / "net.pth", **told))


@pytest.mark.parametrize(("kind", "size"), [("vq_ema", 64), ("vq", 64), ("fsq", 65536)])
def test_published_quantizers_are_recognised(tmp_path: Path, kind: str, size: int) -> None:
    tokenizer = small(kind, size)
    tokenizer(torch.randn(3, 32, 272))
    tokenizer.save_motionmillion(tmp_path / "net.pth")
    again = MotionTokenizer.from_motionmillion(tmp_path / "net.pth")
    same(tokenizer, again)
    assert type(again.quantizer) is type(tokenizer.quantizer)
    again.train()(torch.randn(3, 32, 272))  # and it learns on


@pytest.mark.parametrize("kind", ["simvq", "lfq", "rvq", "rfsq"])
def test_other_quantizers_are_handed_over(tmp_path: Path, kind: str) -> None:
    tokenizer = small(kind, 256)
    tokenizer(torch.randn(3, 32, 272))
    tokenizer.save_motionmillion(tmp_path / "net.pth")
    quantizer = make_quantizer(kind, 256, 12)
    same(tokenizer, MotionTokenizer.from_motionmillion(tmp_path / "net.pth", quantizer=quantizer))


@pytest.mark.parametrize(("size", "known"), [(256, False), (1024, False), (4096, False), (65536, True)])
def test_sizes_of_fsq_with_as_many_dimensions_must_be_told(tmp_path: Path, size: int, known: bool) -> None:
    tokenizer = small("fsq", size)
    path = tmp_path / "net.pth"
    tokenizer.save_motionmillion(path)
    if known:
        assert MotionTokenizer.from_motionmillion(path).codebook_size == tokenizer.codebook_size
    else:
        with pytest.raises(InputError, match=rf"net.pth: codebook_size: found an FSQ of . dimensions.*{size}"):
            MotionTokenizer.from_motionmillion(path)
    same(tokenizer, MotionTokenizer.from_motionmillion(path, codebook_size=size))
    levels = tokenizer.quantizer.levels.tolist()  # type: ignore[operator]
    same(tokenizer, MotionTokenizer.from_motionmillion(path, quantizer=FSQ(levels, 12)))


def test_keys_that_differ_are_named_together(tmp_path: Path) -> None:
    tokenizer = small(patcher="compat")
    state = tokenizer.motionmillion_state()
    del state["vqvae.decoder.model.5.bias"]
    state["vqvae.encoder.model.9.attention"] = torch.zeros(2)
    state["vqvae.quantizer.project_in.bias"] = torch.zeros(5)
    torch.save({"net": state}, tmp_path / "net.pth")
    with pytest.raises(InputError) as caught:
        MotionTokenizer.from_motionmillion(tmp_path / "net.pth")
    message = str(caught.value)
    assert "net.pth" in message and "\n" not in message
    for name in ("decoder.model.5.bias", "encoder.model.9.attention", "quantizer.project_in.bias"):
        assert name in message


def test_the_published_causal_model_with_kernel_5_is_refused() -> None:
    state = small(kernel_size=5, causal=True).motionmillion_state()
    for name, value in state.items():
        if name.endswith("conv1.weight"):
            state[name] = value[..., :3]  # the published causal blocks ignore the kernel size
    with pytest.raises(InputError, match="found kernel size 3 where the first convolution has 5"):
        settings_of(state)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"net": {"transformer.wte.weight": torch.zeros(3, 2)}}, "encoder.model.1.weight: found nothing of this name"),
        (
            {"net": {"encoder.model.1.weight": torch.zeros(3, 2)}},
            r"found shape \(3, 2\), expected the weight of",
        ),
        ({"net": {}}, "without a state dict"),
        ({"net": 3}, "without a state dict"),
        ([1, 2], "found a list without a state dict"),
        ({"net": {"a": torch.tensor(float("nan"))}}, "a: found NaN or infinity"),
        ({"net": {"a": "text"}}, "a: found str, expected a tensor"),
    ],
)
def test_files_with_something_else(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(InputError, match=message) as caught:
        MotionTokenizer.from_motionmillion(tmp_path / "net.pth")
    assert "net.pth" in str(caught.value)


class Program:
    """A pickle that runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("echo ran > ran.txt",)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_program_in_a_pickle_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    monkeypatch.chdir(tmp_path)
    if writer == "torch":
        torch.save({"net": Program()}, "net.pth")
    else:
        Path("net.pth").write_bytes(pickle.dumps({"net": Program()}))
    with pytest.raises(InputError, match="net.pth: found content that cannot be read"):
        MotionTokenizer.from_motionmillion("net.pth")
    assert not Path("ran.txt").exists()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "net.pth"
    small(width=8, depth=1).save_motionmillion(path)
    return path


@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_one_clear_error(tmp_path: Path, written: Path, data: st.DataObject) -> None:
    """Cut anywhere, with a flipped bit among the numbers, or no checkpoint at all: one line that names the file."""
    whole = written.read_bytes()
    damage = data.draw(st.sampled_from(["cut", "flip", "noise"]))
    if damage == "cut":
        content = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif damage == "flip":
        with zipfile.ZipFile(written) as file:  # the numbers of the largest tensor; between tensors is filling
            largest = max(file.infolist(), key=lambda entry: entry.file_size)
            first = whole.index(file.read(largest))
        place = first + data.draw(st.integers(0, largest.file_size - 1))
        content = whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :]
    else:
        content = data.draw(st.binary(max_size=200))
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        MotionTokenizer.from_motionmillion(path)
    assert "damaged.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            MotionTokenizer.from_motionmillion(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.pth"
    small(width=8, depth=1).save_motionmillion(path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device while writing"):
        small(width=16, depth=1).save_motionmillion(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.parametrize("name", ["encoder.model.1.weight", "quantizer.project_in.weight"])
def test_a_few_numbers_that_announce_a_large_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Sizes follow from single tensors. They are compared with all others before memory is taken for them."""
    state = small(width=8, depth=1, patcher="compat").motionmillion_state()
    state[f"vqvae.{name}"] = torch.zeros(3000, *state[f"vqvae.{name}"].shape[1:])
    torch.save({"net": state}, tmp_path / "net.pth")
    made: list[str] = []
    monkeypatch.setattr(MotionTokenizer, "eval", lambda model: made.append("a model") or model)
    with pytest.raises(InputError, match=r"net.pth: .*found"):
        MotionTokenizer.from_motionmillion(tmp_path / "net.pth", codebook_size=65536)
    assert made == []


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (0, 4, 3)])
@pytest.mark.parametrize("name", ["encoder.model.1.weight", "encoder.model.3.1.model.0.conv1.weight"])
def test_other_shapes_are_named(shape: tuple[int, ...], name: str) -> None:
    state = small(width=8, depth=1, patcher="compat").motionmillion_state()
    state[f"vqvae.{name}"] = torch.zeros(shape)
    with pytest.raises(InputError, match=f"{name}: found shape"):
        settings_of(state)
