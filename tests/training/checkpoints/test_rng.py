import json
import random

import numpy as np
import torch

from motionlab.training.checkpoints.rng import rng_state, set_rng_state


def draw() -> tuple[float, ...]:
    return (
        random.random(),
        random.gauss(),
        np.random.rand(),
        np.random.randn(),
        float(torch.rand(1)),
        float(torch.randn(1)),
    )


def test_state_survives_json_for_every_generator() -> None:
    draw()  # leaves half a pair of Gaussians in Python's and numpy's generators
    text = json.dumps(rng_state())
    first = draw()
    second = draw()
    set_rng_state(json.loads(text))
    assert draw() == first
    assert draw() == second != first
