"""Lesson 17: what it measures is what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lessons.glossary import experiment as lesson17
from lessons.glossary import taxonomy
from lessons.shared.small_models import small_decoder
from motionlab.errors import InputError
from motionlab.llama.objectives.strategies import RandomReplacement, TeacherForcing
from motionlab.vla.masks import TokenGroup, make_att_2d_masks, token_layout


def test_two_methods_make_two_models_of_one_architecture() -> None:
    one, two = (lesson17.trained_by(method, steps=3) for method in (TeacherForcing(), RandomReplacement(0.5)))
    again = lesson17.trained_by(TeacherForcing(), steps=3)
    assert [p.shape for p in one.parameters()] == [p.shape for p in two.parameters()]
    assert lesson17.distance(one, two) > 1e-4 and lesson17.distance(one, again) == 0


def test_a_prefix_keeps_its_keys_and_a_mask_without_blocks_does_not() -> None:
    model = small_decoder().eval()
    _, att = token_layout([TokenGroup("image", 3), TokenGroup("action", 2, opens=True)])
    blocks = make_att_2d_masks(torch.ones(1, 5), att)[0]
    assert lesson17.same_keys(model, blocks, [3, 4]) == [[0, 1, 2], [0, 1, 2]]
    assert lesson17.same_keys(model, torch.ones(5, 5, dtype=torch.bool), [3, 4]) == [[0, 1, 2], []]
    assert lesson17.same_keys(model, blocks, []) == [[0, 1, 2, 3, 4]] * 2
    assert not any(module._forward_hooks for module in model.modules())


def test_keys_are_those_that_attention_uses() -> None:
    model = small_decoder().eval()
    tokens = torch.tensor([5, 6, 7])
    found = lesson17.keys(model, tokens, torch.ones(3, 3, dtype=torch.bool).tril())
    first: Any = model.blocks[0]
    qkv = first.attn.c_attn(first.rms_1(model.transformer["wte"](tokens)))
    assert torch.allclose(found[0], qkv[:, 64:128], atol=1e-6)  # 2 heads of 32 channels: queries, keys, values


def test_the_kept_numbers_of_a_policy(root: Path) -> None:
    path = str(root / "notebooks" / "results" / "libero.json")
    curves = lesson17.policy_curves(path)
    assert curves["training episodes"][1][-1] < curves["held-out episodes"][1][-1] / 2
    assert lesson17.variant_success(path).keys() == {"nothing", *lesson17.SUITES}
    (head, row) = lesson17.fit_rows({"LIBERO": path})
    assert len(head) == len(row) and row[0] == "LIBERO" and row[-1].endswith("%")


def test_a_product_is_measured_and_the_switch_is_put_back() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    speeds = lesson17.product_speeds(64)
    assert set(speeds) == {"float32"} and speeds["float32"] > 1e6
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_every_system_has_a_place_on_every_level() -> None:
    fields = {*(level.name for level in taxonomy.LEVELS), "output", "source"}
    assert all(set(system) == fields and all(system.values()) for system in taxonomy.SYSTEMS.values())
    for level in ("output", *(level.name for level in taxonomy.LEVELS)):
        placed = [name for systems in taxonomy.groups(level).values() for name in systems]
        assert sorted(placed) == sorted(taxonomy.SYSTEMS)
    assert [row[0] for row in taxonomy.table(["pi0", "MDM"])] == ["system", "pi0", "MDM"]
    with pytest.raises(InputError):
        taxonomy.table(["GPT"])
    with pytest.raises(InputError):
        taxonomy.groups("source of light")
