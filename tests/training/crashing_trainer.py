"""A trainer that is killed with SIGKILL again and again; run by test_crash.py, prints what happened as JSON.

torch takes seconds to import, so it is imported once and each trainer is a fork. The parent never runs a backward
pass itself: autograd's threads do not survive a fork.

    python crashing_trainer.py FOLDER
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from tests.training.conftest import Toy, ToyModel
else:
    sys.path.insert(0, str(Path(__file__).parent))
    from conftest import Toy, ToyModel
from motionlab.config import TrainConfig  # noqa: E402
from motionlab.errors import InputError  # noqa: E402
from motionlab.files import tensors as weights  # noqa: E402
from motionlab.training.checkpoints.checkpoint import has_checkpoint, read_checkpoint  # noqa: E402
from motionlab.training.optimizer import make_optimizer  # noqa: E402

STEPS = 5
LONG = 120  # steps of the run that is killed twenty times; it gets through few of them in each of its lives
KILLS = 20
PAUSE = 0.02  # seconds per batch, so that a kill from outside lands somewhere in the run


def train(folder: Path, pause: float = 0.0, steps: int = STEPS) -> None:
    """Start or resume, and run to the end. A save each step: most kills fall into one."""
    torch.manual_seed(3)
    toy = Toy(ToyModel(), sizes=(8, 3))
    settings = TrainConfig(
        steps=steps,
        warmup_steps=2,
        lr=1e-2,
        ema_decay=0.9,
        keep_last=2,
        grad_accum_steps=2,
        val_every=2,
        save_every=1,
        log_every=2,
    )

    def batches(i: int) -> torch.Tensor:
        time.sleep(pause)
        return toy.batches(i)

    toy.fit(folder, settings, batches=batches, resume=has_checkpoint(folder / "checkpoints"))


def fork(*work: Callable[[], object]) -> int:
    """Run `work` in a fork that exits with 0, or with 1 after an InputError; return its process id."""
    process = os.fork()
    if process == 0:
        code = 3
        try:
            for part in work:
                part()
            code = 0
        except InputError as error:
            print(error, file=sys.stderr, flush=True)
            code = 1
        finally:
            os._exit(code)
    return process


def wait(process: int) -> int:
    """The exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def result(folder: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The final weights, moments and history; columns that hold times are left out."""
    lines = (folder / "history.csv").read_text().splitlines()
    names = lines[0].split(",")
    kept = [i for i, name in enumerate(names) if name not in ("seconds", "items_per_second")]
    history = "\n".join(",".join(line.split(",")[i] for i in kept) for line in lines)
    return read_checkpoint(folder / "checkpoints")[0], history


def same(a: Path, b: Path) -> bool:
    """Whether two runs ended bit for bit alike."""
    (tensors, history), (others, other_history) = result(a), result(b)
    return (
        history == other_history
        and tensors.keys() == others.keys()
        and all(torch.equal(tensors[key], others[key]) for key in tensors)
    )


def not_of_a_training(folder: Path) -> list[str]:
    """Names of files that a training does not leave: locks, and what a killed one had begun to write."""
    known = ("history.csv", "history.jsonl", "checkpoints")
    inner = [path.name for path in (folder / "checkpoints").iterdir() if path.name.startswith(".")]
    return [path.name for path in folder.iterdir() if path.name not in known] + inner


def half_written(folder: Path) -> bool:
    """Whether a tensor file has no name yet: a save is under way, or was when the trainer died."""
    return any((folder / "checkpoints").glob(".last-*.safetensors"))


def die_at(event: int) -> None:
    """Kill this process just before its `event`-th call (from 1) that changes the disk for good."""
    calls = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == event:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return call

    os.fsync, os.replace, os.unlink = counted(os.fsync), counted(os.replace), counted(os.unlink)


def die_inside_a_write(at_save: int) -> None:
    """Kill this process when half of a tensor file is written."""
    saves, whole = 0, weights._blocks

    def half(tensors: Iterable[torch.Tensor]) -> Iterator[memoryview]:
        nonlocal saves
        saves += 1
        parts = list(tensors)
        for i, block in enumerate(whole(iter(parts))):
            if saves == at_save and i == len(parts) // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield block

    weights._blocks = half


def main(root: Path) -> None:
    torch.set_num_threads(1)
    os.environ["MOTIONLAB_PROFILE"] = "ci"
    make_optimizer(ToyModel(), lr=1e-2).step()  # imports what torch imports late, before the forks
    report: dict[str, Any] = {}
    whole = root / "whole"
    report["whole"] = wait(fork(lambda: train(whole)))

    # 1. killed from outside twenty times in one run: at a random moment, or as soon as a random save has begun
    folder, long, moments, codes, torn = root / "outside", root / "long", random.Random(0), [], 0
    report["long"] = wait(fork(lambda: train(long, steps=LONG)))
    for life in range(KILLS):
        process = fork(lambda: train(folder, PAUSE, LONG))
        time.sleep(moments.uniform(0.05, 0.3))
        if life % 2:
            while not half_written(folder) and os.waitpid(process, os.WNOHANG) == (0, 0):
                time.sleep(0.0005)
        os.kill(process, signal.SIGKILL)
        codes.append(wait(process))
        torn += half_written(folder)
    litter = sum(path.name.startswith(".") for path in folder.rglob("*"))
    end = wait(fork(lambda: train(folder, steps=LONG)))
    report["outside"] = {"codes": codes, "torn": torn, "end": end, "same": same(folder, long)}
    report["outside"] |= {"litter": litter, "left": not_of_a_training(folder)}

    # 2. killed before every single operation of the first save, and before some of the second, which writes "best" too
    report["operations"] = []
    for event in (*range(5, 24), *range(24, 40, 4)):
        folder = root / f"operation-{event}"
        code = wait(fork(partial(die_at, event), partial(train, folder)))
        end = wait(fork(partial(train, folder)))
        files = sorted(path.name.split("-")[0] for path in (folder / "checkpoints").iterdir())
        report["operations"].append({"code": code, "end": end, "same": same(folder, whole), "files": files})

    # 3. killed with half a tensor file written
    folder = root / "half"
    code = wait(fork(partial(die_inside_a_write, 5), partial(train, folder)))
    litter = len(list((folder / "checkpoints").glob(".*.safetensors")))
    step = read_checkpoint(folder / "checkpoints")[1]["step"]
    end = wait(fork(lambda: train(folder)))
    report["half"] = {"code": code, "litter": litter, "step": step, "end": end, "same": same(folder, whole)}

    # 4. a second trainer in the folder where one is at work, which is killed then
    folder = root / "two"
    process = fork(lambda: train(folder, PAUSE, LONG))
    while not has_checkpoint(folder / "checkpoints"):
        time.sleep(0.005)
    second = wait(fork(lambda: train(folder, steps=LONG)))
    alive = os.waitpid(process, os.WNOHANG) == (0, 0)
    os.kill(process, signal.SIGKILL)
    codes = [wait(process)]
    end = wait(fork(lambda: train(folder, steps=LONG)))
    report["two"] = {"second": second, "alive": alive, "codes": codes, "end": end, "same": same(folder, long)}
    report["two"]["left"] = not_of_a_training(folder)

    # 5. the operating system refuses to write more: a limit on the file size imitates the full disk
    folder = root / "full"
    first = TrainConfig(steps=4, warmup_steps=0, val_every=4, save_every=2)
    code = wait(fork(lambda: Toy(ToyModel(64)).fit(folder, first) and None))
    before = sorted(path.name for path in (folder / "checkpoints").iterdir())

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        more = TrainConfig(steps=8, warmup_steps=0, val_every=8, save_every=2)
        Toy(ToyModel(64)).fit(folder, more, resume=True)

    refused = wait(fork(limited))
    after = sorted(path.name for path in (folder / "checkpoints").iterdir())
    step = read_checkpoint(folder / "checkpoints")[1]["step"]
    report["full"] = {"first": code, "refused": refused, "unchanged": before == after, "step": step}
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
