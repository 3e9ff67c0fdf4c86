"""CTranslate2 with the weights of one of our decoders, for `benchmarks/llama.py`. `pip install ctranslate2==4.8.5`.

CTranslate2 reads token ids only, and our text is features. So each text becomes a token of its own: its projection is
one more row of the embedding, and the prompt is that token. The output layer gets as many rows of zeros; their logit
is always 0, as END's is, so they are never the most likely. Everything else is equal: the same layers and heads, the
same width inside SwiGLU (the specification takes it from the weights), the same norm and angles. That both write the
same codes is a test.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motionlab.llama.model import MotionLlama


def make_ctranslate(model: MotionLlama, peer: Any, text: Tensor, kind: str) -> Any:
    """A `ctranslate2.Generator` with one thread that knows the texts `[B, 1, text_dim]`.

    Args:
        peer: the same decoder as `transformers.LlamaForCausalLM`, see `decoders.make_peer`.
        kind: "float32" or "int8".
    """
    import ctranslate2
    from ctranslate2.converters.transformers import LlamaLoader

    peer, names, codes = copy.deepcopy(peer), vocabulary(model, len(text)), model.codebook_size + 1
    with torch.no_grad():
        texts = model.llama_proj(text)[:, 0]  # [B, dim]
        embedding, head = peer.model.embed_tokens.weight[:codes], peer.lm_head.weight
        peer.model.embed_tokens = _rows(nn.Embedding, torch.cat([embedding, texts]))
        peer.lm_head = _rows(nn.Linear, torch.cat([head, torch.zeros_like(texts)]))
    peer.config.vocab_size = len(names)
    spec = LlamaLoader().get_model_spec(peer)  # takes the copy apart
    spec.register_vocabulary(names)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = names[codes], names[codes - 1], names[0]
    spec.config.layer_norm_epsilon = model.norm_eps
    spec.validate()
    spec.optimize(quantization=None if kind == "float32" else kind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.mkdir()
        spec.save(str(path))
        return ctranslate2.Generator(str(path), device="cpu", compute_type=kind, inter_threads=1, intra_threads=1)


def write_codes(generator: Any, model: MotionLlama, batch: int, tokens: int) -> Tensor:
    """Greedy codes `[B, tokens]`."""
    prompts = [[name] for name in vocabulary(model, batch)[model.codebook_size + 1 :]]
    made = generator.generate_batch(
        prompts, max_length=tokens, min_length=tokens, sampling_topk=1, beam_size=1, include_prompt_in_result=False
    )
    return torch.tensor([one.sequences_ids[0] for one in made])


def vocabulary(model: MotionLlama, texts: int) -> list[str]:
    """A name for each code, for END, and for each text."""
    codes = [f"<{code}>" for code in range(model.codebook_size)]
    return [*codes, "<end>", *(f"<text {row}>" for row in range(texts))]


def _rows(kind: type[nn.Embedding] | type[nn.Linear], weight: Tensor) -> nn.Module:
    """A layer with this weight `[rows, dim]`."""
    rows, dim = weight.shape
    made = nn.Embedding(rows, dim) if kind is nn.Embedding else nn.Linear(dim, rows, bias=False)
    made.weight = nn.Parameter(weight.detach().clone())
    return made
