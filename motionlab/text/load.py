"""A text encoder by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from motionlab.errors import InputError
from motionlab.text.encoder import THREE_CHOICES, TextEncoder


@dataclass(frozen=True)
class EncoderSettings:
    """The arguments of `load_text_encoder`: what another process needs to encode the same."""

    kind: str = "minilm"
    folder: str | None = None
    max_tokens: int = 150
    pooled: bool = False
    device: str = "cpu"

    def load(self) -> TextEncoder:
        """The encoder.

        Raises:
            InputError: as `load_text_encoder`.
        """
        return load_text_encoder(
            self.kind, self.folder, max_tokens=self.max_tokens, pooled=self.pooled, device=self.device
        )


def load_text_encoder(
    kind: str = "minilm",
    folder: str | Path | None = None,
    *,
    max_tokens: int = 150,
    pooled: bool = False,
    device: str = "cpu",
) -> TextEncoder:
    """`"minilm"` (bundled, pinned by hash) or `"t5"` (a local folder). The weights are read when they are first needed.

    Args:
        max_tokens: longest caption, in tokens; a longer one is an error, it is never cut.
        pooled: one vector per caption instead of one per token.
        device: where the encoder runs; the features are on the CPU in any case.

    Raises:
        InputError: an unknown kind, a setting that the kind does not have, or a T5 folder that is missing.

    >>> load_text_encoder("clip")
    Traceback (most recent call last):
    motionlab.errors.InputError: text.encoder: found 'clip', expected minilm or t5. Choose one of three: ...
    """
    if kind == "minilm":
        from motionlab.text.minilm import MiniLM

        return MiniLM(pooled=pooled, max_tokens=max_tokens, device=device)
    if kind != "t5":
        raise InputError("text.encoder", found=repr(kind), expected="minilm or t5", fix=THREE_CHOICES)
    if folder is None:
        raise InputError("text.folder", found="nothing", expected="the folder of a T5 model", fix=THREE_CHOICES)
    from motionlab.text.t5 import T5Folder

    return T5Folder(folder, max_tokens=max_tokens, pooled=pooled, device=device)
