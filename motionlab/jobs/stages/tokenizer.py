"""Stage 1: a tokenizer that learns from windows of motion and is validated on whole clips."""

from __future__ import annotations

import sys
from dataclasses import replace

from motionlab.config import QUANTIZERS, RunConfig
from motionlab.data.batches import RaggedBatches, Windows, describe_short
from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.evaluation.tokenizer import count_codes, measure_tokenizer
from motionlab.jobs.artefacts import claim, tensor_digest
from motionlab.jobs.build import check_buildable, loss_weights, make_tokenizer
from motionlab.jobs.memory_advice import recompute_blocks, tokenizer_memory_advice
from motionlab.jobs.prepare import fit_normalizer
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.run_stage import RunStage
from motionlab.tokenizer.kinematics import Body
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.distributed import World
from motionlab.training.prefetch import Prefetch
from motionlab.training.stage import Losses

VALIDATION_CLIPS = 32  # held-out clips that a validation reconstructs
# Batches of training windows over which a validation counts codes: the same ones every time, so that the curve of usage
# shows the tokenizer and not the draw. The held-out clips would have too few tokens for a large codebook.
USAGE_BATCHES = 8


class TokenizerStage(RunStage[Windows]):
    """Windows `[B, window, 272]` to the losses of their reconstruction. A variant is another quantizer.

    Clips shorter than the window take part, padded and masked; how many there are is printed.

    Validation columns: `val_mpjpe_mm`, `val_mpjpe_heading_mm` and `val_acceleration_mm` over held-out clips;
    `val_used_fraction` and `val_perplexity` of the codebook over `val_tokens` tokens of fixed training windows.
    """

    name = "tokenizer"
    best_metric = "mpjpe_mm"
    splits: Splits
    model: MotionTokenizer

    def __init__(self, run: Run, splits: Splits, variant: str | None = None) -> None:
        config = run.config.tokenizer
        self.quantizer = variant or config.quantizer
        super().__init__(run, splits, self.quantizer)
        self.world = World.current()
        self.decoder_from = self._decoder_from(config.decoder_share)
        self.number = 0
        with self.world.first_alone():
            self.normalizer = fit_normalizer(run, splits).to(self.device)
            claim(self.folder, tokenizer_source(run, splits))
        if not len(splits.validation):
            self.validate = None  # type: ignore[method-assign,assignment]
        self.weights, self.body = loss_weights(config), Body(self.normalizer)
        drawn = RaggedBatches(
            splits.train,
            run.normalizer,
            window=config.window,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
        )
        told = describe_short(splits.train.lengths, config.window)
        if told and told not in splits.note and self.world.is_first:  # a note is printed already
            print(f"{self.title}: {told}", flush=True)
        self.windows = Prefetch(drawn, stride=self.world.size)
        self.architecture = {"quantizer": self.quantizer}
        self.constants = {"normalizer.mean": run.normalizer.mean, "normalizer.std": run.normalizer.std}
        self.explain_memory = tokenizer_memory_advice(config, self.settings, self.device)

    @classmethod
    def check(cls, config: RunConfig, variant: str | None = None) -> None:
        """Refuse an unknown quantizer, and a tokenizer that cannot be built."""
        if variant is not None and variant not in QUANTIZERS:
            raise InputError("quantizer", found=repr(variant), expected=", ".join(QUANTIZERS), fix="Name one of these.")
        check_buildable(config, [variant or config.tokenizer.quantizer], decoder=False)

    def make(self) -> MotionTokenizer:
        """A tokenizer with random weights."""
        model = make_tokenizer(self.run.config.tokenizer, self.quantizer)
        if self.settings.activation_checkpointing:
            recompute_blocks(model)
        return model

    def batches(self, number: int) -> Windows:
        """Normalised windows `[B, window, 272]`, with a mask when a clip is shorter."""
        self.watch(number)
        self.number = number
        return self.windows(number)

    def step(self, batch: Windows) -> Losses:
        """The losses of a tokenizer; the logs are its parts.

        Asked from the first step to keep feet still and to move evenly, a tokenizer learns to hardly move, and uses a
        twentieth of its codes. So with `decoder_share` these two count when the codes are settled, for the decoder.
        """
        batch = batch.to(self.device)
        x = batch.values  # [B, window, 272]
        late = self.number >= self.decoder_from
        output = self.model.forward_decoder(x, batch.mask) if late else self.model(x, batch.mask)
        weights = self.weights if late or not self.run.config.tokenizer.decoder_share else self.early
        losses = tokenizer_losses(output, x, weights, batch.mask, body=self.body)
        for name in ("acceleration", "foot"):  # the columns of the history are those of the first row
            if getattr(self.weights, name):
                losses.setdefault(name, x.new_zeros(()))
        return Losses(losses.pop("total"), losses)

    @property
    def early(self) -> LossWeights:
        """The weights while encoder and decoder learn together."""
        return replace(self.weights, foot=0.0, acceleration=0.0)

    def _decoder_from(self, share: float) -> int:
        """The first micro-batch from which the decoder alone learns."""
        settings = self.settings
        if share and self.world.size > 1:
            raise InputError(
                "tokenizer.decoder_share",
                found=f"{share:g} with {self.world.size} processes",
                expected="0: processes that share a model wait for the gradients of all its parts",
                fix="Set tokenizer.decoder_share=0, or train the tokenizer in one process.",
            )
        if not share:
            return sys.maxsize
        return (settings.steps - round(share * settings.steps)) * settings.grad_accum_steps

    def count(self, batch: Windows) -> int:
        """Frames that are real: the losses are means over them.

        Where clips are shorter than the window, two parts are not exactly: the acceleration, a mean over the frames
        that have two before them, and the quantizer's loss, a mean over tokens, of which the last may be part padding.
        """
        return batch.n_frames

    def validate(self) -> dict[str, float]:
        """Errors of held-out clips, and the use of the codebook."""
        clips = self.splits.validation
        kept = range(min(VALIDATION_CLIPS, len(clips)))
        errors, _ = measure_tokenizer(self.model, clips, self.normalizer, kept, self.world)
        usage = count_codes(self.model, self.windows, USAGE_BATCHES, self.world).summary()
        return {
            **errors,
            "used_fraction": usage.used_fraction,
            "perplexity": usage.perplexity,
            "tokens": usage.tokens,
        }


def tokenizer_source(run: Run, splits: Splits) -> dict[str, str]:
    """The digests of everything that a tokenizer of this run is made from, besides its settings."""
    normalizer = tensor_digest([run.normalizer.mean, run.normalizer.std])
    return {"train": splits.train.digest, "validation": splits.validation.digest, "normalizer": normalizer}
