"""Which writer a file gets, and one clear line where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.bvh import read_bvh
from motionlab.motion.formats.euler_curves import ORDERS
from motionlab.motion.formats.loss import measure_loss
from motionlab.motion.formats.registry import WriteOptions
from motionlab.motion.formats.write import WRITERS, find_writer, write_motion
from motionlab.motion.motion import Motion

SAMPLES = {sample.name: sample.motion for sample in load_samples()}


def stiff(motion: Motion) -> Motion:
    """The motion with bones that keep their length: samples are rounded to half precision, up to 1 mm off."""
    return Motion.from_joints_rotations(motion.joints("rotations"), motion.rotations(), name=motion.name, ground=False)


def test_keys_and_endings_lead_to_one_writer() -> None:
    assert len({writer.key for writer in WRITERS}) == len(WRITERS)
    for writer in WRITERS:
        for suffix in writer.suffixes:
            assert find_writer(f"a{suffix.upper()}", writer.key) is writer
    assert (
        find_writer("a.bvh").key == "bvh" and find_writer("a.glb").key == "glb" and find_writer("a.csv").key == "joints"
    )


@pytest.mark.parametrize(
    ("path", "to", "options", "message"),
    [
        ("a.fbx", None, {}, r"a\.fbx: found ending '\.fbx', expected \.bvh"),
        ("a", None, {}, "found ending ''"),
        ("a.npy", None, {}, r"which 3 formats share, expected --to smpl85 .* or --to 272 .* or --to 263"),
        ("a.npz", None, {}, r"--to joints .* or --to amass .* or --to pfnn"),
        ("a.npz", "263", {}, r"found ending '\.npz', expected \.npy"),
        ("a.bvh", "smplx", {}, "--to: found 'smplx', expected bvh, glb"),
        ("a.glb", None, {"unit": "cm"}, r"found unit cm, expected an ending \.bvh"),
        ("a.npy", "272", {"order": "XYZ"}, "Leave out --order"),
        ("a.bvh", None, {"unit": "inch"}, "unit: found 'inch', expected m or cm"),
        ("a.bvh", None, {"order": "XYX"}, "order: found 'XYX', expected XYZ or"),
        ("a.bvh", None, {"up": "x"}, "up: found 'x', expected y or z"),
    ],
)
def test_bad_requests_are_one_line(path: str, to: str | None, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        find_writer(path, to, WriteOptions(**options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("unit", "up"), [("m", "y"), ("cm", "z")])
def test_every_bvh_holds_the_same_motion(tmp_path: Path, order: str, unit: str, up: str) -> None:
    motion = stiff(SAMPLES["cartwheel"])
    options = WriteOptions(unit=unit, order=order, up=up)
    writer = write_motion(tmp_path / "a.bvh", motion, options=options)
    loss = measure_loss(tmp_path / "a.bvh", motion, writer, options)
    assert loss.joints[1] < 0.01 and loss.rotations is not None and loss.rotations[1] < 1e-3
    assert (loss.frames, loss.fps) == (len(motion), 30)
    clip = read_bvh(tmp_path / "a.bvh")
    assert clip.names[0] == "pelvis"
    text = (tmp_path / "a.bvh").read_text()
    assert text.count("CHANNELS 3 " + " ".join(f"{axis}rotation" for axis in order)) == 21
    height = clip.joints()[:, clip.names.index("head"), "xyz".index(up)] / (100 if unit == "cm" else 1)  # of the head
    torch.testing.assert_close(height.float(), motion.joints("rotations")[:, 15, 1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_bvh_loses_nothing(tmp_path: Path, name: str) -> None:
    motion = stiff(SAMPLES[name])
    writer = write_motion(tmp_path / "a.bvh", motion)
    loss = measure_loss(tmp_path / "a.bvh", motion, writer)
    assert loss.joints[1] < 0.01 and loss.rotations is not None and loss.rotations[1] < 0.002
    assert "lost" not in str(loss) and str(loss).startswith("0.0 mm (at most 0.0), 0.00 degrees")


def test_a_format_with_a_rate_of_its_own_is_resampled(tmp_path: Path) -> None:
    motion = SAMPLES["spin"]
    writer = write_motion(tmp_path / "a.npz", motion, to="pfnn")
    loss = measure_loss(tmp_path / "a.npz", motion.resample(fps=60), writer)
    assert loss.fps == 60 and loss.rotations is None and loss.joints[1] < 0.1
    assert loss.frames == 265 - 121


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_any_tensor_is_written(tmp_path: Path, dtype: torch.dtype) -> None:
    """Motions come out of networks, with a gradient and in half precision."""
    motion = max(SAMPLES.values(), key=len)
    features = motion.features.to(dtype).t().contiguous().t().requires_grad_()
    for writer in WRITERS:
        for suffix in writer.suffixes:
            path = tmp_path / f"{writer.key}{suffix}"
            write_motion(path, Motion(features), to=writer.key)
            assert path.stat().st_size > 1000
