"""The exercises of lesson 08: the reference passes, and each typical mistake is named."""

from __future__ import annotations

import math

import torch

from lessons.masking_vs_teacher_forcing import exercises as lesson08
from lessons.masking_vs_teacher_forcing.exercises import END, EXERCISES, PAD
from motionlab.llama.decoding.masked import masked_left
from motionlab.llama.objectives.corruption import corrupt_codes
from motionlab.teaching.exercise import run_check


def _in_place(tokens, keep, codebook_size):
    tokens[(torch.rand(tokens.shape) >= keep) & (tokens < codebook_size)] = 1
    return tokens


def _where(tokens, chosen, high):
    return torch.where(chosen, torch.randint(high, tokens.shape), tokens)


CORRUPT = {
    "all slots": (lambda t, keep, k: _where(t, torch.rand(t.shape) >= keep, k), "END was replaced"),
    "pad too": (lambda t, keep, k: _where(t, (torch.rand(t.shape) >= keep) & (t != END), k), "PAD or text"),
    "the other way": (lambda t, keep, k: _where(t, (torch.rand(t.shape) < keep) & (t < k), k), "chance to STAY"),
    "draws END": (
        lambda t, keep, k: _where(t, (torch.rand(t.shape) >= keep) & (t < k), k + 2),
        "no END or PAD comes in",
    ),
    "one code": (
        lambda t, keep, k: torch.where((torch.rand(t.shape) >= keep) & (t < k), torch.randint(k, ()), t),
        "for EACH place",
    ),
    "whole rows": (lambda t, keep, k: _where(t, (torch.rand(len(t), 1) >= keep) & (t < k), k), "whole rows"),
    "in place": (_in_place, "changed the batch"),
    "nothing": (lambda t, keep, k: t.clone(), "still the old ones"),
    "half": (
        lambda t, keep, k: _where(t, (torch.rand(t.shape) >= (0.5 if 0 < keep < 1 else keep)) & (t < k), k),
        "quarter",
    ),
}
RATES = {
    "a batch": (lambda low, batch: (low + (1 - low) * torch.rand(1, 1)).expand(batch, 1), "a rate per BATCH"),
    "flat": (lambda low, batch: low + (1 - low) * torch.rand(batch), "One rate per row"),
    "a place": (lambda low, batch: torch.rand(batch, 40), "(batch, 1)"),
    "from 0": (lambda low, batch: torch.rand(batch, 1), "below lowest"),
    "above 1": (lambda low, batch: low + torch.rand(batch, 1), "above 1"),
    "a number": (lambda low, batch: 0.5, "a tensor"),
    "fixed": (lambda low, batch: torch.linspace(low, 1, batch)[:, None], "same rates"),
    "short": (lambda low, batch: low + 0.3 * torch.rand(batch, 1), "should reach 1"),
}
LABELS = {
    "all": (lambda tokens, masked: tokens.clone(), "learn to copy"),
    "not masked": (lambda tokens, masked: torch.where(masked, -100, tokens), "wrong way round"),
    "shifted": (lambda tokens, masked: torch.where(masked, tokens, -100).roll(-1, 1), "predicts ITSELF"),
    "zeros": (lambda tokens, masked: torch.where(masked, tokens, 0), "0 is a motion code"),
    "END": (lambda tokens, masked: torch.where(masked | (tokens == END), tokens, -100), "END is a label"),
    "MASK": (lambda tokens, masked: torch.where(masked, PAD + 1, -100), "MASK itself"),
    "in place": (lambda tokens, masked: tokens.masked_fill_(~masked, -100), "changed the tokens"),
}
SCHEDULE = {
    "linear": (lambda n, look, looks: round(n * (1 - look / looks)), "straight line"),
    "late": (lambda n, look, looks: int(n * math.cos(math.pi / 2 * (look - 1) / looks)), "holes"),
    "late but ends": (
        lambda n, look, looks: int(n * math.cos(math.pi / 2 * (look - 1) / looks)) if look < looks else 0,
        "one look late",
    ),
    "fixed ones": (lambda n, look, looks: n - lesson08.still_masked(n, look, looks), "holes"),
    "sine": (lambda n, look, looks: int(n * (1 - math.sin(math.pi / 2 * look / looks))), "careful first"),
    "up": (
        lambda n, look, looks: math.ceil(n * math.cos(math.pi / 2 * look / looks)) if look < looks else 0,
        "round down",
    ),
    "not whole": (lambda n, look, looks: n * math.cos(math.pi / 2 * look / looks), "whole number"),
}  # fmt: skip
MUTANTS = {
    "strategies.corrupt": CORRUPT,
    "strategies.rate_for_each_clip": RATES,
    "strategies.masked_labels": LABELS,
    "strategies.still_masked": SCHEDULE,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_a_check_leaves_the_random_numbers_of_the_lesson_alone() -> None:
    before = torch.random.get_rng_state()
    for task in EXERCISES:
        run_check(task.name, task.reference)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_references_do_what_the_package_does() -> None:
    tokens = lesson08._tokens()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        ours = lesson08.corrupt(tokens, 0.6, lesson08.K)
        torch.manual_seed(5)
        assert torch.equal(ours, corrupt_codes(tokens, 0.6, lesson08.K))
    for length in (1, 7, 150):
        theirs = [int(masked_left(torch.tensor(length), look, 10)) for look in range(10)]
        cosine = [lesson08.still_masked(length, look + 1, 10) for look in range(10)]
        # The package also fixes one code per look at least, where the cosine alone would fix none.
        assert [min(left, max(length - look - 1, 0)) for look, left in enumerate(cosine)] == theirs
        assert cosine == theirs or length == 7
