"""Stage 2: a decoder that learns to continue a caption by the tokens of its motion."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from motionlab.config import RunConfig
from motionlab.data.splits import CaptionsOf, Clips, Splits
from motionlab.errors import InputError
from motionlab.jobs.artefacts import claim
from motionlab.jobs.build import check_buildable, little_work, make_llama, max_sequence
from motionlab.jobs.known_actions import record_known_captions
from motionlab.jobs.memory_advice import llama_memory_advice, recompute_blocks
from motionlab.jobs.prepare import check_captions, require_splits
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.run_stage import RunStage
from motionlab.jobs.tokens import Codes, share_tokens, token_source, training_codes
from motionlab.llama.like_length import cut_like_length, losses_of_pieces
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.objectives.strategies import make_strategy
from motionlab.llama.sequence import SequenceBatches, Sequences
from motionlab.training.distributed import World
from motionlab.training.stage import Losses


class LlamaStage(RunStage[Sequences]):
    """Captions and tokens to the loss of the next token. It needs the tokenizer of stage 1 in the same run.

    Validation columns: `val_loss` in nats per token and `val_accuracy`, over held-out clips.

    Raises:
        InputError: no tokenizer yet, or one with several codes per token.
    """

    name = "llama"
    splits: Splits
    model: MotionLlama

    def __init__(self, run: Run, splits: Splits, variant: str | None = None) -> None:
        super().__init__(run, splits, variant)
        config = run.config.llama
        self.world = World.current()
        tokenizer = run.tokenizer()
        if tokenizer.n_codebooks > 1:
            raise InputError(
                "tokenizer.quantizer",
                found=f"{run.config.tokenizer.quantizer!r} with {tokenizer.n_codebooks} codes per token",
                expected="one code per token: the decoder writes one stream",
                fix="Choose a quantizer with one codebook, such as fsq.",
            )
        self.codebook_size = tokenizer.codebook_size
        with self.world.first_alone():
            require_splits(run, splits)
            check_captions(run, splits, "train", "validation")  # before the tokens of all clips are made
            if self.world.is_first:
                record_known_captions(run, splits)
        share_tokens(run, splits, self.world)
        with self.world.first_alone():
            codes = training_codes(run, splits)
            claim(self.folder, llama_source(run, splits, codes))
        with self.world.first_alone():  # every process reads what the first one has encoded
            self.sequences = self._sequences(
                splits.train, codes.train, text_drop=config.text_drop, edge_drop=config.edge_drop
            )
            if len(splits.validation):
                self.held_out = self._sequences(splits.validation, codes.validation)
            else:
                self.validate = None  # type: ignore[method-assign,assignment]
        self.strategy = make_strategy(
            config.strategy, keep=config.keep_codes, per=config.keep_rate, label_smoothing=config.label_smoothing
        )
        # A GPU is not busy with pieces this small. With FSDP all processes must call the model equally often.
        self.in_pieces = self.device.type == "cpu" and not (self.world.size > 1 and self.settings.parallel == "fsdp")
        self.architecture = {"codebook_size": self.codebook_size, "text": run.text.name}
        self.constants = {"normalizer.mean": run.normalizer.mean, "normalizer.std": run.normalizer.std}
        self.explain_memory = llama_memory_advice(config, self.settings, self.device, self.sequences, run.text.dim)

    @classmethod
    def check(cls, config: RunConfig, variant: str | None = None) -> None:
        """Refuse a decoder that cannot be built, or that could not read the tokens of the run's tokenizer."""
        super().check(config, variant)
        check_buildable(config, [config.tokenizer.quantizer])

    @classmethod
    def check_run(cls, run: Run) -> None:
        """Refuse a run without a trained tokenizer."""
        path = run.tokenizer_folder(run.config.tokenizer.quantizer) / "model.safetensors"
        if not path.is_file():
            raise InputError(
                path,
                found="no such file",
                expected="a trained tokenizer, whose tokens the decoder learns",
                fix="Train it first, with the same --preset, --out and --name: motionlab train tokenizer.",
            )

    def _sequences(
        self, clips: Clips, codes: Sequence[Tensor], text_drop: float = 0.0, edge_drop: float = 0.0
    ) -> SequenceBatches:
        return SequenceBatches(
            codes,
            CaptionsOf(clips),
            self.run.text,
            codebook_size=self.codebook_size,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            per_step=self.settings.grad_accum_steps * self.world.size,
            max_length=max_sequence(self.run.config, self.splits.longest),
            text_drop=text_drop,
            edge_drop=edge_drop,
        )

    def make(self) -> MotionLlama:
        """A decoder with random weights."""
        model = make_llama(
            self.run.config,
            codebook_size=self.codebook_size,
            text_dim=self.run.text.dim,
            longest=self.splits.longest,
        )
        if self.settings.activation_checkpointing:
            recompute_blocks(model)
        return model

    @property
    def little_work(self) -> bool:
        return little_work(self.run.config, self.device.type)

    def batches(self, number: int) -> Sequences:
        """Captions and tokens of `batch_size` clips, the shortest first."""
        self.watch(number)
        return self.sequences(number)

    def step(self, batch: Sequences) -> Losses:
        """The loss of the training strategy; the log is the accuracy."""
        pieces = cut_like_length(batch) if self.in_pieces else [batch]
        losses = losses_of_pieces(pieces, lambda piece: self.strategy(self.model, piece.to(self.device)), self.count)
        return Losses(losses.loss, {"accuracy": losses.accuracy})

    def count(self, batch: Sequences) -> int:
        """Tokens that are to be predicted, by this strategy; padding is none."""
        return self.strategy.count(batch, self.codebook_size)

    def validate(self) -> dict[str, float]:
        """Mean loss and accuracy over the tokens of the held-out clips, by plain teacher forcing."""
        loss = accuracy = labels = 0.0
        for i in self.world.share(range(self.held_out.batches_in_pass)):
            batch = self.held_out.of_pass(i)
            losses = sequence_losses(self.model, batch.to(self.device))
            loss += float(losses.loss) * batch.n_labels
            accuracy += float(losses.accuracy) * batch.n_labels
            labels += batch.n_labels
        loss, accuracy, labels = self.world.sum([loss, accuracy, labels])
        return {"loss": loss / labels, "accuracy": accuracy / labels}


def llama_source(run: Run, splits: Splits, codes: Codes) -> dict[str, str]:
    """The digests of everything that a decoder of this run is made from, besides its settings."""
    return {**token_source(run, splits), "tokens": codes.digest, "text": run.text.identity}
