"""The rotary settings of a Hugging Face model: those that mean the same here, and no others.

default                 plain angles
linear, llama3          `rope_scaling.py` has them, with the same numbers as transformers
dynamic                 plain angles up to the trained length; beyond it the base grows with the sequence: refused
yarn, longrope, ...     also rescale the scores, or change with the length: refused by name
"""

from __future__ import annotations

from motionlab.files.foreign_config import ForeignConfig
from motionlab.llama.rope import RopeSettings
from motionlab.llama.rope_scaling import LinearScaling, Llama3Scaling, RopeScaling

ROPE_KEYS = ("rope_parameters", "rope_scaling", "rope_theta")

# Fields of each kind, besides the kind itself, the base and the share of the channels. Others would change the angles.
_FIELDS: dict[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}
_EVERYWHERE = ("rope_type", "type", "rope_theta", "partial_rotary_factor")


def read_rope(config: ForeignConfig, max_length: int) -> RopeSettings:
    """Base and scaling. transformers 5 writes both in `rope_parameters`, earlier versions in two places.

    Args:
        max_length: longest sequence that the decoder is going to read.

    Raises:
        InputError: a kind, a field or a value that transformers knows and `rope_scaling.py` does not, or nobody; the
            field is named.
    """
    new, old = config.section("rope_parameters"), config.section("rope_scaling")
    if new and old and any(new.values.get(key, value) != value for key, value in old.values.items()):
        config.refuse("rope_scaling", dict(old.values), "the same as in rope_parameters")
    settings = new or old
    theta = config.number("rope_theta", 10_000.0)
    if settings is None:
        return RopeSettings(theta)
    kind = settings.text("rope_type" if "rope_type" in settings else "type", tuple(_FIELDS), "default")
    if settings.values.get("type", kind) != kind:
        settings.refuse("type", settings.values["type"], f"{kind}, as rope_type says")
    for key, value in settings.values.items():
        if value is not None and key not in (*_FIELDS[kind], *_EVERYWHERE):
            settings.refuse(key, value, f"no such field with rope_type {kind}")
    if settings.number("partial_rotary_factor", 1.0) != 1.0:
        settings.refuse("partial_rotary_factor", settings.values["partial_rotary_factor"], 1.0)
    return RopeSettings(settings.number("rope_theta", theta), _scaling(kind, settings, config, max_length))


def _scaling(kind: str, settings: ForeignConfig, config: ForeignConfig, max_length: int) -> RopeScaling | None:
    if kind == "default":
        return None
    factor = settings.number("factor", least=1.0)
    if kind == "linear":
        return LinearScaling(factor)
    if kind == "dynamic":
        trained = config.whole("max_position_embeddings")
        if max_length > trained:
            settings.refuse("rope_type", kind, f"default, linear or llama3 for sequences longer than {trained}")
        return None
    low, high = settings.number("low_freq_factor"), settings.number("high_freq_factor")
    if low >= high:
        settings.refuse("low_freq_factor", low, f"less than high_freq_factor, {high}")
    length = settings.whole("original_max_position_embeddings")
    # transformers lets a length outside the group win.
    if config.values.get("original_max_position_embeddings", length) != length:
        config.refuse("original_max_position_embeddings", config.values["original_max_position_embeddings"], length)
    return Llama3Scaling(factor, length, low, high)
