"""Run what depends on rounding on several kinds of processor, imitated by one (`make test-numerics`).

    python tools/test_numerics.py            every lesson, every test that compares numbers, every path: about an hour
    python tools/test_numerics.py --short    the lessons that train, without appendices, under the two paths farthest
                                             from this machine
    python tools/test_numerics.py --path avx2 --lesson 11 --lesson 12

torch, oneDNN, MKL, OpenBLAS and numpy choose their kernels by what the processor can do, and the number of threads
decides how a sum is split. The results differ in their last digits, and training makes large differences of them.
A saved output, a golden value or a tolerance that holds only on the kind of processor that made it must fail here and
not on a reader's machine. Paths (with --short, halves of them) run next to each other, one for each core. Each has
its own cache folder, so a trained run is never taken from another path.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class CpuPath:
    """A name, the environment that makes libraries choose other kernels, and the machine that it imitates."""

    name: str
    settings: dict[str, str]
    reason: str


# On a processor that is no x86 the variables change nothing; the line "same numbers as ..." then says so.
PATHS = (
    CpuPath("native", {}, "this processor, one thread: as the saved outputs were made"),
    CpuPath("threads", {"OMP_NUM_THREADS": "2"}, "two threads: sums are split and added in another order"),
    CpuPath("kernels", {"ATEN_CPU_CAPABILITY": "default"}, "torch without vector units, other libraries as here"),
    CpuPath(
        "avx2",
        {
            "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2",
            "OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL",
        },
        "a laptop: no AVX-512 in any library",
    ),
    CpuPath(
        "oldest",
        {
            "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE",
            "OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL",
        },
        "no AVX in any library, and MKL's one code for all processors",
    ),
)  # fmt: skip

# Folders of tests that compute nothing themselves; every other one is run. Naming these and not the others, a new
# folder is taken in without anyone remembering it. (`notebooks` would execute the lessons a second time.)
WITHOUT_NUMBERS = ("notebooks", "tools")
# For continuous integration, where `make test` has just run the native path: the two paths farthest from it. Each
# lesson that trains runs under one of them, and those whose printed words follow a training most, 11 and 12, under
# both. (12 uses the tokenizer that 11 trained.) Appendices show kept results and train little: weekly is enough.
# A line is the work of one core; the longest come first, so that both cores end at about the same time.
SHORT = (
    ("oldest", ("02", "07", "10", "13")),
    ("avx2", ("03", "08", "09", "14")),
    ("oldest", ("11", "12")),
    ("avx2", ("11", "12")),
)

# Some numbers of each library. Equal lines: this machine cannot imitate the difference. Products have many shapes: MKL
# has other code for small ones, and on a processor with AVX2 alone some shapes are all that differs.
PROBE = """
import hashlib, numpy, torch
torch.manual_seed(0)
a = torch.randn(300, 300)
b = torch.nn.functional.conv1d(a[None], a[:96, :].view(32, 300, 3))
c = torch.linalg.svdvals(a).sum() + a.erf().sum() + a.softmax(-1).square().sum()
line, wide = numpy.linspace(0, 9, 1000), a.numpy().astype("f8")
shapes = torch.randint(1, 200, (30, 3)).tolist()
products = torch.cat([(torch.randn(m, k) @ torch.randn(n, k).T).flatten() for m, k, n in shapes])
parts = (a @ a, b, c, products, numpy.exp(line), numpy.sin(line.astype("f4")), wide @ wide)
print(hashlib.sha256(b"".join(numpy.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:8])
"""


@dataclass(frozen=True)
class Part:
    """Something to run under a path: a name and the arguments of pytest."""

    name: str
    arguments: tuple[str, ...]


def lessons_part(lessons: Sequence[str] = (), appendices: bool = True) -> Part:
    """The lessons with these numbers, or all, compared strictly with their saved outputs; with their appendices."""
    folder, names = ROOT / "notebooks", [f"{number}_*.ipynb" for number in lessons or ("[0-9][0-9]",)]
    paths = [path for name in names for path in sorted(folder.glob(name))]
    if len(paths) < len(lessons):
        raise SystemExit(f"lessons {', '.join(lessons)}: not all of them are in {folder}")
    if appendices:
        paths += [path for name in names for path in sorted((folder / "appendix").glob(name))]
    nbval = ("--nbval", "--nbval-current-env", "--nbval-sanitize-with", "notebooks/sanitize.cfg")
    files = [str(path.relative_to(ROOT)) for path in paths]
    return Part(" ".join(["lessons", *lessons]), (*nbval, "--nbval-cell-timeout=600", *files))


def numbers_part() -> Part:
    """The tests that compare numbers with golden values, formulas, or another way to compute them."""
    folders = sorted(path for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py")))
    return Part("numbers", tuple(f"tests/{folder.name}" for folder in folders if folder.name not in WITHOUT_NUMBERS))


def environment(path: CpuPath, cache: Path) -> dict[str, str]:
    """The environment that makes a process compute as this path does. The caller's settings are left out."""
    known = {name for each in PATHS for name in each.settings}
    inherited = {name: value for name, value in os.environ.items() if name not in known}
    own = {"OMP_NUM_THREADS": "1", "MOTIONLAB_PROFILE": "ci", "MOTIONLAB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    own["MOTIONLAB_LANG"] = "en"  # as the saved outputs are
    own["TORCHINDUCTOR_CACHE_DIR"] = str(cache / "inductor")  # kernels that another path compiled do not run here
    return {**inherited, **own, **path.settings}


def probe(path: CpuPath) -> str:
    """Eight letters that differ when the path's numbers do."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROBE],
            env=environment(path, Path(cache)), capture_output=True, text=True, check=True,
        )  # fmt: skip
    return done.stdout.strip()


def run_pytest(path: CpuPath, part: Part, cache: Path) -> tuple[int, str]:
    """Exit code and output of one part under one path."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *part.arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(path, cache), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


Runner = Callable[[CpuPath, Part, Path], tuple[int, str]]


def check_path(path: CpuPath, parts: Sequence[Part], run: Runner = run_pytest) -> list[str]:
    """Run every part under a path, print a line for each, and return the names of those that failed."""
    failed = []
    with tempfile.TemporaryDirectory(prefix=f"motionlab-{path.name}-") as cache:
        for part in parts:
            started = time.perf_counter()
            code, output = run(path, part, Path(cache))
            summary = output.strip().splitlines()[-1].strip("= ") if output.strip() else "no output"
            verdict = "FAILED" if code else "passed"
            line = f"{path.name:<8} {part.name:<19} {verdict} after {time.perf_counter() - started:.0f} s: {summary}"
            if code:  # pytest's report in one piece, not mixed with that of the path next to it
                failed.append(f"{path.name} {part.name}")
                line = f"{output}\n{line}"
            print(line, flush=True)
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts under the chosen paths; the exit code is 1 when one failed."""
    parser = argparse.ArgumentParser(description="Test what depends on rounding, on several imitated processors.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--short", action="store_true", help="for continuous integration: lessons that train, two paths")
    which.add_argument("--path", action="append", choices=[path.name for path in PATHS], help="default: every path")
    parser.add_argument("--lesson", action="append", metavar="NN", help="only these lessons and no tests")
    parser.add_argument("--numbers", action="store_true", help="only the tests that compare numbers, no lessons")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="paths that run at the same time")
    chosen = parser.parse_args(arguments)

    wanted = {name for name, _ in SHORT} if chosen.short else set(chosen.path or [path.name for path in PATHS])
    paths = {path.name: path for path in PATHS if path.name in wanted}
    if chosen.short:
        jobs = [(paths[name], [lessons_part(lessons, appendices=False)]) for name, lessons in SHORT]
    else:
        parts = [lessons_part(chosen.lesson or ()), numbers_part()]
        parts = parts[1:] if chosen.numbers else parts[:1] if chosen.lesson else parts
        jobs = [(path, parts) for path in paths.values()]

    seen = {probe(PATHS[0]): "native"}
    done = set()
    for path in paths.values():
        numbers = probe(path)
        same = "" if seen.setdefault(numbers, path.name) == path.name else f"; same numbers as {seen[numbers]} here"
        if chosen.short and seen[numbers] == "native":
            same += ": left out, since `make test` has just run these lessons"
            done.add(path.name)
        print(f"{path.name:<8} {path.reason}{same}", flush=True)
    jobs = [(path, parts) for path, parts in jobs if path.name not in done]
    with ThreadPoolExecutor(max_workers=max(1, chosen.jobs)) as pool:
        failed = [name for names in pool.map(lambda job: check_path(*job), jobs) for name in names]
    count = f"all {len(paths) - len(done)} paths passed"
    print(f"test-numerics: {'FAILED: ' + ', '.join(failed) if failed else count}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
