"""How a decoder's loss can reach the tokenizer: a soft assignment behind a hard one.

Picking a code is a step function, so no gradient passes it. The usual way around it (straight-through with a softmax:
Jang et al., Gumbel-softmax, arXiv:1611.01144, without the noise) keeps the hard choice in the forward pass and takes
the gradient of a soft one:

    q[n, k] = softmax_k(-|h_n - code_k|^2 / temperature)       h_n: what the tokenizer rounds, code_k: the grid of FSQ
    input   e_n = W[index_n]           and in the backward pass that of  sum_k q[n, k] W_k
    target  -log p[index_n]            and in the backward pass that of  -sum_k q[n, k] log p_k

So the loss has exactly the value that stage 2 has, and the decoder's own gradient is exactly that of stage 2; what is
added is a gradient for the tokenizer, through what the decoder reads and through what it has to predict.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import next_token_loss, sequence_losses, token_accuracy
from motionlab.llama.sequence import IGNORE, Sequences, build_sequences
from motionlab.quantizers.fsq import FSQ
from motionlab.text.encoder import TextFeatures
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer


class SoftFSQ(FSQ):
    """FSQ that remembers what it rounded, so that `assignment` can say how near each code was.

    >>> fsq = SoftFSQ((3, 3), dim=2)
    >>> q = (fsq(torch.zeros(1, 4, 2)), fsq.assignment(0.5))[1]
    >>> q.shape, bool(torch.allclose(q.sum(-1), torch.ones(1, 4)))
    (torch.Size([1, 4, 9]), True)
    """

    _bounded: Tensor | None = None

    def straighten(self, bounded: Tensor, steps: Tensor) -> Tensor:
        self._bounded = bounded
        return super().straighten(bounded, steps)

    def assignment(self, temperature: float) -> Tensor:
        """The share `[..., K]` of every code in the last vectors `[...]` that were quantized; rows sum to 1.

        Raises:
            InputError: nothing was quantized yet, or the temperature is not above 0.
        """
        if self._bounded is None or temperature <= 0:
            raise InputError(
                "assignment",
                found="nothing quantized yet" if self._bounded is None else f"temperature {temperature}",
                expected="a forward pass before it, and a temperature above 0",
                fix="Call the tokenizer first.",
            )
        half = self.levels // 2
        grid = self.indices_to_implicit(torch.arange(self.codebook_size, device=half.device)) * half  # [K, d]
        distance = (self._bounded.unsqueeze(-2) - grid).square().sum(-1)  # [..., K]
        return (-distance / temperature).softmax(-1)


class JointLosses(NamedTuple):
    """`total`: what is trained on; `reconstruction` and `decoder`: its two parts; `accuracy` of the next token."""

    total: Tensor
    reconstruction: Tensor
    decoder: Tensor
    accuracy: Tensor


def joint_losses(
    tokenizer: MotionTokenizer,
    llama: MotionLlama,
    motion: Tensor,
    mask: Tensor,
    text: TextFeatures,
    *,
    loss: LossWeights,
    weight: float,
    temperature: float = 0.5,
) -> JointLosses:
    """One loss for both models: reconstruction, and the decoder's on the tokens that the tokenizer gives right now.

    Args:
        motion: `[B, T, 272]`, normalised; mask: bool `[B, T]`, true on real frames.
        text: features of one caption per row.
        loss: the weights of the reconstruction's terms.
        weight: how much of the decoder's gradient reaches the tokenizer. 0: none, the two only learn at the same time.
        temperature: of the soft assignment; the codes of FSQ are 1 apart.
    """
    quantizer = tokenizer.quantizer
    if not isinstance(quantizer, SoftFSQ):
        raise InputError("tokenizer", found=type(quantizer).__name__, expected="SoftFSQ", fix="Build it with SoftFSQ.")
    output = tokenizer(motion, mask)
    reconstruction = tokenizer_losses(output, motion, loss, mask)["total"]
    indices = output.quantized.indices  # [B, N]
    real = mask[:, :: tokenizer.frames_per_token]  # [B, N]
    rows = [row[there] for row, there in zip(indices, real, strict=True)]
    batch = build_sequences(rows, text, quantizer.codebook_size, llama.max_length)
    if weight == 0:
        losses = sequence_losses(llama, batch)
        return JointLosses(reconstruction + losses.loss, reconstruction, losses.loss, losses.accuracy)
    q = _scale_gradient(quantizer.assignment(temperature)[real], weight)  # [m, K], m codes in the order of the batch
    there = batch.labels != IGNORE  # [B, S]: as in stage 2, logits only where a label exists
    labels = batch.labels[there]  # [n]
    logits = llama.lm_head(soft_hidden(llama, batch, q)[there])  # [n, K + 1]
    decoder = next_token_loss(logits, labels) + soft_target_gradient(logits, labels, q)
    return JointLosses(reconstruction + decoder, reconstruction, decoder, token_accuracy(logits, labels))


def soft_hidden(llama: MotionLlama, batch: Sequences, q: Tensor) -> Tensor:
    """The decoder's last states `[B, S, dim]`; the gradient of what it reads also flows into `q [m, K]`."""
    is_code = batch.tokens < llama.codebook_size  # [B, S], m of them true
    embedding = cast(nn.Embedding, llama.transformer["wte"])

    def add_soft(module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
        table = embedding.weight[: llama.codebook_size].detach()  # [K, dim]: it learns by the hard way
        soft = q @ table  # [m, dim]
        added = torch.zeros_like(embedded).masked_scatter(is_code.unsqueeze(-1), soft - soft.detach())
        return embedded + added  # the value is that of the hard codes

    handle = embedding.register_forward_hook(add_soft)
    try:
        return llama.hidden(batch.tokens, batch.text, batch.text_mask)
    finally:
        handle.remove()


def soft_target_gradient(logits: Tensor, labels: Tensor, q: Tensor) -> Tensor:
    """A zero whose gradient by `q [m, K]` is that of the mean cross entropy with `q` as the target.

    Args:
        logits: `[n, K + 1]` of the labelled places; labels: `[n]`, m of them codes, the others END.
    """
    size = q.shape[-1]
    is_code = labels < size  # END is not the tokenizer's choice
    log_p = logits.detach().float().log_softmax(-1)[is_code][:, :size]  # [m, K]
    soft = -(q * log_p).sum() / len(labels)
    return soft - soft.detach()


def _scale_gradient(value: Tensor, factor: float) -> Tensor:
    """The same value; its gradient times `factor`."""
    return value * factor + value.detach() * (1 - factor)
