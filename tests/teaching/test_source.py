"""The code of something in a cell."""

from __future__ import annotations

import pytest

from motionlab.teaching.source import source
from motionlab.vla.backbone.frozen import Frozen


def test_docstrings_are_left_out_and_comments_stay(capsys: pytest.CaptureFixture[str]) -> None:
    source(Frozen)
    text = capsys.readouterr().out
    assert text.startswith("class Frozen(nn.Module):") and '"""' not in text and ">>>" not in text
    assert "# not inference_mode" in text and "def forward" in text
    compile("from __future__ import annotations\n" + text, "source", "exec")
