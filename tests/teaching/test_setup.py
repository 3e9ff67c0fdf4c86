"""ml.setup: repeatable, and quiet about everything but what it decided."""

from __future__ import annotations

import pytest
import torch

from motionlab.teaching.setup import setup


def test_setup_says_what_it_decided_and_repeats(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTIONLAB_PROFILE", "ci")
    setup("03")
    first, a = capsys.readouterr().out, torch.rand(3)
    setup("03")
    second, b = capsys.readouterr().out, torch.rand(3)
    assert first == second and torch.equal(a, b)
    assert first.startswith("lesson 03 · seed 0 · profile quick (seconds)\ndevice: ")
