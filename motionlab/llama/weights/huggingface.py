"""To and from Hugging Face LLaMA models: the same numbers in other rows and under other names.

    ours                                  theirs
    transformer.wte, ln_f; lm_head        model.embed_tokens, model.norm; lm_head
    attn.c_attn rows [query, key, value]  q_proj, k_proj, v_proj
    channel pairs (0, 1), (2, 3), ...     (0, hd/2), (1, hd/2 + 1), ...  so rows of query and key are reordered
    mlp.c_fc1, c_fc2, c_proj              gate_proj, up_proj, down_proj

Three things have no place in their model: the text projection (pass `inputs_embeds` instead), the prefix mask
(pass a 4-D `attention_mask`), and an output without PAD (its row is set to 0).
A decoder with QK-norm becomes a Qwen 3 model, which is a LLaMA with that one addition.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from motionlab.errors import InputError, MissingExtra
from motionlab.llama.model import MotionLlama
from motionlab.llama.rope import to_half_split, to_interleaved
from motionlab.llama.rope_scaling import LinearScaling, Llama3Scaling, NTKScaling, RopeScaling
from motionlab.llama.variant import LlamaVariant
from motionlab.llama.weights.huggingface_folder import Source, from_model, open_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Names inside a layer that need no more than another name.
_LAYER = {
    "rms_1.scale": "input_layernorm.weight",
    "attn.c_proj.weight": "self_attn.o_proj.weight",
    "rms_2.scale": "post_attention_layernorm.weight",
    "mlp.c_fc1.weight": "mlp.gate_proj.weight",
    "mlp.c_fc2.weight": "mlp.up_proj.weight",
    "mlp.c_proj.weight": "mlp.down_proj.weight",
}


def to_huggingface(model: MotionLlama) -> PreTrainedModel:
    """A `transformers.LlamaForCausalLM` (with QK-norm a `Qwen3ForCausalLM`) with the same logits for codes and END.

    Its vocabulary is K + 2: the column of PAD is one more than ours has, and `generate` is told never to choose it.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: a decoder with a MASK token, which looks in both directions; theirs cannot.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra("transformers", extra="text", purpose="convert to a Hugging Face model") from error
    if model.mask_token is not None:
        raise InputError("model", found="a MASK token", expected="a causal decoder", fix="Convert another decoder.")
    theta, scaling = _rope_to_theirs(model)
    kind = "Qwen3" if model.qk_norm else "Llama"
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=model.codebook_size + 2,
        hidden_size=model.dim,
        intermediate_size=model.hidden_dim,
        num_hidden_layers=len(model.blocks),
        num_attention_heads=model.n_head,
        num_key_value_heads=model.n_kv_heads,
        head_dim=model.head_dim,
        max_position_embeddings=model.max_length,
        rms_norm_eps=model.norm_eps,
        rope_parameters={"rope_theta": theta, **scaling},
        tie_word_embeddings=model.tied_embeddings,
        bos_token_id=None,
        eos_token_id=model.end_token,
        pad_token_id=model.pad_token,
    )
    theirs: PreTrainedModel = getattr(transformers, f"{kind}ForCausalLM")(config)
    theirs.load_state_dict(_to_their_names(model), strict=True)
    theirs.generation_config.suppress_tokens = [model.pad_token]
    weight = model.llama_proj.weight
    moved: PreTrainedModel = torch.nn.Module.to(theirs, weight.device, weight.dtype).eval()
    return moved


def from_huggingface(source: PreTrainedModel | str | Path, *, text_dim: int, max_length: int = 301) -> MotionLlama:
    """A whole motion decoder from a model that `to_huggingface` made: vocabulary = codes, END, PAD.

    The text projection is not in such a model: it starts untrained.

    Args:
        source: a model, or a folder with `config.json` and safetensors.

    Raises:
        InputError: an unreadable folder, or an architecture that is not LLaMA's; the setting is named.
    """
    theirs = _open(source)
    embedding = theirs.tensor("model.embed_tokens.weight")
    output = theirs.tensor("lm_head.weight") if not theirs.tied or "lm_head.weight" in theirs.stored else embedding
    if theirs.tied and not torch.equal(output, embedding):
        raise InputError(
            f"{theirs.where}: tie_word_embeddings",
            found="true, and an lm_head.weight that is not the embedding",
            expected="one table, or tie_word_embeddings false",
            fix="Find out which of the two the model was trained with.",
        )
    model = _build(theirs, theirs.vocabulary - 2, text_dim, max_length, theirs.tied)
    own = dict(model.named_parameters())
    with torch.no_grad():
        own["transformer.wte.weight"].copy_(embedding)
        if not theirs.tied:
            own["lm_head.weight"].copy_(output[:-1])  # without the row of PAD
    return _copy_body(model, theirs).eval()


