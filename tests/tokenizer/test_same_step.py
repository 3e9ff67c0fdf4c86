"""One optimizer step of a tokenizer, cut in every way: the same gradient, with clips shorter than the window too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from motionlab.data.batches import RaggedBatches, Windows
from motionlab.data.store import Clip, MotionStore
from motionlab.motion.motion import Motion
from motionlab.quantizers.fsq import FSQ
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.micro_batches import read_group


@pytest.fixture
def store(tmp_path: Path) -> MotionStore:
    random = torch.Generator().manual_seed(0)
    lengths = (40, 13, 65, 9, 33, 24)
    clips = [Clip(f"clip{n}", Motion(torch.randn(n, 272, generator=random)), ["caption"]) for n in lengths]
    return MotionStore.write(tmp_path / "store", clips)


@pytest.mark.parametrize("window", [8, 24])
def test_every_factorisation_gives_the_same_gradient(store: MotionStore, window: int) -> None:
    torch.manual_seed(0)
    model = MotionTokenizer(FSQ((8, 5, 5), dim=8), width=16, depth=1, down_t=2)
    masks: list[bool] = []

    def gradient(batch_size: int, accumulation: int, pieces: int) -> Tensor:
        batches = RaggedBatches(store, None, window, batch_size, seed=2)
        model.zero_grad()
        for batch, share, _ in read_group(batches, lambda some: some.n_frames, accumulation, accumulation, pieces):
            assert isinstance(batch, Windows)
            masks.append(batch.mask is not None)
            losses = tokenizer_losses(
                model(batch.values, batch.mask), batch.values, LossWeights(0.5, root=1.0), batch.mask
            )
            (losses["total"] * share).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    whole = gradient(16, 1, pieces=1)
    assert float(whole.abs().max()) > 1e-3 and any(masks) == (window == 24)
    for batch_size, accumulation, pieces in ((4, 4, 1), (2, 8, 1), (1, 16, 1), (16, 1, 4)):
        torch.testing.assert_close(gradient(batch_size, accumulation, pieces), whole, rtol=0, atol=1e-5)
