"""From settings to objects: the one place where the fields of a run's config become plain arguments."""

from __future__ import annotations

from pathlib import Path

from motionlab.config import RunConfig, TextConfig, TokenizerConfig
from motionlab.llama.model import LlamaVariant, MotionLlama
from motionlab.llama.rope import RopeSettings
from motionlab.llama.rope_scaling import make_scaling
from motionlab.quantizers.base import Quantizer
from motionlab.quantizers.build import make_quantizer
from motionlab.runtime import cache_dir
from motionlab.text.cache import TextCache
from motionlab.text.load import load_text_encoder
from motionlab.tokenizer.losses import LossWeights
from motionlab.tokenizer.model import MotionTokenizer


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
    """The weights of the losses that a config asks for."""
    return LossWeights(
        velocity=config.velocity_weight,
        velocity_loss=config.velocity_loss,
        root=config.root_weight,
        acceleration=config.acceleration_weight,
        joint=config.joint_weight,
    )


def max_motion_tokens(config: RunConfig, longest: int = 0) -> int:
    """The longest motion of the corpus or of `longest` frames, or the longest generation asked for, in tokens."""
    frames = max(config.corpus.max_frames, longest)
    return max(-(-frames // config.tokenizer.frames_per_token), config.sampling.max_tokens)


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
        max_length=config.text.max_tokens + max_motion_tokens(config, longest) + 1,
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


def text_cache(config: TextConfig, folder: Path | None = None) -> TextCache:
    """Caption features through the disk cache; the encoder is loaded only for captions that are not there yet."""
    encoder = load_text_encoder(config.encoder, config.folder, max_tokens=config.max_tokens, pooled=config.pooled)
    return TextCache(folder or cache_dir() / "text", encoder)
