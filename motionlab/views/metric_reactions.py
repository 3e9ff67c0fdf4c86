"""Which metric notices that a motion was spoiled? The same clips, real and spoiled, under every metric.

A metric *reacts* when the spoiled clips get a value that lies outside the 95 % interval of the real ones. A metric that
does not react is not wrong: it asks about something else. But a report that has only such metrics says nothing about
this fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation import corruption
from motionlab.evaluation.action_lists import order_score
from motionlab.evaluation.distribution import frechet_distance, frechet_interval, matching_distance, r_precision
from motionlab.evaluation.intervals import Interval, bootstrap
from motionlab.evaluation.physics import physics_of_clips
from motionlab.evaluation.reconstruction import mpjpe
from motionlab.motion.features import decode_positions
from motionlab.plots.metric_reactions import Reaction, ReactionView

Spoil = Callable[[Tensor], Tensor]
NONE = "nothing"
# Fault -> the words for each strength, weak to strong, and what is done.
FAULTS: dict[str, Mapping[str, Spoil]] = {
    NONE: {"as recorded": lambda features: features},
    "noise": {f"{mm} mm": partial(corruption.noise, mm=mm) for mm in (5, 15, 50, 100)},
    "tremble": {f"{degrees} degrees": partial(corruption.tremble, degrees=degrees) for degrees in (0.5, 1, 2, 5)},
    "hold": {f"every {n} frames": partial(corruption.hold, every=n) for n in (2, 4, 8, 15)},
    "slide": {f"{factor:g} x the speed": partial(corruption.slide, factor=factor) for factor in (1.2, 1.5, 3, 5)},
    "heading drift": {f"{d} degrees a second": partial(corruption.heading_drift, degrees=d) for d in (2, 5, 10, 30)},
    "longer bones": {f"{f:.2f} x": partial(corruption.scaled_bones, factor=f) for f in (1.05, 1.1, 1.2, 1.5)},
    "random angles": {"all of them": corruption.random_angles},
    "mirrored": {"left is right": corruption.mirrored},
    "wrong order": {"second half first": corruption.wrong_order},
    "centimetres": {"100 x": corruption.wrong_unit},
}
# Numbers of `physics` that the panel shows, with their units.
PHYSICS = {
    "sliding": "share", "jerk_mm": "mm/frame^3", "penetration_mm": "mm", "float_mm": "mm", "bone_drift_mm": "mm",
    "rotations_gap_mm": "mm",
}  # fmt: skip
LONGEST = 3.0  # bars end at eight times, or an eighth of, the value of real motion


@dataclass(frozen=True)
class Bench:
    """Real clips with their captions, and those who judge.

    Args:
        clips: features `[T, 272]` in physical units.
        wanted: the actions of each clip in order.
        recognise: names the actions in features, as a judge does.
        embed: motions to `[N, D]`, as an evaluator of text and motion does.
        text: embeddings of the captions, `[N, D]`.
        reference: embeddings of other real motions `[M, D]`, with which FID compares.
    """

    clips: Sequence[Tensor]
    wanted: Sequence[Sequence[str]]
    recognise: Callable[[Tensor], Sequence[str]]
    embed: Callable[[Sequence[Tensor]], Tensor]
    text: Tensor
    reference: Tensor
    _measured: dict[tuple[str, str], dict[str, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not len(self.clips) == len(self.wanted) == len(self.text) > 1:
            raise InputError(
                "bench",
                found=f"{len(self.clips)} clips, {len(self.wanted)} lists of actions, {len(self.text)} captions",
                expected="as many of each, two or more",
                fix="Give the captions and the actions of the clips.",
            )

    @cached_property
    def real(self) -> dict[str, Interval]:
        """Every metric of the clips as they are, with its interval over clips."""
        found = {name: bootstrap(values[~np.isnan(values)]) for name, values in self._of_clips(self.clips).items()}
        made = self.embed(self.clips)
        found["R@1"] = r_precision(self.text, made, ks=(1,), unit=True)[1]
        found["text distance"] = matching_distance(self.text, made, unit=True)
        found["FID"] = frechet_interval(made, self.reference, unit=True)
        return found

    def spoiled(self, fault: str, words: str) -> dict[str, float]:
        """Every metric of the clips with a fault of `FAULTS` in one of its strengths; measured once and kept."""
        if (fault, words) not in self._measured:
            spoil = FAULTS[fault][words]
            self._measured[fault, words] = self.measure([spoil(features) for features in self.clips])
        return self._measured[fault, words]

    @cached_property
    def _joints(self) -> list[Tensor]:
        """Of the clips as they are, `[T, 22, 3]` each."""
        return [decode_positions(clip) for clip in self.clips]

    def measure(self, clips: Sequence[Tensor]) -> dict[str, float]:
        """Every metric of the clips after something was done to them."""
        made = self.embed(clips)
        return {
            **{name: float(np.nanmean(values)) for name, values in self._of_clips(clips).items()},
            "R@1": r_precision(self.text, made, ks=(1,), unit=True)[1].value,
            "text distance": matching_distance(self.text, made, unit=True).value,
            "FID": frechet_distance(made, self.reference, unit=True),
        }

    def _of_clips(self, clips: Sequence[Tensor]) -> dict[str, np.ndarray]:
        """Metrics that every clip has a value of, `[N]` each."""
        joints = [decode_positions(clip) for clip in clips]
        true = [clip[: len(made)] for clip, made in zip(self._joints, joints, strict=True)]
        scores = [order_score(wanted, self.recognise(clip)) for wanted, clip in zip(self.wanted, clips, strict=True)]
        errors = {
            f"MPJPE, {align}": np.array([float(mpjpe(a, b, align)) for a, b in zip(joints, true, strict=True)])
            for align in ("pelvis", "heading")
        }
        table = physics_of_clips(joints, features=clips)
        return {"action score": np.array(scores), **errors, **{name: table[name] for name in PHYSICS}}


UNITS = {
    "action score": "share", "R@1": "share", "text distance": "", "FID": "", "MPJPE, pelvis": "mm",
    "MPJPE, heading": "mm", **PHYSICS,
}  # fmt: skip


@torch.inference_mode()
def compute_reactions(bench: Bench, fault: str, strength: int = 2, clip: int = 0) -> ReactionView:
    """Spoil every clip of the bench and measure again. A fault that was asked for before is known.

    Args:
        fault: a key of `FAULTS`.
        strength: which of its strengths, from 0; a fault with fewer has its strongest.
        clip: the one that is drawn.

    Raises:
        InputError: no such fault, strength or clip.
    """
    if fault not in FAULTS:
        raise InputError("fault", found=repr(fault), expected=", ".join(FAULTS), fix="Choose one of these.")
    if not 0 <= strength < 4 or not 0 <= clip < len(bench.clips):
        found = f"strength {strength}, clip {clip}"
        raise InputError("panel", found=found, expected=f"0 to 3, 0 to {len(bench.clips) - 1}", fix="Choose another.")
    words, spoil = list(FAULTS[fault].items())[min(strength, len(FAULTS[fault]) - 1)]
    measured = bench.spoiled(fault, words)
    reactions = [reaction_of(name, unit, bench.real[name], measured[name]) for name, unit in UNITS.items()]
    pictures = (decode_positions(bench.clips[clip]).numpy(), decode_positions(spoil(bench.clips[clip])).numpy())
    return ReactionView(fault, words, tuple(reactions), *pictures)


def reaction_of(metric: str, unit: str, real: Interval, spoiled: float) -> Reaction:
    """Compare a value of spoiled clips with the interval of the real ones.

    >>> reaction_of("sliding", "share", Interval(0.1, 0.05, 0.2, 12), 0.4)
    Reaction(metric='sliding', unit='share', real=0.1, spoiled=0.4, reacts=True, change=1.98...)
    """
    slack = 1e-3 * max(1.0, abs(real.value))  # rounding: a long way in metres has few digits for millimetres
    reacts = not real.low - slack <= spoiled <= real.high + slack
    tiny = 1e-3  # so that nothing and nothing are the same
    change = math.log2((abs(spoiled) + tiny) / (abs(real.value) + tiny))
    return Reaction(metric, unit, real.value, spoiled, reacts, float(np.clip(change, -LONGEST, LONGEST)))
