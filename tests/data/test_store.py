"""The packed store: what goes in comes out, whole or not at all."""

import json
import tracemalloc
import weakref

import numpy as np
import pytest
import torch

from motionlab.data.building import building
from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.data.store_files import FEATURES_FILE, INDEX_FILE, TABLE_FILE, TEXT_FILE
from motionlab.errors import InputError
from motionlab.motion.features import crop
from motionlab.motion.motion import Motion


def make_clips(lengths=(70, 3, 41)) -> list[Clip]:
    generator = torch.Generator().manual_seed(0)
    return [
        Clip(
            f"clip{number}",
            Motion(torch.randn(frames, 272, generator=generator)),
            [f"caption {number}", "走路"],
            [Segment("walk", "walks", 0, frames, True, 1.25, "walk")],
            source="tape 7",
        )
        for number, frames in enumerate(lengths)
    ]


@pytest.fixture
def store(tmp_path) -> MotionStore:
    return MotionStore.write(tmp_path / "store", make_clips())


def test_clips_come_back(store):
    assert len(store) == 3 and store.lengths.tolist() == [70, 3, 41] and store.lengths.dtype == np.int64
    for written, read in zip(make_clips(), store, strict=True):
        assert torch.equal(read.motion.features, written.motion.features.half().float())
        assert (read.name, read.captions, read.segments) == (written.name, written.captions, written.segments)
        assert read.source == written.source
        assert read.motion.fps == 30 and read.motion.features.dtype == torch.float32
    assert store[-1].name == "clip2" and [clip.name for clip in store[1:]] == ["clip1", "clip2"]
    with pytest.raises(IndexError):
        store[3]


def test_windows_equal_crops(store):
    indices, starts = [2, 0, 0, 2], [0, 30, 55, 26]
    windows = store.windows(indices, starts, 15)
    assert windows.shape == (4, 15, 272) and windows.dtype == torch.float32
    for window, index, start in zip(windows, indices, starts, strict=True):
        assert torch.equal(window, crop(store.features(index), start, 15))
        assert torch.equal(window, store.window(index, start, 15))


@pytest.mark.parametrize(
    ("indices", "starts", "length"), [([1], [0], 4), ([0], [-1], 4), ([0], [67], 4), ([3], [0], 1)]
)
def test_windows_outside_a_clip_are_input_errors(store, indices, starts, length):
    with pytest.raises(InputError):
        store.windows(indices, starts, length)


def test_writing_twice_replaces_and_gives_the_same_bytes(tmp_path):
    store = MotionStore.write(tmp_path / "store", make_clips())
    first = [(store.folder / name).read_bytes() for name in (FEATURES_FILE, TEXT_FILE, TABLE_FILE, INDEX_FILE)]
    MotionStore.write(tmp_path / "store", make_clips((5,)))
    assert len(MotionStore.open(tmp_path / "store")) == 1
    MotionStore.write(tmp_path / "store", make_clips())
    assert [(store.folder / name).read_bytes() for name in (FEATURES_FILE, TEXT_FILE, TABLE_FILE, INDEX_FILE)] == first
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_failure_while_writing_leaves_the_old_store(tmp_path):
    MotionStore.write(tmp_path / "store", make_clips())

    def broken():
        yield make_clips()[0]
        raise RuntimeError("the generator failed")

    with pytest.raises(RuntimeError, match="the generator failed"):
        MotionStore.write(tmp_path / "store", broken())
    assert len(MotionStore.open(tmp_path / "store", verify=True)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_full_disk_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="No space left"), building(tmp_path / "store"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_folder_is_an_input_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="while writing"):
        MotionStore.write(tmp_path / "file" / "store", make_clips())


