"""Which actions does a motion show? A small classifier that scores generated motions against their captions.

Text-to-motion papers score with a learned text-motion evaluator. A corpus of twenty actions does not feed one, but it
has something better: every frame of a composed clip knows its action. So a small temporal convolution is trained to
name the action of each frame of *real* clips, its own accuracy on held-out real clips is reported first, and only then
is it used on generated ones. The order of the actions is read off the frames and compared with what the caption says
for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.data.splits import Clips
from motionlab.motion.features import ROTATIONS
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import seeded

IGNORE = -100  # label of frames that belong to no action: PyTorch's own convention


class ActionClassifier(nn.Module):
    """Per-frame action classifier over the positions and velocities of the 272 features.

    Rotations (140:272) are left out: a tokenizer can get the joints right and the twist of a bone wrong, and the
    question here is what a spectator would see. Dilated convolutions give each frame a view of 31 frames on each side,
    about a second.
    """

    def __init__(self, actions: Sequence[str], normalizer: Normalizer, width: int = 64) -> None:
        super().__init__()
        self.actions = list(actions)
        self.normalizer = normalizer
        channels = ROTATIONS.start  # the first 140 features
        layers: list[nn.Module] = []
        for dilation in (1, 2, 4, 8):
            layers += [nn.Conv1d(channels, width, 5, padding=2 * dilation, dilation=dilation), nn.GELU()]
            channels = width
        self.net = nn.Sequential(*layers, nn.Dropout(0.1), nn.Conv1d(width, len(actions), 1))

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, T, 272] in physical units -> logits [B, T, actions]."""
        x = self.normalizer.normalize(features)[..., : ROTATIONS.start]
        logits: Tensor = self.net(x.transpose(1, 2)).transpose(1, 2)  # convolve over time
        return logits

    @torch.inference_mode()
    def recognise(self, features: Tensor, min_frames: int = 8) -> list[str]:
        """The actions of one motion [T, 272] in order; runs shorter than `min_frames` are taken for transitions."""
        self.eval()
        names = [self.actions[i] for i in self(features[None].float())[0].argmax(-1).tolist()]
        return collapse(names, min_frames)


def collapse(frames: Sequence[str], min_frames: int) -> list[str]:
    """Frame labels to the ordered list of actions: drop short runs, then merge equal neighbours.

    >>> collapse(["walk"] * 20 + ["kick"] * 2 + ["walk"] * 9 + ["jump"] * 10, min_frames=8)
    ['walk', 'jump']
    """
    return [name for name, _, _ in spans(frames, min_frames)]


def spans(frames: Sequence[str], min_frames: int) -> list[tuple[str, int, int]]:
    """The same with the place of each action: (name, first frame, the one after its last).

    >>> spans(["walk"] * 20 + ["kick"] * 2 + ["walk"] * 9 + ["jump"] * 10, min_frames=8)
    [('walk', 0, 31), ('jump', 31, 41)]
    """
    found: list[tuple[str, int, int]] = []
    start = 0
    for name, run in groupby(frames):
        stop = start + len(list(run))
        if stop - start >= min_frames:
            if found and found[-1][0] == name:
                found[-1] = (name, found[-1][1], stop)
            else:
                found.append((name, start, stop))
        start = stop
    return found


def order_score(expected: Sequence[str], found: Sequence[str]) -> float:
    """Longest common subsequence over the longer list: 1.0 when the actions and their order are exactly right.

    Dividing by the longer list makes both a missing and an added action cost something.

    >>> order_score(["walk", "kick"], ["walk", "jump", "kick"])
    0.6666666666666666
    """
    if not expected and not found:
        return 1.0
    previous = [0] * (len(found) + 1)
    for name in expected:
        current = [0]
        for j, other in enumerate(found):
            current.append(previous[j] + 1 if name == other else max(current[j], previous[j + 1]))
        previous = current
    return previous[-1] / max(len(expected), len(found))


def wanted_actions(clip_segments: Sequence[object]) -> list[str]:
    """The ordered actions of a clip, equal neighbours merged (walking on is still one walk)."""
    return [name for name, _ in groupby(segment.action for segment in clip_segments)]  # type: ignore[attr-defined]


def frame_labels(store: Clips, index: int, classes: dict[str, int], margin: int = 0) -> Tensor:
    """Labels [T] of one clip; frames outside every segment, or within `margin` of its ends, are IGNORE."""
    clip_segments = store.segments(index)
    labels = torch.full((int(store.lengths[index]),), IGNORE)
    for segment in clip_segments:
        labels[segment.start + margin : segment.stop - margin] = classes[segment.action]
    return labels


@dataclass(frozen=True)
class ActionAccuracy:
    """How far the classifier itself can be trusted, measured on real clips it was not trained on."""

    frame_accuracy: float
    order_score: float
    exact: float
    clips: int


def train_classifier(
    store: Clips,
    normalizer: Normalizer,
    *,
    steps: int,
    batch_size: int = 32,
    window: int = 64,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda done: None,
) -> ActionClassifier:
    """Train on random windows of real clips with cross entropy over frames; `on_step` is told the steps done."""
    actions = sorted({segment.action for i in range(len(store)) for segment in store.segments(i)})
    classes = {name: i for i, name in enumerate(actions)}
    labels = [frame_labels(store, i, classes) for i in range(len(store))]
    window = min(window, int(store.lengths.min()))  # every clip can then give a window
    with seeded(seed):
        model = ActionClassifier(actions, normalizer)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=max(steps, 2))
        model.train()
        for step in range(steps):
            clips = torch.randint(len(store), (batch_size,))
            room = torch.tensor(store.lengths)[clips] - window
            starts = (torch.rand(batch_size) * (room + 1)).long()
            x = store.windows(clips.numpy(), starts.numpy(), window)  # [B, window, 272]
            y = torch.stack(
                [labels[c][s : s + window] for c, s in zip(clips.tolist(), starts.tolist(), strict=True)]
            )  # [B, window]
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=IGNORE)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            on_step(step + 1)
    return model.eval()


def classifier_accuracy(model: ActionClassifier, store: Clips) -> ActionAccuracy:
    """Accuracy on the real clips of a held-out store."""
    classes = {name: i for i, name in enumerate(model.actions)}
    right = total = 0
    scores: list[float] = []
    for i in range(len(store)):
        features = store.features(i)
        with torch.inference_mode():
            predicted = model(features[None])[0].argmax(-1)  # [T]
        labels = frame_labels(store, i, classes)
        known = labels != IGNORE
        right += int((predicted[known] == labels[known]).sum())
        total += int(known.sum())
        found = collapse([model.actions[j] for j in predicted.tolist()], min_frames=8)
        scores.append(order_score(wanted_actions(store.segments(i)), found))
    return ActionAccuracy(
        frame_accuracy=right / max(total, 1),
        order_score=sum(scores) / max(len(scores), 1),
        exact=sum(score == 1.0 for score in scores) / max(len(scores), 1),
        clips=len(store),
    )
