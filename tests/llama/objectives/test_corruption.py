"""The tokens that each corruption may change, and how often it does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from motionlab.llama.objectives.corruption import KeepRate, corrupt_codes, keep_rates, mask_codes, replaced_codes

K, END, PAD, MASK = 50, 50, 51, 52


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def tokens() -> torch.Tensor:
    """`[text slots as PAD][codes][END][PAD]`, 400 rows."""
    tokens = torch.randint(K, (400, 40), generator=random(0))
    tokens[:, :5] = PAD
    lengths = torch.randint(3, 30, (400,), generator=random(1))
    place = torch.arange(40)
    tokens[place == 5 + lengths[:, None]] = END
    tokens[place > 5 + lengths[:, None]] = PAD
    return tokens


def mix_codes(tokens: torch.Tensor, own: torch.Tensor, keep: float | torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Scheduled sampling with these codes as the model's own."""
    return torch.where(replaced_codes(tokens, keep, K, random(seed)), own, tokens)


CORRUPTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "replace": lambda tokens: corrupt_codes(tokens, 0.3, K, random(2)),
    "mix": lambda tokens: mix_codes(tokens, (tokens + 1) % K, 0.3, 2),
    "mask": lambda tokens: mask_codes(tokens, K, MASK, random(2))[0],
}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_end_pad_and_text_stay(tokens: torch.Tensor, kind: str) -> None:
    changed = CORRUPTIONS[kind](tokens)
    assert torch.equal(changed[tokens >= K], tokens[tokens >= K])
    share = float((changed != tokens)[tokens < K].float().mean())
    expected = {"replace": 0.7 * (1 - 1 / K), "mix": 0.7, "mask": 2 / torch.pi}[kind]
    assert share == pytest.approx(expected, abs=0.05)
    assert ((changed < K) | (changed == MASK))[tokens < K].all()
    assert torch.equal(changed, CORRUPTIONS[kind](tokens)), "the same seed, the same corruption"


def test_nothing_changes_when_all_is_kept(tokens: torch.Tensor) -> None:
    assert torch.equal(corrupt_codes(tokens, 1.0, K), tokens)
    assert torch.equal(mix_codes(tokens, tokens + 1, 1.0), tokens)


@pytest.mark.parametrize("per", ["fixed", "batch", "sample"])
def test_who_shares_a_rate(tokens: torch.Tensor, per: KeepRate) -> None:
    def kept(seed: int) -> torch.Tensor:
        keep = keep_rates(0.2, per, len(tokens), random(seed))
        assert keep.shape == (400, 1) and keep.min() >= 0.2 and keep.max() <= 1
        same = mix_codes(tokens, (tokens + 1) % K, keep, seed + 100) == tokens
        codes = tokens < K
        return (same & codes).sum(1) / codes.sum(1)  # [400]: the share of codes that each row kept

    shares = torch.stack([kept(seed) for seed in range(30)])  # [30, 400]
    among_batches, among_rows = float(shares.mean(1).std()), float(shares.std(1).mean())
    spread = 0.8 / 12**0.5  # of a uniform number from 0.2 to 1
    assert float(shares.mean()) == pytest.approx({"fixed": 0.2}.get(per, 0.6), abs=0.08)
    assert among_batches == pytest.approx(spread if per == "batch" else 0.0, abs=0.06)
    assert (among_rows > spread) == (per == "sample")


def test_masked_places_and_their_share(tokens: torch.Tensor) -> None:
    masked_tokens, masked = mask_codes(tokens, K, MASK, random(3))
    assert torch.equal(masked_tokens == MASK, masked)
    counts, codes = masked.sum(1), (tokens < K).sum(1)
    assert (counts >= 1).all() and (counts <= codes).all()
    share = counts / codes
    assert (share == 1).any() and (share < 0.2).any()  # every share from little to all
    no_codes = torch.tensor([[PAD, END, PAD]])
    assert torch.equal(mask_codes(no_codes, K, MASK)[0], no_codes)


def test_every_place_is_masked_alike() -> None:
    masked = mask_codes(torch.zeros(4000, 10, dtype=torch.long), K, MASK, random(0))[1]
    rate = masked.float().mean(0)
    assert (rate - rate.mean()).abs().max() < 0.04
