"""Lesson 11: the checks name the mistakes, and its run is kept, found again, and trained only once."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lessons.train_tokenizer import experiment as lesson11
from lessons.train_tokenizer.exercises import error_mm, take_window
from lessons.train_tokenizer.experiment import (
    Kept,
    load_kept,
    mean_error,
    press_stop,
    run_folder,
    settings,
    truth_errors,
)
from motionlab.config import load_config
from motionlab.data.composed.corpus import build_corpus
from motionlab.environment import PROFILES
from motionlab.errors import InputError
from motionlab.evaluation.anatomy import along_clip
from motionlab.jobs.run_folder import Run
from motionlab.motion.features import HEADING, NO_TURN, ROOT_VELOCITY, VELOCITIES, crop, decode_positions
from motionlab.teaching.exercise import run_check
from motionlab.training.checkpoints.checkpoint import read_checkpoint


# ---- exercises -------------------------------------------------------------------------------------------------------
def _cut(features: torch.Tensor, window: int, start: int) -> torch.Tensor:
    """A window that is right, from any start."""
    cut = features[start : start + window].clone()
    if len(cut):
        cut[0, ROOT_VELOCITY], cut[0, VELOCITIES] = 0, 0
        cut[0, HEADING] = torch.tensor(NO_TURN)
    return cut


def _in_place(features, window, u):
    cut = features[int(u * (len(features) - window + 1)) :][:window]
    cut[0, :2] = 0
    return cut


def _zeros_for_a_turn(features, window, u):
    cut = take_window(features, window, u)
    cut[0, HEADING] = 0
    return cut


def _all_zero(features, window, u):
    cut = take_window(features, window, u)
    cut[0] = 0
    cut[0, HEADING] = torch.tensor(NO_TURN)
    return cut


WINDOW_MUTANTS = {
    "row 0 left as it is": (lambda f, w, u: f[int(u * (len(f) - w + 1)) :][:w].clone(), "row 0 still has a velocity"),
    "zeros for no turn": (_zeros_for_a_turn, "zeros are no rotation"),
    "last place never drawn": (lambda f, w, u: _cut(f, w, int(u * (len(f) - w))), "last place is never drawn"),
    "beyond the end": (lambda f, w, u: _cut(f, w, int(u * len(f))), "only 1 of 8 frames"),
    "always the first": (lambda f, w, u: _cut(f, w, 0), "choose evenly"),
    "written into the clip": (_in_place, "a slice is a view"),
    "all of row 0 set to zero": (_all_zero, "more than row 0 was changed, or more of row 0"),
    "columns cut": (lambda f, w, u: f[:, :w], "[window, 272]"),
}
SMOOTH_MUTANTS = {
    "square": (lambda a, b: F.mse_loss(a, b), "is squared"),
    "absolute": (lambda a, b: F.l1_loss(a, b), "should be squared"),
    "half missing": (
        lambda a, b: torch.where((a - b).abs() < 1, (a - b) ** 2, (a - b).abs() - 0.5).mean(),
        "half is missing",
    ),
    "a jump at 1": (
        lambda a, b: torch.where((a - b).abs() < 1, 0.5 * (a - b) ** 2, (a - b).abs()).mean(),
        "do not meet",
    ),
    "sum": (lambda a, b: F.smooth_l1_loss(a, b, reduction="sum"), "this is the sum"),
    "not reduced": (lambda a, b: F.smooth_l1_loss(a, b, reduction="none"), "one number"),
    "sign kept": (lambda a, b: torch.where(a - b < 1, 0.5 * (a - b) ** 2, a - b - 0.5).mean(), "use .abs()"),
    "one size for all": (
        lambda a, b: (0.5 * (a - b) ** 2).mean() if (a - b).abs().max() < 1 else ((a - b).abs() - 0.5).mean(),
        "decide for each number",
    ),
}


def _steps(order: str, quantizer: bool = True, result: str = "item", compare=F.smooth_l1_loss):
    """A training step that makes its calls in some order: z zero_grad, b backward, s step."""

    def step(model, optimizer, x):
        output = model(x)
        loss = compare(output.reconstruction, x)
        loss = loss + output.quantized.loss if quantizer else loss
        for letter in order:
            {"z": optimizer.zero_grad, "b": loss.backward, "s": optimizer.step}[letter]()
        return {"item": loss.item(), "tensor": loss, "detached": loss.detach(), "nothing": None}[result]

    return step


STEP_MUTANTS = {
    "no zero_grad": (_steps("bs"), "added up"),
    "step before backward": (_steps("zsb"), "never change"),
    "step first, gradients kept": (_steps("sb"), "Backward first"),
    "zero_grad between": (_steps("bzs"), "never change"),
    "no step": (_steps("zb"), "never change"),
    "quantizer forgotten": (_steps("zbs", quantizer=False), "quantizer's own loss is missing"),
    "squared": (_steps("zbs", compare=F.mse_loss), "smooth L1"),
    "a tensor returned": (_steps("zbs", result="tensor"), "loss.item()"),
    "nothing returned": (_steps("zbs", result="nothing"), "as a number"),
}


def _metres(x, normalizer):
    return decode_positions(normalizer.denormalize(x))


def _centred(x, normalizer):
    joints = _metres(x, normalizer)
    return joints - joints[:, :1]


def _not_denormalised(a, b, n):
    a, b = decode_positions(a), decode_positions(b)
    return ((a - a[:, :1]) - (b - b[:, :1])).norm(dim=-1).mean() * 1000


MM_MUTANTS = {
    "not denormalised": (_not_denormalised, "normalised features"),
    "neither denormalised nor centred": (
        lambda a, b, n: (decode_positions(a) - decode_positions(b)).norm(dim=-1).mean() * 1000,
        "normalised features",
    ),
    "metres": (lambda a, b, n: error_mm(a, b, n) / 1000, "this is in metres"),
    "pelvis not in place": (
        lambda a, b, n: (_metres(a, n) - _metres(b, n)).norm(dim=-1).mean() * 1000,
        "pelvis is not put in place",
    ),
    "mean over x, y, z": (lambda a, b, n: (_centred(a, n) - _centred(b, n)).abs().mean() * 1000, "is a distance"),
    "root mean square": (
        lambda a, b, n: (_centred(a, n) - _centred(b, n)).square().sum(-1).mean().sqrt() * 1000,
        "root of the mean square",
    ),
    "joints added up": (
        lambda a, b, n: (_centred(a, n) - _centred(b, n)).norm(dim=-1).sum(-1).mean() * 1000,
        "adds the joints up",
    ),
    "one number per frame": (lambda a, b, n: (_centred(a, n) - _centred(b, n)).norm(dim=-1).mean(-1), "one number"),
}
MUTANTS = {
    "stage1.take_window": WINDOW_MUTANTS,
    "stage1.smooth_l1": SMOOTH_MUTANTS,
    "stage1.train_step": STEP_MUTANTS,
    "stage1.error_mm": MM_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_other_right_answers_pass() -> None:
    others = {
        "stage1.take_window": lambda f, w, u: crop(f, int(u * (len(f) - w + 1)), w),
        "stage1.smooth_l1": F.smooth_l1_loss,
        "stage1.train_step": _steps("zbs"),
        "stage1.error_mm": lambda a, b, n: (_centred(a, n) - _centred(b, n)).norm(dim=-1).mean() * 1000,
    }
    for name, function in others.items():
        assert run_check(name, function).startswith("✓"), run_check(name, function)


# ---- the run ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("level", PROFILES)
def test_every_profile_has_settings(level: str) -> None:
    config = settings(level)
    assert config.name == f"lesson11-{level}" and config.compare_quantizers == []
    assert config.tokenizer_training.steps % config.tokenizer_training.val_every == 0, "the last step is validated"
    assert settings(level, ["tokenizer.root_weight=0.25"]).tokenizer.root_weight == 0.25


def test_the_gpu_profile_has_the_published_size() -> None:
    shape = settings("gpu").tokenizer
    assert (shape.width, shape.code_dim, shape.depth, shape.down_t) == (512, 512, 3, 1)
    assert (shape.codebook_size, shape.window, settings("gpu").tokenizer_training.batch_size) == (65536, 96, 256)


def test_the_folder_depends_on_the_settings_and_under_ci_on_the_code(
    private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {run_folder(level) for level in PROFILES} | {run_folder("ci", ["tokenizer.root_weight=0"])}
    assert len(folders) == 4 and all(folder.parent == private_cache for folder in folders)
    before = {level: run_folder(level) for level in PROFILES}
    assert run_folder("cpu", ["llama.dim=256", "llama_training.lr=1e-4"]) == before["cpu"], "stage 2 does not matter"
    monkeypatch.setattr(lesson11, "TRAINED_BY", ("motion",))  # as if there were other code
    assert run_folder("ci") != before["ci"] and run_folder("cpu") == before["cpu"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def few_steps(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lesson's run under ci with the `ci` preset's 12 steps, not trained yet."""
    monkeypatch.setenv("MOTIONLAB_CACHE", str(cache))
    monkeypatch.setenv("MOTIONLAB_PROFILE", "ci")
    monkeypatch.setitem(lesson11.SETTINGS, "ci", ("ci", ()))
    shutil.rmtree(run_folder(), ignore_errors=True)