def test_damage_is_found_and_named(store):
    features, index = store.folder / FEATURES_FILE, store.folder / INDEX_FILE
    data, text = features.read_bytes(), index.read_text()

    features.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with pytest.raises(InputError, match="changed content") as error:
        MotionStore.open(store.folder, verify=True)
    assert FEATURES_FILE in str(error.value)

    features.write_bytes(data[:-2])
    with pytest.raises(InputError, match="bytes"):
        MotionStore.open(store.folder)
    features.write_bytes(data)

    captions = store.folder / TEXT_FILE
    lines = captions.read_text(encoding="utf-8")
    captions.write_text(lines.replace("caption 0", "caption 9"), encoding="utf-8")
    assert MotionStore.open(store.folder).captions(0)[0] == "caption 9", "a quick opening does not read captions"
    with pytest.raises(InputError, match="changed content") as error:
        MotionStore.open(store.folder, verify=True)
    assert TEXT_FILE in str(error.value)
    captions.write_text(lines, encoding="utf-8")

    table = store.folder / TABLE_FILE
    numbers = table.read_bytes()
    table.write_bytes(numbers[:-16])
    with pytest.raises(InputError, match="2 clips with 73 frames, expected 3 with 114"):
        MotionStore.open(store.folder)
    lengths = np.frombuffer(numbers, "<i8").reshape(-1, 2).copy()
    lengths[:2, 0] = lengths[0, 0] + lengths[1, 0], 0  # the sum is right
    table.write_bytes(lengths.tobytes())
    with pytest.raises(InputError, match=TABLE_FILE):
        MotionStore.open(store.folder)
    lengths[:2, 0] = lengths[0, 0] - 1, 1  # so that nothing but the digest can tell
    table.write_bytes(lengths.tobytes())
    MotionStore.open(store.folder)
    with pytest.raises(InputError, match="changed content") as error:
        MotionStore.open(store.folder, verify=True)
    assert TABLE_FILE in str(error.value)
    table.write_bytes(numbers)

    index.write_text(text.replace('"fps": 30.0', '"fps": 25.0'))
    with pytest.raises(InputError, match="changed content") as error:
        MotionStore.open(store.folder, verify=True)
    assert INDEX_FILE in str(error.value)
    index.write_text(text[:50])
    with pytest.raises(InputError, match="the index of a store"):
        MotionStore.open(store.folder)
    index.write_text(json.dumps({**json.loads(text), "format": 1}))
    with pytest.raises(InputError, match="another format"):
        MotionStore.open(store.folder)
    index.write_text(json.dumps({"format": 2}))
    with pytest.raises(InputError, match="missing required field `fps`"):
        MotionStore.open(store.folder)
    index.unlink()
    with pytest.raises(InputError, match="no file"):
        MotionStore.open(store.folder)


@pytest.mark.parametrize("harm", ["missing", "shorter", "broken"])
def test_captions_are_read_when_they_are_asked_for(store, harm):
    """A store whose captions cannot be read opens, gives features and windows, and says what is wrong when asked."""
    path = store.folder / TEXT_FILE
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-9] if harm == "shorter" else b"x" * len(data))
    opened = MotionStore.open(store.folder)
    assert opened.has_segments and len(opened.digest) == 64
    assert opened.features(2).shape == (41, 272) and opened.windows([0, 2], [1, 1], 5).shape == (2, 5, 272)
    with pytest.raises(InputError, match=TEXT_FILE):
        opened.captions(0)
    with pytest.raises(InputError, match=TEXT_FILE):
        MotionStore.open(store.folder, verify=True)


def test_opening_holds_neither_captions_nor_features(tmp_path):
    """2,000 clips with a long caption each (4 MB) and 2 frames: opening takes 32 bytes per clip."""
    clips = (Clip(f"c{i}", Motion(torch.zeros(2, 272)), ["walk " * 400]) for i in range(2000))
    MotionStore.write(tmp_path / "store", clips)
    tracemalloc.start()
    store = MotionStore.open(tmp_path / "store")
    opened = tracemalloc.get_traced_memory()[1]
    store.captions(1999)
    tracemalloc.stop()
    assert opened < 300_000, f"{opened:,} bytes"


def test_clips_are_written_one_at_a_time(tmp_path):
    """100 clips of 0.5 MB each: never more than a few of them are in memory."""
    alive: weakref.WeakSet[Clip] = weakref.WeakSet()
    most: list[int] = []

    def stream():
        for i in range(100):
            clip = Clip(f"c{i}", Motion(torch.zeros(500, 272)), ["walks"])
            alive.add(clip)
            most.append(len(alive))
            yield clip

    MotionStore.write(tmp_path / "store", stream())
    assert max(most) <= 2


def test_motions_that_do_not_fit_are_refused(tmp_path):
    values = torch.zeros(4, 272)
    cases = {
        "normalized": Motion(values, normalized=True),
        "60 fps": Motion(values, fps=60),
        "inf": Motion(values + 70000.0),
    }
    for message, motion in cases.items():
        with pytest.raises(InputError, match=message):
            MotionStore.write(tmp_path / "store", [Clip("bad", motion, [])])
    assert not list(tmp_path.iterdir())


def test_empty_store(tmp_path):
    assert len(MotionStore.write(tmp_path / "store", [])) == 0


def test_a_damaged_segment_is_named(tmp_path):
    clip = Clip("a", Motion(torch.zeros(9, 272)), ["walks"], [Segment("walk", "walks", 0, 9)])
    store = MotionStore.write(tmp_path / "store", [clip])
    path = tmp_path / "store" / "clips.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"phrase"', b'"phrbse"'))
    for read in (store.segments, store.__getitem__):
        with pytest.raises(InputError, match=r"clips\.jsonl, line 1: found .* at `\$\.segments\[0\]`"):
            read(0)
