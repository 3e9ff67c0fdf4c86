"""The computations of the explainers, for `plots` to draw and `widgets` to control.

`ml.views.compare_schedules` and the other names below are those that lessons use.
"""

from __future__ import annotations

from motionlab.lazy_names import lazy_names

# name -> the module that defines it
_NAMES = {
    "Bench": "motionlab.views.metric_reactions",
    "CODES": "motionlab.views.strategy_view",
    "COUNTS": "motionlab.views.schedules",
    "FORMATS": "motionlab.views.number_formats",
    "NAMES": "motionlab.views.strategies",
    "bare_cosine": "motionlab.views.schedules",
    "bent_paths": "motionlab.views.motion_features",
    "compare_schedules": "motionlab.views.schedules",
    "compute_levels": "motionlab.views.levels",
    "compute_reactions": "motionlab.views.metric_reactions",
    "curves_of": "motionlab.views.tokenizer_training",
    "decoder_curves": "motionlab.views.decoder_training",
    "distinct_positions": "motionlab.views.rope",
    "live": "motionlab.views.loss_scale",
    "load_gradients": "motionlab.views.loss_scale",
    "load_policies": "motionlab.views.policy_trials",
    "over_seeds": "motionlab.views.strategies",
    "published_decoder": "motionlab.views.schedules",
    "published_tokenizer": "motionlab.views.schedules",
    "read_curves": "motionlab.views.tokenizer_training",
    "read_decoder_curves": "motionlab.views.decoder_training",
    "squeeze": "motionlab.views.levels",
    "table_made_in": "motionlab.views.rope",
    "toy_latents": "motionlab.views.quantizer_cells",
    "toy_sequences": "motionlab.views.strategy_view",
}

__all__ = list(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
