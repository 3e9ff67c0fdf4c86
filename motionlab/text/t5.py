"""A T5, flan-T5 or ByT5 encoder from a folder on disk, as published models use it (flan-t5-xl, 2048 numbers per token).

The folder is one that `save_pretrained` wrote; an encoder-decoder checkpoint works too, its decoder is not loaded.
Nothing is ever downloaded.  Raffel et al., arXiv:1910.10683; Xue et al., "ByT5", arXiv:2105.13626.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from motionlab.errors import InputError
from motionlab.files.weights import check_tensors
from motionlab.text.encoder import THREE_CHOICES, TextFeatures, check_captions
from motionlab.text.t5_folder import check_t5_weights, t5_config
from motionlab.text.transformers_loading import hidden_states, pool, quiet_loading, transformers_module

_TOKENIZER_FILES = (
    "added_tokens.json", "special_tokens_map.json", "spiece.model", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip


class T5Folder:
    """Encoder from a local folder.

    Args:
        folder: holds `config.json`, the weights and the tokenizer's files.
        max_tokens: longest caption, end mark included (published: 150). T5's positions are distances, so the model
            itself has no limit; far beyond the 512 tokens of its training it is a guess.
        dtype: of the weights; bfloat16 halves the memory of the large ones.
        pooled: one vector per caption, the mean over its tokens, scaled to length 1 (Ni et al., "Sentence-T5",
            arXiv:2108.08877). A T5 that was not trained for sentences gives a rough one.

    Raises:
        InputError: the folder is missing, its config is not that of a T5, or its weights are quantised or an adapter.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_tokens: int = 150,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        pooled: bool = False,
    ) -> None:
        self.folder, self.max_tokens, self.device, self.dtype = Path(folder), max_tokens, device, dtype
        self.pooled = pooled
        self.config = t5_config(self.folder)
        self.dim = self.config.whole("d_model")
        self.name = f"t5-{self.folder.resolve().name}-{_fingerprint(self.folder)}" + ("-pooled" if pooled else "")

    @torch.no_grad()  # not inference_mode: its tensors cannot be saved for backward when the decoder trains on them
    def encode(self, captions: Sequence[str]) -> TextFeatures:
        """Features of the captions: `[N, L, dim]`, or `[N, 1, dim]` when pooled.

        Raises:
            InputError: an empty caption, one over `max_tokens`, or a folder that cannot be loaded or holds other
                tensors than the encoder that its config announces.
            MissingExtra: transformers is not installed.
        """
        check_captions(captions)
        states = hidden_states(*self._loaded, captions, self.max_tokens, self.device)  # one [l_i, dim] a caption
        return TextFeatures.from_rows([pool(rows) for rows in states] if self.pooled else states)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        transformers = transformers_module("read a T5 folder")
        check_t5_weights(self.folder, self.config)
        try:
            with quiet_loading():
                tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
                model, report = transformers.T5EncoderModel.from_pretrained(
                    self.folder, local_files_only=True, dtype=self.dtype, output_loading_info=True
                )
            if report["missing_keys"]:  # transformers only warns, and continues with random numbers in their place
                raise KeyError(f"no weights for {sorted(report['missing_keys'])[0]}")
        except Exception as error:  # transformers raises many kinds here, for missing and for broken files
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                self.folder,
                found=f"{type(error).__name__}: {reason}",
                expected="a complete T5 model folder (config, weights, tokenizer)",
                fix=THREE_CHOICES,
            ) from error
        check_tensors(model.state_dict(), f"{self.folder} as {self.dtype}")
        return tokenizer, model.to(self.device).eval().requires_grad_(False)


def _fingerprint(folder: Path) -> str:
    """Eight hex digits that change with the model: config and tokenizer, and size and both ends of each weight file.

    A hash of the whole would read 10 GB for flan-t5-xl at every start.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for name in _TOKENIZER_FILES:  # other ids, other features
        if (folder / name).is_file():
            digest.update(f"{name} ".encode() + (folder / name).read_bytes())
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        size, end = path.stat().st_size, 1 << 20
        digest.update(f"{path.name} {size}".encode())
        with open(path, "rb") as file:
            digest.update(file.read(end))
            file.seek(max(0, size - end))
            digest.update(file.read(end))
    return digest.hexdigest()[:8]
