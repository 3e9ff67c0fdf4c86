"""A small source of motions: cuts of four bundled clips, two captions each, and an encoder that knows single words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from motionlab.data.composed.samples import load_samples
from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.evaluation.text_motion.train import EvaluatorSettings
from motionlab.runtime import random_generator
from motionlab.text.encoder import TextFeatures

TAKES = 4
COUNTS = {"train": 48, "validation": 12, "test": 32}
SMALL = EvaluatorSettings(epochs=6, batch_size=12, width=32, size=24, patience=6, lr=4e-3)


class WordEncoder:
    """Each word is a random vector of its own."""

    dim, max_tokens, name = 16, 20, "words"

    def encode(self, captions: Sequence[str]) -> TextFeatures:
        return TextFeatures.from_rows([torch.stack([self._word(word) for word in text.split()]) for text in captions])

    def _word(self, word: str) -> torch.Tensor:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        return torch.randn(self.dim, generator=random_generator(seed))


def cuts(folder: Path, count: int, seed: int, segments: bool = True) -> MotionStore:
    """`count` clips of 30 to 60 frames, cut out of the first samples of four actions, in turn."""
    by_action = {sample.action: sample for sample in load_samples() if len(sample.motion) >= 70}
    samples, numbers = list(by_action.values())[:TAKES], random_generator(seed)
    clips = []
    for i in range(count):
        sample = samples[i % TAKES]
        length = int(torch.randint(30, 61, (1,), generator=numbers))
        start = int(torch.randint(len(sample.motion) - length, (1,), generator=numbers))
        captions = [f"a person {sample.action} {way}" for way in ("now", "again")]
        told = [Segment(sample.action, sample.action, 0, length)] if segments else []
        clips.append(Clip(f"{i}", sample.motion.crop(start, start + length), captions, told))
    return MotionStore.write(folder, clips)
