"""Classifier-free guidance: listen to the text more than the model itself would.

In training, the text of some samples is dropped, so one model learns both "a motion of this text" and "any motion".
In generation both are computed, and their difference, the effect of the text, is made larger:

    logits = unconditional + scale * (conditional - unconditional)

`scale` 1 is the conditional model, 0 forgets the text, 2 to 6 are usual for motion.  Ho and Salimans, arXiv:2207.12598;
for masked motion models MoMask, arXiv:2312.00063. A model that never trained without text gives noise as its
unconditional half: use a `scale` other than 1 only with `text_drop` above 0 in training. `null_text.py` is "no text".
"""

from __future__ import annotations

import torch
from torch import Tensor


def guide(logits: Tensor, scale: float) -> Tensor:
    """Logits of texts above logits of no text, `[2 B, V]`, to guided logits `[B, V]`, in float32 or wider.

    The difference is multiplied, and with it the rounding of bfloat16 would be.

    >>> guide(torch.tensor([[2.0, 0.0], [1.0, 0.0]]), scale=3.0)
    tensor([[4., 0.]])
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    conditional, unconditional = logits.to(wide).chunk(2)
    return unconditional + scale * (conditional - unconditional)
