"""Settings of the text encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from motionlab.config.fields import Section, is_path, setting

MINILM_POSITIONS = 512
"""Positions that MiniLM's table has: no longer caption can be read. T5 has no table, and so no limit of its own."""


@dataclass
class TextConfig(Section):
    """How captions become vectors."""

    NAME: ClassVar[str] = "text"

    encoder: Literal["minilm", "t5"] = setting("minilm", "minilm (bundled) or t5 (a local T5, flan-T5 or ByT5 folder)")
    folder: str | None = setting(
        None, "folder of the T5 weights, when encoder is t5", test=is_path, says="the path of a folder"
    )
    pooled: bool = setting(False, "one vector per caption instead of one per word piece")
    max_tokens: int = setting(
        48,
        "longest caption in word pieces; a longer one is an error, never cut silently",
        at_least=1,
        at_most=100_000,
    )

    def check_relations(self) -> None:
        # A T5 without a folder is no mistake yet: its parameters can be counted. Training refuses it.
        self.require("folder", self.folder is None or self.encoder == "t5", "null, or encoder: t5 with it")
        room = self.encoder != "minilm" or self.max_tokens <= MINILM_POSITIONS
        self.require("max_tokens", room, f"at most {MINILM_POSITIONS}: minilm has no more positions", "Lower it.")
