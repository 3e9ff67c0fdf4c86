"""Many clips joined at once: bit for bit what `compose` makes one by one."""

import dataclasses

import pytest
import torch

from motionlab.config import load_config
from motionlab.data.composed import corpus as module
from motionlab.data.composed.corpus import compose
from motionlab.data.composed.plan import plan_corpus


@pytest.mark.parametrize("together", [1, 5, 12])
@pytest.mark.parametrize(
    "settings", [{}, {"blend_frames": 0}, {"blend_frames": 37, "max_actions": 4, "max_frames": 500}]
)
def test_the_same_clips_as_one_by_one(usable, settings, together, monkeypatch):
    config = dataclasses.replace(load_config("ci").corpus, n_train=30, min_frames=40, **settings)
    plans = [plan for split in plan_corpus(config, usable).values() for plan in split][:30]
    assert any(plan.mirrored for plan in plans) and any(step.repeats > 1 for plan in plans for step in plan.steps)
    monkeypatch.setattr(module, "_PLANS_TOGETHER", together)
    for plan, found in zip(plans, module._compose_block(plans, config.blend_frames), strict=True):
        expected = compose(plan, config.blend_frames)
        assert found.motion.features.numpy().tobytes() == expected.motion.features.numpy().tobytes(), plan.name
        assert (found.name, found.captions) == (expected.name, expected.captions)
        assert found.segments == expected.segments and found.motion.features.dtype == torch.float32