def test_trained_once_kept_and_found_again(few_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lesson11.trained_run()
    assert run.folder == run_folder() and run.config.name == "lesson11-ci"
    monkeypatch.setattr(lesson11, "train_tokenizer", lambda *_, **__: pytest.fail("trained again"))
    again = lesson11.trained_run()
    a, b = run.tokenizer().state_dict(), again.tokenizer().state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_another_run_gets_the_tokenizer(few_steps: None, tmp_path: Path) -> None:
    own = Run.create(tmp_path / "own", load_config("ci", ["name=lesson12", "llama.dim=64"]))
    lesson11.hand_over(own)
    source = lesson11.trained_run()
    x = torch.randn(1, 64, 272, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own.tokenizer().encode(x), source.tokenizer().encode(x))
    assert torch.equal(own.normalizer.std, source.normalizer.std)
    other = Run.create(tmp_path / "other", load_config("ci", ["tokenizer.width=48"]))
    with pytest.raises(InputError, match="other settings of the tokenizer"):
        lesson11.hand_over(other)


def test_the_stop_button_saves_and_the_next_call_goes_on(few_steps: None) -> None:
    run = lesson11.open_run()
    corpus = build_corpus(run.config.corpus)
    with pytest.raises(KeyboardInterrupt):
        lesson11.train(run, corpus, watch=press_stop(7))
    assert read_checkpoint(run.tokenizer_folder("fsq") / "checkpoints")[1]["step"] == 8
    seen: list[int] = []
    lesson11.train(run, corpus, watch=seen.append)
    assert seen == [8, 9, 10, 11]


def test_two_at_once_train_once(few_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for the first, and then finds its tokenizer."""
    pytest.importorskip("fcntl")
    run, calls, inside = lesson11.open_run(), [], threading.Event()
    release = threading.Event()

    def slow(run: Any, corpus: Any, watch: Any = None) -> None:
        calls.append(1)
        inside.set()
        assert release.wait(20)
        path = run.tokenizer_folder("fsq") / "model.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    monkeypatch.setattr(lesson11, "train_tokenizer", slow)
    corpus: Any = None
    threads = [threading.Thread(target=lesson11.train, args=(run, corpus)) for _ in range(2)]
    threads[0].start()
    assert inside.wait(20)
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive(), "it should wait"
    release.set()
    for thread in threads:
        thread.join(20)
    assert calls == [1]


def test_a_seed_changes_the_clips_and_the_first_weights(few_steps: None) -> None:
    runs = [lesson11.open_run(lesson11.of_seed(seed)) for seed in (0, 1)]
    assert runs[0].folder == run_folder() != runs[1].folder, "seed 0 is the lesson's own run"
    assert runs[1].config.tokenizer_training.seed == runs[1].config.llama_training.seed == runs[1].config.seed == 1
    clips = [build_corpus(run.config.corpus).train.features(0) for run in runs]
    assert clips[0].shape != clips[1].shape or not torch.equal(*clips)


def test_what_is_kept_can_be_read_again(few_steps: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "kept.json"
    monkeypatch.setattr("sys.argv", ["lesson11", str(out)])
    monkeypatch.setattr(lesson11, "along_clip", lambda pairs, frames: along_clip(pairs, 60))
    for seeds in ((0,), (0, 1)):
        monkeypatch.setattr(lesson11, "SEEDS", seeds)
        lesson11.main()
        monkeypatch.setattr(lesson11, "add_run", _only_seed(1, lesson11.add_run))
    first, second = load_kept(out)
    assert isinstance(first, Kept) and (first.seed, second.seed) == (0, 1)
    assert first.steps == 12 and first.codes == 240 and len(first.joints) == 22 and len(first.pelvis_mm) == 60
    assert first.rows[-1]["loss"] != second.rows[-1]["loss"] and first.truths != second.truths
    run = lesson11.trained_run()
    pairs = lesson11.seen_pairs(run, build_corpus(run.config.corpus))
    truths = truth_errors(pairs)
    assert first.truths["true positions"]["heading"] == pytest.approx(truths["true positions"]["heading"], abs=1e-3)
    assert truths["as reconstructed"]["pelvis"] == pytest.approx(mean_error(pairs, "pelvis"))
    assert truths["true positions"]["heading"] < 0.1 < truths["as reconstructed"]["heading"]
    with pytest.raises(InputError):
        load_kept(tmp_path / "none.json")


def _only_seed(expected: int, add_run: Any) -> Any:
    def add(record: Any, seed: int) -> None:
        assert seed == expected, "a seed that the file has is not done again"
        add_run(record, seed)

    return add


def test_the_kept_numbers_were_made_with_these_settings(root: Path) -> None:
    runs, config = load_kept(root / "notebooks" / "results" / "train_tokenizer.json"), settings("cpu")
    assert [run.seed for run in runs] == list(lesson11.SEEDS)
    for run in runs:
        assert run.steps == config.tokenizer_training.steps == run.rows[-1]["step"]
    assert len({run.rows[-1]["loss"] for run in runs}) == len(runs), "each seed is a training of its own"
