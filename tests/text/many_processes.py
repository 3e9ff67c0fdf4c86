"""Processes that share one cache of text features; run by test_cache.py, prints their exit codes as JSON.

torch takes seconds to import, so it is imported once and each process is a fork.

    python many_processes.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures

WRITERS, CAPTIONS, READERS, DIM = 8, 5, 2, 4


class Fake:
    """A row for each word: its length, four times."""

    name, dim, max_tokens, pooled, dtype = "fake/1", DIM, 8, False, torch.float32

    def encode(self, captions: Sequence[str]) -> TextFeatures:
        return TextFeatures.from_rows([torch.tensor([[float(len(w))] * DIM for w in c.split()]) for c in captions])


def write(folder: Path, number: int) -> None:
    """Add captions one by one, one of which all add."""
    cache = TextCache(folder, Fake())
    for i in range(CAPTIONS):
        cache.features([f"writer {number} caption {i}", f"for all {i}"])


def read(folder: Path, index: Path) -> None:
    """Open the cache again and again until all captions are there."""
    known: set[str] = set()
    while len(known) < (WRITERS + 1) * CAPTIONS:
        if index.is_file():
            cache = TextCache(folder, Fake())
            found = set(cache.captions())
            assert known <= found, "a caption was lost"
            known = found
            states = cache.features(sorted(found)).states if found else torch.zeros(0, 1, DIM)
            assert states.shape[2] == DIM


def fork(work: Callable[..., None], *arguments: object) -> int:
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return process


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    index = (TextCache(folder, Fake()).folder or folder) / "index.json"
    processes = [fork(read, folder, index) for _ in range(READERS)]
    processes += [fork(write, folder, number) for number in range(WRITERS)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    left = sorted(path.suffix for path in index.parent.iterdir())
    found = {"captions": len(set(TextCache(folder, Fake()).captions())), "joined": len(left) < WRITERS * CAPTIONS}
    print(json.dumps({"codes": codes, **found, "left": sorted(set(left))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
