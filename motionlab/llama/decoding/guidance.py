"""Classifier-free guidance: listen to the text more than the model itself would.

In training, the text of some samples is dropped, so one model learns both "a motion of this text" and "any motion".
In generation both are computed, and their difference, the effect of the text, is made larger:

    logits = unconditional + scale * (conditional - unconditional)

`scale` 1 is the conditional model, 0 forgets the text, 2 to 6 are usual for motion.  Ho and Salimans, arXiv:2207.12598;
for masked motion models MoMask, arXiv:2312.00063. A model that never trained without text gives noise as its
unconditional half: use a `scale` other than 1 only with `text_drop` above 0 in training. `null_text.py` is "no text".
"""

from __future__ import annotations

from torch import Tensor


def guide(logits: Tensor, scale: float) -> Tensor:
    """Logits of texts above logits of no text, `[2 B, V]`, to guided logits `[B, V]` in float32.

    A difference times a scale leaves float16's range, and bfloat16 keeps two digits of it.

    >>> import torch
    >>> guide(torch.tensor([[2.0, 0.0], [1.0, 0.0]]), scale=3.0)
    tensor([[4., 0.]])
    """
    conditional, unconditional = logits.float().chunk(2)
    return unconditional + scale * (conditional - unconditional)
