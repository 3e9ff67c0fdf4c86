"""The tokenizer of lesson 19, as its notebook writes it: the classes of its cells, with the shipped weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lessons.build_the_tokenizer.parts import WRITTEN, held_out
from motionlab.jobs.pretrained import pretrained_run
from motionlab.quantizers.vq_ema import VQEMA

NOTEBOOK = Path(__file__).resolve().parents[3] / "notebooks" / "19_build_the_tokenizer.ipynb"


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    """`parts`, `Tokenizer`, `mine` (with trained weights), `theirs`, `clips`."""
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]]
    space: dict[str, Any] = {"torch": torch, "nn": nn, **WRITTEN}
    for cell in cells:
        if cell.startswith(("parts = SimpleNamespace", "class ")):
            exec("from types import SimpleNamespace\n" + cell, space)
    run = pretrained_run()
    theirs = run.tokenizer().eval()
    mine = space["Tokenizer"](width=128, depth=2, quantizer=VQEMA(1024, dim=64)).eval()
    mine.load_state_dict(theirs.state_dict(), strict=True)
    space.update(mine=mine, theirs=theirs, clips=held_out(run, 3))
    return space
