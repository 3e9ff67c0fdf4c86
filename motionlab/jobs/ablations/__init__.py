"""Grids of trainings: tokenizers and training strategies compared over seeds.

`ml.ablations.load_rows` and the other names below are those that lessons use.
"""

from __future__ import annotations

from motionlab.lazy_names import lazy_names

# name -> the module that defines it
_NAMES = {
    "corpus_normalizer": "motionlab.jobs.ablations.tokenizer_point",
    "load_rows": "motionlab.jobs.ablations.results",
    "load_strategies": "motionlab.jobs.ablations.strategies",
    "mean": "motionlab.jobs.ablations.results",
    "point_config": "motionlab.jobs.ablations.tokenizer_point",
    "read_header": "motionlab.jobs.ablations.results",
    "select": "motionlab.jobs.ablations.results",
    "train_point": "motionlab.jobs.ablations.tokenizer_point",
}

__all__ = list(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
