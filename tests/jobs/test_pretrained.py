"""A run to give away: small, complete, and the one that comes with the package."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab import cli
from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.jobs import pretrained
from motionlab.jobs.generate import generate_motions, judged
from motionlab.jobs.known_actions import FILE
from motionlab.jobs.pretrained import export_run, pretrained_run
from motionlab.jobs.run_folder import BUNDLED, Run
from motionlab.text.known_captions import KnownCaptions, thin_known_captions


@pytest.fixture(scope="module")
def exported(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("exported") / "small"
    export_run(finished_run.folder, folder)
    return Run.open(folder)


def test_an_exported_run_holds_what_generation_needs_and_no_more(finished_run: Run, exported: Run) -> None:
    names = {str(path.relative_to(exported.folder)) for path in exported.folder.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml", "normalizer.safetensors", "known_captions.safetensors", "judge.safetensors",
        "tokenizer-fsq/model.safetensors", "llama/model.safetensors", "llama/made_from.json",
    }  # fmt: skip
    for stage in ("tokenizer-fsq", "llama"):
        halves, _ = read_tensors(exported.folder / stage / "model.safetensors")
        wholes, _ = read_tensors(finished_run.folder / stage / "model.safetensors")
        assert halves.keys() == wholes.keys()
        for name, whole in wholes.items():
            expected = whole.half() if whole.is_floating_point() else whole
            assert halves[name].dtype == expected.dtype and torch.equal(halves[name], expected)


def test_it_generates_with_weights_of_32_bits_and_the_notes_of_the_run(finished_run: Run, exported: Run) -> None:
    assert {weight.dtype for weight in exported.llama.parameters()} == {torch.float32}
    for run in (finished_run, exported):
        made = judged(run, generate_motions(run, ["a person walks"], run.config.sampling)[0][0])
        assert len(made.motion) > 0 and made.actions is not None and made.known is not None


def test_it_knows_the_same_actions_with_fewer_captions(finished_run: Run, tmp_path: Path) -> None:
    thin_known_captions(finished_run.folder / FILE, tmp_path / FILE, 3)
    whole, thin = KnownCaptions(finished_run.folder / FILE, ""), KnownCaptions(tmp_path / FILE, "")
    assert thin.n_parts == whole.n_parts and len(thin) == whole.n_parts + 3 < len(whole)
    assert thin.threshold == whole.threshold and thin.description == whole.description
    rows = [*range(whole.n_parts), whole.n_parts, len(whole) - 1]
    same = [*range(whole.n_parts), whole.n_parts, len(thin) - 1]
    assert [whole.sentence(row) for row in rows] == [thin.sentence(row) for row in same]
    np.testing.assert_array_equal(whole.vectors[rows], thin.vectors[same])


def test_rounded_weights_give_nearly_the_same_logits(finished_run: Run, exported: Run) -> None:
    text = finished_run.text.features(["a person walks"])
    tokens = torch.zeros(1, text.mask.shape[1] + 3, dtype=torch.long)
    with torch.inference_mode():
        whole, half = (run.llama(tokens, text.states, text.mask) for run in (finished_run, exported))
    torch.testing.assert_close(half, whole, rtol=0.02, atol=0.02)


def test_parts_of_two_exports_do_not_go_together(exported: Run, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(exported.folder, mixed)
    path = mixed / "tokenizer-fsq" / "model.safetensors"
    tensors, description = read_tensors(path)
    write_tensors(
        path, {name: one * 2 if one.is_floating_point() else one for name, one in tensors.items()}, description
    )
    with pytest.raises(InputError, match="a model trained with tokenizer"):
        Run.open(mixed).llama  # noqa: B018


def test_wrong_calls_are_refused_and_leave_nothing(finished_run: Run, exported: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found content, expected a new folder"):
        export_run(finished_run.folder, exported.folder)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(finished_run.folder, unfinished)
    (unfinished / "llama" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="a run that got this far"):
        export_run(unfinished, tmp_path / "out")
    large = tmp_path / "large"
    shutil.copytree(finished_run.folder, large)
    path = large / "llama" / "model.safetensors"
    tensors, description = read_tensors(path)
    name = next(name for name, one in tensors.items() if one.is_floating_point())
    write_tensors(path, {**tensors, name: torch.full_like(tensors[name], 1e5)}, description)
    with pytest.raises(InputError, match=f"found {name} up to 1e\\+05, expected weights up to 65,504"):
        export_run(large, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote(finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", "--run", str(finished_run.folder), "--out", str(tmp_path / "small")])
    assert stop.value.code == 0
    assert "small: 7 files, " in capsys.readouterr().out


def test_the_bundled_run_is_small_and_whole() -> None:
    """It opens, every file passes its digest, and it knows more actions than the presets for tests."""
    run = pretrained_run()
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 6e6
    assert run.config.name == "tiny" and run.judge is not None and len(run.judge.classifier.actions) > 10
    made = judged(run, generate_motions(run, ["a person kicks"], run.config.sampling)[0][0])
    assert made.generated.stopped_by == "end" and made.outside == ""
    assert made.actions is not None and "kick" in [action.name for action in made.actions]
    assert made.motion.features.isfinite().all()


def test_generate_needs_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["generate", "a person jumps", "--out", str(tmp_path / "jump.bvh")], ["generate", "--actions"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
    assert (tmp_path / "jump.bvh").is_file()
    told = capsys.readouterr()
    assert "training clips of the bundled run:" in told.out and str(BUNDLED) not in told.out + told.err


def test_an_engine_writes_nothing_into_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path))
    before = sorted(BUNDLED.rglob("*"))
    run = pretrained_run()
    greedy = dataclasses.replace(run.config.sampling, greedy=True, max_tokens=12)
    plain, fast = (
        generate_motions(run, ["a person kicks"], greedy, engine=engine)[0][0] for engine in ("torch", "onnx")
    )
    assert fast.generated.tokens.tolist() == plain.generated.tokens.tolist()
    assert sorted(BUNDLED.rglob("*")) == before and (tmp_path / "bundled_engine").is_dir()


def test_a_package_without_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pretrained, "BUNDLED", tmp_path)
    with pytest.raises(InputError, match="train one with motionlab run"):
        pretrained_run()


def test_it_is_opened_without_the_compiler_of_torch() -> None:
    """Its import takes a second, and a reader waits for the first motion."""
    code = "import sys, motionlab as ml; run = ml.pretrained_run(); run.llama, run.tokenizer()\n"
    code += "sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
