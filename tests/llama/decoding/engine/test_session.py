"""The exported file belongs to the weights: it is read again, made anew, or left unwritten, never taken wrongly."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.engine import session as sessions
from motionlab.llama.decoding.engine import step_graph
from motionlab.llama.decoding.engine.session import export_path, step_session, weights_digest
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.text.encoder import TextFeatures

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
Make = Callable[..., MotionLlama]


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Notes every export, by its kind of weights."""
    made: list[bool] = []
    original = sessions._serialised

    def noted(model: MotionLlama, int8: bool) -> bytes:
        made.append(int8)
        return original(model, int8)

    monkeypatch.setattr(sessions, "_serialised", noted)
    return made


def test_a_session_is_made_once_for_the_same_weights(make_model: Make, exports: list[bool]) -> None:
    model = make_model()
    first = step_session(model)
    assert step_session(model) is first and step_session(model, int8=True) is not first
    assert exports == [False, True]
    model.get_parameter("transformer.h.1.mlp.c_fc2.weight").data[1, 2] += 1e-3
    assert step_session(model) is not first and exports == [False, True, False]


@pytest.mark.parametrize("int8", [False, True])
def test_the_file_is_read_by_the_next_process(
    make_model: Make, tmp_path: Path, exports: list[bool], int8: bool
) -> None:
    step_session(make_model(), int8=int8, folder=tmp_path)
    path = export_path(tmp_path, int8=int8)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, path.with_suffix(".json").name])
    onnx.load(str(path))  # a file that other programs read
    step_session(make_model(), int8=int8, folder=tmp_path)  # equal weights, another object
    assert exports == [int8]


@pytest.mark.parametrize("damage", ["weights", "file", "record", "record of another format"])
def test_a_file_that_does_not_belong_is_made_again(
    make_model: Make, tmp_path: Path, exports: list[bool], damage: str, text: TextFeatures
) -> None:
    step_session(make_model(), folder=tmp_path)
    path = export_path(tmp_path, int8=False)
    record, model = path.with_suffix(".json"), make_model()
    if damage == "weights":
        model.get_parameter("lm_head.weight").data.neg_()
    elif damage == "file":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    elif damage == "record":
        record.write_text("{}")
    else:
        record.write_text(record.read_text().replace('"format": 1', '"format": 0'))
    sampling = Sampling(max_tokens=10, greedy=True)
    fast = generate(model, text.states, text.mask, sampling, engine="onnx", engine_folder=tmp_path)
    plain = generate(model, text.states, text.mask, sampling)
    assert [one.tokens.tolist() for one in fast] == [one.tokens.tolist() for one in plain]
    assert exports == [False, False]
    step_session(make_model() if damage != "weights" else model, folder=tmp_path)
    assert exports == [False, False]  # the new file serves


def test_a_folder_that_cannot_be_written(make_model: Make, tmp_path: Path, text: TextFeatures) -> None:
    folder = tmp_path / "file"
    folder.write_text("no folder")
    with pytest.warns(UserWarning, match="the exported decoder is not kept"):
        step_session(make_model(), folder=folder)
    assert folder.read_text() == "no folder"


def test_a_model_that_is_gone_leaves_no_session(make_model: Make) -> None:
    model = make_model()
    step_session(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_the_digest_sees_everything_that_the_graph_holds(make_model: Make) -> None:
    from motionlab.llama.rope import RopeSettings

    base = make_model()
    others = [make_model(norm_eps=1e-3), make_model(rope=RopeSettings(theta=500.0)), make_model(n_head=2)]
    changed = make_model()
    changed.get_parameter("transformer.ln_f.scale").data[3] += 1e-3
    digests = {weights_digest(model) for model in (base, *others, changed)}
    assert len(digests) == 5 and weights_digest(make_model()) in digests


def test_a_model_too_large_for_a_file(make_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_graph, "LARGEST_FILE", 4 * 1000)
    with pytest.raises(InputError, match="Use engine=torch"):
        step_session(make_model())
    with torch.device("meta"):
        small = MotionLlama(20, n_layer=1, n_head=1, dim=4, text_dim=2, max_length=9)
    step_graph.check_size(small, int8=True)
