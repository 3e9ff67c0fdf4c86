"""Normalising actions: back and forth, constants, quantiles, and the kind in the checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from motionlab.errors import InputError
from motionlab.vla.action_normalizer import KINDS, ActionNormalizer

moves = arrays(np.float32, st.tuples(st.integers(2, 30), st.just(7)), elements=st.floats(-1, 1, width=32))


@settings(deadline=None, max_examples=60)
@given(moves, st.sampled_from(KINDS))
def test_there_and_back(values, kind):
    """Training actions come back, but for what q01_q99 clips, which stays within the quantiles."""
    actions = torch.from_numpy(values)
    normaliser = ActionNormalizer.fit(actions, kind)
    back = normaliser.denormalize(normaliser.normalize(actions))
    expected = actions.clone()
    if kind == "q01_q99":
        low, high = np.quantile(values[:, :6].astype(np.float64), (0.01, 0.99), axis=0)
        expected[:, :6] = torch.from_numpy(np.clip(values[:, :6], low, high))
    np.testing.assert_allclose(back.numpy(), expected.numpy(), atol=2e-5, rtol=1e-4)
    assert torch.equal(back[:, 6], actions[:, 6])


def test_what_each_kind_makes_of_a_column():
    rng = np.random.default_rng(0)
    actions = torch.from_numpy(rng.normal(0.3, 0.2, (500, 7)).astype(np.float32))
    z = ActionNormalizer.fit(actions, "zscore").normalize(actions)[:, :6]
    assert z.mean(0).abs().max() < 1e-5 and (z.std(0, unbiased=False) - 1).abs().max() < 1e-5
    m = ActionNormalizer.fit(actions, "minmax").normalize(actions)[:, :6]
    assert (m.amin(0) + 1).abs().max() < 1e-5 and (m.amax(0) - 1).abs().max() < 1e-5
    q = ActionNormalizer.fit(actions, "q01_q99").normalize(actions)[:, :6]
    assert q.abs().max() == 1.0 and ((q.abs() == 1.0).float().mean(0) > 0.015).all()
    assert torch.equal(ActionNormalizer.fit(actions, "none").normalize(actions), actions)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_constant_dimension_becomes_zero_and_comes_back_as_its_constant(kind):
    actions = torch.rand(20, 7)
    actions[:, 3] = 0.25
    normaliser = ActionNormalizer.fit(actions, kind)
    other = torch.full((2, 7), 0.9)
    assert (normaliser.normalize(other)[:, 3] == 0).all() and normaliser.normalize(other).isfinite().all()
    assert (normaliser.denormalize(other)[:, 3] - 0.25).abs().max() < 1e-6


def test_chunks_and_actions_without_a_gripper_are_taken():
    normaliser = ActionNormalizer.fit(torch.rand(20, 6))
    assert normaliser.normalize(torch.rand(4, 5, 6)).shape == (4, 5, 6)
    assert normaliser.normalize(torch.rand(4, 5, 7)).shape == (4, 5, 7)


def test_a_checkpoint_brings_the_numbers_and_refuses_another_kind():
    fitted = ActionNormalizer.fit(torch.rand(20, 6), "minmax")
    copy = ActionNormalizer("minmax")
    copy.load_state_dict(fitted.state_dict())
    actions = torch.rand(3, 6)
    assert torch.equal(copy.normalize(actions), fitted.normalize(actions))
    outer = torch.nn.ModuleDict({"normaliser": ActionNormalizer("zscore")})
    with pytest.raises(InputError, match=r"normaliser.kind_number: found minmax, expected zscore"):
        outer.load_state_dict({f"normaliser.{key}": value for key, value in fitted.state_dict().items()})
    assert not list(fitted.parameters())


@pytest.mark.parametrize("bad", [torch.rand(6), torch.rand(0, 6), torch.rand(3, 5), torch.full((3, 6), float("nan"))])
def test_actions_that_are_none_are_refused(bad):
    with pytest.raises(InputError, match=r"actions: found shape .*, expected finite \[N, 6\]"):
        ActionNormalizer.fit(bad)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="normalizer kind: found 'q99'"):
        ActionNormalizer("q99")
