"""Exercises of lesson 16: broken functions to fix, and a test to write. Checks name the fault that is left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from motionlab.data.takes import take_of
from motionlab.teaching.exercise import Exercise, as_number, register

Policy = Callable[[Tensor, Tensor], Tensor]


# ---- 4. a validation loss --------------------------------------------------------------------------------------------
def epoch_mean(batches: Sequence[Tensor], max_batches: int) -> float:
    """The mean loss of the clips in the first `max_batches` batches."""
    done = list(batches)[:max_batches]
    return float(sum(float(batch.sum()) for batch in done) / sum(len(batch) for batch in done))


def _diagnose_mean(function: Callable[..., Any]) -> str | None:
    batches = [torch.full((4,), 1.0), torch.full((4,), 2.0), torch.full((2,), 9.0)]
    found = as_number(function([batch.clone() for batch in batches], 3))
    if found is None:
        return "one number is wanted."
    if math.isclose(found, 4.0, rel_tol=1e-5):
        return "a mean of means: the two clips of the short batch count as much as the four of another."
    if math.isclose(found, 30.0, rel_tol=1e-5):
        return "that is the sum. Divide by the number of clips."
    if not math.isclose(found, 3.0, rel_tol=1e-5):
        return f"ten clips with losses 4 x 1, 4 x 2 and 2 x 9 have the mean 3, got {found:g}."
    early = as_number(function([batch.clone() for batch in batches], 1))
    if early is None or not math.isclose(early, 1.0, rel_tol=1e-5):
        shown = "nothing" if early is None else f"{early:g}"
        if early is not None and math.isclose(early, 3.0, rel_tol=1e-5):
            return "max_batches is not looked at."
        if early is not None and early < 1:
            return f"after one batch of loss 1 the mean is 1, got {shown}: divided by what was planned."
        return f"after one batch of loss 1 the mean is 1, got {shown}."
    return None


# ---- 2. the mean of a sentence ---------------------------------------------------------------------------------------
def pool(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over the real tokens of each sentence."""
    real = mask.unsqueeze(-1)
    return states.masked_fill(~real, 0.0).sum(1) / real.sum(1)


def _diagnose_pool(function: Callable[..., Any]) -> str | None:
    states = torch.arange(24.0).view(2, 4, 3) + 1
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    found, right = function(states.clone(), mask.clone()), pool(states, mask)
    if not isinstance(found, Tensor) or found.shape != (2, 3):
        return "one vector a sentence is wanted: [B, D], here [2, 3]."
    if torch.allclose(found, right):
        spoiled = states.clone()
        spoiled[0, 2:] = math.nan
        again = function(spoiled, mask.clone())
        if not torch.allclose(again, right):
            return "with NaN in the padding the mean is NaN: 0 times NaN is NaN. Replace it, do not multiply it away."
        return None
    if torch.allclose(found, states.mean(1)):
        return "the mask is not used: two tokens of padding are in the mean of the first sentence."
    if torch.allclose(found, (states * mask.unsqueeze(-1)).mean(1)):
        return "padding is no longer in the sum, but it is in the divisor: a short sentence becomes a short vector."
    if torch.allclose(found[1], right[1]):
        return "a sentence without padding is right, one with padding is not."
    return "neither sentence has its mean. Which dimension holds the tokens?"


