"""The decoder of lesson 18, as its notebook writes it: the classes of its cells, with the shipped weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lessons.build_the_decoder.parts import WRITTEN, held_out
from motionlab.jobs.pretrained import pretrained_run

NOTEBOOK = Path(__file__).resolve().parents[3] / "notebooks" / "18_build_the_decoder.ipynb"


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    """`parts`, `Decoder`, `mine` (with trained weights), `run`, `batch`."""
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]]
    space: dict[str, Any] = {"torch": torch, "nn": nn, **WRITTEN, "rms_norm": WRITTEN["norm"], "swiglu": WRITTEN["mlp"]}
    for cell in cells:
        if cell.startswith(("parts = ", "class ")):
            exec("from types import SimpleNamespace\n" + cell, space)
    run = pretrained_run()
    theirs = run.llama.eval()
    space["mine"] = space["Decoder"](theirs.codebook_size, 4, 4, 2, 128, theirs.hidden_dim, theirs.text_dim).eval()
    space["mine"].load_state_dict(theirs.state_dict(), strict=True)
    space.update(run=run, theirs=theirs, batch=held_out(run, 4))
    return space
