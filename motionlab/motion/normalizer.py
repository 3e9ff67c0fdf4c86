"""Mean and standard deviation of the 272 features, so that a network sees numbers near zero and near one.

By default the standard deviation is averaged within the five slices, as in the published statistics: features that
are compared with each other keep their proportions, and features that never change do not divide by zero. A side
effect to know: the heading slice averages four constant features with two that vary, so after normalisation the sine
of the turn has a standard deviation of about 4.6 and weighs about 20 times more in a squared error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import overload

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.motion.features import DIM, FEATURE_SLICES, check_features
from motionlab.motion.motion import Motion


class Normalizer:
    """`(x - mean) / std`, and back.

    Args:
        mean: `[272]`.
        std: `[272]`, all positive.

    >>> normalizer = Normalizer(torch.zeros(272), torch.full((272,), 2.0))
    >>> normalizer.normalize(torch.ones(1, 272))[0, 0].item()
    0.5
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        for name, value in (("mean", mean), ("std", std)):
            if tuple(value.shape) != (DIM,) or not torch.isfinite(value).all():
                raise InputError(
                    f"normalizer {name}",
                    found=f"shape {tuple(value.shape)}" if tuple(value.shape) != (DIM,) else "NaN or infinity",
                    expected=f"({DIM},) finite numbers",
                    fix="Fit the normalizer on 272-feature motions.",
                )
        if not (std > 0).all():
            raise InputError(
                "normalizer std",
                found=f"{int((std <= 0).sum())} values that are not positive",
                expected="positive numbers",
                fix="Clamp features that never change, as Normalizer.fit does.",
            )
        self.mean, self.std = mean, std

    @classmethod
    def fit(cls, clips: Iterable[Tensor], std: str = "group", floor: float = 1e-3) -> Normalizer:
        """Measure mean and standard deviation over all frames.

        Args:
            clips: tensors `[T, 272]` in physical units; read once, so a generator is fine.
            std: `"group"` averages within the five slices; `"dim"` keeps one value for each feature.
            floor: smallest standard deviation. Features that never change would divide by zero, and features that
                hardly change would turn rounding noise into a signal. 1e-3 is 1 mm.

        Raises:
            InputError: no clips, a clip that is no features (named by its number), another `std`, or a floor that is
                not above 0.
        """
        if not 0 < floor < float("inf"):
            raise InputError("floor", found=floor, expected="a number above 0", fix="Keep 1e-3, which is 1 mm.")
        if std not in ("group", "dim"):
            raise InputError("std", found=repr(std), expected="'group' or 'dim'", fix="Choose one of the two.")
        count = 0
        mean = torch.zeros(DIM, dtype=torch.float64)
        scatter = torch.zeros(DIM, dtype=torch.float64)  # sum of squared distances to the mean
        for number, clip in enumerate(clips):
            check_features(clip, f"clip {number}")
            values = clip.detach().to("cpu", torch.float64).reshape(-1, DIM)
            # Merge two sets by Chan's formula: E[x^2] - E[x]^2 would cancel where the mean is 1 and the spread 1e-4.
            size, own_mean = len(values), values.mean(0)
            delta, total = own_mean - mean, count + len(values)
            scatter += ((values - own_mean) ** 2).sum(0) + delta**2 * (count * size / total)
            mean += delta * (size / total)
            count = total
        if count == 0:
            raise InputError("normalizer", found="no clips", expected="at least one", fix="Fit on a non-empty corpus.")
        deviation = (scatter / count).sqrt()
        if std == "group":
            for part in FEATURE_SLICES.values():
                deviation[part] = deviation[part].mean()
        return cls(mean.float(), deviation.clamp(min=floor).float())

    @overload
    def normalize(self, x: Motion) -> Motion: ...
    @overload
    def normalize(self, x: Tensor) -> Tensor: ...
    def normalize(self, x: Motion | Tensor) -> Motion | Tensor:
        """`[..., 272]` or a `Motion` in physical units to normalised.

        Raises:
            InputError: the motion is normalised already. (A tensor cannot know.)
        """
        if isinstance(x, Motion):
            self._need_state(x, normalized=False)
            return replace(x, features=self.normalize(x.features), normalized=True)
        return (x - self.mean.to(x)) / self.std.to(x)

    def normalize_(self, x: Tensor) -> Tensor:
        """`normalize` in place: the same numbers without new memory, for a float tensor that is nobody else's."""
        return x.sub_(self.mean.to(x)).div_(self.std.to(x))

    @overload
    def denormalize(self, x: Motion) -> Motion: ...
    @overload
    def denormalize(self, x: Tensor) -> Tensor: ...
    def denormalize(self, x: Motion | Tensor) -> Motion | Tensor:
        """The inverse of `normalize`.

        Raises:
            InputError: the motion is in physical units already.
        """
        if isinstance(x, Motion):
            self._need_state(x, normalized=True)
            return replace(x, features=self.denormalize(x.features), normalized=False)
        return x * self.std.to(x) + self.mean.to(x)

    def to(self, device: torch.device | str) -> Normalizer:
        """A copy on `device`, so that each batch does not carry the statistics over again."""
        return Normalizer(self.mean.to(device), self.std.to(device))

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        write_tensors(path, {"mean": self.mean, "std": self.std}, {})

    @classmethod
    def load(cls, path: str | Path) -> Normalizer:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, not a normaliser, or its content is not what was written.
        """
        if not Path(path).is_file():
            fix = "Train or prepare first; it is written there."
            raise InputError(path, found="no file", expected="a normalizer", fix=fix)
        tensors, _ = read_tensors(path)
        if not {"mean", "std"} <= set(tensors) or not all(value.is_floating_point() for value in tensors.values()):
            found = f"tensors {', '.join(sorted(tensors)[:5])}"
            raise InputError(path, found=found, expected="floating point mean and std", fix="Make the file again.")
        try:
            return cls(tensors["mean"], tensors["std"])
        except InputError as error:  # name the file, too
            raise InputError(
                path, found=f"{error.where}: {error.found}", expected=error.expected, fix=error.fix
            ) from error

    @staticmethod
    def _need_state(motion: Motion, *, normalized: bool) -> None:
        if motion.normalized != normalized:
            now, wanted = ("normalized", "physical") if motion.normalized else ("physical", "normalized")
            verb = "denormalize" if motion.normalized else "normalize"
            raise InputError(
                motion.name or "motion",
                found=f"{now} features",
                expected=f"{wanted} features",
                fix=f"It was done already; call {verb} to go back, or drop this call.",
            )
