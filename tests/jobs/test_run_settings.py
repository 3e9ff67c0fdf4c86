"""A refused change names each key, its old and new value and how to allow it; what shapes no weights is free."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motionlab.config import TrainConfig, load_config
from motionlab.errors import InputError
from motionlab.jobs.run_folder import Run
from motionlab.jobs.run_settings import FREE, needs_training

ENDED = {"step": 0, "items": 0, "skipped": 0, "seconds": 0.0, "split": {}}  # what every summary has
SAME = "llama_training.resume_changed=same_place"


def pretend(stage: Path, step: int, planned: int = 12, ended: str = "done") -> None:
    """The files of a training of `planned` steps when it is at `step`: the record, the summary, the weights."""
    (stage / "checkpoints").mkdir(parents=True)
    record = {"format": 1, "step": step, "tensors": "x", "sha256": "x"}
    record |= {"counters": {"step": step}, "settings": {"steps": planned}}
    (stage / "checkpoints" / "last.json").write_text(json.dumps(record))
    (stage / "training.json").write_text(json.dumps({**ENDED, "ended": ended}))
    if ended in ("done", "early"):
        (stage / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of the `ci` preset whose decoder is trained, as far as the settings can see."""
    made = Run.create(tmp_path / "ci", load_config("ci"))
    pretend(made.folder / "tokenizer-fsq", 12)
    pretend(made.folder / "llama", 12)
    return made


@pytest.mark.parametrize(
    "changes",
    [
        ["sampling.temperature=0.5", "sampling.max_tokens=80", "evaluation.n_players=2", "device=cpu", "name=other"],
        ["compare_quantizers=[vq]", "seed=5", "llama_training.log_every=1", "tokenizer_training.loggers=[wandb]"],
    ],
)
def test_what_shapes_no_weights_may_change(run: Run, changes: list[str]) -> None:
    wanted = load_config("ci", changes)
    Run.create(run.folder, wanted)
    assert Run.open(run.folder).config == wanted


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            ["llama.dim=64", "llama.qk_norm=true", "corpus.seed=1"],
            ["corpus.seed 0 -> 1, llama.dim 32 -> 64, llama.qk_norm false -> true",
             "corpus.seed, llama.dim, llama.qk_norm: set it back, or choose another --name"],
        ),
        (["llama_training.lr=0.1"], ["llama_training.lr 0.001 -> 0.1", SAME]),
        (["llama_training.clip_norm=null"], ["llama_training.clip_norm 1.0 -> null", SAME]),
        (["llama_training.steps=24"], ["steps 12 -> 24", "cosine plans the rate", SAME, "after 12 steps"]),
        (["llama_training.steps=6"], ["12 steps are trained already"]),
        (["llama_training.steps=6", SAME], ["12 steps are trained already"]),
        (["llama_training.lr=0.1", SAME], ["finished, so nothing would be trained", "raise llama_training.steps, too"]),
        (
            ["tokenizer_training.steps=24", "tokenizer_training.resume_changed=same_place"],
            ["tokenizer_training.steps 12 -> 24", "the decoder was trained on the tokens of this tokenizer"],
        ),
    ],
)  # fmt: skip
def test_a_refused_change_says_what_and_how_to_allow_it(run: Run, changes: list[str], told: list[str]) -> None:
    before = (run.folder / "config.yaml").read_bytes()
    with pytest.raises(InputError, match="a run with other settings") as caught:
        Run.create(run.folder, load_config("ci", changes))
    for part in told:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value) and (run.folder / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        ["llama_training.steps=24", SAME],
        ["llama_training.steps=24", "llama_training.lr=0.1", SAME],
    ],
)
def test_more_steps_are_trained_when_that_is_asked_for(run: Run, changes: list[str]) -> None:
    wanted = Run.create(run.folder, load_config("ci", changes)).config
    assert needs_training(run.folder / "llama", wanted.llama_training)
    assert not needs_training(run.folder / "tokenizer-fsq", wanted.tokenizer_training)


def test_a_schedule_without_a_plan_takes_more_steps(tmp_path: Path) -> None:
    constant = ["llama_training.schedule=constant"]
    run = Run.create(tmp_path, load_config("ci", constant))
    pretend(run.folder / "llama", 12)
    wanted = Run.create(tmp_path, load_config("ci", [*constant, "llama_training.steps=24"])).config
    assert needs_training(run.folder / "llama", wanted.llama_training)


def test_tokenizers_take_more_steps_as_long_as_no_decoder_knows_them(tmp_path: Path) -> None:
    constant = ["tokenizer_training.schedule=constant"]
    run = Run.create(tmp_path, load_config("ci", constant))
    pretend(run.folder / "tokenizer-fsq", 12)
    Run.create(tmp_path, load_config("ci", [*constant, "tokenizer_training.steps=24"]))
    more = Run.open(tmp_path).config.tokenizer_training
    assert more.steps == 24 and needs_training(run.folder / "tokenizer-fsq", more), "it is kept, and really trained"


def test_a_training_that_ran_out_of_patience_says_so(tmp_path: Path) -> None:
    settings = ["llama_training.patience=2", "llama_training.schedule=constant"]
    run = Run.create(tmp_path, load_config("ci", settings))
    pretend(run.folder / "llama", 8, ended="early")
    assert not needs_training(run.folder / "llama", run.config.llama_training)
    with pytest.raises(InputError, match="stopped early, out of patience; raise llama_training.patience, too"):
        Run.create(tmp_path, load_config("ci", [*settings, "llama_training.steps=24"]))


@pytest.mark.parametrize(
    ("step", "planned", "ended", "steps", "expected"),
    [
        (12, 12, "done", 12, False),
        (12, 12, "done", 24, True),
        (18, 24, "running", 24, True),  # killed while it trained on
        (8, 12, "early", 12, False),
        (8, 12, "early", 24, True),
    ],
)
def test_whether_a_stage_is_trained(
    tmp_path: Path, step: int, planned: int, ended: str, steps: int, expected: bool
) -> None:
    pretend(tmp_path / "llama", step, planned, ended)
    (tmp_path / "llama" / "model.safetensors").write_bytes(b"weights")
    assert needs_training(tmp_path / "llama", TrainConfig(steps=steps, warmup_steps=0)) is expected


def test_weights_without_a_training_are_taken_as_they_are(tmp_path: Path) -> None:
    assert needs_training(tmp_path, TrainConfig())
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert not needs_training(tmp_path, TrainConfig())


def test_the_free_keys_are_keys() -> None:
    assert {key.partition(".")[0] for key in FREE} <= set(vars(load_config("vla_ci")))  # which has all sections
