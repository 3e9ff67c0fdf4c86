"""The published VGGT behind our interface: its names and shapes, files that are not quite it, and a run with it.

Its code and weights are not here. `published_vggt` has the names and shapes of all 1,797 tensors; the sizes below are
those that were counted from the published code.
"""

from __future__ import annotations

import math
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.files.tensors import write_tensors
from motionlab.files.weights import shapes_only
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.vla import VlaStage
from motionlab.jobs.train import train
from motionlab.jobs.vla.models import trained_policy
from motionlab.training.checkpoints.tensor_files import load_model_state
from motionlab.vla.backbone.features import FeatureReader
from motionlab.vla.backbone.real_vggt import RealVGGT, load_real_vggt, require_keys
from motionlab.vla.backbone.saved import weights_digest
from motionlab.vla.table_lab.env import TASKS, TableLab
from tests.vla.published_vggt import Shapes, Skeleton, published

NARROW = published(width=32, depth=2, narrow=32)  # all names, but for those of the layers 2 to 23
SIZE = 42


def numbers(shapes: Shapes, part: str = "") -> int:
    return sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(part))


@pytest.fixture
def vggt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make `vggt.models.vggt.VGGT` importable; the function gives a new one."""

    def new() -> Skeleton:
        return Skeleton(NARROW)

    module = types.ModuleType("vggt.models.vggt")
    module.VGGT = new  # type: ignore[attr-defined]
    for name in ("vggt", "vggt.models"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "vggt.models.vggt", module)
    torch.manual_seed(0)
    return new


def pictures() -> tuple[Tensor, Tensor]:
    """Four rows of two views; the second view of the first and the last row is missing."""
    torch.manual_seed(5)
    mask = torch.ones(4, 2, dtype=torch.bool)
    mask[::3, 1] = False
    return torch.rand(4, 2, 3, 20, 20), mask


def test_the_sizes_are_those_of_the_published_model() -> None:
    """Parameters of each part of VGGT-1B. A name or a shape that is wrong would not add up to them."""
    whole = published()
    assert len(whole) == 1797 and numbers(whole) == 1_256_537_516
    millions = {part: numbers(whole, part) / 1e6 for part in (
        "aggregator.patch_embed", "aggregator.frame_blocks", "aggregator.global_blocks",
        "camera_head", "depth_head", "point_head", "track_head",
    )}  # fmt: skip
    assert list(millions.values()) == pytest.approx([304.4, 302.36, 302.36, 216.2, 32.65, 32.65, 65.9], abs=0.05)
    assert set(NARROW) < set(whole)


def test_a_file_of_the_published_size_is_compared_name_by_name() -> None:
    with shapes_only():
        model = Skeleton(published())
    state = {name: value.detach() for name, value in model.state_dict().items()}
    require_keys(state, model, Path("model.pt"))
    without = {name: value for name, value in state.items() if not name.startswith("track_head.")}
    with pytest.raises(InputError, match=r"394 missing \(track_head.*the 1797 tensors of VGGT"):
        require_keys(without, model, Path("model.pt"))
    half = {**state, "aggregator.camera_token": torch.zeros(1, 2, 1, 512)}
    with pytest.raises(InputError, match=r"aggregator.camera_token \[1, 2, 1, 512\] instead of \[1, 2, 1, 1024\]"):
        require_keys(half, model, Path("model.pt"))


@pytest.mark.parametrize("kind", ["model.safetensors", "model.pt", "wrapped model.pt"])
def test_published_weights_have_the_same_interface(tmp_path: Path, vggt: Any, kind: str) -> None:
    source = vggt()
    if kind == "model.safetensors":
        write_tensors(tmp_path / kind, source.state_dict(), {})
    else:  # a trainer's file has the model under a key, and the names of DistributedDataParallel
        state = source.state_dict()
        own = {f"module.{name}": value for name, value in state.items()}
        torch.save(state if kind == "model.pt" else {"model": own, "epoch": 3}, tmp_path / "model.pt")
    backbone = load_real_vggt(tmp_path, size=SIZE)
    assert backbone.token_dim == 64 and not any(p.requires_grad for p in backbone.parameters())
    assert weights_digest(backbone.model) == weights_digest(source)
    images, mask = pictures()
    output = backbone(images)
    assert backbone._parts.aggregator.calls == 1  # the published pipeline ran it twice
    shapes = {name: list(value.shape) for name, value in output.items() if isinstance(value, Tensor)}
    assert shapes == {
        "pose_enc": [4, 2, 9], "depth": [4, 2, SIZE, SIZE, 1], "depth_conf": [4, 2, SIZE, SIZE],
        "world_points": [4, 2, SIZE, SIZE, 3], "world_points_conf": [4, 2, SIZE, SIZE],
    }  # fmt: skip
    assert [list(part.shape) for part in output["tokens"]] == [[4, 2, 5 + 9, 64]] * 2 and len(output["pose_enc_list"])
    reader = FeatureReader(backbone, side=2)
    features = reader(images, mask)
    assert list(features.grid.shape) == [4, 2, 2, 2, 64] and list(features.special.shape) == [4, 2, 5, 64]
    images = images.clone()
    images[~mask] = 1.0
    again = reader(images, mask)
    assert all(torch.equal(a, b) for a, b in zip(again.tensors().values(), features.tensors().values(), strict=True))
    alone = reader(images[:1, :1], mask[:1, :1])
    torch.testing.assert_close(features.grid[:1, :1], alone.grid)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_largest_part_may_be_in_half_precision(tmp_path: Path, vggt: Any, dtype: torch.dtype) -> None:
    torch.save(vggt().state_dict(), tmp_path / "model.pt")
    whole, half = load_real_vggt(tmp_path, size=SIZE), load_real_vggt(tmp_path, size=SIZE, dtype=dtype)
    kinds = {part: {p.dtype for p in child.parameters()} for part, child in half.model.named_children()}
    assert kinds.pop("aggregator") == {dtype} and all(kind == {torch.float32} for kind in kinds.values())
    images, mask = pictures()
    a, b = whole(images, mask), half(images, mask)
    assert {b[name].dtype for name in ("pose_enc", "depth", "world_points")} == {torch.float32}
    assert all(part.dtype == torch.float32 for part in b["tokens"])
    scale = float(a["tokens"][-1].abs().max())
    torch.testing.assert_close(b["tokens"][-1], a["tokens"][-1], rtol=0, atol=0.03 * scale)
    assert not torch.equal(b["tokens"][-1], a["tokens"][-1])


def test_other_keys_are_named(tmp_path: Path, vggt: Any) -> None:
    state = vggt().state_dict()
    state["match_head.weight"] = torch.zeros(2)
    state["camera_head.pose_branch.fc2.bias"] = torch.zeros(7)
    del state["aggregator.register_token"]
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(InputError) as caught:
        load_real_vggt(tmp_path)
    text = str(caught.value)
    assert "1 missing (aggregator.register_token)" in text and "1 unexpected (match_head.weight)" in text
    assert "camera_head.pose_branch.fc2.bias [7] instead of [9]" in text and "model.pt" in text


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no VGGT weights"):
        load_real_vggt(tmp_path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.pt")
    monkeypatch.setitem(sys.modules, "vggt", None)
    with pytest.raises(InputError, match="no importable vggt.models.vggt.VGGT"):
        load_real_vggt(tmp_path)
    with pytest.raises(InputError, match="a multiple of 14"):
        RealVGGT(Skeleton(NARROW), size=500)
    with pytest.raises(InputError, match="found no real view"):
        RealVGGT(Skeleton(NARROW), size=SIZE)(pictures()[0], torch.zeros(4, 2, dtype=torch.bool))


def test_a_run_reads_its_features_once_and_acts_with_the_same_weights_only(
    tmp_path: Path, private_cache: Path, vggt: Any
) -> None:
    """518 pixels, as published. The policy does not hold the weights, so it has to know which they were."""
    pytest.importorskip("h5py")
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.save(vggt().state_dict(), weights / "model.pt")
    texts = [
        "vla.backbone=vggt", f"vla.backbone_path={weights}", "vla.backbone_precision=bf16", "vla.grid_side=4",
        "vla.image_size=16", "vla_data.per_task=2", "vla_data.validation_share=0.5", "vla_training.steps=4",
    ]  # fmt: skip
    run = Run.create(tmp_path / "run", load_config("vla_ci", texts))
    stage = VlaStage(run, VlaStage.prepare(run))
    train(stage)
    assert len(list((private_cache / "vla_features").iterdir())) == 1
    assert not [name for name in load_model_state(run.folder / "vla" / "model.safetensors")[0] if "aggregator" in name]
    policy, seen = trained_policy(run), TableLab(16).reset(0, 0)
    action = policy.act(seen.images, TASKS[0], seen.state())
    assert action.shape == (1, 7)
    torch.save(vggt().state_dict(), weights / "model.pt")
    with pytest.raises(InputError, match=r"vla/model\.safetensors: found a model trained with backbone"):
        trained_policy(run)
