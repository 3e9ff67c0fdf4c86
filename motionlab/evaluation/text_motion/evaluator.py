"""`TextMotionEvaluator`: motions and captions to vectors of one space, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.text_motion.inputs import encoder_inputs, joints_of, padded
from motionlab.evaluation.text_motion.model import TextMotionModel
from motionlab.files.records import typed
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.motion.frame_rate import same_rate
from motionlab.motion.motion import Motion
from motionlab.runtime import evaluating
from motionlab.text.cache import TextCache
from motionlab.training.checkpoints.tensor_files import load_into

FORMAT = 1
_FIX = "Train it again: train_evaluator, or motionlab evaluate."
_FRAMES_AT_ONCE = 1 << 14


class Embeds(Protocol):
    """Anything that puts motions and captions into one space: ours, or a published evaluator."""

    def embed_motion(self, motions: Sequence[Motion | Tensor | np.ndarray]) -> Tensor:
        """`[N, D]`, one row a motion."""
        ...

    def embed_text(self, captions: Sequence[str], texts: TextCache | None = None) -> Tensor:
        """`[N, D]`, one row per caption."""
        ...


@dataclass(frozen=True)
class Sizes:
    """The arguments of `TextMotionModel` that rebuild it."""

    text_dim: int
    width: int = 128
    size: int = 128
    motion_layers: int = 1
    text_layers: int = 1


@dataclass(frozen=True)
class Record:
    """The description of an evaluator and its origin, kept in its file.

    Args:
        text_encoder: name of the frozen encoder whose features it reads.
        trained_on: digest of the splits `train` and `validation`.
        clips: how many of the training clips it learned from.
        settings, seed: of the training.
        validation: loss on the validation clips of the epoch that was kept, in nats; None without such clips.
        epoch: that epoch, from 1.
    """

    sizes: Sizes
    text_encoder: str
    fps: float = 30.0
    trained_on: dict[str, str] = field(default_factory=dict)
    clips: int = 0
    settings: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    validation: float | None = None
    epoch: int = 0
    format: int = FORMAT


class TextMotionEvaluator:
    """A trained pair of encoders.

    Args:
        model: the two encoders.
        record: what they are.
    """

    def __init__(self, model: TextMotionModel, record: Record) -> None:
        self.model, self.record = model.eval(), record

    @property
    def size(self) -> int:
        """D, the width of an embedding."""
        return self.record.sizes.size

    @torch.inference_mode()
    def embed_motion(self, motions: Sequence[Motion | Tensor | np.ndarray]) -> Tensor:
        """Embeddings of motions, `[N, D]` float32.

        Args:
            motions: features `[T, 272]` in physical units, joints `[T, 22, 3]` in metres (y up, floor at 0), or
                `Motion`s; at the frame rate of the evaluator, which a tensor cannot say.

        Raises:
            InputError: no motion, another shape or frame rate, or a number that is not finite; the motion is named.
        """
        if not len(motions):
            raise InputError("motions", found="none", expected="at least one", fix="Give motions to embed.")
        joints = []
        for number, motion in enumerate(motions):
            where = f"motion {number}"
            if isinstance(motion, Motion) and not same_rate(motion.fps, self.record.fps):
                raise InputError(
                    motion.name or where,
                    found=f"{motion.fps:g} fps",
                    expected=f"{self.record.fps:g} fps, which the evaluator learned from",
                    fix=f"Use motion.resample(fps={self.record.fps:g}).",
                )
            joints.append(joints_of(motion, where))
        result = torch.empty(len(joints), self.size)
        with evaluating(self.model):
            for rows in _blocks([len(one) for one in joints]):
                block, lengths = padded([joints[row] for row in rows])
                result[rows] = self.model.motion(encoder_inputs(block), lengths)
        return result

    @torch.inference_mode()
    def embed_text(self, captions: Sequence[str], texts: TextCache | None = None) -> Tensor:
        """Embeddings of captions, `[N, D]` float32.

        Args:
            texts: features of the text encoder that this evaluator was trained with; new captions are encoded.

        Raises:
            InputError: no captions, no features or those of another encoder, or a caption that cannot be read.
        """
        if texts is None or texts.name != self.record.text_encoder or texts.dim != self.record.sizes.text_dim:
            raise InputError(
                "text features",
                found="none" if texts is None else f"those of {texts.name}",
                expected=f"those of {self.record.text_encoder}",
                fix="Pass the TextCache of the run that the evaluator belongs to.",
            )
        if not len(captions):
            raise InputError("captions", found="none", expected="at least one", fix="Give captions to embed.")
        result = torch.empty(len(captions), self.size)
        with evaluating(self.model):
            for start in range(0, len(captions), 256):
                some = list(captions[start : start + 256])
                result[start : start + 256] = self.model.embed_text(texts.features(some))
        return result

    def save(self, path: str | Path) -> None:
        """Write weights and record as one safetensors file, whole or not at all."""
        write_tensors(path, self.model.state_dict(), {"text_motion_evaluator": asdict(self.record)})

    @classmethod
    def load(cls, path: str | Path, trained_on: Mapping[str, str] | None = None) -> TextMotionEvaluator:
        """Read what `save` wrote.

        Args:
            trained_on: digests by split (`Splits.digests`) that it has to come from; None does not ask.

        Raises:
            InputError: no such file, a damaged one, not an evaluator, or one that learned from other motions.
        """
        state, description = read_tensors(path)
        told = description.get("text_motion_evaluator", {})
        record = typed(told, Record, path, expected="a text-motion evaluator", fix=_FIX)
        if record.format != FORMAT:
            raise InputError(path, found=f"format {record.format}", expected=f"format {FORMAT}", fix=_FIX)
        other = [name for name, digest in record.trained_on.items() if (trained_on or {}).get(name, digest) != digest]
        if other:
            raise InputError(
                path, found=f"an evaluator of other clips ({', '.join(other)})", expected="these clips", fix=_FIX
            )
        model = TextMotionModel(**asdict(record.sizes))
        load_into(model, state, path)
        return cls(model, record)


def _blocks(lengths: Sequence[int]) -> list[list[int]]:
    """Rows in blocks of like length, so that padding costs little and a block fits in the memory."""
    blocks: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not blocks or (len(blocks[-1]) + 1) * lengths[row] > _FRAMES_AT_ONCE:
            blocks.append([])
        blocks[-1].append(row)
    return blocks
