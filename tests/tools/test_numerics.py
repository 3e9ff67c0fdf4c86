"""The tool that imitates other processors."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def tool(root: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("numerics_tool", root / "tools" / "test_numerics.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_paths_differ_and_say_why(tool: ModuleType) -> None:
    assert len({path.name for path in tool.PATHS}) == len(tool.PATHS) >= 4
    assert len({tuple(path.settings.items()) for path in tool.PATHS}) == len(tool.PATHS)
    assert all(path.reason for path in tool.PATHS)
    assert {name for name, _ in tool.SHORT} < {path.name for path in tool.PATHS}
    assert tool.PATHS[0].settings == {}  # the others are compared with it


def test_what_is_listed_exists(tool: ModuleType, root: Path) -> None:
    assert all((root / "tests" / folder).is_dir() for folder in tool.WITHOUT_NUMBERS)
    for part in (*(tool.lessons_part(lessons) for _, lessons in tool.SHORT), tool.lessons_part(), tool.numbers_part()):
        assert all((root / name).exists() for name in part.arguments if name.startswith(("tests/", "notebooks/")))
    written = [path for path in (root / "notebooks").rglob("[0-9][0-9]_*.ipynb") if "zh" not in path.parts]
    named = [root / name for name in tool.lessons_part().arguments if name.endswith(".ipynb")]
    assert sorted(named) == sorted(written)
    assert [name for name in tool.lessons_part(["03"]).arguments if name.endswith(".ipynb")] == [
        "notebooks/03_fsq_vs_vq_vae.ipynb",
        "notebooks/appendix/03_fsq_vs_vq_vae.ipynb",
    ]
    assert "appendix" not in " ".join(tool.lessons_part(["03"], appendices=False).arguments)
    with pytest.raises(SystemExit, match="99"):
        tool.lessons_part(["99"])


def test_the_short_part_trains_under_two_paths(tool: ModuleType) -> None:
    """Every lesson that trains once, those whose words follow a training most twice, and 12 where 11 has trained."""
    ran = [(name, lesson) for name, lessons in tool.SHORT for lesson in lessons]
    assert len({name for name, _ in ran}) == 2 and len(set(ran)) == len(ran)
    times = Counter(lesson for _, lesson in ran)
    assert set(times) == {"02", "03", "07", "08", "09", "10", "11", "12", "13", "14"}
    assert {lesson for lesson, count in times.items() if count == 2} == {"11", "12"}
    assert all(lessons[lessons.index("12") - 1] == "11" for _, lessons in tool.SHORT if "12" in lessons)


def test_golden_values_are_among_the_numbers(tool: ModuleType, root: Path) -> None:
    using = {path for path in (root / "tests").rglob("test_*.py") if "golden(" in path.read_text(encoding="utf-8")}
    folders = {f"tests/{path.relative_to(root / 'tests').parts[0]}" for path in using - {Path(__file__)}}
    assert folders and folders <= set(tool.numbers_part().arguments)
    assert "tests/notebooks" not in tool.numbers_part().arguments


def test_a_path_inherits_nothing_from_another(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("MOTIONLAB_GOLDEN", "somewhere")
    by_name = {path.name: tool.environment(path, tmp_path) for path in tool.PATHS}
    native, oldest = by_name["native"], by_name["oldest"]
    assert "ATEN_CPU_CAPABILITY" not in native and native["OMP_NUM_THREADS"] == "1"
    assert oldest["ATEN_CPU_CAPABILITY"] == "default" and by_name["threads"]["OMP_NUM_THREADS"] == "2"
    assert native["MOTIONLAB_GOLDEN"] == "somewhere" and native["MOTIONLAB_CACHE"] == str(tmp_path)


def test_every_part_of_every_path_is_run_and_counted(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[tuple[str, str, Path]] = []

    def run(path: object, part: object, cache: Path) -> tuple[int, str]:
        ran.append((path.name, part.name, cache))  # type: ignore[attr-defined]
        wrong = (path.name, part.name) == ("oldest", "numbers")  # type: ignore[attr-defined]
        return (1, "the reason\n1 failed, 2 passed in 3s") if wrong else (0, "== 3 passed in 2s ==")

    parts = [tool.lessons_part(), tool.numbers_part()]
    failed = [name for path in tool.PATHS for name in tool.check_path(path, parts, run)]
    assert failed == ["oldest numbers"]
    assert len(ran) == 2 * len(tool.PATHS) and len({cache for _, _, cache in ran}) == len(tool.PATHS)
    printed = capsys.readouterr().out
    assert "the reason" in printed and "FAILED after 0 s: 1 failed, 2 passed in 3s" in printed
    assert printed.count("passed after 0 s: 3 passed in 2s") == 2 * len(tool.PATHS) - 1


@pytest.mark.parametrize(
    ("arguments", "paths", "parts"),
    [
        ([], 5, ["lessons", "numbers"]),
        (["--path", "avx2", "--lesson", "11"], 1, ["lessons 11"]),
        (["--path", "avx2", "--lesson", "11", "--lesson", "12"], 1, ["lessons 11 12"]),
        (["--numbers"], 5, ["numbers"]),
    ],
)
def test_what_the_options_choose(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str], paths: int, parts: list[str]
) -> None:
    asked = []

    def check(path: object, chosen: list[Any], run: object = None) -> list[str]:
        asked.append([part.name for part in chosen])
        return ["one failed"] if path.name == "avx2" else []  # type: ignore[attr-defined]

    monkeypatch.setattr(tool, "check_path", check)
    monkeypatch.setattr(tool, "probe", lambda path: path.name)
    assert tool.main(arguments) == 1
    assert asked == [parts] * paths
    asked.clear()
    assert tool.main(["--short"]) == 1
    assert sorted(asked) == sorted([" ".join(["lessons", *lessons])] for _, lessons in tool.SHORT)


def test_what_the_notebooks_have_just_run_is_not_run_again(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A processor without AVX-512 may compute the same under `avx2`; whoever asks for that path gets it."""
    asked: list[str] = []
    monkeypatch.setattr(tool, "check_path", lambda path, parts: asked.append(path.name) or [])
    monkeypatch.setattr(tool, "probe", lambda path: "same" if path.name in ("native", "avx2") else path.name)
    assert tool.main(["--short"]) == 0
    assert set(asked) == {"oldest"}
    printed = capsys.readouterr().out
    assert "same numbers as native here: left out" in printed and "all 1 paths passed" in printed
    assert tool.main(["--path", "avx2"]) == 0 and asked[-1] == "avx2"


def test_a_failing_test_is_a_failure(tool: ModuleType, tmp_path: Path) -> None:
    bad = tmp_path / "test_bad.py"
    bad.write_text("import os\n\ndef test_bad():\n    assert os.environ['OMP_NUM_THREADS'] == '1'\n", encoding="utf-8")
    part = tool.Part("bad", (str(bad), "--rootdir", str(tmp_path), "-p", "no:nbval"))
    results = [tool.run_pytest(tool.PATHS[at], part, tmp_path) for at in (0, 1)]
    assert [code for code, _ in results] == [0, 1] and "1 failed" in results[1][1]
