"""A Hugging Face model as settings and tensors: from a folder without transformers, or from a live model.

Only safetensors files are read. They hold numbers and nothing else; a `pytorch_model.bin` is a pickle, a program.
Settings and headers are compared before any tensor is read or any model is built, so a `config.json` that announces
more than the files hold costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.foreign_config import ForeignConfig, read_foreign_config
from motionlab.files.stored import Stored, open_safetensors
from motionlab.files.weights import Header, bare_names, check_tensors, headers, require_tensors
from motionlab.llama.rope import RopeSettings, rope_frequencies
from motionlab.llama.weights.huggingface_rope import ROPE_KEYS, read_rope

FIX = "Use another LLaMA, or convert this one first."

# Settings that change the mathematics, with the only value that our LLaMA has.
_FIXED: dict[str, object] = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "use_sliding_window": False,
    "partial_rotary_factor": 1.0,
}


@dataclass(frozen=True)
class Source:
    """Settings (`config.json`) and tensors by name, of which settings and headers have been found to belong together.

    `where` is the folder or the model, for messages.

    Raises:
        InputError: another architecture, a field that is missing or no such number, quantised weights, or tensors that
            are missing, unknown or of another shape.
    """

    where: str
    config: ForeignConfig
    stored: Mapping[str, Stored]

    def __post_init__(self) -> None:
        config, dim, heads = self.config, self.dim, self.n_head
        for key, value in _FIXED.items():
            if config.values.get(key, value) != value:
                config.refuse(key, config.values[key], value)
        for key in config.values:
            if key.startswith("rope") and key not in ROPE_KEYS:
                config.refuse(key, "unknown rotary settings", " or ".join(ROPE_KEYS))
        kinds = config.values.get("layer_types") or []
        if not isinstance(kinds, list | tuple) or any(kind != "full_attention" for kind in kinds):
            config.refuse("layer_types", config.values["layer_types"], "full_attention in every layer")
        if dim % heads or dim // heads % 2:
            config.refuse("num_attention_heads", heads, f"a divisor of hidden_size={dim} with an even quotient")
        if heads % self.n_kv_heads:
            config.refuse("num_key_value_heads", self.n_kv_heads, f"a divisor of num_attention_heads={heads}")
        # Theirs is 128 in a Qwen 3 whose file does not say it.
        if config.whole("head_dim", 128 if self.qk_norm else dim // heads) != dim // heads:
            config.refuse(
                "head_dim", config.values.get("head_dim", 128), f"hidden_size / num_attention_heads = {dim // heads}"
            )
        if self.n_layer > len(self.stored):
            config.refuse("num_hidden_layers", self.n_layer, f"the layers of the {len(self.stored)} tensors there")
        _ = self.tied, self.norm_eps  # read now, so that a wrong one is named before any work
        self._require_tensors()

    @cached_property
    def qk_norm(self) -> bool:
        """Query and key heads are normalised."""
        return self.config.text("model_type", ("llama", "qwen3")) == "qwen3"

    @cached_property
    def dim(self) -> int:
        """Width of the stream."""
        return self.config.whole("hidden_size")

    @cached_property
    def hidden(self) -> int:
        """Width of the SwiGLU."""
        return self.config.whole("intermediate_size")

    @cached_property
    def n_layer(self) -> int:
        """Layers."""
        return self.config.whole("num_hidden_layers")

    @cached_property
    def n_head(self) -> int:
        """Query heads."""
        return self.config.whole("num_attention_heads")

    @cached_property
    def n_kv_heads(self) -> int:
        """Key-value heads; old files leave the number out when it is that of the query heads."""
        return self.config.whole("num_key_value_heads", self.n_head)

    @cached_property
    def vocabulary(self) -> int:
        """Rows of the embedding; at least one code, END and PAD."""
        return self.config.whole("vocab_size", least=3)

    @cached_property
    def tied(self) -> bool:
        """The output layer is the embedding."""
        return self.config.flag("tie_word_embeddings", False)

    @cached_property
    def norm_eps(self) -> float:
        """Of every norm."""
        return self.config.number("rms_norm_eps")

    def rope(self, max_length: int) -> RopeSettings:
        """Base and scaling of the rotary angles; old files hold the angles too, which have to be these."""
        rope = read_rope(self.config, max_length)
        angles = rope_frequencies(self.dim // self.n_head, rope.theta)
        angles = angles if rope.scaling is None else rope.scaling(angles)
        for name in self.stored:
            if _is_angles(name) and not torch.allclose(self.tensor(name).float(), angles, rtol=0.02):  # bfloat16
                self._refuse(name, "other angles", "the angles of the rotary settings")
        return rope

    def tensor(self, name: str) -> Tensor:
        """Read a tensor; InputError unless its numbers are finite."""
        if name not in self.stored:
            self._refuse("weights", f"no {name}", "all weights of the layers that config.json announces")
        tensor = self.stored[name].read()
        check_tensors({name: tensor.detach()}, self.where)
        return tensor

    def _require_tensors(self) -> None:
        # Embedding and output belong to the words. A body is complete without them, so they may be missing here.
        ends = [name for name in ("model.embed_tokens.weight", "lm_head.weight") if name in self.stored]
        expected = {name: (self.vocabulary, self.dim) for name in ends} | self._layer_shapes()
        half = (self.dim // self.n_head // 2,)
        expected |= {name: half for name in self.stored if _is_angles(name)}
        found = {name: stored.header for name, stored in self.stored.items()}
        wanted = {name: Header(shape, "float32") for name, shape in expected.items()}
        require_tensors(found, wanted, self.where, model="LLaMA", fix=FIX)

    def _layer_shapes(self) -> dict[str, tuple[int, ...]]:
        d, kv_width, head_dim = self.dim, self.dim // self.n_head * self.n_kv_heads, self.dim // self.n_head
        layer: dict[str, tuple[int, ...]] = {
            "input_layernorm": (d,),
            "self_attn.q_proj": (d, d),
            "self_attn.k_proj": (kv_width, d),
            "self_attn.v_proj": (kv_width, d),
            "self_attn.o_proj": (d, d),
            "post_attention_layernorm": (d,),
            "mlp.gate_proj": (self.hidden, d),
            "mlp.up_proj": (self.hidden, d),
            "mlp.down_proj": (d, self.hidden),
        }
        if self.qk_norm:
            layer |= {"self_attn.q_norm": (head_dim,), "self_attn.k_norm": (head_dim,)}
        names = {f"model.layers.{i}.{name}.weight": shape for i in range(self.n_layer) for name, shape in layer.items()}
        return {"model.norm.weight": (d,)} | names

    def _refuse(self, name: str, found: object, expected: object) -> NoReturn:
        raise InputError(f"{self.where}: {name}", found=found, expected=expected, fix=FIX)


def _is_angles(name: str) -> bool:
    """A table that old versions of transformers saved with every layer."""
    return name.startswith("model.") and name.endswith(".rotary_emb.inv_freq")


def from_model(name: str, config: Mapping[str, object], state: Mapping[str, Tensor]) -> Source:
    """A live model."""
    settings = ForeignConfig(name, config, FIX)
    settings.refuse_quantised()
    bare = bare_names(state, name)
    found = headers(bare)
    return Source(name, settings, {key: Stored(found[key], partial(_itself, value)) for key, value in bare.items()})


def open_folder(folder: str | Path) -> Source:
    """The model of a folder: `config.json` and one or more `*.safetensors` files.

    Raises:
        InputError: a file is missing or damaged, there are only pickles, or as `Source`.
    """
    folder = Path(folder)
    config = read_foreign_config(folder, "the settings of a LLaMA", FIX)
    stored = open_safetensors(sorted(folder.glob("*.safetensors")))
    if not stored:
        raise InputError(
            folder,
            found="no *.safetensors file",
            expected="weights in safetensors",
            fix="Download that format, or load the pickles where you trust them: save_pretrained writes it.",
        )
    return Source(str(folder), config, bare_names(stored, folder))


def _itself(tensor: Tensor) -> Tensor:
    return tensor
