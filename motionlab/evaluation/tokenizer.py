"""How much of a motion a tokenizer keeps, and how it uses its codebook, over many clips.

Errors are those of `reconstruction.py`; codes are counted by `CodeUsage`. Several processes share the clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from motionlab.data.batches import Windows
from motionlab.data.splits import Clips
from motionlab.evaluation.anatomy import Pair
from motionlab.evaluation.reconstruction import acceleration_error, mpjpe
from motionlab.motion.features import decode_positions
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.usage import CodeUsage
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.distributed import World

CLIPS_AT_ONCE = 64  # clips that are measured together: this many are held in memory


@torch.inference_mode()
def measure_tokenizer(
    model: MotionTokenizer,
    store: Clips,
    normalizer: Normalizer,
    clips: Sequence[int] | None = None,
    world: World = World(),  # noqa: B008 (frozen)
) -> tuple[dict[str, float], CodeUsage]:
    """Reconstruction error of whole clips, in millimetres, and the use of the codebook over them.

    Errors are means over the frames of all clips: a long clip counts more than a short one. Several processes measure
    a part of the clips each, and all get the numbers of all clips.
    """
    sums: dict[str, float] = {"mpjpe_mm": 0.0, "mpjpe_heading_mm": 0.0, "acceleration_mm": 0.0}
    frames, usage = 0.0, CodeUsage(model.codebook_size, model.quantizer.n_codebooks)
    mine = world.share(range(len(store)) if clips is None else clips)
    for pair, indices in reconstructions(model, store, normalizer, mine):
        usage.update(indices.cpu())
        a, b = decode_positions(pair.restored), decode_positions(pair.real)  # [T, 22, 3]
        sums["mpjpe_mm"] += float(mpjpe(a, b, align="pelvis")) * len(a)
        sums["mpjpe_heading_mm"] += float(mpjpe(a, b, align="heading")) * len(a)
        sums["acceleration_mm"] += float(acceleration_error(a, b)) * len(a)
        frames += len(a)
    *totals, frames = world.sum([*sums.values(), frames])
    world.sum_tensor(usage.histogram)
    return {name: value / max(frames, 1) for name, value in zip(sums, totals, strict=True)}, usage


def reconstructions(
    model: MotionTokenizer, store: Clips, normalizer: Normalizer, clips: Sequence[int] | None = None
) -> Iterator[tuple[Pair, torch.Tensor]]:
    """Each clip with its reconstruction, in physical units and on the model's device, and its tokens.

    Args:
        normalizer: on the model's device.
        clips: numbers of the clips; all of the store by default.
    """
    model.eval()
    device = next(model.parameters()).device
    numbers = list(range(len(store)) if clips is None else clips)
    for start in range(0, len(numbers), CLIPS_AT_ONCE):
        real = [store.features(i).to(device) for i in numbers[start : start + CLIPS_AT_ONCE]]
        with torch.inference_mode():
            tokens = model.encode_clips([normalizer.normalize(clip) for clip in real])
            restored = [normalizer.denormalize(clip.float()) for clip in model.decode_clips(tokens)]
        for clip, row, other in zip(real, tokens, restored, strict=True):
            yield Pair(clip, other[: len(clip)]), row  # the last token may reach beyond the clip


@torch.inference_mode()
def count_codes(
    model: MotionTokenizer,
    batches: Callable[[int], Windows | torch.Tensor],
    number: int,
    world: World = World(),  # noqa: B008 (frozen)
) -> CodeUsage:
    """Use of the codebook over the first `number` batches of normalised windows `[B, window, 272]`, masked or not."""
    model.eval()
    device = next(model.parameters()).device
    usage = CodeUsage(model.codebook_size, model.quantizer.n_codebooks)
    for i in world.share(range(number)):
        batch = batches(i)
        windows = (Windows(batch) if isinstance(batch, torch.Tensor) else batch).to(device)
        real = None if windows.mask is None else windows.mask[:, :: model.frames_per_token].cpu()  # [B, N] tokens
        usage.update(model.encode(windows.values, windows.mask).cpu(), real)
    world.sum_tensor(usage.histogram)
    return usage


@torch.inference_mode()
def reconstruct(model: MotionTokenizer, normalizer: Normalizer, indices: torch.Tensor) -> torch.Tensor:
    """Tokens [1, N] (or [1, N, Q]) to features [N * frames_per_token, 272] in physical units."""
    return normalizer.denormalize(model.decode(indices)[0].float())
