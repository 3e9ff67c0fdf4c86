"""An evaluator that is saved and read again is the same, and what it cannot embed is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation.text_motion.evaluator import TextMotionEvaluator
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.text.cache import TextCache
from tests.evaluation.text_motion.cuts import WordEncoder

CAPTIONS = ["a person runs now", "a person kicks", "a person"]


@pytest.fixture(scope="module")
def motions(splits) -> list[torch.Tensor]:
    return [splits.tests["test"].features(i) for i in range(9)]


def test_features_and_joints_give_one_embedding(evaluator, splits, motions) -> None:
    found = evaluator.embed_motion(motions)
    assert found.shape == (9, 24) and found.dtype == torch.float32
    joints = [splits.tests["test"][i].motion.joints() for i in range(9)]
    torch.testing.assert_close(evaluator.embed_motion(joints), found, rtol=1e-4, atol=1e-4)


def test_a_motion_alone_is_as_in_a_batch(evaluator, motions, monkeypatch) -> None:
    together = evaluator.embed_motion(motions)
    for row, motion in zip(together, motions, strict=True):
        torch.testing.assert_close(evaluator.embed_motion([motion])[0], row, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr("motionlab.evaluation.text_motion.evaluator._FRAMES_AT_ONCE", 90)
    torch.testing.assert_close(evaluator.embed_motion(motions), together, rtol=1e-4, atol=1e-4)


def test_a_saved_evaluator_embeds_the_same(evaluator, texts, motions, tmp_path, splits) -> None:
    path = tmp_path / "evaluator.safetensors"
    evaluator.save(path)
    again = TextMotionEvaluator.load(path, splits.digests)
    assert again.record == evaluator.record and again.size == 24
    assert torch.equal(again.embed_motion(motions), evaluator.embed_motion(motions))
    assert torch.equal(again.embed_text(CAPTIONS, texts), evaluator.embed_text(CAPTIONS, texts))


def test_an_evaluator_of_other_clips_is_refused(evaluator, tmp_path) -> None:
    path = tmp_path / "evaluator.safetensors"
    evaluator.save(path)
    with pytest.raises(InputError, match=r"other clips \(train\)"):
        TextMotionEvaluator.load(path, {"train": "another"})


@pytest.mark.parametrize("change", ["another file", "format", "a tensor less", "a field"])
def test_other_files_are_refused(evaluator, tmp_path, change) -> None:
    path = tmp_path / "evaluator.safetensors"
    evaluator.save(path)
    state, description = read_tensors(path)
    told = description["text_motion_evaluator"]
    if change == "another file":
        description = {"actions": ["kick"]}
    elif change == "format":
        told["format"] = 99
    elif change == "a tensor less":
        state.pop("text.out.weight")
    else:
        told["sizes"]["width"] = "wide"
    write_tensors(path, state, description)
    with pytest.raises(InputError, match="evaluator.safetensors"):
        TextMotionEvaluator.load(path)


def test_features_of_another_text_encoder_are_refused(evaluator) -> None:
    other = WordEncoder()
    other.name = "others"
    for texts, words in ((None, "found none"), (TextCache(None, other), "those of others")):
        with pytest.raises(InputError, match=words):
            evaluator.embed_text(CAPTIONS, texts)


def test_what_cannot_be_embedded_is_named(evaluator, texts, splits) -> None:
    with pytest.raises(InputError, match="motion 1"):
        evaluator.embed_motion([torch.zeros(4, 22, 3), torch.zeros(4, 5)])
    with pytest.raises(InputError, match="60 fps"):
        evaluator.embed_motion([replace(splits.train[0].motion, fps=60.0)])
    for nothing in (lambda: evaluator.embed_motion([]), lambda: evaluator.embed_text([], texts)):
        with pytest.raises(InputError, match="at least one"):
            nothing()
