"""Every setting of a run: typed dataclasses, one documented field a line.

The classes are plain dataclasses, so a reader needs no framework to understand them. `config_file.py` reads them from
YAML and from the command line. Modules never see these classes: a job takes the numbers out and hands them over as
plain arguments.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, make_dataclass
from typing import Any, Literal, TypeVar

from motionlab.errors import InputError

T = TypeVar("T")


def option(default: T, help: str) -> T:
    """A dataclass field with its documentation, on one line."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": help})  # type: ignore[return-value]
    return field(default=default, metadata={"help": help})


def group(kind: type[T], help: str) -> T:
    """A field that is itself a group of settings."""
    return field(default_factory=kind, metadata={"help": help})


def require(name: str, value: object, condition: bool, expected: str) -> None:
    """Raise an InputError that names the key when a range check fails."""
    if not condition:
        raise InputError(name, found=value, expected=expected, fix="Change this key.")


@dataclass
class CorpusConfig:
    """The composed corpus: real clips joined, mirrored and re-timed."""

    n_train: int = option(1600, "clips in the training split")
    n_test_seen: int = option(64, "test clips: new seeds, combinations of actions that training has seen")
    n_test_unseen: int = option(64, "test clips: combinations of actions that training never saw")
    min_frames: int = option(60, "shortest clip, frames at 30 fps")
    max_frames: int = option(300, "longest clip, frames at 30 fps")
    max_actions: int = option(3, "most actions joined in one clip")
    blend_frames: int = option(10, "frames over which two clips are blended at a seam")
    mirror_probability: float = option(0.5, "chance that a clip is mirrored left-right, captions included")
    speed_min: float = option(0.8, "slowest playback speed of an action")
    speed_max: float = option(1.25, "fastest playback speed of an action")
    seed: int = option(0, "seed of the generator; the same seed gives the same bytes")

    def __post_init__(self) -> None:
        for name in ("n_train", "n_test_seen", "n_test_unseen", "max_actions"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        require("max_frames", self.max_frames, self.max_frames > self.min_frames > 1, "min_frames < max_frames")
        require("speed_min", self.speed_min, 0 < self.speed_min <= self.speed_max, "0 < speed_min <= speed_max")
        require("mirror_probability", self.mirror_probability, 0 <= self.mirror_probability <= 1, "0 to 1")


@dataclass
class TextConfig:
    """How captions become vectors."""

    encoder: Literal["minilm", "t5"] = option("minilm", "minilm (bundled) or t5 (a local T5, flan-T5 or ByT5 folder)")
    folder: str | None = option(None, "folder of the T5 weights, when encoder is t5")
    pooled: bool = option(False, "one vector a caption instead of one a word piece")
    max_tokens: int = option(48, "longest caption in word pieces; a longer one is an error, never cut silently")


@dataclass
class TokenizerConfig:
    """Stage 1: motion <-> tokens. The defaults are the published MotionMillion tokenizer."""

    quantizer: Literal[
        "fsq", "ifsq", "fsq_noise", "vq", "vq_ema", "vq_ema_no_reset", "vq_cosine", "vq_rotation", "simvq",
        "lfq", "bsq", "rvq", "rfsq",
    ] = option("fsq", "how a vector becomes a code; see motionlab.quantizers, one file each")  # fmt: skip
    codebook_size: int = option(65536, "nominal size; FSQ takes the levels of its paper's table (65536 -> 64,000)")
    width: int = option(512, "channels of the convolutions")
    code_dim: int = option(512, "channels at the bottleneck")
    depth: int = option(3, "residual blocks a stage")
    down_t: int = option(1, "stages, each halves the frame rate; 0 also means no residual blocks, which sit in them")
    dilation_growth_rate: int = option(3, "dilations are powers of this")
    kernel_size: Literal[3, 5] = option(3, "width in frames of the stride-1 convolutions")
    activation: Literal["relu", "silu", "gelu"] = option("relu", "nonlinearity of the residual blocks")
    norm: Literal["LN", "GN", "BN"] | None = option("LN", "LN, GN (32 groups), BN or null, in the residual blocks")
    causal: bool = option(False, "convolutions look only backwards (for streaming)")
    patcher: Literal["wavelet", "compat"] | None = option(
        None, "wavelet: Haar packets, patch_size times the channels; compat: the published one, which does nothing"
    )
    patch_size: Literal[1, 2, 4, 8] = option(1, "frames that the wavelet puts into one; 1 without a wavelet")
    velocity_weight: float = option(0.5, "weight of the velocity or position loss beside the reconstruction loss")
    velocity_loss: Literal["true", "published"] = option("true", "true: dims 74:140; published: dims 8:74 (positions)")
    root_weight: float = option(0.0, "weight of an extra loss on root and heading (dims 0:8), where errors add up")
    acceleration_weight: float = option(0.0, "weight of a loss on the second difference of the joint positions")
    joint_weight: float = option(0.0, "weight of a loss on the joint positions that the joint angles give")
    window: int = option(96, "frames of a training window")

    def __post_init__(self) -> None:
        sizes = "2, 4 or 8 with patcher: wavelet, else 1 (a wavelet of 1 does nothing; patcher: compat asks for that)"
        require("patch_size", self.patch_size, (self.patch_size > 1) == (self.patcher == "wavelet"), sizes)
        require("down_t", self.down_t, 0 <= self.down_t <= 3, "0 to 3")
        require("depth", self.depth, self.depth >= 0, "0 or more")
        for name in ("codebook_size", "width", "code_dim", "dilation_growth_rate", "window"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        for name in ("velocity_weight", "root_weight", "acceleration_weight", "joint_weight"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        causal_norm = "LN, BN or null with causal: true (GN averages over the whole clip, so it sees the future)"
        require("norm", self.norm, not (self.causal and self.norm == "GN"), causal_norm)
        require("width", self.width, self.norm != "GN" or self.width % 32 == 0, "a multiple of 32 for norm: GN")

    @property
    def frames_per_token(self) -> int:
        """Frames that one token covers: patch_size * 2**down_t."""
        return int(self.patch_size * 2**self.down_t)


@dataclass
class LlamaConfig:
    """Stage 2: text and earlier tokens -> next token."""

    n_layer: int = option(12, "transformer blocks")
    n_head: int = option(12, "query heads")
    n_kv_heads: int | None = option(None, "key and value heads (GQA); null means one for each query head")
    dim: int = option(768, "width of the residual stream")
    hidden: int | None = option(None, "width inside the SwiGLU; null means 8/3 dim rounded up to a multiple of 256")
    rope_theta: float = option(10000.0, "base of the rotary frequencies")
    rope_scaling: Literal["linear", "ntk", "llama3"] | None = option(
        None, "slower rotations for sequences longer than training had; null is none"
    )
    rope_factor: float = option(1.0, "new length divided by trained length, for rope_scaling")
    rope_original_length: int = option(301, "trained length in tokens, for rope_scaling: llama3")
    qk_norm: bool = option(False, "normalise query and key heads; keeps attention scores bounded")
    tied_embeddings: bool = option(False, "one table for reading and writing codes")
    strategy: Literal["next_token", "scheduled_sampling"] = option(
        "next_token", "codes that are not kept become random ones, or (scheduled_sampling) the model's own"
    )
    keep_codes: float = option(1.0, "chance that an input code is kept in training; 1 is plain teacher forcing")
    keep_rate: Literal["fixed", "batch", "sample"] = option(
        "fixed", "keep_codes is the chance itself, or the lower end of a chance drawn for each batch or sample"
    )
    label_smoothing: float = option(0.0, "probability mass spread over all codes in the loss")
    text_drop: float = option(0.0, "chance that a clip loses its text in training; needed for sampling.guidance")
    edge_drop: float = option(0.0, "chance that a clip loses its first or last code; published: 1/3")

    def __post_init__(self) -> None:
        require("dim", self.dim, self.dim % (2 * self.n_head) == 0, f"a multiple of 2 x n_head ({self.n_head})")
        heads = self.n_kv_heads or self.n_head
        require("n_kv_heads", heads, self.n_head % heads == 0, f"a divisor of n_head ({self.n_head})")
        fits = self.rope_factor == 1 or (self.rope_scaling is not None and self.rope_factor > 1)
        require("rope_factor", self.rope_factor, fits, "1 or more with rope_scaling, else 1")
        for name in ("keep_codes", "label_smoothing", "text_drop", "edge_drop"):
            require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "0 to 1")


@dataclass
class TrainConfig:
    """One training stage. All counts are optimizer steps, not micro-batches."""

    steps: int = option(1000, "optimizer steps")
    batch_size: int = option(32, "samples a micro-batch")
    grad_accum_steps: int = option(1, "micro-batches a step; the effective batch is their product")
    lr: float = option(4e-4, "peak learning rate")
    lr_scaling: Literal["none", "linear", "sqrt"] = option("none", "scale lr with effective batch / base_batch")
    base_batch: int | None = option(None, "effective batch that lr was chosen for; lr_scaling needs it")
    schedule: Literal["cosine", "constant", "multi_step", "wsd", "inverse_sqrt"] = option(
        "cosine", "shape of the learning rate after the warm-up; see motionlab.training.schedule"
    )
    min_lr_ratio: float = option(0.0, "floor of the learning rate, as a share of lr")
    warmup_steps: int = option(50, "steps of linear warm-up; step s uses (s+1)/warmup_steps of lr")
    milestones: list[int] = option([], "multi_step: the rate is multiplied by lr_gamma after this many steps")
    lr_gamma: float = option(0.1, "multi_step: what the rate is multiplied by")
    decay_ratio: float = option(0.2, "wsd: share of the steps, at the end, in which the rate falls to its floor")
    betas: list[float] = option([0.9, 0.99], "AdamW's decay rates")
    eps: float = option(1e-8, "AdamW's epsilon")
    weight_decay: float = option(0.01, "decay of matrices; norms, biases and embeddings are left alone")
    clip_norm: float | None = option(1.0, "largest gradient norm, after unscaling; null turns clipping off")
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "bf16_pure"] = option(
        "auto", "dtype of matrix products; auto explains its choice; bf16_pure: the weights too, to show what it loses"
    )
    ema_decay: float | None = option(None, "decay of averaged weights, used for validation and best; null is off")
    freeze: list[str] = option([], "patterns of modules or parameters that are not trained, e.g. encoder or *.norm*")
    activation_checkpointing: bool = option(False, "blocks run forward twice and keep only their input: less memory")
    auto_batch: bool = option(False, "out of memory: micro-batches are cut in half, with the same effective batch")
    patience: int | None = option(None, "stop after this many validations without a better one; null is never")
    rising_loss: float | None = option(3.0, "stop at this many times the lowest mean loss of 20 steps; null is never")
    deterministic: bool = option(False, "only operations that give the same bits every time; slower on a GPU")
    val_every: int = option(100, "steps between validations")
    save_every: int = option(200, "steps between checkpoints")
    keep_last: int = option(1, "newest checkpoints that are kept, beside the best one")
    log_every: int = option(10, "steps between rows of the history")
    resume_changed: Literal["refuse", "same_place"] = option(
        "refuse", "resuming with another batch or world: refuse, or same_place: after as many items (not exact)"
    )
    parallel: Literal["ddp", "fsdp"] = option(
        "ddp", "several processes: the whole model in each (ddp), or a part of it in each (fsdp), for large ones"
    )
    loggers: list[Literal["tensorboard", "wandb"]] = option([], "loggers beside history.csv and history.jsonl")
    seed: int = option(0, "seed of initial weights, data order and caption choice")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "grad_accum_steps", "val_every", "save_every", "log_every", "keep_last"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        require("warmup_steps", self.warmup_steps, 0 <= self.warmup_steps < self.steps, "less than steps")
        require("lr", self.lr, self.lr > 0, "more than 0")
        needs_base = "the effective batch that lr was chosen for, with lr_scaling; null without"
        base = self.base_batch
        require("base_batch", base, (base is not None and base >= 1) == (self.lr_scaling != "none"), needs_base)
        rising = self.milestones == sorted(set(self.milestones)) and all(step > 0 for step in self.milestones)
        require("milestones", self.milestones, rising, "rising numbers of steps")
        with_steps = "at least one number of steps with schedule: multi_step, none otherwise"
        require("milestones", self.milestones, bool(self.milestones) == (self.schedule == "multi_step"), with_steps)
        require("min_lr_ratio", self.min_lr_ratio, 0 <= self.min_lr_ratio <= 1, "0 to 1")
        require("decay_ratio", self.decay_ratio, 0 < self.decay_ratio <= 1, "more than 0, at most 1")
        decay = self.ema_decay
        require("ema_decay", decay, decay is None or 0 < decay < 1, "between 0 and 1, or null")
        require("patience", self.patience, self.patience is None or self.patience >= 1, "1 or more, or null")
        factor = self.rising_loss
        require("rising_loss", factor, factor is None or factor > 1, "more than 1, or null")


@dataclass
class SamplingConfig:
    """How tokens are drawn from the decoder."""

    greedy: bool = option(False, "always take the most likely token")
    temperature: float = option(1.0, "below 1 sharper, above 1 flatter")
    top_k: int | None = option(None, "draw from the k most likely tokens only")
    top_p: float | None = option(None, "draw from the smallest set whose probability reaches p")
    max_tokens: int = option(150, "tokens at most; stopping here is reported, never silent")
    min_tokens: int = option(1, "END cannot be drawn before this many tokens")
    guidance: float = option(1.0, "scale of classifier-free guidance; 1 is off, and right without llama.text_drop")
    repetition_penalty: float = option(1.0, "above 1, codes that were written become less likely")
    no_repeat_ngram: int = option(0, "no run of this many codes is written twice; 0 is off")
    seed: int = option(0, "seed of the draw; every sample has its own stream")


@dataclass
class EvaluationConfig:
    """What is measured at the end of a run."""

    n_generate: int = option(32, "captions of each test split to generate from")
    n_players: int = option(3, "motions of each test split shown in the report")
    classifier_steps: int = option(200, "training steps of the action classifier that scores generations")


@dataclass
class RunConfig:
    """The whole road: corpus, tokenizer, decoder, report."""

    name: str = option("run", "folder below runs/")
    seed: int = option(0, "seed of everything that has none of its own")
    device: str = option("auto", "auto, cpu, cuda or mps")
    compare_quantizers: list[str] = option(["vq_ema"], "further quantizers trained with the same budget, to compare")
    corpus: CorpusConfig = group(CorpusConfig, "the motions")
    text: TextConfig = group(TextConfig, "the captions")
    tokenizer: TokenizerConfig = group(TokenizerConfig, "stage 1, the model")
    tokenizer_training: TrainConfig = group(TrainConfig, "stage 1, the training")
    llama: LlamaConfig = group(LlamaConfig, "stage 2, the model")
    llama_training: TrainConfig = group(TrainConfig, "stage 2, the training")
    sampling: SamplingConfig = group(SamplingConfig, "generation")
    evaluation: EvaluationConfig = group(EvaluationConfig, "the scores")


_SECTIONS: dict[str, tuple[type, str]] = {}  # name -> dataclass, sentence


def add_section(name: str, kind: type, help: str) -> None:
    """Add a section to the config of a run: the settings of a stage that is not one of the two of `RunConfig`."""
    _SECTIONS[name] = kind, help


def run_config() -> type[RunConfig]:
    """`RunConfig` with the sections that were added."""
    return _extended(tuple((name, *section) for name, section in _SECTIONS.items()))


@functools.cache  # one class for the same sections: configs of two classes are never equal
def _extended(sections: tuple[tuple[str, type, str], ...]) -> type[RunConfig]:
    if not sections:
        return RunConfig
    fields: list[tuple[str, type, Any]] = [(name, kind, group(kind, help)) for name, kind, help in sections]
    return make_dataclass("RunConfig", fields, bases=(RunConfig,))
