"""Settings of stage 1, the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from motionlab.config.fields import Section, setting

QuantizerName = Literal[
    "fsq", "ifsq", "fsq_noise", "vq", "vq_ema", "vq_ema_no_reset", "vq_cosine", "vq_rotation", "simvq", "lfq", "bsq",
    "rvq", "rfsq",
]  # fmt: skip
QUANTIZERS: tuple[str, ...] = get_args(QuantizerName)


@dataclass
class TokenizerConfig(Section):
    """Stage 1: motion <-> tokens. The defaults are the published MotionMillion tokenizer."""

    NAME: ClassVar[str] = "tokenizer"

    quantizer: QuantizerName = setting("fsq", "how a vector becomes a code; see motionlab.quantizers, one file each")
    codebook_size: int = setting(
        65536, "nominal size; FSQ takes the levels of its paper's table (65536 -> 64,000)", at_least=1
    )
    width: int = setting(512, "channels of the convolutions", at_least=1)
    code_dim: int = setting(512, "channels at the bottleneck", at_least=1)
    depth: int = setting(3, "residual blocks per stage", at_least=0)
    down_t: int = setting(
        1,
        "stages, each halves the frame rate; 0 also means no residual blocks, which sit in them",
        at_least=0,
        at_most=3,
    )
    dilation_growth_rate: int = setting(3, "dilations are powers of this", at_least=1)
    kernel_size: Literal[3, 5] = setting(3, "width in frames of the stride-1 convolutions")
    activation: Literal["relu", "silu", "gelu"] = setting("relu", "nonlinearity of the residual blocks")
    norm: Literal["LN", "GN", "BN"] | None = setting("LN", "LN, GN (32 groups), BN or null, in the residual blocks")
    causal: bool = setting(False, "convolutions look only backwards (for streaming)")
    patcher: Literal["wavelet", "compat"] | None = setting(
        None, "wavelet: Haar packets, patch_size times the channels; compat: the published one, which does nothing"
    )
    patch_size: Literal[1, 2, 4, 8] = setting(1, "frames that the wavelet puts into one; 1 without a wavelet")
    velocity_weight: float = setting(
        0.5, "weight of the velocity or position loss, next to the reconstruction loss", at_least=0
    )
    velocity_loss: Literal["true", "published"] = setting("true", "true: dims 74:140; published: dims 8:74 (positions)")
    root_weight: float = setting(
        0.0, "weight of an extra loss on root and heading (dims 0:8), where errors add up", at_least=0
    )
    acceleration_weight: float = setting(
        0.0, "weight of a loss on the second difference of the joint positions", at_least=0
    )
    joint_weight: float = setting(0.0, "weight of a loss on the joint positions that the joint angles give", at_least=0)
    foot_weight: float = setting(
        0.0, "weight of a loss on how fast a foot moves that should stand, against sliding feet", at_least=0
    )
    decoder_share: float = setting(
        0.0,
        "share of the steps, at the end, in which the decoder alone learns; foot and acceleration count only then. 0: "
        "all learn to the end",
        at_least=0,
        at_most=1,
    )
    window: int = setting(96, "frames of a training window", at_least=1)

    def check_relations(self) -> None:
        sizes = "2, 4 or 8 with patcher: wavelet, else 1 (a wavelet of 1 does nothing; patcher: compat asks for that)"
        self.require("patch_size", (self.patch_size > 1) == (self.patcher == "wavelet"), sizes)
        causal_norm = "LN, BN or null with causal: true (GN averages over the whole clip, so it sees the future)"
        self.require("norm", not (self.causal and self.norm == "GN"), causal_norm)
        self.require("width", self.norm != "GN" or self.width % 32 == 0, "a multiple of 32 for norm: GN")

    @property
    def frames_per_token(self) -> int:
        """Frames that one token covers: patch_size * 2**down_t."""
        return int(self.patch_size * 2**self.down_t)
