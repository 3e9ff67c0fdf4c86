"""Lanes that run elsewhere: continuous integration of a host, the development container, the hashes, other versions."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text("utf-8"), flags=re.MULTILINE))


def tool(root: Path, name: str) -> Any:
    """A script of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_tool", root / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def commands(workflow: dict[str, Any]) -> list[str]:
    """Every command of a workflow, once for each value of its matrix."""
    found = []
    for job in workflow["jobs"].values():
        values = job.get("strategy", {}).get("matrix", {}).get("target", [""])
        lines = [step["run"] for step in job["steps"] if "run" in step]
        found += [re.sub(r"\$\{\{ matrix\.target \}\}", value, line) for line in lines for value in values]
    return sorted(set(found))


# --- workflows of a host ---


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ci.yml", [".ci/run"]),
        ("weekly.yml", ["site", "test-hashes", "test-lowest", "test-newest", "test-numerics"]),
    ],
)
def test_every_command_of_a_workflow_is_one_that_anybody_can_run(root: Path, name: str, wanted: list[str]) -> None:
    workflow = yaml.safe_load((root / ".github" / "workflows" / name).read_text("utf-8"))
    found = commands(workflow)
    assert [command.removeprefix("make ") for command in found] == wanted
    for command in found:
        if command.startswith("make "):
            assert command.removeprefix("make ") in targets(root), command
        else:
            assert (root / command).is_file(), command
    assert workflow["permissions"] == {"contents": "read"}
    assert True in workflow or "on" in workflow  # YAML reads the word "on" as a truth value
    assert all(job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


# --- the development container ---


def test_the_container_sets_itself_up_with_a_target_that_exists(root: Path) -> None:
    container = json.loads((root / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    maker, target = container["postCreateCommand"].split()
    assert maker == "make" and target in targets(root)
    version = re.search(r":(\d\.\d+)", container["image"])
    assert version is not None and version[1] == "3.11"  # the saved outputs were made with it
    assert 8888 in container["forwardPorts"]
    assert "ms-toolsai.jupyter" in container["customizations"]["vscode"]["extensions"]
    paths = [value for value in container["customizations"]["vscode"]["settings"].values() if isinstance(value, str)]
    inside = [path.removeprefix("${containerWorkspaceFolder}/") for path in paths]
    assert inside == [".venv/bin/python", "notebooks"]


# --- hashes ---


def test_the_hashes_are_those_of_the_pins(root: Path) -> None:
    """After `make constraints` comes `make lock`."""
    text = (root / "requirements-hashes.txt").read_text("utf-8")
    found = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE))
    pins = [pin.split("==") for pin in tool(root, "lock").pins()]
    assert {canonicalize_name(name): version for name, version in found.items()} == {
        canonicalize_name(name): version for name, version in pins
    }
    assert "torch" not in found and len(found) > 150


def test_every_line_of_the_lock_has_a_hash(root: Path) -> None:
    text = (root / "requirements-hashes.txt").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"\S+==\S+(\s+--hash=sha256:[0-9a-f]{64})+\s*", line)] == []


# --- other versions ---


def test_the_lowest_versions_are_the_bounds_and_torch_stays(root: Path) -> None:
    versions = tool(root, "test_versions")
    lines = versions.constraints("lowest")
    assert versions.pinned("torch") in lines and versions.constraints("newest") == [versions.pinned("torch")]
    bounds = {requirement.name: requirement for requirement in versions.declared()}
    named = {line.split("==")[0] for line in lines}
    assert named == {name for name, requirement in bounds.items() if requirement.specifier} and len(named) > 25
    assert versions.lowest(Requirement("a>=1.2,<3")) == "a==1.2"
    assert versions.lowest(Requirement("a")) is None


def test_the_lanes_run_files_that_exist(root: Path) -> None:
    versions = tool(root, "test_versions")
    assert [name for name in (*versions.TESTS, versions.LESSON) if not (root / name).exists()] == []
    optional = set(re.findall(r"^([a-z]+) = \[", (root / "pyproject.toml").read_text("utf-8"), flags=re.MULTILINE))
    assert set(versions.EXTRAS) <= optional
