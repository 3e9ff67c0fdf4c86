"""The two sides of the comparisons in `benchmarks/llama.py`: our decoder, and transformers with the same weights.

The text is one slot, the pooled kind. Then the prefix mask is the causal one, and both sides compute the same thing.
Their vocabulary ends where ours does (END is the last; PAD cannot be written), and END's logit is always 0, so that
no motion ends before it should. Peers get what they have: SDPA, the dynamic cache of `generate`, fused AdamW.

Notation: B batch, S sequence, K codes, d width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from motionlab.llama.decoding.fast.few_row_products import Source, Target
from motionlab.llama.decoding.fast.flat_step import FlatDecoder
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.cross_entropy import chunked_cross_entropy
from motionlab.llama.objectives.losses import labelled_losses
from motionlab.llama.sequence import IGNORE
from motionlab.llama.weights.huggingface import to_huggingface

TEXT_DIM = 384
Work = Callable[[], Any]


@dataclass(frozen=True)
class Size:
    """Layers, query heads, key-value heads and width of a decoder."""

    n_layer: int
    n_head: int
    n_kv_heads: int
    dim: int

    def __str__(self) -> str:
        return f"{self.n_layer}x{self.dim}"


SMALL, WIDE = Size(6, 8, 2, 256), Size(12, 12, 4, 768)


def make_decoder(size: Size, codes: int, max_length: int = 301) -> MotionLlama:
    """A decoder with random weights, large enough that the codes it writes differ."""
    torch.manual_seed(0)
    model = MotionLlama(codes, **vars(size), text_dim=TEXT_DIM, max_length=max_length)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.06)
        model.lm_head.weight[codes] = 0.0  # END
    return model.eval()


def make_peer(model: MotionLlama) -> Any:
    """`transformers.LlamaForCausalLM` with the same weights and the same K + 1 outputs."""
    peer = to_huggingface(model)
    peer.lm_head = nn.Linear(model.dim, model.codebook_size + 1, bias=False, dtype=model.lm_head.weight.dtype)
    peer.lm_head.load_state_dict(model.lm_head.state_dict())
    peer.config.vocab_size = model.codebook_size + 1
    peer.generation_config.suppress_tokens = None
    return peer


def random_text(model: MotionLlama, batch: int) -> tuple[Tensor, Tensor]:
    """Features `[B, 1, text_dim]` and their mask."""
    weight = model.llama_proj.weight
    states = torch.randn(batch, 1, TEXT_DIM, generator=torch.Generator().manual_seed(1))
    return states.to(weight), torch.ones(batch, 1, dtype=torch.bool, device=weight.device)


def writers(model: MotionLlama, batch: int, tokens: int, peer: Any = None, engine: str = "torch") -> dict[str, Work]:
    """Ways to write `tokens` greedy codes for `batch` texts, each `[B, tokens]`.

    `ours`; `modules`, the same by the modules of the model instead of its flat twin; `no_cache`, the whole sequence
    again for every token, as released; `products`, only the matrix products of `ours` in the form that it gives them;
    with a peer also `theirs`.

    Args:
        engine: of `ours`.
    """
    text, mask = random_text(model, batch)
    sampling = Sampling(max_tokens=tokens, greedy=True)

    def ours(use_cache: bool = True) -> Tensor:
        made = generate(model, text, mask, sampling, use_cache=use_cache, engine=engine if use_cache else "torch")
        return torch.stack([one.tokens for one in made])

    def modules() -> Tensor:
        with mock.patch.object(FlatDecoder, "fits", return_value=False):
            return ours()

    found: dict[str, Work] = {"ours": ours, "modules": modules, "no_cache": lambda: ours(use_cache=False)}
    found["products"] = products_alone(model, batch, tokens)
    if peer is not None:
        with torch.no_grad():
            start = model.llama_proj(text)  # [B, 1, d]

        @torch.inference_mode()
        def theirs() -> Tensor:
            seen = torch.ones(batch, 1, dtype=torch.long, device=start.device)
            result = peer.generate(inputs_embeds=start, attention_mask=seen, max_new_tokens=tokens, do_sample=False)
            assert isinstance(result, Tensor)
            return result

        found["theirs"] = theirs
    return found


def products_alone(model: MotionLlama, batch: int, tokens: int) -> Work:
    """Nothing but the products with weights that `tokens` steps need, on inputs made beforehand."""
    flat = FlatDecoder(model)
    products = [product for layer in flat.layers for product in layer.products] + [flat.head]
    work = [(p, Source(torch.ones(batch, p.inputs)), Target(torch.empty(batch, p.outputs))) for p in products]

    @torch.inference_mode()
    def run() -> None:
        for _ in range(tokens):
            for product, x, target in work:
                product.write(x, target)

    return run


def random_tokens(model: MotionLlama, batch: int, length: int) -> Tensor:
    """`[B, S]`: the text slot and codes; END has its place at the end."""
    tokens = torch.randint(model.codebook_size, (batch, length), generator=torch.Generator().manual_seed(2))
    tokens[:, 0], tokens[:, -1] = model.pad_token, model.end_token
    return tokens.to(model.llama_proj.weight.device)


def our_step(model: MotionLlama, tokens: Tensor, compiled: bool = False) -> Work:
    """Forward and backward of the loss over every position; returns the loss, gradients are in the parameters."""
    text, mask = random_text(model, len(tokens))
    labels = torch.cat([tokens[:, 1:], tokens.new_full((len(tokens), 1), IGNORE)], dim=1)  # [B, S], shifted by one
    hidden = torch.compile(model.hidden) if compiled else model.hidden

    def step() -> Tensor:
        model.zero_grad(set_to_none=True)
        loss = labelled_losses(model, hidden(tokens, text, mask), labels).loss
        loss.backward()
        return loss.detach()

    return step


def their_step(model: MotionLlama, peer: Any, tokens: Tensor) -> Work:
    """The same with transformers; the text slot is projected by our layer and has no label."""
    text, _ = random_text(model, len(tokens))
    labels = tokens.clone()  # they shift them themselves
    labels[:, 0] = -100
    project = nn.Linear(TEXT_DIM, model.dim).to(text)
    project.load_state_dict(model.llama_proj.state_dict())

    def step() -> Tensor:
        peer.zero_grad(set_to_none=True)
        project.zero_grad(set_to_none=True)
        embedded = peer.get_input_embeddings()(tokens[:, 1:])
        inputs = torch.cat([project(text), embedded], dim=1)  # [B, S, d]
        loss: Tensor = peer(inputs_embeds=inputs, labels=labels, use_cache=False).loss
        loss.backward()
        return loss.detach()

    return step


def training_flops(model: MotionLlama, batch: int, length: int) -> int:
    """Operations of the products in one step, a multiplication and an addition counted as two.

    Each product is done forward and, backward, for its input and its weights. Attention counts the whole square of
    positions, of which the mask hides half. (torch's own counter knows neither attention on a CPU nor `addmm_`.)
    """
    blocks = sum(parameter.numel() for parameter in model.blocks.parameters() if parameter.dim() == 2)
    positions = batch * length
    weights = positions * blocks + (positions - batch) * model.lm_head.weight.numel()  # the last has no label
    attention = len(model.blocks) * positions * 2 * length * model.dim  # scores and values
    text = 2 * batch * model.llama_proj.weight.numel()  # forward and for the weights; the text's is not needed
    return 2 * (3 * (weights + attention) + text)


def losses(positions: int, codes: int, dim: int) -> tuple[Work, Work]:
    """Sum of the cross entropies and its gradients by us and by torch, each `(loss, hidden's, weight's)`."""
    draw = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(size, dim, generator=draw).requires_grad_() for size in (positions, codes))
    labels = torch.randint(codes, (positions,), generator=draw)

    def gradients(loss: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return loss.detach(), *torch.autograd.grad(loss, (hidden, weight))

    def ours() -> tuple[torch.Tensor, ...]:
        return gradients(chunked_cross_entropy(hidden, weight, labels)[0])

    def theirs() -> tuple[torch.Tensor, ...]:
        return gradients(torch.nn.functional.linear_cross_entropy(hidden, weight, labels, reduction="sum"))

    return ours, theirs


def under_autocast(work: Work) -> Work:
    """`work` with products in bfloat16."""

    def run() -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return work()

    return run
