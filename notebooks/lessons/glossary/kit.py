"""Small real objects that the demonstrations share, each made when it is first asked for and then kept.

Leave them as they are: take a copy to train one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from torch import Tensor

import motionlab as ml
from lessons.shared.small_models import sequence_batches, small_decoder

CAPTION = "a person walks forward"


class Kit:
    """The bundled run and its parts, a clip, a small decoder with a batch, and a table with cubes."""

    @cached_property
    def run(self) -> Any:
        """The trained run that comes with the package."""
        return ml.pretrained_run()

    @cached_property
    def tokenizer(self) -> Any:
        """Its tokenizer: a codebook of 1,024 vectors, four frames a token."""
        return self.run.tokenizer().eval()

    @cached_property
    def llama(self) -> Any:
        """Its decoder: 4 layers, 128 wide, 4 query heads on 2 key and value heads."""
        return self.run.llama.eval()

    @cached_property
    def samples(self) -> dict[str, Any]:
        """The bundled clips by name."""
        return {sample.name: sample for sample in ml.load_samples()}

    @cached_property
    def walk(self) -> Any:
        """A real clip: 36 frames of walking, whole tokens."""
        return ml.Motion(self.samples["walk"].motion.features[:36])

    @cached_property
    def normal_walk(self) -> Tensor:
        """The same, normalised, [1, 36, 272]."""
        x: Tensor = self.run.normalizer.normalize(self.walk.features)[None]
        return x

    @cached_property
    def latents(self) -> Tensor:
        """Its latents, from the encoder, [1, 9, 64]."""
        z: Tensor = self.tokenizer.encoder(self.normal_walk).detach()
        return z

    @cached_property
    def codes(self) -> Tensor:
        """Its tokens, int64 [1, 9]."""
        indices: Tensor = self.tokenizer.encode(self.normal_walk)
        return indices

    @cached_property
    def text(self) -> Any:
        """Features of CAPTION, a vector a word."""
        return self.run.text.features([CAPTION])

    @cached_property
    def decoder(self) -> Any:
        """A decoder of 240 codes with two layers, untrained."""
        return small_decoder().eval()

    @cached_property
    def batch(self) -> Any:
        """Four captions and the codes of their clips, for `decoder`."""
        return sequence_batches(4)(0)

    @cached_property
    def env(self) -> Any:
        """A table with three cubes and a robot hand."""
        return ml.TableLab(image_size=32)


kit = Kit()
