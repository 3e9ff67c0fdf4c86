"""Parts written by any number of processes, in any layout, are read by any number in any other."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.files import sha256
from motionlab.files.records import write_record
from motionlab.files.tensors import write_tensors
from motionlab.training.checkpoints.sharded_parts import INDEX, Box, Parts
from motionlab.training.distributed import World

SCRIPT = Path(__file__).with_name("sharded_layouts.py")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes with gloo, as CI has it")
def test_random_layouts_from_one_and_two_to_one_two_and_three(tmp_path: Path, root: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "1 read alone": [],
        "files of 1": [INDEX, "part-0.safetensors"],
        "2 read alone": [],
        "files of 2": [INDEX, "part-0.safetensors", "part-1.safetensors"],
        "read by 1": [],
        "read by 2": [],
        "read by 3": [],
    }


@st.composite
def cut_up(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Box], Box]:
    """A shape, boxes that fill it, and a box within it."""
    shape = tuple(draw(st.lists(st.integers(0, 6), max_size=3)))
    boxes = [Box.whole(shape)]
    for _ in range(draw(st.integers(0, 4)) if shape else 0):
        box = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        at = draw(st.integers(0, len(shape) - 1))
        length = draw(st.integers(0, box.shape[at]))
        for begin, extent in ((0, length), (length, box.shape[at] - length)):
            offset, inner = list(box.offset), list(box.shape)
            offset[at], inner[at] = offset[at] + begin, extent
            boxes.append(Box(tuple(offset), tuple(inner)))
    wanted = [sorted(draw(st.tuples(st.integers(0, length), st.integers(0, length)))) for length in shape]
    box = Box(tuple(begin for begin, _ in wanted), tuple(end - begin for begin, end in wanted))
    return shape, [box for box in boxes if box.size], box


@settings(max_examples=60, deadline=None)
@given(drawn=cut_up())
def test_any_box_of_any_parts(tmp_path_factory: pytest.TempPathFactory, drawn: tuple[tuple[int, ...], list[Box], Box]):
    shape, boxes, wanted = drawn
    folder = tmp_path_factory.mktemp("parts")
    whole = torch.arange(math.prod(shape)).reshape(shape)
    digests = {}
    for i, box in enumerate(boxes):
        part = {"t": whole[box.within(Box.whole(shape))]}
        digests[f"part-{i}.safetensors"] = write_tensors(folder / f"part-{i}.safetensors", part, {})
    parts = [{"file": f"part-{i}.safetensors", "offset": box.offset, "shape": box.shape} for i, box in enumerate(boxes)]
    write_record(folder / INDEX, {"tensors": {"t": {"dtype": "I64", "shape": shape, "parts": parts}}})
    digests[INDEX] = sha256(folder / INDEX)
    with Parts.open(folder, digests, World()) as opened:
        assert torch.equal(opened.read("t", wanted), whole[wanted.within(Box.whole(shape))])
        assert torch.equal(opened.read("t", Box.whole(shape)), whole)
