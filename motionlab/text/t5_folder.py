"""The folder of a T5 encoder: settings and tensors are compared before transformers builds a model for them.

transformers would cast integers to floats, ignore tensors that a T5 has no place for, and build whatever sizes
`config.json` names. Only headers are read here, except those of a pickle, whose tensors stay on the disk.
"""

from __future__ import annotations

from pathlib import Path

from motionlab.errors import InputError
from motionlab.files.foreign_config import ForeignConfig, read_foreign_config
from motionlab.files.pth import read_pth, state_of
from motionlab.files.stored import open_safetensors
from motionlab.files.weights import Header, headers, require_tensors
from motionlab.text.encoder import THREE_CHOICES

_FEED_FORWARD = {"relu": ("wi",), "gelu": ("wi",), "gated-gelu": ("wi_0", "wi_1"), "gated-silu": ("wi_0", "wi_1")}
# Other names of the embedding, and an output layer, which the encoder does not use.
_UNUSED = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")


def t5_config(folder: Path) -> ForeignConfig:
    """The settings of a T5 folder.

    Raises:
        InputError: no settings of a T5, quantised weights or an adapter, or a field that is no such number.
    """
    config = read_foreign_config(folder, "the settings of a T5", THREE_CHOICES)
    config.text("model_type", ("t5", "mt5"))
    config.whole("d_model")
    return config


def check_t5_weights(folder: Path, config: ForeignConfig) -> None:
    """Raise InputError unless the files hold the encoder that the settings announce, in plain numbers.

    A decoder may be there as well: it is not loaded.
    """
    found = _headers(folder)
    layers = config.whole("num_layers", 6)
    if layers > len(found):
        config.refuse("num_layers", layers, f"the layers of the {len(found)} tensors there")
    expected = _encoder(config, layers)
    spare = {name: header for name, header in found.items() if name in _UNUSED or name.startswith("decoder.")}
    wanted = {name: Header(shape, "float32") for name, shape in expected.items()}
    # Tensors of the decoder have to be plain numbers as well: half of a quantised model is no plain model.
    wanted |= {name: Header(header.shape, "float32") for name, header in spare.items() if _is_plain_name(name)}
    if "shared.weight" not in found and _UNUSED[0] in found:
        wanted[_UNUSED[0]] = wanted.pop("shared.weight")
    require_tensors(found, wanted, folder, model="T5 encoder", fix=THREE_CHOICES)


def _encoder(config: ForeignConfig, layers: int) -> dict[str, tuple[int, ...]]:
    d, d_ff, heads = config.whole("d_model", 512), config.whole("d_ff", 2048), config.whole("num_heads", 8)
    inner, buckets = heads * config.whole("d_kv", 64), config.whole("relative_attention_num_buckets", 32, least=4)
    # A quarter of the buckets is for single distances, in each direction; the others reach further.
    config.whole("relative_attention_max_distance", 128, least=buckets // 4 + 1)
    config.number("layer_norm_epsilon", 1e-6)
    gates = _FEED_FORWARD[config.text("feed_forward_proj", tuple(_FEED_FORWARD), "relu")]
    shapes: dict[str, tuple[int, ...]] = {
        "shared.weight": (config.whole("vocab_size", 32128), d),
        "encoder.final_layer_norm.weight": (d,),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (buckets, heads),
    }
    for i in range(layers):
        block = f"encoder.block.{i}.layer"
        shapes |= {f"{block}.0.SelfAttention.{part}.weight": (inner, d) for part in "qkv"}
        shapes |= {f"{block}.0.SelfAttention.o.weight": (d, inner), f"{block}.0.layer_norm.weight": (d,)}
        shapes |= {f"{block}.1.DenseReluDense.{gate}.weight": (d_ff, d) for gate in gates}
        shapes |= {f"{block}.1.DenseReluDense.wo.weight": (d, d_ff), f"{block}.1.layer_norm.weight": (d,)}
    return shapes


def _is_plain_name(name: str) -> bool:
    """A weight of a T5: no scale, no adapter, no bias but that of the positions."""
    return name.endswith(".weight") and "lora_" not in name and not name.endswith((".base_layer.weight",))


def _headers(folder: Path) -> dict[str, Header]:
    safe, pickles = sorted(folder.glob("*.safetensors")), sorted(folder.glob("pytorch_model*.bin"))
    if not safe and not pickles:
        raise InputError(folder, found="no weights", expected="a complete T5 model folder", fix=THREE_CHOICES)
    if safe:
        return {name: stored.header for name, stored in open_safetensors(safe).items()}
    found: dict[str, Header] = {}
    for path in pickles:
        found |= headers(state_of(read_pth(path), "state_dict", path, fix=THREE_CHOICES))
    return found
