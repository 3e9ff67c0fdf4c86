"""The soft gradient: loss and decoder gradient are those of stage 2, and only the tokenizer's gradient is new."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lessons.train_text_to_motion.soft_assignment import SoftFSQ, joint_losses, soft_hidden, soft_target_gradient
from motionlab.errors import InputError
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import next_token_loss, sequence_losses
from motionlab.llama.sequence import build_sequences
from motionlab.quantizers.fsq import FSQ
from motionlab.runtime import seeded
from motionlab.text.encoder import TextFeatures
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer

LOSS = LossWeights(velocity=0.0)


def make_models() -> tuple[MotionTokenizer, MotionLlama]:
    with seeded(0):
        tokenizer = MotionTokenizer(SoftFSQ((5, 3), dim=8), width=8, depth=1, down_t=1)
        llama = MotionLlama(15, n_layer=2, n_head=2, dim=16, text_dim=4, max_length=40)
        for parameter in llama.parameters():
            parameter.data.normal_(std=0.3)
    return tokenizer, llama


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor, TextFeatures]:
    generator = torch.Generator().manual_seed(1)
    motion = torch.randn(3, 14, 272, generator=generator)
    mask = torch.arange(14) < torch.tensor([14, 9, 5]).unsqueeze(1)
    lengths = torch.tensor([2, 4, 1])
    text = TextFeatures(torch.randn(3, 4, 4, generator=generator), torch.arange(4) < lengths[:, None])
    return motion, mask, text


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def grown(weight: float, data) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], float]:
    tokenizer, llama = make_models()
    losses = joint_losses(tokenizer, llama, *data, loss=LOSS, weight=weight)
    losses.total.backward()
    return gradients(tokenizer), gradients(llama), losses.decoder.item()


def stage_2(data) -> tuple[dict[str, torch.Tensor], float]:
    tokenizer, llama = make_models()
    motion, mask, text = data
    with torch.no_grad():
        tokens = tokenizer(motion, mask).quantized.indices
    rows = [row[: -(-int(length) // 2)] for row, length in zip(tokens, mask.sum(1), strict=True)]
    losses = sequence_losses(llama, build_sequences(rows, text, 15, llama.max_length))
    losses.loss.backward()
    return gradients(llama), losses.loss.item()


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_loss_and_decoder_gradient_are_those_of_stage_2(data, weight: float) -> None:
    _, mine, loss = grown(weight, data)
    theirs, expected = stage_2(data)
    assert loss == pytest.approx(expected, abs=1e-5)
    assert mine.keys() == theirs.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], atol=1e-5, rtol=1e-4)


def test_weight_0_leaves_the_tokenizer_its_own_gradient(data) -> None:
    tokenizer, _ = make_models()
    motion, mask, _ = data
    tokenizer_losses(tokenizer(motion, mask), motion, LOSS, mask)["total"].backward()
    alone, beside = gradients(tokenizer), grown(0.0, data)[0]
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


def test_the_gradient_that_is_added_grows_with_the_weight(data) -> None:
    none, tenth, whole = (grown(weight, data)[0] for weight in (0.0, 0.1, 1.0))
    name = "quantizer.project_in.weight"
    added = whole[name] - none[name]
    assert added.abs().max() > 1e-4
    torch.testing.assert_close(tenth[name] - none[name], 0.1 * added, atol=1e-6, rtol=1e-2)
    motion_decoder = [name for name in whole if name.startswith("decoder.")]
    assert motion_decoder and all(torch.equal(whole[name], none[name]) for name in motion_decoder)


def test_the_target_gradient_is_that_of_a_soft_cross_entropy(data) -> None:
    _, llama = make_models()
    batch = build_sequences([torch.tensor([1, 7]), torch.tensor([3])], data[2].rows([0, 2]), 15, 40)
    there = batch.labels >= 0
    logits, labels = llama(batch.tokens, batch.text, batch.text_mask).detach()[there], batch.labels[there]
    q = torch.rand(3, 15).softmax(-1).requires_grad_()
    zero = soft_target_gradient(logits, labels, q)
    assert zero.item() == 0.0
    (gradient,) = torch.autograd.grad(zero, q)
    log_p = logits.log_softmax(-1)[labels < 15][:, :15]
    torch.testing.assert_close(gradient, -log_p / 5)  # three codes and two ENDs


def test_the_input_gradient_is_that_of_a_mixture_of_rows(data) -> None:
    """With q a one-hot row, the gradient by q is what a change of the mixture changes in the loss, by differences."""
    _, llama = make_models()
    llama = llama.double()
    text = data[2].rows([0])
    batch = build_sequences([torch.tensor([1, 7])], text, 15, 40)
    batch = type(batch)(batch.tokens, batch.labels, batch.text.double(), batch.text_mask)
    q = torch.nn.functional.one_hot(torch.tensor([1, 7]), 15).double().requires_grad_()
    loss = next_token_loss(llama.lm_head(soft_hidden(llama, batch, q)), batch.labels)
    (gradient,) = torch.autograd.grad(loss, q)

    def loss_with(mixture: torch.Tensor) -> float:
        table = llama.get_parameter("transformer.wte.weight")

        def replace(module, inputs, embedded):
            embedded = embedded.clone()
            embedded[batch.tokens < 15] = mixture @ table[:15]
            return embedded

        handle = llama.transformer["wte"].register_forward_hook(replace)
        with torch.no_grad():
            logits = llama(batch.tokens, batch.text, batch.text_mask)
        handle.remove()
        return float(torch.nn.functional.cross_entropy(logits[0].double(), batch.labels[0]))

    step = 1e-3
    for row, code in ((0, 4), (0, 1), (1, 9)):
        change = torch.zeros_like(q)
        change[row, code] = step
        by_difference = (loss_with(q.detach() + change) - loss_with(q.detach() - change)) / (2 * step)
        assert float(gradient[row, code]) == pytest.approx(by_difference, rel=2e-2, abs=2e-5)


@given(st.lists(st.integers(2, 6), min_size=1, max_size=3), st.integers(0, 99))
def test_the_most_likely_code_is_the_one_that_fsq_takes(levels: list[int], seed: int) -> None:
    with seeded(seed):
        fsq = SoftFSQ(levels, dim=4)
        indices = fsq(torch.randn(20, 4)).indices
    q = fsq.assignment(0.5)
    assert q.shape == (20, fsq.codebook_size)
    torch.testing.assert_close(q.sum(-1), torch.ones(20))
    best = q.gather(1, indices[:, None])[:, 0]
    torch.testing.assert_close(best, q.max(-1).values)


def test_soft_fsq_is_fsq() -> None:
    with seeded(0):
        soft = SoftFSQ((5, 3), dim=8)
    with seeded(0):
        plain = FSQ((5, 3), dim=8)
    z = torch.randn(4, 8)
    assert torch.equal(soft(z).codes, plain(z).codes) and torch.equal(soft(z).indices, plain(z).indices)


def test_bad_input(data) -> None:
    with pytest.raises(InputError, match="nothing quantized yet"):
        SoftFSQ((3,), dim=2).assignment(1.0)
    fsq = SoftFSQ((3,), dim=2)
    fsq(torch.zeros(1, 2))
    with pytest.raises(InputError, match="temperature 0"):
        fsq.assignment(0)
    tokenizer, llama = make_models()
    plain = MotionTokenizer(FSQ((5, 3), dim=8), width=8, depth=1, down_t=1)
    with pytest.raises(InputError, match="expected SoftFSQ"):
        joint_losses(plain, llama, *data, loss=LOSS, weight=1.0)
    assert tokenizer.training  # nothing was switched
