"""Statistics of the features, and a motion's record of its own state."""

import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion.features import FEATURE_SLICES
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer


@pytest.fixture
def clips() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.1, 2, 272)
    scale[6] = 0  # a feature that never changes, as in real data
    return [torch.randn(n, 272, generator=generator) * scale + 3 for n in (10, 37, 5)]


def test_by_feature_gives_zero_mean_and_unit_spread(clips):
    normalizer = Normalizer.fit(iter(clips), std="dim")
    values = normalizer.normalize(torch.cat(clips))
    torch.testing.assert_close(values.mean(0), torch.zeros(272), atol=1e-4, rtol=0)
    spread = values.std(0, correction=0)
    assert spread[6] == 0
    spread[6] = 1
    torch.testing.assert_close(spread, torch.ones(272), atol=1e-4, rtol=0)


def test_by_group_averages_within_the_five_slices(clips):
    deviation = torch.cat(clips).double().std(0, correction=0)
    std = Normalizer.fit(clips).std
    for part in FEATURE_SLICES.values():
        torch.testing.assert_close(std[part], deviation[part].mean().float().expand(part.stop - part.start))


def test_published_statistics_are_grouped_in_the_same_five_slices(golden):
    data = golden("mean_std.npz")
    for name in ("motionmillion", "humanml3d272"):
        std = torch.from_numpy(data[f"{name}_std"])
        for part in FEATURE_SLICES.values():
            assert std[part].max() - std[part].min() < 1e-12
        normalizer = Normalizer(torch.from_numpy(data[f"{name}_mean"]), std)
        features = torch.from_numpy(golden("motion272.npz")["features"])
        values = normalizer.normalize(features)
        torch.testing.assert_close(normalizer.denormalize(values), features)
        # A real clip must look ordinary to statistics of real data: most values within 3.
        assert values.abs().median() < 1 and (values.abs() < 3).double().mean() > 0.95


def test_spread_of_a_nearly_constant_feature_does_not_cancel():
    """E[x^2] - E[x]^2 in float32 would give 0 or a negative number here."""
    generator = torch.Generator().manual_seed(0)
    clips = [torch.full((1000, 272), 100.0) + 1e-2 * torch.randn(1000, 272, generator=generator) for _ in range(3)]
    std = Normalizer.fit(clips, std="dim").std
    torch.testing.assert_close(std, torch.full((272,), 1e-2), atol=1e-3, rtol=0)


def test_floor_keeps_constant_features_finite():
    normalizer = Normalizer.fit([torch.ones(4, 272)], std="dim", floor=0.5)
    assert torch.equal(normalizer.std, torch.full((272,), 0.5))
    assert not normalizer.normalize(torch.ones(4, 272)).any()


def test_a_motion_knows_whether_it_is_normalised(clips):
    normalizer = Normalizer.fit(clips)
    motion = Motion(clips[0], name="walk")
    normalised = normalizer.normalize(motion)
    assert normalised.normalized and not motion.normalized and normalised.name == "walk"
    torch.testing.assert_close(normalizer.denormalize(normalised).features, motion.features)
    with pytest.raises(InputError, match="walk: found normalized features"):
        normalizer.normalize(normalised)
    with pytest.raises(InputError, match="walk: found physical features"):
        normalizer.denormalize(motion)


def test_saved_statistics_come_back(clips, tmp_path):
    normalizer = Normalizer.fit(clips)
    normalizer.save(tmp_path / "stats.safetensors")
    loaded = Normalizer.load(tmp_path / "stats.safetensors")
    assert torch.equal(loaded.mean, normalizer.mean) and torch.equal(loaded.std, normalizer.std)
    assert torch.equal(loaded.to("cpu").std, normalizer.std)


def test_bad_files_and_values_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no file"):
        Normalizer.load(tmp_path / "missing.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="whole safetensors file"):
        Normalizer.load(tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match="not positive"):
        Normalizer(torch.zeros(272), torch.zeros(272))
    with pytest.raises(InputError, match=r"\(263,\)"):
        Normalizer(torch.zeros(263), torch.ones(272))
    with pytest.raises(InputError, match="NaN"):
        Normalizer(torch.full((272,), torch.nan), torch.ones(272))
    with pytest.raises(InputError, match="no clips"):
        Normalizer.fit([])
    with pytest.raises(InputError, match="clip 0"):
        Normalizer.fit([torch.zeros(3, 263)])
    with pytest.raises(InputError, match="'group' or 'dim'"):
        Normalizer.fit([torch.zeros(3, 272)], std="all")