def body_from_huggingface(
    source: PreTrainedModel | str | Path, codebook_size: int, *, text_dim: int, max_length: int = 301
) -> MotionLlama:
    """A motion decoder whose layers come from a language model, such as a public LLaMA folder.

    Its words are useless here, so embeddings, output and text projection start untrained. The part taken over is
    the body: every layer and the last norm.
    """
    theirs = _open(source)
    return _copy_body(_build(theirs, codebook_size, text_dim, max_length, tied=False), theirs)


def _open(source: PreTrainedModel | str | Path) -> Source:
    if isinstance(source, str | Path):
        return open_folder(source)
    return from_model(type(source).__name__, source.config.to_dict(), dict(source.state_dict()))


def _build(theirs: Source, codebook_size: int, text_dim: int, max_length: int, tied: bool) -> MotionLlama:
    rope = theirs.rope(max_length)
    return MotionLlama(
        codebook_size,
        n_layer=theirs.n_layer,
        n_head=theirs.n_head,
        n_kv_heads=theirs.n_kv_heads,
        dim=theirs.dim,
        text_dim=text_dim,
        max_length=max_length,
        rope=rope,
        variant=LlamaVariant(
            hidden=theirs.hidden, qk_norm=theirs.qk_norm, tied_embeddings=tied, norm_eps=theirs.norm_eps
        ),
    )


@torch.no_grad()
def _copy_body(model: MotionLlama, theirs: Source) -> MotionLlama:
    own = dict(model.named_parameters())
    own["transformer.ln_f.scale"].copy_(theirs.tensor("model.norm.weight"))
    for i in range(len(model.blocks)):
        here, there = f"transformer.h.{i}.", f"model.layers.{i}."
        for name, other in _LAYER.items():
            own[here + name].copy_(theirs.tensor(there + other))
        query, key, value = (theirs.tensor(f"{there}self_attn.{part}_proj.weight") for part in "qkv")
        rows = [to_interleaved(query, model.n_head), to_interleaved(key, model.n_kv_heads), value]
        own[f"{here}attn.c_attn.weight"].copy_(torch.cat(rows))
        for part in ("q_norm", "k_norm") if model.qk_norm else ():
            scale = theirs.tensor(f"{there}self_attn.{part}.weight")
            own[f"{here}attn.{part}.scale"].copy_(to_interleaved(scale, heads=1))
    return model


def _to_their_names(model: MotionLlama) -> dict[str, Tensor]:
    own = {name: parameter.detach() for name, parameter in model.named_parameters()}
    state = {
        "model.embed_tokens.weight": own["transformer.wte.weight"],
        "model.norm.weight": own["transformer.ln_f.scale"],
    }
    # Tied: the same rows. Else K + 1 rows and one of zeros for PAD.
    output = own.get("lm_head.weight")
    state["lm_head.weight"] = (
        own["transformer.wte.weight"] if output is None else torch.cat([output, output.new_zeros(1, model.dim)])
    )
    for i in range(len(model.blocks)):
        here, there = f"transformer.h.{i}.", f"model.layers.{i}."
        state |= {there + other: own[here + name] for name, other in _LAYER.items()}
        kv_width = model.n_kv_heads * model.head_dim
        query, key, value = own[f"{here}attn.c_attn.weight"].split((model.dim, kv_width, kv_width))
        state[f"{there}self_attn.q_proj.weight"] = to_half_split(query, model.n_head)
        state[f"{there}self_attn.k_proj.weight"] = to_half_split(key, model.n_kv_heads)
        state[f"{there}self_attn.v_proj.weight"] = value
        for part in ("q_norm", "k_norm") if model.qk_norm else ():
            state[f"{there}self_attn.{part}.weight"] = to_half_split(own[f"{here}attn.{part}.scale"], heads=1)
    return state


def _rope_to_theirs(model: MotionLlama) -> tuple[float, dict[str, Any]]:
    theta, scaling = model.rotary.theta, model.rotary.scaling
    if isinstance(scaling, NTKScaling):  # their "dynamic" kind changes with the length; a larger base is the same
        return scaling.theta(theta, model.head_dim), {"rope_type": "default"}
    return theta, _scaling_to_theirs(scaling)


def _scaling_to_theirs(scaling: RopeScaling | None) -> dict[str, Any]:
    if scaling is None:
        return {"rope_type": "default"}
    if isinstance(scaling, LinearScaling):
        return {"rope_type": "linear", "factor": scaling.factor}
    if isinstance(scaling, Llama3Scaling):
        return {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high,
            "original_max_position_embeddings": scaling.original_length,
        }
    raise InputError(
        "rope_scaling", found=scaling, expected="linear, ntk, llama3 or none", fix="Use one that transformers knows."
    )
