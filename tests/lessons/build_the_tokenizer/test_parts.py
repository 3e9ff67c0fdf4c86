"""The tokenizer of lesson 19: it is the package's, each exchange makes it worse, and `reach` finds what it sees."""

from __future__ import annotations

import pytest
import torch

from lessons.build_the_tokenizer.field import encoder_layers, receptive_field
from lessons.build_the_tokenizer.parts import EXCHANGES, WRITTEN, error_of, reach
from lessons.shared.exchange import AS_WRITTEN, exchanged
from motionlab.errors import InputError


@torch.no_grad()
def test_it_is_the_tokenizer_of_the_package(built) -> None:
    for clip in built["clips"]:
        assert clip.shape[1] == 272 and len(clip) % 4 == 0
        assert torch.allclose(built["mine"].encoder(clip), built["theirs"].encoder(clip[None])[0], atol=1e-4)
        assert torch.allclose(built["mine"](clip), built["theirs"](clip[None]).reconstruction[0], atol=1e-4)


def test_every_exchange_changes_the_error_and_is_taken_back(built) -> None:
    clips, before = built["clips"], dict(vars(built["parts"]))
    intact = error_of(built["mine"], clips)
    for part, choices in EXCHANGES.items():
        for choice in choices:
            with exchanged(built["parts"], EXCHANGES, **{part: choice}):
                assert abs(error_of(built["mine"], clips) - intact) > 1e-5, (part, choice)
        with exchanged(built["parts"], EXCHANGES, **{part: AS_WRITTEN}):
            assert error_of(built["mine"], clips) == intact
    assert vars(built["parts"]) == before and set(EXCHANGES) == set(WRITTEN)


def test_what_is_left_out_of_a_convolution(built) -> None:
    x, weight, bias = torch.randn(20, 3), torch.randn(2, 3, 3), torch.zeros(2)
    past = EXCHANGES["convolve"]["sees the past only"](x, weight, bias, 1, 2, 2)
    later = x.clone()
    later[11:] += 1
    changed = EXCHANGES["convolve"]["sees the past only"](later, weight, bias, 1, 2, 2)
    assert torch.equal(past[:11], changed[:11]) and past.shape == (20, 2)
    near = EXCHANGES["convolve"]["no dilation"](x, weight, bias, 1, 9, 9)
    assert torch.allclose(near, WRITTEN["convolve"](x, weight, bias, 1, 1, 1))


def test_reach_is_the_receptive_field(built) -> None:
    share = reach(built["mine"].encoder, torch.randn(96, 272), token=12)
    assert float(share.sum()) == pytest.approx(1.0, abs=1e-5)
    seen = share.nonzero()[:, 0]
    assert len(seen) == seen[-1] - seen[0] + 1 == receptive_field(encoder_layers(2, 3, stages=2))


def test_an_unknown_exchange_is_refused(built) -> None:
    with pytest.raises(InputError, match="whole clip twice"), exchanged(built["parts"], EXCHANGES, double="thrice"):
        pass
