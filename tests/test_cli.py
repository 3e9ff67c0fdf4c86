"""The command line: exit codes, one-line errors, and what reaches the jobs."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
import types
import webbrowser
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motionlab import cli
from motionlab.config import QUANTIZERS, load_config, preset_names
from motionlab.errors import InputError, MissingExtra, printable
from motionlab.evaluation.judge import Lengths, SeenAction
from motionlab.interrupt import Stopped
from motionlab.jobs.ablations.tokenizer import MAX_POINTS
from motionlab.jobs.generate import GeneratedMotion
from motionlab.jobs.run_folder import Run


def run_cli(*arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as exit:
        cli.main(list(arguments))
    code = exit.value.code
    return int(code or 0)


class TwoSeconds(list[int]):
    """A motion as the command line sees it: a length and a duration."""

    duration = 2.0


GENERATED = GeneratedMotion(
    "a person walks",
    TwoSeconds(range(60)),  # type: ignore[arg-type]
    types.SimpleNamespace(tokens=[7] * 15, stopped_by="limit"),  # type: ignore[arg-type]
)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Put recorders in the place of the jobs: these tests are about the command line only."""
    calls: dict[str, list[Any]] = {}

    def stand_in(module: str, name: str, result: Any = None) -> None:
        def record(*args: Any, **kwargs: Any) -> Any:
            calls[name] = [args, kwargs]
            return result(*args) if callable(result) else result

        fake = sys.modules.get(module) if module in faked else types.ModuleType(module)
        faked.add(module)
        setattr(fake, name, record)
        monkeypatch.setitem(sys.modules, module, fake)

    faked: set[str] = set()
    scores = {"seen_pairs": {"clips": 4, "score": {"real": 1.0, "generated": 0.5}}}
    stand_in("motionlab.jobs.main_job", "run", lambda config, folder: folder / "report.html")
    stand_in("motionlab.jobs.prepare", "prepare", "the corpus")
    stand_in("motionlab.jobs.train", "train_stage")
    stand_in("motionlab.jobs.list_runs", "describe_runs", "the list")
    stand_in("motionlab.jobs.compare", "describe_comparison", "the table")
    stand_in("motionlab.jobs.generate", "generate_file", GENERATED)
    stand_in("motionlab.jobs.evaluate", "evaluate", scores)
    stand_in("motionlab.jobs.report", "write_report", lambda run: run.folder / "report.html")
    return calls


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the ablation job."""
    from motionlab.jobs.ablations import tokenizer as ablate

    calls: list[Any] = []
    monkeypatch.setattr(ablate, "ablate", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


def failing_job(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    fake = types.ModuleType("motionlab.jobs.main_job")

    def run(*_: Any) -> None:
        raise error

    fake.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "motionlab.jobs.main_job", fake)


def test_run_gives_the_config_and_the_folder_to_the_job(jobs: dict[str, list[Any]], tmp_path: Path) -> None:
    code = run_cli(
        "run", "--preset", "ci", "--name", "first", "--out", str(tmp_path), "llama_training.lr=2e-4", "seed=3"
    )
    (config, folder), _ = jobs["run"]
    assert code == 0
    assert (config.name, config.seed, config.llama_training.lr) == ("first", 3, 2e-4)
    assert folder == tmp_path / "first"


def test_the_name_of_a_run_comes_from_its_config(jobs: dict[str, list[Any]]) -> None:
    assert run_cli("run", "--preset", "ci") == 0
    (config, folder), _ = jobs["run"]
    assert folder == Path("runs") / config.name


def test_a_name_that_looks_like_a_number_stays_text(jobs: dict[str, list[Any]]) -> None:
    assert run_cli("run", "--preset", "ci", "--name", "007") == 0
    assert jobs["run"][0][0].name == "007"


@pytest.mark.parametrize("words", [["--name", "../elsewhere"], ["--name", "a/b"], ["--name", ""], ["name='..'"]])
def test_a_name_cannot_leave_the_folder(
    jobs: dict[str, list[Any]], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("run", "--preset", "ci", *words) == 2
    assert "expected the name of one folder" in capsys.readouterr().err and not jobs


@pytest.mark.parametrize("stage", ["tokenizer", "llama"])
def test_train_gives_the_stage_its_config_and_folder(jobs: dict[str, list[Any]], stage: str, tmp_path: Path) -> None:
    words = ["train", stage, "--preset", "ci", "--out", str(tmp_path), "--name", "x", "--auto-batch", "--deterministic"]
    assert run_cli(*words) == 0
    (called, config, folder, *_), _ = jobs["train_stage"]
    assert (called, config.name, folder) == (stage, "x", tmp_path / "x")
    other = {"tokenizer": "llama", "llama": "tokenizer"}[stage]
    for name, on in ((stage, True), (other, False)):
        training = getattr(config, f"{name}_training")
        assert training.auto_batch is on and training.deterministic is on


def test_train_tokenizer_takes_another_quantizer(jobs: dict[str, list[Any]], tmp_path: Path) -> None:
    assert run_cli("train", "tokenizer", "--preset", "ci", "--out", str(tmp_path), "--quantizer", "vq_ema") == 0
    assert jobs["train_stage"][0][3] == "vq_ema"


def test_runs_prints_the_list(jobs: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("runs", "tiny", "laptop/llama", "--out", "elsewhere") == 0
    assert jobs["describe_runs"][0] == (Path("elsewhere"), ["tiny", "laptop/llama"])
    assert capsys.readouterr().out == "the list\n"


def test_generate_passes_the_options_that_were_given(jobs: dict[str, list[Any]], tmp_path: Path) -> None:
    out = tmp_path / "walk.bvh"

    def given(*words: str) -> dict[str, Any]:
        assert run_cli("generate", "a person walks", "--run", "r", "--out", str(out), *words) == 0
        assert jobs["generate_file"][0] == ("a person walks", Path("r"), out)
        options = jobs["generate_file"][1]
        assert options.pop("show") is True
        engine = options.pop("engine")
        return {name: value for name, value in options.items() if value is not None} | (
            {} if engine == "torch" else {"engine": engine}
        )

    assert given() == {}
    assert given("--engine", "onnx") == {"engine": "onnx"}
    assert given("--top-k", "5", "--seed", "0") == {"top_k": 5, "seed": 0}
    assert given("--greedy", "--max-tokens", "7") == {"greedy": True, "max_tokens": 7}
    assert given("--unit", "cm") == {"unit": "cm"}
    assert given("--seconds", "2.5", "--guidance", "4") == {"seconds": 2.5, "guidance": 4.0}
    assert given("--sample", "--temperature", "0.7", "--top-p", "0.9") == {
        "greedy": False,
        "temperature": 0.7,
        "top_p": 0.9,
    }


def test_generate_says_when_a_motion_was_cut(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["generate", "a person walks", "--run", "r", "--out", str(tmp_path / "walk.bvh")]
    assert run_cli(*words) == 0
    written, cut = capsys.readouterr().out.splitlines()
    assert written.startswith(f"written: {tmp_path / 'walk.bvh'}") and "60 frames, 2.0 s" in written
    assert cut.startswith("cut at 15 tokens") and "--max-tokens" in cut
    monkeypatch.setattr(GENERATED.generated, "stopped_by", "end")
    assert run_cli(*words) == 0
    assert "cut" not in capsys.readouterr().out


def test_generate_says_how_many_actions_were_recognised(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = "names 86 % (71 to 96) of the actions right on real clips of 8 takes that it never saw"
    twice = replace(GENERATED, actions=(SeenAction("kick", 90, Lengths(36, 44, 57)),), judge=trust)
    monkeypatch.setattr(sys.modules["motionlab.jobs.generate"], "generate_file", lambda *_, **__: twice)
    assert run_cli("generate", "a person kicks", "--run", "r", "--out", str(tmp_path / "kick.bvh"), "--unit", "cm") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("recognised: about 2 actions: kick 3.0 s (one lasts 1.2 to 1.9 s in the training clips")
    assert "(by a judge that knows the actions of the run's own clips and no other; it names 86 %" in last


def test_generate_lists_the_actions_without_a_prompt(
    jobs: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = types.ModuleType("motionlab.jobs.known_actions")
    fake.describe_known = lambda run: f"the actions of {run}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "motionlab.jobs.known_actions", fake)
    assert run_cli("generate", "--actions", "--run", "r") == 0
    assert capsys.readouterr().out == "the actions of r\n" and "generate_file" not in jobs


@pytest.mark.parametrize(("words", "missing"), [([], "PROMPT"), (["a person walks"], "--out")])
def test_generate_asks_for_a_prompt_and_a_file(
    jobs: dict[str, list[Any]], words: list[str], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("generate", *words, "--run", "r") == 2
    error = capsys.readouterr().err
    assert f"no {missing}" in error and "--actions" in error and not jobs


def test_generate_says_first_that_a_caption_is_outside_the_training(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = replace(GENERATED, outside="warning: no training caption is like 'sits down'")
    monkeypatch.setattr(sys.modules["motionlab.jobs.generate"], "generate_file", lambda *_, **__: outside)
    assert run_cli("generate", "a person sits down", "--run", "r", "--out", str(tmp_path / "sit.bvh")) == 0
    assert capsys.readouterr().out.splitlines()[1] == "warning: no training caption is like 'sits down'"


def test_evaluate_prints_the_scores_and_the_report(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.create(tmp_path / "x", load_config("ci"))
    assert run_cli("evaluate", "--run", str(tmp_path / "x")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["seen-pairs", "score", "clips"],
        ["real", "100.0%", "4"],
        ["generated", "50.0%", "4"],
    ]
    assert "a difference counts only if" in lines[-2]
    assert lines[-1] == f"report: {tmp_path / 'x' / 'report.html'}"


def test_compare_gives_both_groups_to_the_job(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("compare", "a", "b", "--against", "c", "--against", "d") == 0
    assert capsys.readouterr().out == "the table\n"
    assert jobs["describe_comparison"][0] == ([Path("a"), Path("b")], [Path("c"), Path("d")])
    assert run_cli("compare", "a") == 0 and jobs["describe_comparison"][0] == ([Path("a")], [])


def test_evaluate_keeps_settings_that_shape_no_weights(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.create(tmp_path / "x", load_config("ci"))
    words = ["evaluate", "--run", str(tmp_path / "x")]
    assert run_cli(*words, "sampling.temperature=0.8", "evaluation.n_generate=2") == 0
    for config in (jobs["evaluate"][0][0].config, Run.open(tmp_path / "x").config):
        assert (config.sampling.temperature, config.evaluation.n_generate) == (0.8, 2)
    assert run_cli(*words, "sampling.temperature=0") == 2
    assert "config.yaml: sampling.temperature: found 0.0" in capsys.readouterr().err
    assert run_cli(*words, "llama.dim=64", "sampling.temperature=0.7") == 2
    assert "settings that shape weights: llama.dim 32 -> 64, expected changes of" in capsys.readouterr().err
    assert Run.open(tmp_path / "x").config.sampling.temperature == 0.8


def test_config_prints_all_a_section_or_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*words: str) -> str:
        assert run_cli("config", *words) == 0
        return capsys.readouterr().out

    everything = printed("--preset", "tiny")
    for part in ("llama.dim ", "sampling.top_p ", "compare_quantizers ", "peak learning rate", "128", "768"):
        assert part in everything
    assert all(line.startswith(("key ", "llama.")) for line in printed("llama").splitlines())
    assert printed("-p", "tiny", "llama.dim", "llama.dim=64") == (
        "llama.dim: width of the residual stream\n  value    64\n  default  768\n  allowed  a whole number, 1 or more\n"
    )
    assert run_cli("config", "llama.dmi") == 2
    assert "Did you mean llama.dim?" in capsys.readouterr().err


def test_the_help_lists_presets_and_quantizers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("train", "tokenizer", "--help") == 0
    words = set(capsys.readouterr().out.replace(",", " ").replace(".", " ").split())
    assert words >= {*preset_names(), *QUANTIZERS}
    assert run_cli("train", "tokenizer", "--preset", "ci", "--quantizer", "vqq") == 2
    assert "quantizer: found 'vqq', expected fsq, ifsq" in capsys.readouterr().err


def test_summaries_are_whole_sentences(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], ["ablate"], ["params"]):
        run_cli(*words, "--help")
        summaries = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
        assert summaries and all(line.endswith(".") and not line.endswith("...") for line in summaries), summaries


def test_every_command_begins_with_the_same_preset() -> None:
    import typer

    def presets(command: Any) -> list[Any]:
        inner = [preset for each in getattr(command, "commands", {}).values() for preset in presets(each)]
        return inner + [parameter.default for parameter in command.params if parameter.name == "preset"]

    found = presets(typer.main.get_command(cli.app))
    assert len(found) >= 6 and set(found) == {"tiny"}


@pytest.mark.parametrize(
    "words",
    [
        ["--grid", "quantizer=fsq,vq_ema", "codebook_size=256,1024", "seed=0,1"],
        ["--grid", "quantizer=fsq,vq_ema", "--grid", "codebook_size=256,1024", "--grid", "seed=0,1"],
        ["quantizer=fsq,vq_ema", "codebook_size=256,1024", "tokenizer_training.seed=0,1"],
    ],
)
def test_ablate_gives_the_grid_to_the_job(
    ablation: list[Any], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert run_cli("ablate", "tokenizer", *words, "--out", str(out), "--workers", "2") == 0
    axes = {"quantizer": ["fsq", "vq_ema"], "codebook_size": [256, 1024], "seed": [0, 1]}
    assert ablation == [((out, axes), {"workers": 2, "max_points": MAX_POINTS})]
    assert capsys.readouterr().out == f"numbers: {out}\npicture: {tmp_path / 'out.png'}\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--grid", "quantiser=fsq"], "Did you mean quantizer?"),
        (["--grid", "codebook_size"], "key=value,value"),
        ([], "no axis"),
    ],
)
def test_a_wrong_grid_is_one_line(
    ablation: list[Any], words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("ablate", "tokenizer", *words) == 2
    printed = capsys.readouterr().err
    assert named in printed and printed.count("\n") == 1 and ablation == []


def test_evaluate_needs_a_run(jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("evaluate", "--run", str(tmp_path)) == 2
    assert str(tmp_path) in capsys.readouterr().err and "evaluate" not in jobs


@pytest.mark.parametrize(
    "error",
    [
        InputError("walk.npy", found="a\nb", expected="c", fix="Fix it."),
        MissingExtra("transformers", extra="text", purpose="encode new captions"),
    ],
)
def test_an_error_of_the_user_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    failing_job(monkeypatch, error)
    assert run_cli("run", "--preset", "ci") == 2
    printed = capsys.readouterr().err
    assert printed.startswith("motionlab: error: ") and printed.count("\n") == 1


def test_an_error_of_motionlab_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_job(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", "--preset", "ci"])


@pytest.mark.parametrize(
    ("stop", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "motionlab: interrupted\n"),
        (Stopped("saved", signal.SIGINT), 130, "motionlab: interrupted: saved; the same command continues\n"),
        (Stopped("saved", signal.SIGTERM), 143, "motionlab: interrupted: saved; the same command continues\n"),
    ],
)
def test_an_interrupt_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stop: BaseException, code: int, told: str
) -> None:
    failing_job(monkeypatch, stop)
    assert run_cli("run", "--preset", "ci") == code
    assert capsys.readouterr().err == told


def hear_ctrl_c() -> None:
    """A shell starts what runs in the background with SIGINT ignored, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM cannot be caught")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_other_work_that_is_stopped_leaves_no_half_of_it(number: int, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "motionlab", "prepare", "--preset", "ci", "corpus.n_train=5000"]
    environment = {**os.environ, "MOTIONLAB_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=hear_ctrl_c
    ) as process:
        assert process.stderr is not None
        while process.poll() is None and not list(tmp_path.glob("cache/.corpus-*/train")):
            time.sleep(0.1)
        process.send_signal(number)
        printed = process.communicate()[1]
    assert process.returncode == code and printed == "motionlab: interrupted\n"
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM cannot be caught")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_saves_and_says_so(number: int, code: int, tmp_path: Path) -> None:
    words = ["train", "tokenizer", "--preset", "ci", "--out", str(tmp_path), "tokenizer_training.steps=100000"]
    command = [sys.executable, "-m", "motionlab", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        history = tmp_path / "ci" / "tokenizer-fsq" / "history.csv"
        while process.poll() is None and not (history.exists() and history.read_text().count("\n") > 1):
            time.sleep(0.1)
        process.send_signal(number)
        printed = process.communicate()[1]
    assert process.returncode == code, printed
    assert "motionlab: interrupted: saved after step" in printed and "the same command continues" in printed
    assert (history.parent / "checkpoints" / "last.json").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "--preset", "tinny"], "Did you mean 'tiny'?"),
        (["run", "llama_training.lrr=1"], "llama_training.lr"),
        (["run", "llama.dim"], "key=value"),
        (["params", "tokenizer", "--preset", "nowhere.yaml"], "nowhere.yaml"),
        (["nonsense"], "nonsense"),
        (["generate", "walks"], "--out"),
        (["run", "--temperature", "1"], "--temperature"),
    ],
)
def test_wrong_words_exit_with_2_and_name_the_cause(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*arguments) == 2
    printed = capsys.readouterr().err
    assert named in printed and "Traceback" not in printed


