"""Which actions does a motion show? A small classifier that scores generated motions against their captions.

Text-to-motion papers score with a learned text-motion evaluator. A corpus of twenty actions does not feed one, but it
has something better: every frame of a composed clip knows its action. So a small temporal convolution is trained to
name the action of each frame of *real* clips, its own accuracy is measured on real clips of takes that it never saw,
and only then is it used on generated ones. The actions and their order are read off the frames and compared with what
the caption asks for (`action_lists.py`).

It has to know an action that another person does in another way, from one to ten takes. Three things help:

* it sees the body without heading and place, as postures and as movement over 0.13 s and 0.5 s, 10 times a second,
  and over 1.2 s how far the body went and turned: a gentle curve differs from walking straight in nothing else;
* every training window shows another body, another stance and another trembling (`motion_changes.py`);
* a last class, `NONE`, stands for motion that is no action: noise, held poses, sliding. Real motion only would teach
  that everything is some action.

Notation: B windows of T frames; C input channels; N frames of the slower rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.data.splits import Clips
from motionlab.evaluation.action_lists import collapse, order_score, spans, wanted_actions
from motionlab.evaluation.label_path import best_path
from motionlab.evaluation.motion_changes import spoil, vary
from motionlab.evaluation.text_motion.inputs import joints_of
from motionlab.motion.features import DIM, HEADING, POSITIONS, ROOT_VELOCITY, check_features, encode_positions
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_COUNT
from motionlab.runtime import seeded

__all__ = [
    "IGNORE",
    "NONE",
    "ActionClassifier",
    "collapse",
    "frame_labels",
    "order_score",
    "spans",
    "train_classifier",
    "wanted_actions",
]
IGNORE = -100  # label of frames that belong to no action: PyTorch's own convention
NONE = "none of these"
STRIDE = 3  # frames that are looked at together
SPANS, LONG_SPAN = (4, 16), 36  # frames over which movement is measured, and the way of the whole body
WHOLE, WEIGHT = 14, 2.0  # channels of the whole body, the last ones, and how much they count more than each joint's
NEAR = 4  # frames on each side in which speeds are compared
CHANGE = 5.0  # nats that a change of action costs at 10 frames a second
MIN_FRAMES = 8  # shorter runs are taken for transitions
SPOILED = 1 / 8  # of every batch
LEARNING_RATE = 3e-3
SMOOTHING = 0.1  # of the labels


class ActionClassifier(nn.Module):
    """Per-frame action classifier of the 272 features: postures and movement in, an action or `NONE` out.

    Rotations (140:272) are left out: a tokenizer can get the joints right and the twist of a bone wrong, and the
    question here is what a spectator would see.

    Args:
        actions: their names; `NONE` is added.
        width: of the convolutions.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, actions: Sequence[str], width: int = 64) -> None:
        super().__init__()
        self.actions = [name for name in actions if name != NONE]
        channels = movement(torch.zeros(1, STRIDE, POSITIONS.stop)).shape[1]
        self.register_buffer("mean", torch.zeros(channels, 1))
        self.register_buffer("std", torch.ones(channels, 1))
        layers: list[nn.Module] = []
        for dilation in (1, 2, 4):
            layers += [
                nn.Conv1d(channels, width, 5, padding=2 * dilation, dilation=dilation),
                nn.GELU(),
                nn.Dropout(0.2),
            ]
            channels = width
        self.forget = nn.Dropout1d(0.3)  # whole channels: one joint must not be enough
        self.net = nn.Sequential(*layers, nn.Conv1d(width, len(self.actions) + 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, T, 272] in physical units -> logits [B, T, actions + 1]; the last one is of `NONE`."""
        x = (movement(features) - self.mean) / self.std  # [B, C, N]
        x = torch.cat((self.forget(x[:, :-WHOLE]), WEIGHT * x[:, -WHOLE:]), dim=1)
        logits: Tensor = self.net(x).transpose(1, 2)  # [B, N, actions + 1]
        return logits.repeat_interleave(STRIDE, dim=1)[:, : features.shape[1]]

    @torch.inference_mode()
    def frames(self, motion: Motion | Tensor | np.ndarray) -> list[str]:
        """The action of each frame, or `NONE`: the path of labels that is best in total.

        Args:
            motion: features `[T, 272]` in physical units, joints `[T, 22, 3]` in metres (y up, floor at 0, 30 frames a
                second), or a `Motion`.

        Raises:
            InputError: another shape, no frame, or a number that is not finite.
        """
        self.eval()
        names = [*self.actions, NONE]
        features = _judged(motion)
        logits = self(features[None].float())[0, ::STRIDE]  # [N, actions + 1]
        path = best_path(logits.log_softmax(-1), CHANGE)
        return [names[label] for label in path for _ in range(STRIDE)][: len(features)]

    def spans(self, motion: Motion | Tensor | np.ndarray, min_frames: int = MIN_FRAMES) -> list[tuple[str, int, int]]:
        """The actions of one motion, as in `frames`, in order: (name, first frame, the one after its last)."""
        return [span for span in spans(self.frames(motion), min_frames) if span[0] != NONE]

    def recognise(self, motion: Motion | Tensor | np.ndarray, min_frames: int = MIN_FRAMES) -> list[str]:
        """The actions of one motion, as in `frames`, in order; shorter runs than `min_frames` are transitions."""
        return [name for name, _, _ in self.spans(motion, min_frames)]


def _judged(motion: Motion | Tensor | np.ndarray) -> Tensor:
    """Features `[T, >= 74]`, float32: those of the motion, or what its joints say of them."""
    values = motion.features if isinstance(motion, Motion) else torch.as_tensor(motion)
    if values.ndim == 2 and values.shape[1] == DIM:
        check_features(values, "motion")
        return values.float()
    return encode_positions(joints_of(values), ground=False)


def movement(features: Tensor) -> Tensor:
    """Physical features `[B, T, >= 74]` to the inputs of the judge, `[B, C, N]` with N = T / STRIDE, rounded up.

    Height of the pelvis, joints around it, and over each of `SPANS` frames, half of them before and half after: how the
    joints moved in the body's frame, how the pelvis rose, how far it went forwards and sideways, and how far the body
    turned; the last three also over `LONG_SPAN` frames. Then the least and the largest speed around each frame, in
    logarithms: they tell a held or trembling body from one that moves.
    """
    joints = features[..., POSITIONS].unflatten(-1, (JOINT_COUNT, 3))  # [B, T, 22, 3]
    height = joints[..., 0, 1:2]  # [B, T, 1]
    body = (joints[..., 1:, :] - joints[..., :1, :]).flatten(-2)  # [B, T, 63]
    turned = torch.atan2(-features[..., HEADING.start + 2], features[..., HEADING.start]).cumsum(1)[..., None]
    gone = features[..., ROOT_VELOCITY].cumsum(1)  # [B, T, 2]
    whole = torch.cat((height, gone, turned), dim=-1)  # [B, T, 4]
    moved = [_moved(body, frames) for frames in SPANS]  # [B, T, 63] each
    moved += [_moved(whole, frames) for frames in (*SPANS, LONG_SPAN)]  # [B, T, 4] each
    joint_speed = _moved(body, 1).unflatten(-1, (JOINT_COUNT - 1, 3)).norm(dim=-1).mean(-1)  # [B, T]
    speed = (joint_speed + 1e-3).log()[:, None]  # 1 mm a frame is slow
    least, largest = -_largest_near(-speed), _largest_near(speed)  # [B, 1, T]
    parts = torch.cat([body, height, *moved], dim=-1).transpose(1, 2)
    channels = torch.cat((parts, least, largest), dim=1)  # [B, C, T]
    missing = -channels.shape[-1] % STRIDE
    return F.avg_pool1d(F.pad(channels, (0, missing), mode="replicate"), STRIDE)


def _largest_near(values: Tensor) -> Tensor:
    """The largest of the values within `NEAR` frames, `[B, 1, T]`."""
    largest: Tensor = F.max_pool1d(values, 2 * NEAR + 1, 1, NEAR)
    return largest


def _moved(values: Tensor, frames: int) -> Tensor:
    """The change of `[B, T, D]` over this many frames around each; beyond the ends nothing moves."""
    half, length = frames // 2, values.shape[1]
    first, last = values[:, :1].expand(-1, half, -1), values[:, -1:].expand(-1, frames - half, -1)
    padded = torch.cat((first, values, last), dim=1)  # [B, T + frames, D]
    return padded[:, frames:] - padded[:, :length]


def frame_labels(store: Clips, index: int, classes: dict[str, int], margin: int = 0) -> Tensor:
    """Labels [T] of one clip; frames outside every segment, or within `margin` of its ends, are IGNORE."""
    clip_segments = store.segments(index)
    labels = torch.full((int(store.lengths[index]),), IGNORE)
    for segment in clip_segments:
        labels[segment.start + margin : segment.stop - margin] = classes[segment.action]
    return labels


def train_classifier(
    store: Clips,
    *,
    steps: int,
    batch_size: int = 32,
    window: int = 60,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda done: None,
) -> ActionClassifier:
    """Train on random windows of real clips with cross entropy over frames; `on_step` is told the steps done.

    The weights that are returned are averaged over the second half of the steps (Polyak & Juditsky 1992): the judge of
    one seed then differs less from that of another.
    """
    actions = sorted({segment.action for i in range(len(store)) for segment in store.segments(i)})
    classes = {name: i for i, name in enumerate(actions)}
    labels = [frame_labels(store, i, classes) for i in range(len(store))]
    window = min(window, int(store.lengths.min()))  # every clip can then give a window
    spoiled = round(SPOILED * batch_size)
    generator = torch.Generator().manual_seed(seed)

    def windows() -> tuple[Tensor, Tensor]:
        """[B, window, 272] and labels [B, window]."""
        clips = torch.randint(len(store), (batch_size,), generator=generator)
        room = torch.tensor(store.lengths)[clips] - window
        starts = (torch.rand(batch_size, generator=generator) * (room + 1)).long()
        x = vary(store.windows(clips.numpy(), starts.numpy(), window), generator)
        y = torch.stack([labels[c][s : s + window] for c, s in zip(clips.tolist(), starts.tolist(), strict=True)])
        if spoiled:
            spoil(x[:spoiled], generator)
            y[:spoiled] = len(actions)
        return x, y

    with seeded(seed):
        model = ActionClassifier(actions)
        average = torch.optim.swa_utils.AveragedModel(model)  # a mean, every step counts as much
        model.mean, model.std = _statistics([movement(windows()[0]) for _ in range(8)])
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=max(steps, 2))
        model.train()
        for step in range(steps):
            x, y = windows()
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=IGNORE, label_smoothing=SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if step >= steps // 2:
                average.update_parameters(model)
            on_step(step + 1)
    if steps:
        model.load_state_dict(average.module.state_dict())
    return model.eval()


def _statistics(channels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, `[C, 1]`, of batches `[B, C, N]`."""
    rows = torch.cat([some.transpose(1, 2).flatten(0, 1) for some in channels])  # [B * N * batches, C]
    return rows.mean(0)[:, None], rows.std(0).clamp(min=1e-3)[:, None]
