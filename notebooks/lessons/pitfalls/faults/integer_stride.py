"""A frame rate is lowered by an integer stride, and the result is labelled 30 frames a second whatever came out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lessons.pitfalls.pitfall import Pitfall, Seen

RATES = (60, 90, 100, 120, 250)  # of recordings in AMASS and of others
SPEED = 1.2  # metres a second


def broken(places: np.ndarray, fps: float) -> np.ndarray:
    """`[T]` metres at `fps` -> what is called 30 frames a second."""
    return places[:: int(fps / 30)]


def fixed(places: np.ndarray, fps: float) -> np.ndarray:
    """Read the motion at the times of the new frames. (`Motion.resample` does it with rotations as well.)"""
    times = np.arange(len(places)) / fps
    wanted = np.arange(0, times[-1] + 1e-9, 1 / 30)
    return np.asarray(np.interp(wanted, times, places))


def _speed(resample: Callable[..., np.ndarray], fps: float) -> float:
    """The speed of a steady walker after resampling, metres a second."""
    places = SPEED * np.arange(4 * fps) / fps
    return float(np.diff(resample(places, fps)).mean() * 30)


def symptom(resample: Callable[..., np.ndarray]) -> Seen:
    errors = [100 * (_speed(resample, fps) / SPEED - 1) for fps in RATES]
    return Seen(max(map(abs, errors)), errors)


def test(resample: Callable[..., np.ndarray]) -> None:
    for fps in RATES:
        assert abs(_speed(resample, fps) / SPEED - 1) < 0.01, (
            f"a walker recorded at {fps} frames a second changed speed"
        )


PITFALL = Pitfall(
    name="integer_stride",
    title="integer stride, called 30 frames a second",
    topic="data",
    seen="272-dim-Motion-Representation, AMASS step; labels: Motion-X #43, 272-dim #12",
    lesson="01",
    fix="interpolate at the times of the new frames",
    measure="error of a walker's speed, %",
    height="error of a walker's speed, %",
    axis="recorded at, frames a second",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=5.0,
    at=tuple(map(str, RATES)),
)
