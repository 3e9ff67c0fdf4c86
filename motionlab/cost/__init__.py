"""Parameters, memory, floating-point operations and rooflines, by formula and as measured.

`ml.cost.tokenizer_parameters` and the other names below are those that lessons use.
"""

from __future__ import annotations

from motionlab.lazy_names import lazy_names

# name -> the module that defines it
_NAMES = {
    "DATA_SHEETS": "motionlab.cost.roofline",
    "CacheSettings": "motionlab.cost.kv_cache",
    "attention_parameters": "motionlab.cost.kv_cache",
    "bytes_a_gpu": "motionlab.cost.sharding",
    "decoding_flops": "motionlab.cost.kv_cache",
    "format_rows": "motionlab.cost.parameters",
    "kept_rows": "motionlab.cost.tokenizer_step",
    "matmul": "motionlab.cost.roofline",
    "measure_machine": "motionlab.cost.roofline",
    "one_hot_counts": "motionlab.cost.measure",
    "positions_read": "motionlab.cost.kv_cache",
    "tokenizer_parameters": "motionlab.cost.parameters",
}

__all__ = list(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
