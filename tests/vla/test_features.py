"""Frozen backbones: freezing done whole, features read, standardised, kept on disk."""

from __future__ import annotations

import types
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.files.tensors import write_tensors
from motionlab.vla.backbone.feature_cache import feature_cache, feature_key
from motionlab.vla.backbone.features import FeatureReader, Features, read_features
from motionlab.vla.backbone.frozen import Frozen, parameter_table, trainable
from motionlab.vla.backbone.saved import load_backbone, save_backbone, weights_digest
from motionlab.vla.backbone.standardise import Standardise
from motionlab.vla.backbone.tiny_vggt import TinyVGGT

SIZE = 16


def tiny(seed: int = 0, heads: int = 2) -> TinyVGGT:
    torch.manual_seed(seed)
    return TinyVGGT(image_size=SIZE, dim=8, depth=2, heads=heads, patch=4)


class TenFrames:
    """Random pictures of two views; the second view of every third frame is missing."""

    digest = "ten"

    def __init__(self) -> None:
        torch.manual_seed(5)
        self.pictures = torch.rand(10, 2, 3, SIZE, SIZE)
        self.mask = torch.ones(10, 2, dtype=torch.bool)
        self.mask[::3, 1] = False
        self.asked = 0

    def __len__(self) -> int:
        return 10

    def images(self, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        self.asked += len(index)
        at = torch.tensor(list(index))
        return self.pictures[at], self.mask[at]


def test_frozen_is_frozen() -> None:
    inner = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    model = nn.ModuleDict({"backbone": Frozen(inner), "head": nn.Linear(4, 2)})
    x, before = torch.randn(8, 4, requires_grad=True), weights_digest(inner)
    for _ in range(2):
        model.train()
        out = model["backbone"](x)
        assert not any(part.training for part in inner.modules()) and model["head"].training and not out.requires_grad
        model.eval()
    model.train()
    parameters = trainable(model)
    assert {id(p) for p in parameters} == {id(p) for p in model["head"].parameters()}
    optimizer = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.5)
    model["head"](model["backbone"](x)).sum().backward()
    optimizer.step()
    entries = [p for group in optimizer.param_groups for p in group["params"]]
    assert not {id(p) for p in entries} & {id(p) for p in inner.parameters()}
    assert all(p.grad is None for p in inner.parameters()) and x.grad is None
    assert weights_digest(inner) == before  # batch statistics included


def test_weights_that_lie_elsewhere_are_not_saved_twice() -> None:
    def make(saved: bool) -> nn.ModuleDict:
        return nn.ModuleDict({"backbone": Frozen(nn.Linear(2, 2), saved=saved), "head": nn.Linear(2, 1)})

    model, other = make(saved=False), make(saved=False)
    before = weights_digest(other["backbone"].inner)  # type: ignore[arg-type]
    state = model.state_dict()
    assert list(state) == ["head.weight", "head.bias"] and model["backbone"].state_dict() == {}
    other.load_state_dict(state)  # strict
    assert torch.equal(other.get_parameter("head.weight"), model.get_parameter("head.weight"))
    assert weights_digest(other["backbone"].inner) == before  # type: ignore[arg-type]
    del state["head.bias"]
    with pytest.raises(RuntimeError, match="head.bias"):  # what else is missing is still a fault
        other.load_state_dict(state)
    assert "backbone.inner.weight" in make(saved=True).state_dict()
    with pytest.raises(RuntimeError, match="backbone.inner.weight"):
        make(saved=True).load_state_dict(model.state_dict())


def test_table_of_parameters() -> None:
    shared = nn.Linear(3, 3)
    model = nn.ModuleDict({"a": Frozen(nn.Linear(2, 2)), "b": shared, "c": shared})
    rows = parameter_table(model)
    assert [(row.part, row.total, row.trainable, row.frozen) for row in rows] == [
        ("a", 6, 0, 6), ("b", 12, 12, 0), ("all", 18, 12, 6),
    ]  # fmt: skip


