"""The parts of the decoder of lesson 18, and what each of them may be exchanged for.

A decoder of that lesson asks a namespace `parts` for its functions: norm, turn, attend, mlp, block, sees. Exchanging a
function there changes the decoder while its trained weights stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons.build_the_decoder.attention import attend, turn
from lessons.build_the_decoder.layers import block, rms_norm, swiglu
from lessons.build_the_decoder.sequence import sees
from lessons.shared.exchange import Exchanges, Part
from motionlab.data.composed.corpus import build_corpus
from motionlab.jobs.run_folder import Run
from motionlab.llama.sequence import IGNORE, Sequences, build_sequences


# ---- material --------------------------------------------------------------------------------------------------------
def held_out(run: Run, clips: int) -> Sequences:
    """The first validation clips of the corpus of a run as one batch: takes that its training never saw."""
    few = replace(run.config.corpus, n_train=64, n_validation=clips, n_seen_pairs=1, n_unseen_pairs=1, n_new_takes=1)
    store, tokenizer = build_corpus(few).validation, run.tokenizer()
    motions = [run.normalizer.normalize(torch.as_tensor(store.features(i))) for i in range(clips)]
    codes = [tokenizer.encode(motion[None])[0] for motion in motions]
    text = run.text.features([store.captions(i)[0] for i in range(clips)])
    return build_sequences(codes, text, tokenizer.codebook_size, 1 + max(map(len, codes)) + text.mask.shape[1])


def loss_of(logits: Tensor, batch: Sequences) -> float:
    """Nats per token of `logits [B, S, K + 1]`."""
    return float(F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE))


# ---- exchanges -------------------------------------------------------------------------------------------------------
def _halves(x: Tensor, places: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = turn(torch.stack([first, second], dim=-1).flatten(-2), places)
    return torch.cat([turned[..., 0::2], turned[..., 1::2]], dim=-1)


def _layer_norm(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, scale.shape, scale, None, eps)


def _dealt(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    heads = query.shape[1] // key.shape[1]
    return attend(query, key.repeat(1, heads, 1, 1), value.repeat(1, heads, 1, 1), mask)


def _undivided(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return attend(query * query.shape[-1] ** 0.5, key, value, mask)


def _even(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return attend(torch.zeros_like(query), key, value, mask)


def _post_norm(x: Tensor, norm_1: Part, attention: Part, norm_2: Part, mlp: Part) -> Tensor:
    x = norm_1(x + attention(x))
    normed: Tensor = norm_2(x + mlp(x))
    return normed


def _parallel(x: Tensor, norm_1: Part, attention: Part, norm_2: Part, mlp: Part) -> Tensor:
    both: Tensor = x + attention(norm_1(x)) + mlp(norm_2(x))
    return both


def _only_mlp(x: Tensor, norm_1: Part, attention: Part, norm_2: Part, mlp: Part) -> Tensor:
    added: Tensor = x + mlp(norm_2(x))
    return added


def _all(text_mask: Tensor, length: int) -> Tensor:
    return torch.ones(len(text_mask), 1, length, length, dtype=torch.bool)


def _no_text(text_mask: Tensor, length: int) -> Tensor:
    words = F.pad(text_mask, (0, length - text_mask.shape[1]))  # [B, S]
    return sees(text_mask, length) & (words[:, None, :, None] | ~words[:, None, None, :])


def _four_back(text_mask: Tensor, length: int) -> Tensor:
    near = torch.ones(length, length, dtype=torch.bool).triu(-4)
    words = F.pad(text_mask, (0, length - text_mask.shape[1]))[:, None, None, :]  # [B, 1, 1, S]
    return sees(text_mask, length) & (near | words)


EXCHANGES: Exchanges = {
    "norm": {"LayerNorm": _layer_norm, "none": lambda x, scale, eps: x * scale},
    "turn": {
        "none": lambda x, places: x, "halves, not neighbours": _halves, "twice as fast": lambda x, p: turn(x, 2 * p),
    },
    "attend": {"heads dealt like cards": _dealt, "not divided by root hd": _undivided, "all alike": _even},
    "mlp": {
        "ReLU for silu": lambda x, gate, up, down: (F.relu(x @ gate.T) * (x @ up.T)) @ down.T,
        "gate and up exchanged": lambda x, gate, up, down: swiglu(x, up, gate, down),
        "left out": lambda x, gate, up, down: torch.zeros_like(x),
    },
    "block": {"norm after adding": _post_norm, "both read the same": _parallel, "no attention": _only_mlp},
    "sees": {
        "words see back only": lambda text_mask, length: sees(torch.zeros_like(text_mask), length),
        "everything": _all, "no text": _no_text, "text and four back": _four_back,
    },
}  # fmt: skip

WRITTEN: Mapping[str, Part] = {
    "norm": rms_norm, "turn": turn, "attend": attend, "mlp": swiglu, "block": block, "sees": sees,
}  # fmt: skip
