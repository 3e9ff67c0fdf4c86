"""The packed store: what goes in comes out, whole or not at all."""

import json

import numpy as np
import pytest
import torch

from motionlab.data.store import FEATURES_FILE, INDEX_FILE, Clip, MotionStore, Segment, building
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


@pytest.mark.parametrize(
    ("indices", "starts", "length"), [([1], [0], 4), ([0], [-1], 4), ([0], [67], 4), ([3], [0], 1)]
)
def test_windows_outside_a_clip_are_input_errors(store, indices, starts, length):
    with pytest.raises(InputError):
        store.windows(indices, starts, length)


def test_writing_twice_replaces_and_gives_the_same_bytes(tmp_path):
    store = MotionStore.write(tmp_path / "store", make_clips())
    first = [(store.folder / name).read_bytes() for name in (FEATURES_FILE, INDEX_FILE)]
    MotionStore.write(tmp_path / "store", make_clips((5,)))
    assert len(MotionStore.open(tmp_path / "store")) == 1
    MotionStore.write(tmp_path / "store", make_clips())
    assert [(store.folder / name).read_bytes() for name in (FEATURES_FILE, INDEX_FILE)] == first
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

    index.write_text(text.replace("caption 0", "caption 9"))
    with pytest.raises(InputError, match="changed content"):
        MotionStore.open(store.folder, verify=True)
    index.write_text(text[:50])
    with pytest.raises(InputError, match=INDEX_FILE):
        MotionStore.open(store.folder)
    index.write_text(json.dumps({**json.loads(text), "format": 0}))
    with pytest.raises(InputError, match="another format"):
        MotionStore.open(store.folder)
    index.write_text(json.dumps({"format": 1}))
    with pytest.raises(InputError, match="sha256"):
        MotionStore.open(store.folder)
    index.unlink()
    with pytest.raises(InputError, match="No such file"):
        MotionStore.open(store.folder)


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
