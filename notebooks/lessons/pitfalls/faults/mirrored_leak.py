"""Clips are shuffled into splits one by one, so the mirror image of a test clip is in the training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.data.takes import take_of

Split = tuple[list[str], list[str]]  # names of training clips, names of test clips


def broken(names: Sequence[str], seed: int) -> Split:
    """Every fifth clip of a shuffled list is for the test."""
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled = [names[i] for i in order]
    return [name for i, name in enumerate(shuffled) if i % 5], shuffled[::5]


def fixed(names: Sequence[str], seed: int) -> Split:
    """Shuffle takes; a mirror image goes where its original goes."""
    takes = sorted({take_of(name) for name in names})
    test = {take_of(name) for name in broken(takes, seed)[1]}
    return [n for n in names if take_of(n) not in test], [n for n in names if take_of(n) in test]


NAMES = [mark + f"{number:06d}" for number in range(200) for mark in ("", "M")]


def symptom(split: Callable[..., Split]) -> Seen:
    """The labels are drawn at random: there is nothing to learn, and whoever scores has seen the answer."""
    train, test = split(NAMES, 0)
    random = torch.Generator().manual_seed(1)
    motion = {take_of(name): torch.randn(8, generator=random) for name in NAMES}
    label = {take: int(torch.randint(10, (1,), generator=random)) for take in motion}
    table = torch.stack([motion[take_of(name)] for name in train])
    wrong = 0
    for name in test:  # the nearest training clip answers
        nearest = int((table - motion[take_of(name)]).norm(dim=1).argmin())
        wrong += label[take_of(train[nearest])] != label[take_of(name)]
    known = {take_of(name) for name in train}
    share = [100 * sum(take_of(n) in known for n in test[: i + 1]) / (i + 1) for i in range(len(test))]
    return Seen(share[-1], share, train=0.0, validation=wrong / len(test))


def test(split: Callable[..., Split]) -> None:
    train, test = split(NAMES, 3)
    assert test and not {take_of(n) for n in train} & {take_of(n) for n in test}, "a take is on both sides"


PITFALL = Pitfall(
    name="mirrored_leak",
    title="mirror images on both sides of a split",
    topic="data",
    seen="split files of MotionMillion (M000012 and 000012); ReMoDiffuse #24",
    lesson="13",
    fix="split by take, then mirror",
    measure="test clips whose twin was trained on, %",
    height="twin was trained on, %",
    axis="test clips counted",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=50.0,
)
