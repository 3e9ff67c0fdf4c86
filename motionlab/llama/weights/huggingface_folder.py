"""A Hugging Face model as settings and tensors: from a folder without transformers, or from a live model.

Only safetensors files are read. They hold numbers and nothing else; a `pytorch_model.bin` is a pickle, a program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.rope_scaling import LinearScaling, Llama3Scaling, RopeScaling

# Settings that change the mathematics, with the only value that our LLaMA has.
_FIXED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "use_sliding_window": False,
    "partial_rotary_factor": 1.0,
}


@dataclass(frozen=True)
class Source:
    """Settings (`config.json`) and tensors by name; `where` is for messages.

    A value of `tensors` is a tensor, or a function that reads it: a folder may be larger than the memory.
    """

    where: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor | Callable[[], Tensor]]

    def __post_init__(self) -> None:
        kind = self.config.get("model_type")
        if kind not in ("llama", "qwen3"):
            self._refuse("model_type", kind, "llama or qwen3")
        for key, value in _FIXED.items():
            if self.config.get(key, value) != value:
                self._refuse(key, self.config[key], value)
        head_dim = self.number("hidden_size") // self.number("num_attention_heads")
        if (self.config.get("head_dim") or head_dim) != head_dim:
            self._refuse("head_dim", self.config["head_dim"], f"hidden_size / num_attention_heads = {head_dim}")

    @property
    def tied(self) -> bool:
        """The output layer is the embedding."""
        return bool(self.config.get("tie_word_embeddings", False))

    @property
    def qk_norm(self) -> bool:
        """Query and key heads are normalised."""
        return bool(self.config["model_type"] == "qwen3")

    @property
    def n_kv_heads(self) -> int:
        """Key-value heads; old files leave the number out when it is that of the query heads."""
        return int(self.config.get("num_key_value_heads") or self.number("num_attention_heads"))

    def number(self, key: str) -> int:
        """An integer setting."""
        value = self.config.get(key)
        if not isinstance(value, int):
            self._refuse(key, value, "a whole number")
        return int(value)

    def tensor(self, name: str, shape: torch.Size | None = None) -> Tensor:
        """A tensor by name, with its shape checked."""
        if name not in self.tensors:
            self._refuse("weights", f"no {name}", "all weights of the layers that config.json announces")
        found = self.tensors[name]
        tensor = found if isinstance(found, Tensor) else found()
        if shape is not None and tensor.shape != shape:
            self._refuse(name, list(tensor.shape), list(shape))
        return tensor

    def rope(self, max_length: int) -> tuple[float, RopeScaling | None]:
        """Base and scaling. transformers 5 writes both in `rope_parameters`, earlier versions in two places."""
        settings = self.config.get("rope_parameters") or self.config.get("rope_scaling") or {}
        theta = float(settings.get("rope_theta") or self.config.get("rope_theta") or 10_000.0)
        kind = settings.get("rope_type", settings.get("type", "default"))
        if kind == "linear":
            return theta, LinearScaling(float(settings["factor"]))
        if kind == "llama3":
            return theta, Llama3Scaling(
                float(settings["factor"]),
                int(settings["original_max_position_embeddings"]),
                float(settings["low_freq_factor"]),
                float(settings["high_freq_factor"]),
            )
        # "dynamic" changes nothing within the trained length.
        trained = self.config.get("max_position_embeddings", 0)
        if kind != "default" and not (kind == "dynamic" and max_length <= trained):
            self._refuse("rope_type", kind, "default, linear or llama3")
        return theta, None

    def _refuse(self, key: str, found: object, expected: object) -> NoReturn:
        raise InputError(
            f"{self.where}: {key}", found=found, expected=expected, fix="Use another LLaMA, or convert this one first."
        )


def open_folder(folder: str | Path) -> Source:
    """The model of a folder: `config.json` and one or more `*.safetensors` files.

    Raises:
        InputError: a file is missing or damaged, or there are only pickles.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            folder / "config.json", found=error, expected="the settings of a model", fix="Give its whole folder."
        ) from error
    tensors: dict[str, Tensor | Callable[[], Tensor]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            file = safe_open(path, framework="pt", device="cpu")
        except (SafetensorError, OSError) as error:
            raise InputError(
                path, found=error, expected="a whole safetensors file", fix="Copy or download it again."
            ) from error
        for name in file.keys():  # noqa: SIM118 (not a dict)
            tensors[name] = partial(file.get_tensor, name)
    if not tensors:
        raise InputError(
            folder,
            found="no *.safetensors file",
            expected="weights in safetensors",
            fix="Download that format, or load the pickles where you trust them: save_pretrained writes it.",
        )
    return Source(str(folder), config, tensors)
