"""Figures, GIFs and players: data in, picture out. Nothing is computed here but how to draw.

`ml.plots.line_figure` and the other names below are imported from their module when they are first used (PEP 562), so
matplotlib is loaded by the first figure. A figure whose numbers cannot be told apart from its computation, such as the
bits of a number, is written with it in `views/`, and so are those that draw records of `cost/`, which is above this
folder. All are exported here.
"""

from __future__ import annotations

from motionlab.lazy_names import lazy_names

# name -> the module that defines it
_FIGURES = {
    "explore": "motionlab.plots.explorable",
    "architecture_figure": "motionlab.plots.architecture",
    "attention_figure": "motionlab.plots.generation",
    "bits_figure": "motionlab.views.number_formats",
    "cache_figure": "motionlab.views.cache_figures",
    "cells_figure": "motionlab.plots.quantizer_cells",
    "codebook_figure": "motionlab.plots.codebook",
    "confusion_figure": "motionlab.plots.scores",
    "decoder_figure": "motionlab.plots.generation",
    "distribution_figure": "motionlab.plots.generation",
    "drift_figure": "motionlab.plots.tokenizer_training",
    "exposure_figure": "motionlab.views.strategies",
    "feature_figure": "motionlab.plots.motion_features",
    "gradient_figure": "motionlab.views.number_formats",
    "heads_figure": "motionlab.views.cache_figures",
    "joints_figure": "motionlab.plots.tokenizer_training",
    "kinds_figure": "motionlab.plots.ablation",
    "latents_figure": "motionlab.views.latents",
    "learning_rate_figure": "motionlab.plots.curves",
    "levels_figure": "motionlab.plots.levels",
    "life_figure": "motionlab.plots.loss_scale",
    "line_figure": "motionlab.plots.curves",
    "loss_figure": "motionlab.plots.curves",
    "mask_figure": "motionlab.plots.attention_masks",
    "masks_figure": "motionlab.plots.attention_masks",
    "nats_figure": "motionlab.views.strategies",
    "noise_figure": "motionlab.views.strategies",
    "overview_figure": "motionlab.plots.ablation",
    "painted_figure": "motionlab.plots.strategy_view",
    "parameter_figure": "motionlab.views.memory_figures",
    "paths_figure": "motionlab.plots.motion_features",
    "peak_figure": "motionlab.views.memory_figures",
    "pfnn_figure": "motionlab.plots.motion_features",
    "policy_figure": "motionlab.plots.policy_trials",
    "position_figure": "motionlab.views.strategies",
    "rate_distortion_figure": "motionlab.plots.ablation",
    "reaction_figure": "motionlab.plots.metric_reactions",
    "roofline_figure": "motionlab.views.roofline_figures",
    "rope_figure": "motionlab.plots.rope",
    "schedule_figure": "motionlab.plots.schedules",
    "sharding_figure": "motionlab.views.roofline_figures",
    "spacing_figure": "motionlab.views.number_formats",
    "spread_figure": "motionlab.plots.ablation",
    "spread_of_features_figure": "motionlab.plots.motion_features",
    "strategies_figure": "motionlab.views.strategies",
    "strip_figure": "motionlab.plots.robot_strip",
    "table_figure": "motionlab.plots.rope",
    "training_figure": "motionlab.plots.tokenizer_training",
    "turning_figure": "motionlab.views.rope",
    "unmask_figure": "motionlab.plots.unmasking",
    "usage_figure": "motionlab.plots.curves",
    "walk_figure": "motionlab.views.memory_figures",
    "ways_figure": "motionlab.plots.generation",
    "words_figure": "motionlab.plots.generation",
}

__all__ = list(_FIGURES)
__getattr__, __dir__ = lazy_names(__name__, _FIGURES)
