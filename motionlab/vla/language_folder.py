"""A LLaMA, Qwen or Mistral from a local Hugging Face folder as a frozen encoder of instructions.

The features are the last hidden states. Nothing is downloaded, no code of the folder runs, and only safetensors are
read. No sentence is padded here, so no padding token has to be invented, which such models do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from motionlab.errors import InputError
from motionlab.files.foreign_config import read_foreign_config
from motionlab.files.weights import check_tensors
from motionlab.text.encoder import TextFeatures, check_captions
from motionlab.text.transformers_loading import hidden_states, quiet_loading, transformers_module

MODELS = ("llama", "qwen2", "qwen3", "mistral")
_FIX = "Give a local folder with config.json, tokenizer and model.safetensors of a LLaMA, Qwen or Mistral."


class HuggingFaceFolder:
    """A `TextEncoder` from a folder. Making one reads the settings; the model is loaded by the first `encode`.

    Args:
        max_tokens: longest instruction.
        dtype: of the weights; bfloat16 halves the memory of large ones.

    Raises:
        InputError: no such folder, another kind of model, or quantised weights.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_tokens: int = 128,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.folder, self.max_tokens, self.device, self.dtype = Path(folder), max_tokens, device, dtype
        config = read_foreign_config(self.folder, "the settings of a language model", _FIX)
        kind = config.text("model_type", MODELS)
        self.dim = config.whole("hidden_size")
        self.name = f"{kind}-{self.folder.resolve().name}"

    @torch.no_grad()  # not inference_mode: the features are inputs of what is trained
    def encode(self, captions: Sequence[str]) -> TextFeatures:
        """Features `[N, L, dim]` and their mask.

        Raises:
            InputError: an empty sentence, one over `max_tokens`, or a folder that cannot be loaded whole.
            MissingExtra: transformers is not installed.
        """
        check_captions(captions)
        return TextFeatures.from_rows(hidden_states(*self._loaded, captions, self.max_tokens, self.device))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        transformers = transformers_module("read a language model")
        try:
            with quiet_loading():
                tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
                model, report = transformers.AutoModel.from_pretrained(
                    self.folder, local_files_only=True, use_safetensors=True, dtype=self.dtype, output_loading_info=True
                )
            missing = sorted([*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])])
            if missing:  # transformers only warns, and continues with random numbers in their place
                raise KeyError(f"no weights for {missing[0]}")
        except Exception as error:  # transformers raises many kinds here, for missing and for broken files
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                self.folder, found=f"{type(error).__name__}: {reason}", expected="a complete model folder", fix=_FIX
            ) from error
        check_tensors(model.state_dict(), f"{self.folder} as {self.dtype}")
        return tokenizer, model.to(self.device).eval().requires_grad_(False)
