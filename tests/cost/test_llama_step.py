"""The decoder's formula: against its allocator, against the module's own bookkeeping, and against itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from motionlab.config import LlamaConfig, TrainConfig
from motionlab.cost.allocations import record_memory
from motionlab.cost.llama_step import LlamaWalk, llama_step_memory
from motionlab.cost.measure import measure_llama_step
from motionlab.cost.settings import MIB, StepSettings
from motionlab.cost.tokenizer_step import StepMemory
from motionlab.errors import InputError
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.cross_entropy import CHUNK_NUMBERS
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.objectives.strategies import RandomReplacement
from motionlab.llama.sequence import Sequences, build_sequences
from motionlab.llama.sizes import parameter_count
from motionlab.llama.variant import LlamaVariant
from motionlab.runtime import one_thread
from motionlab.text.encoder import TextFeatures
from motionlab.training.loop import fit
from motionlab.training.precision import make_precision
from motionlab.training.stage import FunctionStage, Losses

PROMISED = 0.1
CODES = 1024  # as the preset "tiny": 1,026 rows
TEXT, SLOTS = 48, 10


def decoder(dim: int = 96, **changes: Any) -> LlamaConfig:
    return LlamaConfig(**{"n_layer": 2, "n_head": 4, "n_kv_heads": 2, "dim": dim, "hidden": 3 * dim} | changes)


def make(config: LlamaConfig, codes: int = CODES, text_dim: int = TEXT) -> MotionLlama:
    return MotionLlama(
        codes,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_kv_heads=config.n_kv_heads,
        dim=config.dim,
        text_dim=text_dim,
        variant=LlamaVariant(hidden=config.hidden, tied_embeddings=config.tied_embeddings),
    )


def formula(
    config: LlamaConfig, settings: StepSettings, codes: int = CODES, text_dim: int = TEXT, slots: int = SLOTS
) -> StepMemory:
    return llama_step_memory(config, settings, codebook_size=codes, text_dim=text_dim, text_slots=slots)


SHAPES = {
    "batch": (decoder(), StepSettings(batch=16, window=64), CODES),
    "length": (decoder(), StepSettings(batch=2, window=280), CODES),
    "width": (decoder(256), StepSettings(batch=4, window=40), CODES),
    "layers": (decoder(64, n_layer=6), StepSettings(batch=8, window=60), CODES),
    "one head for all": (decoder(n_kv_heads=1), StepSettings(batch=8, window=64), CODES),
    "a head for each": (decoder(n_kv_heads=None), StepSettings(batch=8, window=64), CODES),
    "narrow SwiGLU": (decoder(hidden=64), StepSettings(batch=8, window=64), CODES),
    "tied": (decoder(tied_embeddings=True), StepSettings(batch=8, window=64), CODES),
    "tied, many codes": (decoder(32, tied_embeddings=True), StepSettings(batch=4, window=64), 64_000),
    "many codes": (decoder(48), StepSettings(batch=2, window=48), 64_000),
    "many codes, many chunks": (decoder(16), StepSettings(batch=16, window=60), 64_000),
    "mostly weights": (decoder(256), StepSettings(batch=1, window=16), CODES),
    "sgd": (decoder(), StepSettings(batch=8, window=64, optimizer="sgd"), CODES),
    "second micro-batch": (decoder(192), StepSettings(batch=4, window=64, accumulates=True), CODES),
}


PLAIN = [(shape, False, "fp32") for shape in SHAPES]
SAVING = [(shape, True, "bf16") for shape in SHAPES]
MIXED = [(shape, *one) for shape in ("batch", "many codes") for one in ((True, "fp32"), (False, "bf16"))]


@pytest.mark.parametrize(("shape", "checkpointing", "precision"), [*PLAIN, *SAVING, *MIXED])
def test_formula_and_allocator_agree(shape: str, checkpointing: bool, precision: str) -> None:
    config, settings, codes = SHAPES[shape]
    settings = replace(settings, checkpointing=checkpointing, precision=precision)
    agree(config, settings, codes, SLOTS)


@pytest.mark.parametrize(("checkpointing", "precision"), [(False, "fp32"), (False, "bf16"), (True, "fp32")])
def test_they_agree_when_one_slot_of_text_needs_no_mask(checkpointing: bool, precision: str) -> None:
    settings = StepSettings(batch=2, window=280, checkpointing=checkpointing, precision=precision)
    agree(decoder(64), settings, CODES, slots=1)
    assert formula(decoder(64), settings, slots=1).peak < formula(decoder(64), settings, slots=2).peak


def agree(config: LlamaConfig, settings: StepSettings, codes: int, slots: int) -> None:
    try:
        record = measure_llama_step(lambda: make(config, codes), settings, slots)
    except RuntimeError as error:  # torch 2.13 on a processor with AMX that is told to do without AVX-512
        if "pack_vnni2" not in str(error):
            raise
        pytest.skip(f"an imitated processor on which torch has no attention in bf16: {error}")
    memory = formula(config, settings, codes, slots=slots)
    assert memory.peak == pytest.approx(record.peak, rel=PROMISED)
    for phase in ("forward", "backward", "optimizer"):
        summit = max(moment.bytes for moment in memory.moments if moment.phase == phase)
        assert memory.always + summit == pytest.approx(record.peak_of(phase), rel=PROMISED)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("slots", [1, SLOTS])
@pytest.mark.parametrize(
    "changes", [{}, {"n_kv_heads": 1}, {"n_kv_heads": None}, {"hidden": None}, {"n_layer": 1, "hidden": 32}], ids=str
)
def test_what_is_kept_agrees_with_the_module(
    kept_by_the_module: Callable[[Callable[[], Tensor], Sequence[Tensor]], int],
    changes: dict[str, Any],
    slots: int,
    precision: str,
) -> None:
    config, settings = decoder(48, **changes), StepSettings(batch=3, window=40, precision=precision)
    model = make(config)
    text = TextFeatures(torch.randn(3, slots, TEXT), torch.ones(3, slots, dtype=torch.bool))
    batch = build_sequences(list(torch.randint(CODES, (3, 40 - slots - 1))), text, CODES)
    known = [*model.parameters(), *model.buffers(), batch.tokens, batch.labels, batch.text, batch.text_mask]

    def loss() -> Tensor:
        with make_precision("cpu", precision).autocast():
            return sequence_losses(model, batch).loss

    module = kept_by_the_module(loss, known)
    # The head returns its gradients itself; autograd keeps only the places of the labels for it.
    walk = LlamaWalk(config, settings, codebook_size=CODES, text_dim=TEXT, text_slots=slots)
    layers = [layer for layer in walk.layers() if layer.name != "lm_head"]
    assert sum(layer.kept for layer in layers) == pytest.approx(module, rel=0.005)
    assert sum(layer.kept for layer in layers) <= module


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_one_more_layer_keeps_what_the_docstring_says(groups: int) -> None:
    settings, dim, hidden, heads = StepSettings(batch=4, window=50), 96, 200, 4
    kept = []
    for n_layer in (2, 3):
        config = decoder(dim, n_layer=n_layer, n_kv_heads=groups, hidden=hidden)
        walk = LlamaWalk(config, settings, codebook_size=CODES, text_dim=TEXT, text_slots=SLOTS)
        kept.append(sum(layer.kept for layer in walk.layers()))
    numbers = 4 * 50 * ((9 + 3 * groups / heads) * dim + 4 * hidden + 50 + heads + 2)
    assert kept[1] - kept[0] == 4 * numbers


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n_kv_heads", [None, 1])
@pytest.mark.parametrize("hidden", [None, 100])
def test_weights_gradients_and_state_are_those_of_the_parameter_count(
    tied: bool, n_kv_heads: int | None, hidden: int | None
) -> None:
    config = decoder(tied_embeddings=tied, n_kv_heads=n_kv_heads, hidden=hidden)
    shape = {name: getattr(config, name) for name in ("n_layer", "n_head", "n_kv_heads", "dim", "hidden")}
    count = parameter_count(CODES, **shape, text_dim=TEXT, tied_embeddings=tied)
    for settings in (StepSettings(), StepSettings(checkpointing=True), StepSettings(accumulates=True)):
        memory = formula(config, settings)
        assert (memory.weights, memory.optimizer) == (4 * count, 8 * count)
        assert memory.moments[-1].gradients == 4 * count
        assert memory.moments[-1].activations == 0, "everything that was kept has been released"


def test_the_parts_are_the_peak_and_logits_are_one_of_them() -> None:
    config = decoder(16)
    memory = formula(config, StepSettings(batch=64, window=60), codes=64_000)
    assert sum(memory.parts().values()) == memory.peak and memory.top.layer == "lm_head"
    assert memory.parts()["logits"] == 4 * (CHUNK_NUMBERS // 64_001) * 64_001
    assert "one-hot matrix" not in memory.parts()


def test_logits_stop_growing_with_the_batch() -> None:
    logits = []
    for batch in (1, 4, 16, 64, 256):
        memory = formula(decoder(), StepSettings(batch=batch, window=60), codes=64_000)
        logits.append(max(moment.matrix for moment in memory.moments) / MIB)
    assert logits == sorted(logits) and logits[0] == pytest.approx(50 * 64_001 * 4 / MIB)
    assert logits[-1] == logits[-2] <= 128, "two chunks of 64 MiB"
    assert 256 * 50 * 64_001 * 4 / MIB > 3000, "what all logits at once would be"


@pytest.mark.parametrize(
    ("name", "value"), [("batch", 8), ("window", 50), ("optimizer", "sgd"), ("precision", "bf16"), ("checkpointing", 1)]
)
def test_everything_that_should_save_memory_does(name: str, value: Any) -> None:
    before = formula(decoder(n_layer=4), StepSettings(batch=16, window=100))
    after = formula(decoder(n_layer=4), StepSettings(**({"batch": 16, "window": 100} | {name: value})))
    assert after.peak < before.peak


def test_gradients_of_an_earlier_micro_batch_are_there_all_the_time() -> None:
    once = formula(decoder(), StepSettings(batch=16, window=64))
    again = formula(decoder(), StepSettings(batch=16, window=64, accumulates=True))
    assert again.moments[0].gradients == again.weights and once.moments[0].gradients == 0
    assert once.peak < again.peak <= once.peak + once.weights


def test_checkpointing_keeps_one_tensor_a_layer() -> None:
    settings = StepSettings(batch=2, window=64, checkpointing=True)
    walk = LlamaWalk(decoder(n_layer=3), settings, codebook_size=CODES, text_dim=TEXT, text_slots=SLOTS)
    rows = [row for layer in walk.layers() for row in layer.rows if ".h." in row.name]
    assert [row.name for row in rows] == [f"transformer.h.{i} input" for i in range(3)]


@pytest.mark.parametrize(
    ("changes", "slots", "words"),
    [({"qk_norm": True}, SLOTS, "memory of qk_norm"), ({}, 64, "text_slots"), ({}, 0, "text_slots")],
)
def test_what_has_no_formula_is_refused(changes: dict[str, Any], slots: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        llama_step_memory(
            decoder(**changes), StepSettings(window=64), codebook_size=CODES, text_dim=TEXT, text_slots=slots
        )


def test_the_training_loop_holds_what_the_step_holds(tmp_path: Path) -> None:
    config, strategy = decoder(), RandomReplacement(keep=0.5)
    text = TextFeatures(torch.randn(16, SLOTS, TEXT), torch.ones(16, SLOTS, dtype=torch.bool))
    codes = torch.randint(CODES, (16, 64 - SLOTS - 1))
    with record_memory() as memory, one_thread():
        model = make(config)

        def step(batch: Sequences) -> Losses:
            losses = strategy(model, batch)
            return Losses(losses.loss, {"accuracy": losses.accuracy})

        stage = FunctionStage(
            model,
            lambda i: build_sequences(list(codes), text, CODES).seeded(i),
            step,
            count=lambda batch: batch.n_labels,
        )
        fit(stage, TrainConfig(steps=2, batch_size=16, warmup_steps=1, precision="fp32", save_every=100), tmp_path)
    assert formula(config, StepSettings(batch=16, window=64)).peak == pytest.approx(memory.peak, rel=PROMISED)