def test_features_are_read_from_where_patches_stand() -> None:
    backbone = tiny().eval()
    images, mask = TenFrames().images([0, 1])
    with torch.no_grad():
        output = backbone(images, mask)
        features = read_features(output, mask)
        assert [list(value.shape) for value in features.tensors().values()] == [
            [2, 2, 4, 4, 16], [2, 2, 3, 16], [2, 2, 9], [2, 2, 4, 4, 3], [2, 2],
        ]  # fmt: skip
        last = output["tokens"][-1]
        assert torch.equal(features.grid[1, 1, 2, 3], last[1, 1, 3 + 2 * 4 + 3])
        assert torch.equal(features.points[1, 0, 1, 2], output["world_points"][1, 0, 6, 10])
        both = read_features(output, mask, layers=2, side=2)
    torch.testing.assert_close(both.special[1], torch.stack(output["tokens"]).mean(0)[1, :, :3])
    mean = torch.stack(output["tokens"]).mean(0)[1, 0, 3:].view(4, 4, 16)
    torch.testing.assert_close(both.grid[1, 0, 1, 0], mean[2:, :2].mean((0, 1)))
    for value in features.tensors().values():
        assert not value[0, 1].any()  # the padded view
    with pytest.raises(InputError, match="layers: found 3"):
        read_features(output, mask, layers=3)
    with pytest.raises(InputError, match=r"view_mask: found torch.bool \[2, 1\]"):
        FeatureReader(backbone)(images, mask[:, :1])


def test_standardised_features_have_mean_0_and_deviation_1() -> None:
    frames, reader = TenFrames(), FeatureReader(tiny())
    with torch.no_grad():
        features = reader(*frames.images(range(10)))
    standardise = Standardise(2, (4, 4), 3, 16)
    with pytest.raises(InputError, match="no statistics"):
        standardise(features)
    standardise.fit(features.rows(range(i, i + 5)) for i in (0, 5))
    assert standardise.count.tolist() == [10, 6]
    scaled = standardise(features)
    real = scaled.grid[features.view_mask[:, 1], 1]  # [6, h, w, D]
    torch.testing.assert_close(real.mean(0), torch.zeros(4, 4, 16), atol=1e-3, rtol=0)
    everywhere = scaled.grid[features.view_mask].square().mean((0, 1, 2))  # [D]: both views, all places
    torch.testing.assert_close(everywhere, torch.ones(16), atol=1e-3, rtol=0)
    assert not scaled.grid[0, 1].any() and torch.equal(scaled.points, features.points)
    again = Standardise(2, (4, 4), 3, 16)
    again.load_state_dict(standardise.state_dict())
    assert torch.equal(again(features).grid, scaled.grid)
    with pytest.raises(InputError, match=r"features: grid: found \[B, 1, 4, 4, 16\], expected \[B, 2, 4, 4, 16\]"):
        standardise(Features(**{name: value[:, :1] for name, value in features.tensors().items()}))


def test_a_change_is_as_large_at_every_place() -> None:
    """A convolution reads all places with the same weights."""
    grid = torch.zeros(4, 1, 1, 2, 1)
    grid[:, 0, 0, 0, 0] = torch.tensor([0.0, 0.01, 0.0, 0.01])  # noise of the table
    grid[:, 0, 0, 1, 0] = torch.tensor([5.0, 6.0, 5.0, 6.0])  # where a cube comes and goes
    features = Features(
        grid, torch.zeros(4, 1, 1, 1), torch.zeros(4, 1, 9), torch.zeros(4, 1, 1, 2, 3), torch.ones(4, 1).bool()
    )
    standardise = Standardise(1, (1, 2), 1, 1)
    standardise.fit([features])
    change = standardise(features).grid.diff(dim=0).abs()[0, 0, 0, :, 0]
    assert float(change[1] / change[0]) == pytest.approx(100, rel=1e-3)


def test_colours_stand_behind_the_tokens_of_their_patch() -> None:
    images, mask = TenFrames().images([0, 1])
    with torch.no_grad():
        plain = FeatureReader(tiny())(images, mask)
        reader = FeatureReader(tiny(), norm=True, colours=2)
        features = reader(images, mask)
    assert reader.token_dim == features.grid.shape[-1] == features.special.shape[-1] == 16 + 12
    torch.testing.assert_close(features.grid[1, 1, 2, 3, :16], nn.functional.layer_norm(plain.grid[1, 1, 2, 3], (16,)))
    patch = images[1, 1, :, 8:12, 12:16]  # row 2, column 3 of patches of 4 pixels
    torch.testing.assert_close(features.grid[1, 1, 2, 3, 16:19], patch[:, :2, :2].mean((1, 2)))
    torch.testing.assert_close(features.grid[1, 1, 2, 3, 19:22], patch[:, :2, 2:].mean((1, 2)))
    assert not features.special[..., 16:].any() and not features.grid[0, 1].any()  # the padded view
    with pytest.raises(InputError, match="colours=-1"):
        FeatureReader(tiny(), colours=-1)


