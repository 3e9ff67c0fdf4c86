"""From settings to objects: the one place where the fields of a run's config become plain arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from motionlab.config import RunConfig, TextConfig, TokenizerConfig
from motionlab.errors import InputError
from motionlab.files.weights import shapes_only
from motionlab.llama.model import MotionLlama
from motionlab.llama.rope import RopeSettings
from motionlab.llama.rope_scaling import make_scaling
from motionlab.llama.variant import LlamaVariant
from motionlab.quantizers.base import Quantizer
from motionlab.quantizers.build import make_quantizer
from motionlab.runtime import cache_dir
from motionlab.text.cache import TextCache
from motionlab.text.load import load_text_encoder
from motionlab.tokenizer.losses import LossWeights
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.freeze import check_freeze


def make_tokenizer(config: TokenizerConfig, quantizer: str | None = None) -> MotionTokenizer:
    """The tokenizer of a config, or the same with another quantizer: same convolutions, bottleneck and nominal size."""
    return tokenizer_around(
        make_quantizer(quantizer or config.quantizer, config.codebook_size, config.code_dim), config
    )


def tokenizer_around(quantizer: Quantizer, config: TokenizerConfig) -> MotionTokenizer:
    """The convolutions of a config around any quantizer."""
    return MotionTokenizer(
        quantizer,
        width=config.width,
        depth=config.depth,
        down_t=config.down_t,
        dilation_growth_rate=config.dilation_growth_rate,
        kernel_size=config.kernel_size,
        activation=config.activation,
        norm=config.norm,
        causal=config.causal,
        patcher=config.patcher,
        patch_size=config.patch_size,
    )


def loss_weights(config: TokenizerConfig) -> LossWeights:
    """The weights of the losses of a config."""
    return LossWeights(
        velocity=config.velocity_weight,
        velocity_loss=config.velocity_loss,
        root=config.root_weight,
        acceleration=config.acceleration_weight,
        joint=config.joint_weight,
        foot=config.foot_weight,
    )


def max_motion_tokens(config: RunConfig, longest: int = 0) -> int:
    """The longest motion of the settings or of `longest` frames, or the longest requested generation, in tokens."""
    frames = max(config.longest or 0, longest)
    return max(-(-frames // config.tokenizer.frames_per_token), config.sampling.max_tokens)


def max_sequence(config: RunConfig, longest: int = 0) -> int:
    """Positions of the longest sequence: text, motion, END."""
    return config.text.max_tokens + max_motion_tokens(config, longest) + 1


def make_llama(
    config: RunConfig, *, codebook_size: int, text_dim: int, longest: int = 0, mask_token: bool = False
) -> MotionLlama:
    """The decoder of a config; its longest sequence is text + motion + END.

    Args:
        longest: frames of the longest clip that it is trained on; for generation the settings are enough.
        mask_token: for masked modelling.
    """
    llama = config.llama
    return MotionLlama(
        codebook_size,
        n_layer=llama.n_layer,
        n_head=llama.n_head,
        n_kv_heads=llama.n_kv_heads,
        dim=llama.dim,
        text_dim=text_dim,
        max_length=max_sequence(config, longest),
        rope=RopeSettings(
            llama.rope_theta, make_scaling(llama.rope_scaling, llama.rope_factor, llama.rope_original_length)
        ),
        variant=LlamaVariant(
            hidden=llama.hidden,
            qk_norm=llama.qk_norm,
            tied_embeddings=llama.tied_embeddings,
            mask_token=mask_token,
        ),
    )


def little_work(config: RunConfig, device: str) -> bool:
    """Whether a step of the decoder is so little work that two threads of a CPU wait longer than they save.

    With 16 rows of width 128 (preset "tiny") a step took 140 ms with one thread, 198 ms with two that sleep while they
    wait, and, with another program on one of the two cores, 508 ms with two that do not.
    """
    return device == "cpu" and config.llama.dim * config.llama_training.batch_size <= LITTLE_WORK


LITTLE_WORK = 2**11
"""Numbers in the stream at one position of a batch. With 16 rows of width 256 two threads took 0.78 of the time."""


def check_buildable(config: RunConfig, quantizers: Sequence[str], decoder: bool = True) -> None:
    """Build every model of a run once, without memory for its weights: a wrong size, and a pattern of parts to freeze
    that fits none, are found before any work.

    Args:
        quantizers: of the tokenizers that are going to be trained.
        decoder: whether a decoder is going to be trained on the tokens of the run's own tokenizer.

    Raises:
        InputError: a size that a quantizer or model cannot have, parts to freeze that a model does not have, several
            codes per token for the decoder, or a text encoder that is not there.
    """
    with shapes_only():
        for quantizer in quantizers:
            try:
                model = make_tokenizer(config.tokenizer, quantizer)
            except InputError as error:
                key, found = f"tokenizer.{error.where}", f"{error.found} with quantizer {quantizer}"
                raise InputError(key, found=found, expected=error.expected, fix=error.fix) from None
            except RuntimeError as error:
                raise _too_large("tokenizer", error) from None
            check_freeze(model, config.tokenizer_training.freeze, "tokenizer_training.freeze")
        if not decoder:
            return
        own = make_tokenizer(config.tokenizer).quantizer
        if own.n_codebooks > 1:
            raise InputError(
                "tokenizer.quantizer",
                found=f"{config.tokenizer.quantizer!r} with {own.n_codebooks} codes per token",
                expected="one code per token: the decoder writes one stream",
                fix="Choose a quantizer with one codebook, such as fsq.",
            )
        try:
            llama = make_llama(config, codebook_size=own.codebook_size, text_dim=8)  # the width of the text is free
        except RuntimeError as error:
            raise _too_large("llama", error) from None
        check_freeze(llama, config.llama_training.freeze, "llama_training.freeze")
    text_cache(config.text)


def _too_large(section: str, error: RuntimeError) -> InputError:
    """No memory is asked for on the device `meta`, so only a size beyond all counting fails there."""
    return InputError(section, found=f"impossible sizes ({error})", expected="a smaller model", fix="Lower its sizes.")


def text_cache(config: TextConfig, folder: Path | None = None) -> TextCache:
    """Caption features through the disk cache; the encoder is loaded only for captions that are not there yet."""
    encoder = load_text_encoder(config.encoder, config.folder, max_tokens=config.max_tokens, pooled=config.pooled)
    return TextCache(folder or cache_dir() / "text", encoder)
