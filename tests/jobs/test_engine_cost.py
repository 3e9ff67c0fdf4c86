"""An exact engine costs nothing; rounded weights cost what the same measure finds."""

from __future__ import annotations

import shutil

import pytest
import torch

from motionlab.errors import InputError
from motionlab.jobs.engine_cost import engine_cost, same_choices
from motionlab.jobs.generate import generate_motions
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.engine.reader import OnnxReader

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def own_run(finished_run, tmp_path_factory) -> Run:
    """A copy, because exported decoders are kept in the folder."""
    return Run.open(shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("runs") / "own"))


@pytest.fixture(scope="module")
def clips(own_run):
    return next(iter(prepare(own_run.config).tests.values()))


def test_onnx_costs_nothing(own_run, clips):
    cost = engine_cost(own_run, clips, "onnx", limit=3)
    assert cost.next_token.value == cost.same_motions.value == 1.0
    assert cost.score["torch"].value == cost.score["onnx"].value and cost.score["onnx minus torch"].value == 0
    assert len(cost.lines()) == 5 and cost.lines()[0].endswith("100 % (100 to 100)")


def test_int8_is_measured(own_run, clips):
    cost = engine_cost(own_run, clips, "onnx-int8", limit=3)
    assert 0 <= cost.next_token.value <= 1 and cost.score["onnx-int8 minus torch"].value == pytest.approx(
        cost.score["onnx-int8"].value - cost.score["torch"].value
    )


def test_choices_differ_when_the_other_engine_has_other_weights(own_run, clips, monkeypatch):
    captions = [clips.captions(0)[0]]
    made = generate_motions(own_run, captions, own_run.config.sampling)[0]
    tokens = [made[0].generated.tokens[:5]]
    assert same_choices(own_run, captions, tokens, "onnx") == [1.0]
    monkeypatch.setattr(OnnxReader, "next", lambda self, code: torch.zeros(1, 9).index_fill(1, code * 0, -1.0))
    assert same_choices(own_run, captions, tokens, "onnx")[0] < 1.0


def test_an_unknown_engine(own_run, clips):
    with pytest.raises(InputError, match="engine"):
        engine_cost(own_run, clips, "quick")