# ---- 1. a split ------------------------------------------------------------------------------------------------------
def split(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Every fifth take is for the test; `M000012` is the mirror image of `000012` and the same take."""
    takes = sorted({name.removeprefix("M") for name in names})
    test = set(takes[::5])
    return (
        [name for name in names if name.removeprefix("M") not in test],
        [name for name in names if name.removeprefix("M") in test],
    )


def _diagnose_split(function: Callable[..., Any]) -> str | None:
    names = [mark + f"{number:06d}" for number in range(20) for mark in ("", "M")]
    result = function(list(names))
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "two lists are wanted: training, test."
    train, test = (list(part) for part in result)
    if sorted(train + test) != sorted(names):
        if not set(train) & set(test) and len(train) + len(test) < len(names):
            return "clips were lost: each belongs to one of the two lists."
        return "each clip belongs to exactly one list."
    if not test or not train:
        return "one of the lists is empty."
    if twins := {take_of(name) for name in train} & {take_of(name) for name in test}:
        return f"{len(twins)} takes are on both sides, such as {min(twins)}: the test asks for what was trained."
    if len(test) > len(train):
        return "the lists are swapped: training comes first."
    share = len(test) / len(names)
    return None if 0.1 <= share <= 0.3 else f"about every fifth take is for the test, here {100 * share:.0f} %."


# ---- 5. the tail of a chunk ------------------------------------------------------------------------------------------
def chunk_loss(errors: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The mean error of the real steps; `batch["action_is_pad"]` marks the others."""
    is_pad = batch["action_is_pad"]
    return errors.masked_fill(is_pad, 0.0).sum() / (~is_pad).sum()


def _diagnose_chunk(function: Callable[..., Any]) -> str | None:
    errors = torch.tensor([[1.0, 2.0, 3.0, 4.0], [6.0, 7.0, 7.0, 7.0]])
    is_pad = torch.tensor([[False, False, False, False], [False, True, True, True]])
    result = function(errors.clone(), {"action_is_pad": is_pad.clone()})
    found = as_number(result)
    if found is None or (isinstance(result, Tensor) and result.dim()):
        return "one number is wanted, a tensor without dimensions."
    if math.isclose(found, 37 / 8, rel_tol=1e-5):
        return "nothing is masked: .get() of a name that is not there gives None, and no error. Take it with []."
    if math.isclose(found, 2.0, rel_tol=1e-5):
        return "the padded steps are 0 now, and still counted: divide by the number of real steps."
    if math.isclose(found, 4.25, rel_tol=1e-5):
        return "a mean of means: the one real step of the second chunk counts as much as four of the first."
    if math.isclose(found, 7.0, rel_tol=1e-5):
        return "these are the padded steps: action_is_pad is True where there is NO action."
    if not math.isclose(found, 16 / 5, rel_tol=1e-5):
        return f"the real steps are 1, 2, 3, 4 and 6, their mean is 3.2, got {found:g}."
    try:
        function(errors.clone(), {"other": is_pad.clone()})
    except KeyError:
        return None
    return "without the mask the loss should stop with a KeyError, and not train on padding in silence."


# ---- 3. parameter groups ---------------------------------------------------------------------------------------------
def groups(model: nn.Module, lr: float) -> list[dict[str, Any]]:
    """Every trainable parameter once: those below `head` with twice the rate, all others with `lr`."""
    wanted = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    head = [p for name, p in wanted if name.startswith("head.")]
    return [
        {"params": [p for name, p in wanted if not name.startswith("head.")], "lr": lr},
        {"params": head, "lr": 2 * lr},
    ]


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head, self.header = nn.Linear(2, 3), nn.Linear(3, 1), nn.Linear(1, 1)
        self.positions = nn.Parameter(torch.zeros(5, 3))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def _diagnose_groups(function: Callable[..., Any]) -> str | None:
    model = _Net()
    result = function(model, 0.1)
    if not isinstance(result, list | tuple) or not all(isinstance(group, dict) for group in result):
        return "a list is wanted, with a dict of params and lr for each group."
    found = [(id(p), float(group["lr"])) for group in result for p in group["params"]]
    rates = dict(found)
    names = {id(p): name for name, p in model.named_parameters()}
    if double := [names[one] for one, _ in found if [o for o, _ in found].count(one) > 1]:
        return f"{double[0]} is in two places: the optimizer would refuse it."
    if frozen := [names[one] for one in rates if names[one].startswith("frozen.")]:
        return f"{frozen[0]} wants no gradient and has no place in an optimizer."
    missing = [name for one, name in names.items() if one not in rates and not name.startswith("frozen.")]
    if missing:
        return f"{missing[0]} is in no group, so it stays what it was at the start. Sort what model.parameters() HAS."
    for one, rate in rates.items():
        own = 0.2 if names[one].startswith("head.") else 0.1
        if not math.isclose(rate, own):
            return f"{names[one]} should have the rate {own:g}, got {rate:g}."
    return None


# ---- 6. write the test -----------------------------------------------------------------------------------------------
def sees_both(policy: Policy) -> bool:
    """Whether a policy looks at the picture AND at the sentence."""
    random = torch.Generator().manual_seed(0)
    picture, sentence, other = (torch.randn(4, generator=random) for _ in range(3))
    action = policy(picture, sentence)
    return not torch.equal(policy(other, sentence), action) and not torch.equal(policy(picture, other), action)


def _policies() -> dict[str, tuple[Policy, bool]]:
    """Name -> a policy, and whether it looks at both."""
    random = torch.Generator().manual_seed(3)
    a, b = torch.randn(2, 4, generator=random), torch.randn(2, 4, generator=random)

    return {
        "a sound one": (lambda picture, sentence: torch.tanh(a @ picture + b @ sentence), True),
        "a sound one with small actions": (lambda picture, sentence: 1e-6 * (a @ picture + b @ sentence), True),
        "a sound one in which the sentence weighs the picture": (
            lambda picture, sentence: a @ (picture * sentence),
            True,
        ),
        "one that never looks at the picture": (lambda picture, sentence: b @ sentence, False),
        "one that never reads the sentence": (lambda picture, sentence: a @ picture, False),
        "one that looks at nothing": (lambda picture, sentence: torch.ones(2), False),
    }


def _diagnose_test(function: Callable[..., Any]) -> str | None:
    wrong = {}
    for name, (policy, sound) in _policies().items():
        verdict = function(policy)
        if not isinstance(verdict, bool):
            return f"True or False is wanted, got {type(verdict).__name__}."
        if verdict != sound:
            wrong[name] = verdict
    if not wrong:
        return None
    passed = [name for name, verdict in wrong.items() if verdict]
    if len(passed) == 3:
        return "this test passes everything, also a policy that looks at nothing."
    if passed:
        return f"this test passes {passed[0]}. Change one input at a time, and keep the other."
    refused = next(iter(wrong))
    return f"this test refuses {refused}. By how much is not asked; and zeros hide what is multiplied with them."


EXERCISES = register(
    Exercise(
        "pitfalls.epoch_mean",
        epoch_mean,
        _diagnose_mean,
        "Sum and count of the same clips: batches and stops cannot change what a loss means.",
        (
            "Which batches were seen? Only these belong in the sum and in the divisor.",
            "sum of batch.sum() over sum of len(batch)",
        ),
        form="batches: list of losses [n_i], max_batches: int from 1 -> float",
    ),
    Exercise(
        "pitfalls.pool",
        pool,
        _diagnose_pool,
        "Now a sentence means the same in every batch.",
        ("Padding must be in neither the sum nor the divisor.", "states.masked_fill(~real, 0).sum(1) / real.sum(1)"),
        form="states [B, L, D], mask [B, L] bool, True on real tokens -> [B, D]",
    ),
    Exercise(
        "pitfalls.split",
        split,
        _diagnose_split,
        "The test asks about motion that was never trained on.",
        ("Decide about takes, then sort the clips.", 'The take of a clip is name.removeprefix("M").'),
        form="names: list of str such as 000012 and M000012 -> (training names, test names)",
    ),
    Exercise(
        "pitfalls.chunk_loss",
        chunk_loss,
        _diagnose_chunk,
        "A misspelt mask stops the run now, on its first batch.",
        (
            "Three things: the name, what happens when it is not there, and the divisor.",
            'batch["action_is_pad"]; masked_fill; sum / count of real steps',
        ),
        form='errors [B, T], batch: dict with "action_is_pad" [B, T] bool -> scalar tensor',
    ),
    Exercise(
        "pitfalls.groups",
        groups,
        _diagnose_groups,
        "A parameter that is added later lands in a group, too.",
        (
            "Do not list modules: go through model.named_parameters() once and sort.",
            'name.startswith("head.") decides; mind requires_grad.',
        ),
        form="model: Module with a child head, lr: float -> list of dicts with params and lr",
    ),
    Exercise(
        "pitfalls.sees_both",
        sees_both,
        _diagnose_test,
        "Four lines, and two of the robot faults of this lesson cannot come back.",
        (
            "What has to change when the picture does, and the sentence stays?",
            "not torch.equal(policy(other, sentence), policy(picture, sentence)), and the same the other way round",
        ),
        form="policy: function of picture [4] and sentence [4], gives an action [2] -> bool",
    ),
)
