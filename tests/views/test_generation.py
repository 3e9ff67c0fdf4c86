"""The probabilities shown for a generated motion are those that the sampler draws from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.sampling import Sampling
from motionlab.views.generation import entropy_bits, view_distribution


def test_entropy_of_equal_shares() -> None:
    assert float(entropy_bits(torch.full((8,), 1 / 8))) == pytest.approx(3)


def test_a_view_names_end_and_the_code_that_was_drawn() -> None:
    plain = torch.zeros(3, 5)
    plain[2, 4] = 5.0
    view = view_distribution(plain, plain, [1, 3, 4], 2, Sampling(max_tokens=3, temperature=0.5, top_p=0.9))
    assert view.names[0] == "END" and view.chosen == 0 and view.kept == [5, 5, 1]
    assert view.after[0] == 1.0 and view.entropy_after[2] == 0 and view.entropy_before[0] == pytest.approx(np.log2(5))
    with pytest.raises(InputError, match="the motion has 3 tokens"):
        view_distribution(plain, plain, [1, 3, 4], 3, Sampling(max_tokens=3))
