"""motionlab: understand and train a modern text-to-motion system.

`import motionlab as ml` is instant: a name is imported from its module when it is first used (PEP 562), so torch is
loaded by the first cell that needs it and not before. The names below are a promise to lessons: they do not change.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

__version__ = "0.1.0"

# name -> the module that defines it
_EXPORTS = {
    "InputError": "motionlab.errors",
    "MissingExtra": "motionlab.errors",
    "choose_device": "motionlab.runtime",
    "choose_precision": "motionlab.runtime",
    "profile": "motionlab.runtime",
    "seed_everything": "motionlab.runtime",
    "seeded": "motionlab.runtime",
    "load_config": "motionlab.config",
    "Motion": "motionlab.motion.motion",
    "Normalizer": "motionlab.motion.normalizer",
    "MotionStore": "motionlab.data.store",
    "load_samples": "motionlab.data.composed.samples",
    "build_corpus": "motionlab.data.composed.corpus",
    "TextFeatures": "motionlab.text.encoder",
    "load_text_encoder": "motionlab.text.load",
    "SmallT5": "motionlab.text.small_t5",
    "train_small_t5": "motionlab.text.small_t5",
    "Quantized": "motionlab.quantizers.base",
    "Quantizer": "motionlab.quantizers.base",
    "FSQ": "motionlab.quantizers.fsq",
    "IFSQ": "motionlab.quantizers.ifsq",
    "NoisyFSQ": "motionlab.quantizers.noisy_fsq",
    "VQ": "motionlab.quantizers.vq",
    "VQEMA": "motionlab.quantizers.vq_ema",
    "CosineVQ": "motionlab.quantizers.cosine_vq",
    "RotationVQ": "motionlab.quantizers.rotation_vq",
    "SimVQ": "motionlab.quantizers.simvq",
    "LFQ": "motionlab.quantizers.lfq",
    "BSQ": "motionlab.quantizers.bsq",
    "ResidualVQ": "motionlab.quantizers.residual",
    "ResidualFSQ": "motionlab.quantizers.residual",
    "CodeUsage": "motionlab.quantizers.usage",
    "levels_for": "motionlab.quantizers.levels",
    "make_quantizer": "motionlab.quantizers.build",
    "MotionTokenizer": "motionlab.tokenizer.model",
    "StepSettings": "motionlab.cost.settings",
    "step_memory": "motionlab.cost.tokenizer_step",
    "measure_step": "motionlab.cost.measure",
    "record_memory": "motionlab.cost.allocations",
    "cache_bytes": "motionlab.cost.kv_cache",
    "LlamaVariant": "motionlab.llama.variant",
    "MotionLlama": "motionlab.llama.model",
    "RopeSettings": "motionlab.llama.rope",
    "Sampling": "motionlab.config.sampling",
    "generate": "motionlab.llama.decoding.generate",
    "generate_masked": "motionlab.llama.decoding.masked",
    "MaskedSampling": "motionlab.llama.decoding.masked",
    "make_att_2d_masks": "motionlab.llama.masks",
    "load_motionmillion": "motionlab.llama.weights.published",
    "to_huggingface": "motionlab.llama.weights.huggingface",
    "from_huggingface": "motionlab.llama.weights.huggingface",
    "make_strategy": "motionlab.llama.objectives.strategies",
    "Run": "motionlab.jobs.run_folder",
    "setup": "motionlab.teaching.setup",
    "expect": "motionlab.teaching.expect",
    "about": "motionlab.teaching.expect",
    "exercise": "motionlab.teaching.exercise",
    "check": "motionlab.teaching.exercise",
    "hint": "motionlab.teaching.exercise",
    "solution": "motionlab.teaching.exercise",
    "glossary": "motionlab.teaching.glossary",
    "Table": "motionlab.widgets.panel",
    "Panel": "motionlab.widgets.panel",
    "CodebookPanel": "motionlab.widgets.codebook_panel",
    "QuantizerPanel": "motionlab.widgets.quantizer_panel",
    "LevelsPanel": "motionlab.widgets.levels_panel",
    "AblationPanel": "motionlab.widgets.ablation_panel",
    "MemoryPanel": "motionlab.widgets.memory_panel",
    "ShardingPanel": "motionlab.widgets.sharding_panel",
    "MaskPanel": "motionlab.widgets.mask_panel",
    "RopePanel": "motionlab.widgets.rope_panel",
    "KVCachePanel": "motionlab.widgets.kv_cache_panel",
    "StrategyPanel": "motionlab.widgets.strategy_panel",
    "TrainingPanel": "motionlab.widgets.training_panel",
    "LossScalePanel": "motionlab.widgets.loss_scale_panel",
    "SchedulePanel": "motionlab.widgets.schedule_panel",
    "GenerationPanel": "motionlab.widgets.generation_panel",
    "DecoderTrainingPanel": "motionlab.widgets.generation_panel",
    "SkeletonPlayer": "motionlab.widgets.player",
    "Track": "motionlab.plots.player",
    "player_html": "motionlab.plots.player",
    "film_strip": "motionlab.plots.gif",
    "write_gif": "motionlab.plots.gif",
}

# Figures moved to `ml.plots`; their old names are here for one version more, and warn.
_MOVED_TO_PLOTS = {
    "attention_figure", "bits_figure", "cache_figure", "cells_figure", "codebook_figure", "decoder_figure",
    "drift_figure", "exposure_figure", "gradient_figure", "heads_figure", "joints_figure", "kinds_figure",
    "latents_figure", "levels_figure", "line_figure", "mask_figure", "masks_figure", "nats_figure", "noise_figure",
    "painted_figure", "parameter_figure", "peak_figure", "position_figure", "rate_distortion_figure",
    "roofline_figure", "rope_figure", "schedule_figure", "sharding_figure", "spacing_figure", "spread_figure",
    "strategies_figure", "table_figure", "training_figure", "turning_figure", "unmask_figure", "usage_figure",
    "walk_figure", "ways_figure", "words_figure",
}  # fmt: skip

__all__ = ["__version__", "plots", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name == "plots":
        return importlib.import_module("motionlab.plots")
    if name in _MOVED_TO_PLOTS:
        text = f"ml.{name} is now ml.plots.{name}; the old name goes with version 0.2"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module("motionlab.plots"), name)
    if name not in _EXPORTS:
        raise AttributeError(f"module 'motionlab' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