def test_the_report_is_opened_only_where_there_is_a_display(
    jobs: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    run_cli("run", "--preset", "ci", "--out", str(tmp_path), "--open")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    run_cli("run", "--preset", "ci", "--out", str(tmp_path))
    assert opened == []
    run_cli("run", "--preset", "ci", "--out", str(tmp_path), "--open")
    assert len(opened) == 1 and opened[0].startswith("file://") and opened[0].endswith("report.html")


def test_lab_starts_jupyter_on_the_notebooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    settings: list[str] = []

    def call(command: list[str], env: dict[str, str]) -> int:
        started.append(command)
        settings.append(env["JUPYTER_CONFIG_PATH"])
        return 3

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    monkeypatch.setattr(subprocess, "call", call)
    (tmp_path / "notebooks" / "lessons").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert run_cli("lab", "--no-browser", "--port", "8889") == 3
    (command,) = started
    assert command[1:4] == ["-m", "jupyterlab", str(tmp_path / "notebooks")]
    assert command[4:7] == ["--no-browser", "--port", "8889"]
    assert settings == [f"{tmp_path / 'notebooks' / '.jupyter'}{os.pathsep}mine"]
    assert ("--allow-root" in command) == (hasattr(os, "geteuid") and os.geteuid() == 0)


def test_lab_without_jupyter_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_cli("lab") == 2
    assert 'pip install "motionlab[notebooks]"' in capsys.readouterr().err


def test_doctor_exits_with_1_when_something_needed_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from motionlab.jobs import doctor

    monkeypatch.setattr(
        doctor, "doctor", lambda: [doctor.Row("numpy", "not installed", "missing", "pip install numpy")]
    )
    assert run_cli("doctor") == 1
    printed = capsys.readouterr().out
    assert "-> pip install numpy" in printed and "Missing: numpy." in printed


def test_the_published_tokenizer_has_its_published_number_of_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("params", "tokenizer", "--preset", "motionmillion") == 0
    assert "11,349,782" in capsys.readouterr().out


def test_params_llama_prints_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("params", "llama", "--preset", "tiny") == 0
    assert "total" in capsys.readouterr().out.lower()


def test_python_dash_m_is_the_same_command() -> None:
    import motionlab

    for word in ("version", "--version"):
        done = subprocess.run([sys.executable, "-m", "motionlab", word], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"motionlab {motionlab.__version__}\n")
    wrong = subprocess.run([sys.executable, "-m", "motionlab", "run", "--preset", "?"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stdout == "" and wrong.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["LC_ALL", "PYTHONIOENCODING"])
def test_a_terminal_of_ascii_shows_everything(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", name: "ascii" if "IO" in name else "C"}
    path = tmp_path / "走路.yaml"
    path.write_text("走: 1\n", encoding="utf-8")
    command = [sys.executable, "-m", "motionlab", "config", "--preset", str(path)]
    done = subprocess.run(command, capture_output=True, env=environment, text=True, encoding="utf-8")
    assert done.returncode == 2 and done.stderr.isascii()
    assert "\\u8d70" in done.stderr.lower() or "\\udc" in done.stderr.lower()
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "memory: found MemoryError"),
        (RuntimeError("can't start new thread"), "memory: found can't start new thread"),
        (PermissionError(13, "Permission denied", "a\x1b[31m.txt"), r"a\x1b[31m.txt: found Permission denied"),
        (BrokenProcessPool("x"), "found a process that was ended from outside"),
        (InputError("\x1b]0;title\x07", found="\ud800", expected="b", fix="c"), r"\x1b]0;title\x07: found \ud800"),
    ],
)
def test_what_the_surroundings_cause_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, told: str, tmp_path: Path
) -> None:
    failing_job(monkeypatch, error)
    assert run_cli("run", "--preset", "ci", "--out", str(tmp_path)) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1 and line.rstrip("\n").isprintable()


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing_job(monkeypatch, KeyError("a bug"))
    with pytest.raises(KeyError, match="a bug"):
        cli.main(["run", "--preset", "ci", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    "words",
    [
        ["config", "seed=18446744073709551616"],
        ["run", "--preset", "ci", "--out", "x" * 300],
        ["runs", "--out", "a/" * 2500],
        ["--\x1b[31m"],
        ["train", "\x1b[31m"],
        ["run", "--name", "a\x1b[31m"],
        ["run", "--name", "a\u202eb"],
    ],
)
def test_arguments_beyond_what_is_possible_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(*words) == 2
    told = capsys.readouterr().err
    assert printable(told, lines=True) == told and "Traceback" not in told


def test_a_wrong_variable_stops_every_command_but_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "abc")
    assert run_cli("config", "seed") == 2
    assert "OMP_NUM_THREADS=abc" in capsys.readouterr().err
    assert run_cli("doctor") == 1
    assert "OMP_NUM_THREADS=abc in the environment; a whole number" in capsys.readouterr().out
