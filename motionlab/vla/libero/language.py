"""Which sentence belongs to a demonstration.

Where it stands depends on who wrote the file. A missing sentence is an error, never a placeholder: a policy trained on
"no instruction" for every sample learns to ignore language, and its loss does not show it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.errors import InputError

KEYS = ("language_instruction", "language", "instruction")
_FIX = 'Add the attribute problem_info of /data: {"language_instruction": "pick up ..."}.'


def instruction_of(data: Mapping[str, Any], demo: Mapping[str, Any], path: Path, where: str) -> str:
    """The sentence: from `problem_info`, else from the demonstration or /data, else from the file's name.

    Args:
        data: attributes of /data.
        demo: attributes of the demonstration, and its datasets of text under their names.
        where: file and group, for messages.

    Raises:
        InputError: a sentence that is there but empty, JSON that is none, or a file name that says nothing.
    """
    if "problem_info" in data:
        info = _json(_text(data["problem_info"]), f"{path}: data.problem_info")
        if "language_instruction" in info:
            return _checked(info["language_instruction"], f"{path}: data.problem_info.language_instruction")
    for source, place in ((demo, where), (data, f"{path}: data")):
        for key in KEYS:
            if key in source:
                return _checked(source[key], f"{place}.{key}")
    words = instruction_of_name(path.stem)
    if len(words.split()) < 2:
        raise InputError(where, found="no instruction, and a file name without one", expected="a sentence", fix=_FIX)
    return words


def instruction_of_name(stem: str) -> str:
    """The sentence in the name of a file of LIBERO.

    >>> instruction_of_name("KITCHEN_SCENE3_turn_on_the_stove_demo")
    'turn on the stove'
    """
    return re.sub(r"^[A-Z_]*SCENE\d+_", "", stem).removesuffix("_demo").replace("_", " ").strip()


def _checked(value: Any, where: str) -> str:
    text = " ".join(_text(value).strip().strip('"').split())
    if not text:
        raise InputError(where, found="an empty text", expected="a sentence", fix=_FIX)
    return text


def _text(value: Any) -> str:
    """Text out of what h5py and JSON give: str, bytes, arrays of one or more of them, lists of letters or words."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if isinstance(value, list | tuple):
        parts = [_text(part) for part in value]
        return ("" if all(len(part) <= 1 for part in parts) else " ").join(parts)
    return str(value) if value is not None else ""


def _json(text: str, where: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(where, found=f"{text[:60]!r}", expected="a JSON object", fix=_FIX)
    return found
