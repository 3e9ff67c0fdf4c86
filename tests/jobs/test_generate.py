"""A sentence becomes a file in every format; bad requests fail before any work and leave nothing behind."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.jobs.evaluate import evaluate
from motionlab.jobs.generate import generate_file, generate_motions
from motionlab.jobs.motion_files import unused_page
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.motion.formats.bvh import read_bvh
from motionlab.motion.motion import Motion

pytestmark = pytest.mark.usefixtures("without_pictures")

PROMPT = "a person walks forward, then kicks"


@pytest.mark.parametrize("suffix", [".bvh", ".glb", ".npy", ".csv", ".gif", ".html"])
def test_every_format(finished_run, tmp_path, suffix):
    out = tmp_path / f"walk{suffix}"
    result = generate_file(PROMPT, finished_run.folder, out, max_tokens=6)
    assert out.stat().st_size > 100
    assert len(result.motion) == 4 * max(len(result.generated.tokens), 1)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a person kicks", "a_person_kicks.html"),
        ("A person walks,\tthen\0 ../kicks!", "a_person_walks_then_kicks.html"),
        ("走路", "motion.html"),
        ("", "motion.html"),
        ("very " * 200 + "long", "very_" * 11 + "very.html"),
    ],
)
def test_a_page_is_named_by_its_prompt(tmp_path, prompt, name):
    assert unused_page(prompt, tmp_path) == tmp_path / name


def test_no_page_replaces_another(finished_run, tmp_path):
    for name in ("a_person_kicks.html", "a_person_kicks-2.html", "a_person_kicks-3.html"):
        out = unused_page("a person kicks", tmp_path)
        assert out.name == name
        generate_file("a person kicks", finished_run.folder, out, max_tokens=4)
    (tmp_path / "a_person_kicks-4.html").symlink_to("nowhere")
    assert unused_page("a person kicks", tmp_path).name == "a_person_kicks-5.html"


def test_the_npy_is_the_motion(finished_run, tmp_path):
    result = generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", seed=3)
    assert np.allclose(Motion.load(tmp_path / "walk.npy").features, result.motion.features)


def test_a_seed_gives_the_same_motion_alone_and_in_a_batch(finished_run):
    sampling = dataclasses.replace(finished_run.config.sampling, seed=5, max_tokens=12)
    alone = generate_motions(finished_run, [PROMPT], sampling)[0]
    batch = generate_motions(finished_run, [PROMPT, "a person jumps"], sampling)[0]
    assert alone[0].generated.tokens.tolist() == batch[0].generated.tokens.tolist()


@pytest.mark.parametrize("max_tokens", [41, 100, 600])  # 40 in the settings of the run
def test_more_tokens_than_the_settings_of_the_run_allow(finished_run, tmp_path, max_tokens):
    tokens = finished_run.tokenizer().token_count(4 * max_tokens)
    result = generate_file(
        PROMPT, finished_run.folder, tmp_path / "walk.npy", max_tokens=max_tokens, seconds=4 * max_tokens / 30
    )
    assert len(result.generated.tokens) == tokens == max_tokens


@pytest.mark.parametrize(("seconds", "frames", "tokens"), [(0.5, 15, 4), (1.6, 48, 12), (1 / 30, 1, 1)])
def test_a_length_that_was_asked_for(finished_run, tmp_path, seconds, frames, tokens):
    """15 frames are no whole number of tokens, of 4 frames each: the rest of the last one is cut."""
    result = generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", seconds=seconds, max_tokens=12)
    assert len(result.motion) == len(Motion.load(tmp_path / "walk.npy")) == frames
    assert len(result.generated.tokens) == tokens and result.generated.stopped_by == "length"


def test_a_bvh_in_centimetres(finished_run, tmp_path):
    clips = {}
    for unit in (None, "m", "cm"):
        generate_file(PROMPT, finished_run.folder, tmp_path / "walk.bvh", max_tokens=6, unit=unit)
        clips[unit] = read_bvh(tmp_path / "walk.bvh")
    assert torch.equal(clips[None].joints(), clips["m"].joints())
    torch.testing.assert_close(clips["cm"].joints(), 100 * clips["m"].joints(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("out", "unit", "found"), [("walk.gif", "cm", "unit cm"), ("walk.bvh", "inch", "'inch'")])
def test_a_unit_that_cannot_be(finished_run, tmp_path, out, unit, found):
    with pytest.raises(InputError, match=found):
        generate_file(PROMPT, finished_run.folder, tmp_path / out, unit=unit)
    assert not list(tmp_path.iterdir())


def test_the_judge_of_the_run_names_the_actions(finished_run, tmp_path):
    result = generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", max_tokens=40)
    judge = finished_run.judge
    assert judge is not None and result.actions == tuple(judge.actions_in(result.motion.features))
    assert result.notes()[-1].startswith("recognised: ") and judge.describe() in result.notes()[-1]
    alone = shutil.copytree(finished_run.folder, tmp_path / "run")
    (alone / "judge.safetensors").unlink()
    unjudged = generate_file(PROMPT, alone, tmp_path / "walk.npy", max_tokens=4)
    assert unjudged.actions is None and not any("recognised" in note for note in unjudged.notes())
    state, known = read_tensors(finished_run.folder / "judge.safetensors")
    write_tensors(alone / "judge.safetensors", state, {name: known[name] for name in ("actions", "lengths")})
    earlier = generate_file(PROMPT, alone, tmp_path / "walk.npy", max_tokens=4)
    assert earlier.actions is None and "motionlab evaluate" in earlier.notes()[-1]


def test_the_report_says_how_many_actions_were_recognised(finished_run):
    page = (finished_run.folder / "report.html").read_text(encoding="utf-8")
    for scores in finished_run.metrics["generation"].values():
        for player in scores["players"]:
            assert f"recognised in the generated motion: {player['recognised']}" in page


def test_an_evaluation_says_what_it_does(finished_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    run = Run.open(shutil.copytree(finished_run.folder, tmp_path / "run"))
    before = (run.folder / "judge.safetensors").read_bytes()
    evaluate(run, prepare(run.config), show=True)
    out, err = capsys.readouterr()
    assert "scoring" not in out
    for line in (
        "loading the run",
        "training the judge: 10 of 10 steps",
        "generating 4 motions",
        "scoring seen_pairs: 4 of 4",
    ):
        assert line in err
    assert (run.folder / "judge.safetensors").read_bytes() == before, "the same clips and seed give the same judge"


def test_progress_is_said_on_stderr_and_only_when_asked_for(finished_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", max_tokens=5, seconds=20 / 30)
    assert tuple(capsys.readouterr()) == ("", "")
    generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", max_tokens=5, seconds=20 / 30, show=True)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and lines[0] == f"loading the run {finished_run.folder}"
    assert lines[-1] == "generating: 5 of 5 tokens"


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1.7, 1e9, float("nan"), float("inf")])
def test_a_length_that_cannot_be(finished_run, tmp_path, seconds):
    with pytest.raises(InputError, match=r"seconds: found .*, expected above 0, at most 1\.6 \(max_tokens\)"):
        generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", seconds=seconds, max_tokens=12)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("prompt", "out", "message"),
    [
        (PROMPT, "walk.fbx", r"\.fbx.*\.bvh"),
        ("", "walk.npy", "caption"),
        ("   ", "walk.npy", "caption"),
        ("very " * 200 + "long", "walk.npy", r"at most 48|48"),
    ],
)
def test_bad_requests_are_one_line_and_write_nothing(finished_run, tmp_path, prompt, out, message):
    with pytest.raises(InputError, match=message) as caught:
        generate_file(prompt, finished_run.folder, tmp_path / out)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("max_tokens", [0, -1, 100_001, 10**9, 10**18])
def test_a_number_of_tokens_that_cannot_be_is_answered_by_the_limits(finished_run, tmp_path, max_tokens):
    told = rf"sampling\.max_tokens: found {max_tokens}, expected a whole number, 1 to 100000"
    with pytest.raises(InputError, match=told):
        generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", max_tokens=max_tokens)


def test_guidance_needs_a_decoder_that_knows_how_no_text_reads(finished_run, tmp_path):
    with pytest.raises(InputError, match="text_drop"):
        generate_file(PROMPT, finished_run.folder, tmp_path / "walk.npy", guidance=2.0)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_nothing(finished_run, tmp_path, monkeypatch):
    import errno
    import os

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        generate_file(PROMPT, finished_run.folder, tmp_path / "walk.bvh", max_tokens=4)
    assert not list(tmp_path.iterdir())


def test_another_engine_writes_the_same_motion_and_keeps_its_file(finished_run, tmp_path):
    pytest.importorskip("onnxruntime")
    run = Path(shutil.copytree(finished_run.folder, tmp_path / "run"))
    made = {
        engine: generate_file(PROMPT, run, tmp_path / f"{engine}.npy", max_tokens=12, seed=3, engine=engine)
        for engine in ("torch", "onnx", "onnx-int8")
    }
    assert torch.equal(made["torch"].generated.tokens, made["onnx"].generated.tokens)
    assert torch.equal(made["torch"].motion.features, made["onnx"].motion.features)
    assert 1 <= len(made["onnx-int8"].generated.tokens) <= 12
    files = {"step.onnx", "step.json", "step-int8.onnx", "step-int8.json"}
    assert files <= {path.name for path in (run / "llama").iterdir()}


def test_an_engine_that_does_not_exist_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match="engine: found 'fast'"):
        generate_file(PROMPT, tmp_path / "no run", tmp_path / "walk.npy", engine="fast")
