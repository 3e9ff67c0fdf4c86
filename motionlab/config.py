"""Every setting of a run: typed dataclasses, one documented field a line; YAML in, YAML out; presets by name.

The classes are plain dataclasses, so a reader needs no framework to understand them. pydantic checks and converts the
values that come from YAML and from the command line (`1e-4` is a number here, although YAML 1.1 reads it as text).
Modules never see these classes: a job takes the numbers out and hands them over as plain arguments.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import yaml

from motionlab.errors import InputError

T = TypeVar("T")
PRESETS_DIR = Path(__file__).parent / "presets"


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
    min_lr_ratio: float = option(0.0, "floor of the cosine, as a share of lr")
    warmup_steps: int = option(50, "steps of linear warm-up; step s uses (s+1)/warmup_steps of lr")
    betas: list[float] = option([0.9, 0.99], "AdamW's decay rates")
    eps: float = option(1e-8, "AdamW's epsilon")
    weight_decay: float = option(0.01, "decay of matrices; norms, biases and embeddings are left alone")
    clip_norm: float | None = option(1.0, "largest gradient norm, after unscaling; null turns clipping off")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = option("auto", "autocast dtype; auto explains its choice")
    val_every: int = option(100, "steps between validations")
    save_every: int = option(200, "steps between checkpoints")
    log_every: int = option(10, "steps between rows of the history")
    seed: int = option(0, "seed of initial weights, data order and caption choice")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "grad_accum_steps", "val_every", "save_every", "log_every"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        require("warmup_steps", self.warmup_steps, 0 <= self.warmup_steps < self.steps, "less than steps")
        require("lr", self.lr, self.lr > 0, "more than 0")


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


def preset_names() -> list[str]:
    """Names of the bundled presets."""
    return sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))


def load_config(preset_or_path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a preset or a YAML file, apply `key.sub=value` overrides, check everything.

    Raises:
        InputError: unknown preset, unreadable YAML, unknown key (with the nearest name) or a value of the wrong type.

    >>> load_config("tiny", ["llama_training.lr=1e-4"]).llama_training.lr
    0.0001
    """
    path = _find(preset_or_path)
    values = _read_yaml(path)
    for text in overrides:
        _apply_override(values, text)
    return from_mapping(RunConfig, values, where=str(path.name))


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a config dataclass from plain values; unknown keys and wrong types are errors that name the key."""
    from pydantic import TypeAdapter, ValidationError

    _refuse_unknown(kind, values, where, prefix="")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):  # a range check of __post_init__, which knows its field but not its group
            key = f"{key}.{cause.where}" if key else cause.where
            raise InputError(f"{where}: {key}", found=cause.found, expected=cause.expected, fix=cause.fix) from None
        raise InputError(
            f"{where}: {key}", found=repr(first["input"]), expected=first["msg"], fix="Change this key."
        ) from None


def to_mapping(config: Any) -> dict[str, Any]:
    """The config as nested plain values."""
    return dataclasses.asdict(config)


def to_yaml(config: Any) -> str:
    """The config as YAML, in the order of the fields."""
    return yaml.safe_dump(to_mapping(config), sort_keys=False, allow_unicode=True)


def _find(preset_or_path: str | Path) -> Path:
    path = Path(preset_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(path, found="no such file", expected="a YAML file", fix="Check the path.")
        return path
    candidate = PRESETS_DIR / f"{preset_or_path}.yaml"
    if not candidate.is_file():
        names = preset_names()
        near = difflib.get_close_matches(str(preset_or_path), names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Name a preset, or a file that ends in .yaml."
        raise InputError("preset", found=repr(str(preset_or_path)), expected="one of " + ", ".join(names), fix=hint)
    return candidate


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            path, found=f"no valid YAML ({reason})", expected="key: value lines", fix="Mend the file."
        ) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(path, found=type(values).__name__, expected="key: value lines", fix="Mend the file.")
    return values


def _apply_override(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError("override", found=repr(text), expected="key=value", fix="For example llama_training.lr=1e-4.")
    *sections, last = key.split(".")
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise InputError(
                f"override {text}", found=f"{section} is a value", expected="a group", fix="Check the key."
            )
    try:
        target[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise InputError(f"override {key}", found=repr(value), expected="a YAML value", fix="Quote it.") from None


def _refuse_unknown(kind: type, values: Mapping[str, Any], where: str, prefix: str) -> None:
    hints = get_type_hints(kind)
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            raise InputError(
                f"{where}: {prefix}{key}",
                found="an unknown key",
                expected="one of " + ", ".join(hints),
                fix=f"Did you mean {prefix}{near[0]}?" if near else "Remove it.",
            )
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise InputError(
                    f"{where}: {prefix}{key}",
                    found=repr(value),
                    expected="a group of keys",
                    fix="Indent its keys below.",
                )
            _refuse_unknown(hints[key], value, where, f"{prefix}{key}.")