def test_a_constant_channel_stays_small() -> None:
    standardise = Standardise(1, (1, 1), 1, 2)
    grid = torch.full((4, 1, 1, 1, 2), 7.0)
    features = Features(
        grid, grid[:, :, 0], torch.zeros(4, 1, 9), grid[..., :1].expand(4, 1, 1, 1, 3), torch.ones(4, 1).bool()
    )
    standardise.fit([features])
    assert float(standardise(features).grid.abs().max()) < 1e-3
    with pytest.raises(InputError, match="no frames"):
        standardise.fit([])


def test_features_are_computed_once(tmp_path: Path) -> None:
    frames, reader = TenFrames(), FeatureReader(tiny())
    reader.train()
    cache = feature_cache(tmp_path, reader, frames, batch_size=4)
    assert frames.asked == 10 and len(cache) == 10 and reader.training  # its mode is its own again
    feature_cache(tmp_path, reader, frames, batch_size=3)
    assert frames.asked == 10  # read, not computed
    with torch.no_grad():
        direct = reader.eval()(*frames.images([7, 3]))
    kept = cache.rows([7, 3])
    assert torch.equal(kept.view_mask, direct.view_mask)
    for name in ("grid", "special", "pose_enc", "points"):
        torch.testing.assert_close(kept.tensors()[name], direct.tensors()[name], atol=2e-3, rtol=2e-3)
    assert sum(len(part) for part in cache.batches(4)) == 10
    kept.grid.zero_()  # a copy: the file is not touched
    assert cache.rows([7]).grid.any()


def test_other_weights_settings_or_frames_are_other_features(tmp_path: Path) -> None:
    frames, other = TenFrames(), TenFrames()
    other.digest = "others"
    readers = [
        FeatureReader(tiny()),
        FeatureReader(tiny(1)),
        FeatureReader(tiny(heads=4)),
        FeatureReader(tiny(), layers=2),
        FeatureReader(tiny(), norm=True),
        FeatureReader(tiny(), colours=1),
    ]
    keys = [feature_key(reader, frames) for reader in readers] + [feature_key(readers[0], other)]
    assert len(set(keys)) == 7
    assert feature_key(FeatureReader(tiny()), frames) == keys[0]
    path = tmp_path / f"features-{keys[0][:16]}.safetensors"
    write_tensors(path, {"grid": torch.zeros(10, 1)}, {})
    with pytest.raises(InputError, match="other features"):
        feature_cache(tmp_path, readers[0], frames)
    path.write_bytes(b"cut")
    with pytest.raises(InputError, match=path.name):
        feature_cache(tmp_path, readers[0], frames)


def test_features_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    backbone = tiny()
    with torch.no_grad():
        backbone.get_parameter("global_layers.1.mlp.2.bias").fill_(1e6)
    with pytest.raises(InputError, match="features of frame 0: grid"):
        feature_cache(tmp_path, FeatureReader(backbone), TenFrames())
    assert not list(tmp_path.iterdir())


def test_features_that_memory_cannot_hold_are_refused_at_the_first_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, reader = TenFrames(), FeatureReader(tiny())
    # two views of 16 patches and 3 more tokens of 16 numbers, 9 of the camera, 48 of the points; and the mask
    wanted = 10 * (2 * 2 * (19 * 16 + 9 + 48) + 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=wanted - 1))
    with pytest.raises(InputError, match=r"features: found 0.0 GiB for 10 frames.*vla\.grid_side"):
        feature_cache(tmp_path, reader, frames, batch_size=4)
    assert frames.asked == 4 and not list(tmp_path.iterdir())
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=wanted))
    assert len(feature_cache(tmp_path, reader, frames, batch_size=4)) == 10


def test_backbone_file(tmp_path: Path) -> None:
    backbone, path = tiny(), tmp_path / "backbone.safetensors"
    save_backbone(path, backbone)
    again = load_backbone(path)
    assert weights_digest(again) == weights_digest(backbone) and again.settings == backbone.settings
    tensors = dict(backbone.state_dict())
    tensors.pop("position")
    description = {"format": "tiny-vggt-1", "settings": backbone.settings}
    write_tensors(path, tensors, description)
    with pytest.raises(InputError, match="no position"):
        load_backbone(path)
    write_tensors(path, tensors, {})
    with pytest.raises(InputError, match="no backbone"):
        load_backbone(path)
