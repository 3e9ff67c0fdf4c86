"""motionlab: understand and train a modern text-to-motion system.

`import motionlab as ml` is instant: a name is imported from its module when it is first used (PEP 562), so torch is
loaded by the first cell that needs it and not before. The names below are a promise to lessons: they do not change.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from motionlab.lazy_names import lazy_names

__version__ = "0.1.0"

# name -> the module that defines it, in the order of the floors (docs/architecture.md)
_EXPORTS = {
    "InputError": "motionlab.errors",
    "MissingExtra": "motionlab.errors",
    "choose_device": "motionlab.runtime",
    "choose_precision": "motionlab.runtime",
    "profile": "motionlab.runtime",
    "seed_everything": "motionlab.runtime",
    "seeded": "motionlab.runtime",
    "load_config": "motionlab.config",
    "Sampling": "motionlab.config.sampling",
    "TokenizerConfig": "motionlab.config",
    "TrainConfig": "motionlab.config",
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
    "straight_through": "motionlab.quantizers.base",
    "Motion": "motionlab.motion.motion",
    "Normalizer": "motionlab.motion.normalizer",
    "FEATURE_SLICES": "motionlab.motion.features",
    "decode_positions": "motionlab.motion.features",
    "read_bvh": "motionlab.motion.formats.bvh",
    "write_bvh": "motionlab.motion.formats.bvh_write",
    "X_COLUMNS": "motionlab.motion.formats.pfnn",
    "Y_COLUMNS": "motionlab.motion.formats.pfnn",
    "pfnn_vectors": "motionlab.motion.formats.pfnn",
    "JOINT_NAMES": "motionlab.motion.skeleton",
    "read_checkpoint": "motionlab.training.checkpoints.checkpoint",
    "fit": "motionlab.training.loop",
    "make_optimizer": "motionlab.training.optimizer",
    "parameter_groups": "motionlab.training.optimizer",
    "make_precision": "motionlab.training.precision",
    "History": "motionlab.training.reporting.history",
    "lr_factor": "motionlab.training.schedule",
    "scaled_lr": "motionlab.training.schedule",
    "FunctionStage": "motionlab.training.stage",
    "Losses": "motionlab.training.stage",
    "Stage": "motionlab.training.stage",
    "TextFeatures": "motionlab.text.encoder",
    "load_text_encoder": "motionlab.text.load",
    "SmallT5": "motionlab.text.small_t5",
    "train_small_t5": "motionlab.text.small_t5",
    "corrupt_batch": "motionlab.text.small_t5",
    "corrupt_spans": "motionlab.text.span_corruption",
    "draw_spans": "motionlab.text.span_corruption",
    "restore_spans": "motionlab.text.span_corruption",
    "Words": "motionlab.text.words",
    "Clip": "motionlab.data.store",
    "MotionStore": "motionlab.data.store",
    "mirror_caption": "motionlab.data.composed.mirrored_words",
    "load_samples": "motionlab.data.composed.samples",
    "build_corpus": "motionlab.data.composed.corpus",
    "WindowBatches": "motionlab.data.batches",
    "Splits": "motionlab.data.splits",
    "MotionTokenizer": "motionlab.tokenizer.model",
    "LossWeights": "motionlab.tokenizer.losses",
    "tokenizer_losses": "motionlab.tokenizer.losses",
    "LlamaVariant": "motionlab.llama.variant",
    "MotionLlama": "motionlab.llama.model",
    "RopeSettings": "motionlab.llama.rope",
    "generate": "motionlab.llama.decoding.generate",
    "generate_masked": "motionlab.llama.decoding.masked",
    "MaskedSampling": "motionlab.llama.decoding.masked",
    "make_att_2d_masks": "motionlab.llama.masks",
    "load_motionmillion": "motionlab.llama.weights.published",
    "to_huggingface": "motionlab.llama.weights.huggingface",
    "from_huggingface": "motionlab.llama.weights.huggingface",
    "make_strategy": "motionlab.llama.objectives.strategies",
    "attention_loop": "motionlab.llama.attention_loop",
    "masked_left": "motionlab.llama.decoding.masked",
    "CachedReader": "motionlab.llama.decoding.next_logits",
    "PlainReader": "motionlab.llama.decoding.next_logits",
    "Attention": "motionlab.llama.model",
    "RMSNorm": "motionlab.llama.model",
    "corrupt_codes": "motionlab.llama.objectives.corruption",
    "sequence_losses": "motionlab.llama.objectives.losses",
    "MaskedModelling": "motionlab.llama.objectives.strategies",
    "RandomReplacement": "motionlab.llama.objectives.strategies",
    "TeacherForcing": "motionlab.llama.objectives.strategies",
    "Rotary": "motionlab.llama.rope",
    "apply_rope": "motionlab.llama.rope",
    "rope_table": "motionlab.llama.rope",
    "to_half_split": "motionlab.llama.rope",
    "to_interleaved": "motionlab.llama.rope",
    "make_scaling": "motionlab.llama.rope_scaling",
    "IGNORE": "motionlab.llama.sequence",
    "SequenceBatches": "motionlab.llama.sequence",
    "build_sequences": "motionlab.llama.sequence",
    "Pair": "motionlab.evaluation.anatomy",
    "along_clip": "motionlab.evaluation.anatomy",
    "explained_by_slice": "motionlab.evaluation.anatomy",
    "explained_by_spread": "motionlab.evaluation.anatomy",
    "pose_errors": "motionlab.evaluation.anatomy",
    "acceleration_error": "motionlab.evaluation.reconstruction",
    "mpjpe": "motionlab.evaluation.reconstruction",
    "reconstruct": "motionlab.evaluation.tokenizer",
    "StepSettings": "motionlab.cost.settings",
    "step_memory": "motionlab.cost.tokenizer_step",
    "measure_step": "motionlab.cost.measure",
    "record_memory": "motionlab.cost.allocations",
    "cache_bytes": "motionlab.cost.kv_cache",
    "Track": "motionlab.plots.player",
    "player_html": "motionlab.plots.player",
    "film_strip": "motionlab.plots.gif",
    "write_gif": "motionlab.plots.gif",
    "Run": "motionlab.jobs.run_folder",
    "make_llama": "motionlab.jobs.build",
    "make_tokenizer": "motionlab.jobs.build",
    "doctor": "motionlab.jobs.doctor",
    "doctor_table": "motionlab.jobs.doctor",
    "healthy": "motionlab.jobs.doctor",
    "generate_motions": "motionlab.jobs.generate",
    "training_codes": "motionlab.jobs.tokens",
    "train_llama": "motionlab.jobs.train_llama",
    "train_tokenizer": "motionlab.jobs.train_tokenizer",
    "Table": "motionlab.widgets.panel",
    "Panel": "motionlab.widgets.panel",
    "CodebookPanel": "motionlab.widgets.codebook_panel",
    "QuantizerPanel": "motionlab.widgets.quantizer_panel",
    "FeaturePanel": "motionlab.widgets.feature_panel",
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
    "setup": "motionlab.teaching.setup",
    "expect": "motionlab.teaching.expect",
    "about": "motionlab.teaching.expect",
    "exercise": "motionlab.teaching.exercise",
    "check": "motionlab.teaching.exercise",
    "hint": "motionlab.teaching.exercise",
    "solution": "motionlab.teaching.exercise",
    "glossary": "motionlab.teaching.glossary",
}

# name -> a package or module that hands out names of its own: `ml.plots.line_figure`
_ROOMS = {
    "ablations": "motionlab.jobs.ablations",
    "cost": "motionlab.cost",
    "plots": "motionlab.plots",
    "pure_bf16": "motionlab.training.pure_bf16",
    "views": "motionlab.views",
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

__all__ = ["__version__", *_ROOMS, *_EXPORTS]

_exported, __dir__ = lazy_names(__name__, {**_EXPORTS, **_ROOMS})


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(_ROOMS[name])
    if name in _MOVED_TO_PLOTS:
        text = f"ml.{name} is now ml.plots.{name}; the old name goes with version 0.2"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(_ROOMS["plots"]), name)
    return _exported(name)
