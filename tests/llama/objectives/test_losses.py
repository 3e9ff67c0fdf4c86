"""The loss on labelled positions equals the loss on the whole grid, and the model can learn with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import next_token_loss, sequence_losses, token_accuracy
from motionlab.llama.sequence import IGNORE, Sequences, build_sequences
from motionlab.text.encoder import TextFeatures


@pytest.fixture
def batch(text: TextFeatures) -> Sequences:
    generator = torch.Generator().manual_seed(2)
    return build_sequences([torch.randint(20, (n,), generator=generator) for n in (9, 4, 12, 1)], text, 20)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_cross_entropy_of_the_whole_grid(
    make_model: Callable[..., MotionLlama], batch: Sequences, smoothing: float
) -> None:
    model = make_model()
    logits = model(batch.tokens, batch.text, batch.text_mask)
    expected = F.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=-100, label_smoothing=smoothing
    )
    found = sequence_losses(model, batch, smoothing)
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(next_token_loss(logits, batch.labels, smoothing), expected)
    right = (logits.argmax(-1) == batch.labels).sum() / batch.n_labels
    torch.testing.assert_close(found.accuracy, right)
    assert found.loss.requires_grad and not found.accuracy.requires_grad


def test_the_last_layer_at_labelled_positions_only_changes_neither_states_nor_gradients(
    make_model: Callable[..., MotionLlama], batch: Sequences
) -> None:
    model = make_model().double()
    text, there = batch.text.double(), batch.labels != IGNORE
    weight = torch.randn(int(there.sum()), model.dim, dtype=torch.float64)
    gradients = []
    for states in (
        model.hidden(batch.tokens, text, batch.text_mask)[there],
        model.hidden(batch.tokens, text, batch.text_mask, only=there),
    ):
        model.zero_grad()
        (states * weight).sum().backward()
        gradients.append([states.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(gradients[0]) == len(gradients[1]) > 5
    for plain, fast in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-11)


def test_no_label_gives_zero() -> None:
    labels = torch.full((2, 3), IGNORE)
    assert next_token_loss(torch.randn(2, 3, 5), labels) == 0
    assert token_accuracy(torch.randn(2, 3, 5), labels) == 0


def test_ragged_batches_weighted_by_labels_equal_the_big_batch(
    make_model: Callable[..., MotionLlama], batch: Sequences
) -> None:
    model = make_model()
    sequence_losses(model, batch).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for rows in (slice(0, 1), slice(1, 4)):
        part = Sequences(batch.tokens[rows], batch.labels[rows], batch.text[rows], batch.text_mask[rows])
        (sequence_losses(model, part).loss * part.n_labels / batch.n_labels).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_learns_by_heart_and_says_it_back() -> None:
    """Four prompts, four motions of different lengths: after training, greedy generation repeats each and ends."""
    torch.manual_seed(0)
    states, lengths = torch.randn(4, 3, 8), torch.tensor([3, 1, 2, 3])
    text = TextFeatures(states, torch.arange(3) < lengths[:, None])
    codes = [torch.randint(20, (n,)) for n in (6, 9, 3, 12)]
    batch = build_sequences(codes, text, 20)
    model = MotionLlama(20, n_layer=2, n_head=4, n_kv_heads=2, dim=48, text_dim=8, max_length=32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(80):
        losses = sequence_losses(model, batch)
        losses.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses.accuracy == 1.0 and losses.loss < 0.05
    for made, true in zip(
        generate(model, text.states, text.mask, Sampling(max_tokens=20, greedy=True)), codes, strict=True
    ):
        assert made.stopped_by == "end" and torch.equal(made.tokens, true)
