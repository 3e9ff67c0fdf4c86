"""A folder of shards: many processes add, small files are joined, a kill loses only what was not written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.files.lock import IN_USE, locked
from motionlab.files.tensors import read_tensors
from motionlab.text import feature_folder as module
from motionlab.text.feature_folder import MANY, SHARDS, FeatureFolder
from motionlab.text.shard import Shard

IDENTITY = {"encoder": "fake/1", "dim": 2}


def add(folder: FeatureFolder, *captions: str) -> None:
    folder.add(captions, [torch.full((1, 2), float(len(caption))).half() for caption in captions])


def shards(folder: FeatureFolder) -> list[Path]:
    return sorted(folder.folder.glob(SHARDS))


def holds(folder: FeatureFolder, *captions: str) -> bool:
    rows = folder.rows(folder.find(captions))
    return [row.tolist() for row in rows] == [[[len(caption)] * 2] for caption in captions]


def test_small_files_are_joined(tmp_path: Path) -> None:
    folder, reader = FeatureFolder(tmp_path, IDENTITY), FeatureFolder(tmp_path, IDENTITY)
    captions = ["x" * (1 + i) for i in range(3 * MANY)]
    for i, caption in enumerate(captions):
        add(folder, caption)
        assert len(shards(folder)) < MANY
        if i == MANY // 2:
            reader.refresh()
    assert holds(folder, *captions) and holds(FeatureFolder(tmp_path, IDENTITY), *captions)
    assert holds(reader, *captions[: MANY // 2]), "files that were joined stay open for one that reads them"
    reader.refresh()
    assert holds(reader, *captions) and len(reader) == len(captions)
    for path in shards(folder):
        read_tensors(path)


def test_large_files_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1)
    folder = FeatureFolder(tmp_path, IDENTITY)
    for i in range(MANY + 2):
        add(folder, "x" * (1 + i))
    assert len(shards(folder)) == MANY + 2


def test_while_another_process_joins_nobody_waits(tmp_path: Path) -> None:
    folder = FeatureFolder(tmp_path, IDENTITY)
    with locked(tmp_path / IN_USE):
        for i in range(MANY + 1):
            add(folder, "x" * (1 + i))
        assert len(shards(folder)) == MANY + 1
    add(folder, "x" * 50)
    assert len(shards(folder)) == 1 and len(folder) == MANY + 2


def test_a_kill_between_joining_and_removing_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FeatureFolder(tmp_path, IDENTITY)
    captions = ["x" * (1 + i) for i in range(MANY)]
    whole = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.match(SHARDS):
            raise KeyboardInterrupt
        whole(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            for caption in captions:
                add(folder, caption)
    after = FeatureFolder(tmp_path, IDENTITY)
    assert len(shards(after)) == MANY + 1 and holds(after, *captions) and len(after.captions()) == MANY
    add(after, "x" * 99)
    assert holds(after, *captions, "x" * 99) and len(shards(after)) == 1 and len(after) == MANY + 1


def test_a_file_that_disappears_between_list_and_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = FeatureFolder(tmp_path, IDENTITY)
    for i in range(MANY - 1):
        add(writer, "x" * (1 + i))
    opened: list[Path] = []
    whole = Shard

    def slow(path: Path, *arguments: Any) -> Any:
        opened.append(path)
        if len(opened) == 2:
            with monkeypatch.context() as patch:
                patch.setattr(module, "Shard", whole)
                add(writer, "x" * 40)  # joins all files
        return whole(path, *arguments)

    monkeypatch.setattr(module, "Shard", slow)
    reader = FeatureFolder(tmp_path, IDENTITY)
    assert holds(reader, *("x" * (1 + i) for i in range(MANY - 1)), "x" * 40) and len(reader) == MANY


def test_a_folder_of_another_encoder_is_refused(tmp_path: Path) -> None:
    add(FeatureFolder(tmp_path, IDENTITY), "x")
    with pytest.raises(InputError, match="index.json.*Delete this folder"):
        FeatureFolder(tmp_path, {"encoder": "fake/2", "dim": 2})


_WRITER = """
import sys, itertools, torch
from pathlib import Path
from motionlab.text.feature_folder import FeatureFolder
folder = FeatureFolder(Path(sys.argv[1]), {"encoder": "fake/1", "dim": 2})
for i in itertools.count():
    folder.add(["x" * (1 + i)], [torch.full((20_000, 2), 1.0).half()])
    print(i, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX")
def test_a_killed_writer_leaves_whole_files_only(tmp_path: Path) -> None:
    """Killed somewhere in the middle of writing or joining; all that it had reported is there."""
    started = [0.0, 0.01, 0.013]
    for number, delay in enumerate(started):
        place = tmp_path / str(number)
        said = MANY - 3 + number
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(place)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) == said:
                    break
            time.sleep(delay)
            process.kill()
            said = max([said, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        after = FeatureFolder(place, IDENTITY)
        assert (after.find(["x" * (1 + i) for i in range(said + 1)]) >= 0).all()
        for path in shards(after):
            read_tensors(path)
        add(after, "new")
        assert not [path for path in place.iterdir() if path.name.startswith(".")], "half-written files are removed"
