"""Exercises of lesson 17, the jargon: references, and checks that name the mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lessons.glossary.registry import run
from motionlab.errors import InputError
from motionlab.teaching.exercise import Exercise, register
from motionlab.teaching.glossary import glossary


# ---- 1. the flags of a sequence --------------------------------------------------------------------------------------
def block_flags(groups: Sequence[str]) -> list[int]:
    """One flag per token for groups "image", "text", "state", "action" in this order: 1 opens a block.

    Image and text share a block; the state opens one, and so does the first action.
    """
    flags = []
    for i, group in enumerate(groups):
        new = i > 0 and group != groups[i - 1]
        flags.append(int(new and group in ("state", "action")))
    return flags


def _diagnose_flags(function: Callable[..., Any]) -> str | None:
    groups = ["image", "image", "text", "text", "state", "action", "action", "action"]
    flags = [int(flag) for flag in function(list(groups))]
    if len(flags) != len(groups):
        return f"one flag per token: {len(groups)} of them, got {len(flags)}."
    if flags == [0, 0, 0, 0, 1, 1, 1, 1]:
        return (
            "this labels every token of state and action with 1, as the notes read it (0 = image/text, 1 = "
            "state/action). A 1 opens a block, so each action would open its own, and the first could not see the "
            "others of its chunk. Only the first action of a chunk has a 1."
        )
    if flags == [0, 0, 0, 0, 1, 0, 0, 0]:
        return "the actions share the block of the state here, so the state sees noisy actions. They open their own."
    if flags == [0, 0, 1, 0, 1, 1, 0, 0]:
        return "the text opens a block here, so no picture sees the instruction. Image and text are one prefix."
    if flags[0] == 1:
        return "the first token needs no 1: nothing stands before it that could look at it."
    if flags != block_flags(groups):
        return f"for {' '.join(groups)} the flags should be {block_flags(groups)}, got {flags}."
    other = ["text", "action", "action"]
    if [int(flag) for flag in function(list(other))] != [0, 1, 0]:
        return "without images and state it should still work: text action action has the flags [0, 1, 0]."
    return None


# ---- 2. what a cache may keep ----------------------------------------------------------------------------------------
def still_valid(allow: Tensor, changed: Sequence[int]) -> list[int]:
    """Tokens whose keys and values stay right in every layer when the inputs of some tokens change.

    A token is stale when it sees a stale one, over as many layers as it takes.
    """
    stale = torch.zeros(len(allow), dtype=torch.bool)
    stale[list(changed)] = True
    for _ in range(len(allow)):
        stale = stale | (allow & stale[None, :]).any(1)
    return [int(i) for i in (~stale).nonzero().flatten()]


def _diagnose_valid(function: Callable[..., Any]) -> str | None:
    chain = torch.eye(5, dtype=torch.bool)
    chain[1, 0] = chain[2, 1] = chain[4, 3] = True  # 1 sees 0, 2 sees 1; 4 sees 3
    found = sorted(int(i) for i in function(chain.clone(), [0]))
    if found == [2, 3, 4]:
        return (
            "only tokens that look at a changed one directly are taken. Token 2 sees 1, and 1 saw 0: in the second "
            "layer its keys change, too. Continue until nothing more becomes stale."
        )
    if 0 in found:
        return "the changed token itself is stale, of course: its own key and value are others now."
    if found == [0, 1, 2] or found == [1, 2]:
        return "these are the stale ones. Wanted: those that stay right."
    backwards = [int(i) for i in (~_reach(chain.T, [0])).nonzero().flatten()]
    if found == backwards:
        return "rows and columns are swapped: row i is the token that looks, column j the one that is seen."
    if found != [3, 4]:
        return f"1 sees 0, 2 sees 1, 4 sees 3, and 0 changes: [3, 4] stay right, got {found}."
    if sorted(int(i) for i in function(chain.clone(), [])) != [0, 1, 2, 3, 4]:
        return "when nothing changes, everything may be kept."
    return None


def _reach(allow: Tensor, changed: Sequence[int]) -> Tensor:
    stale = torch.zeros(len(allow), dtype=torch.bool)
    stale[list(changed)] = True
    for _ in range(len(allow)):
        stale = stale | (allow & stale[None, :]).any(1)
    return stale


# ---- 5. which term is it? --------------------------------------------------------------------------------------------
RIDDLES = ("teacher forcing", "dead code", "weight decay", "foot skating", "gradient underflow")


def riddles() -> list[str]:
    """The results of some demonstrations, without their terms."""
    return [run(term) for term in RIDDLES]


def name_the_terms(riddles: Sequence[str]) -> list[str]:
    """The terms that the riddles show, in their order."""
    return list(RIDDLES[: len(riddles)])


def _diagnose_names(function: Callable[..., Any]) -> str | None:
    names = function(riddles())
    if not isinstance(names, (list, tuple)) or len(names) != len(RIDDLES):
        return f"the result should be a list of {len(RIDDLES)} terms, one a riddle."
    for number, (name, right) in enumerate(zip(names, RIDDLES, strict=True), start=1):
        try:
            (term,) = glossary(str(name))
        except InputError:
            return f"riddle {number}: {name!r} is not in the glossary. Search it with ml.find_terms(...)."
        if _same(term.english, right):
            continue
        return f"riddle {number}: {term.english} ({term.chinese}) means: {term.meaning_zh} {term.meaning} Look again."
    return None


def _same(name: str, right: str) -> bool:
    """Terms that one demonstration shows together are all right answers."""
    from lessons.glossary.registry import demonstration

    return demonstration(name) is demonstration(right)


# ---- 3. is it frozen? ------------------------------------------------------------------------------------------------
def not_frozen(part: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """The steps that a part still lacks to be frozen: some of "gradient", "eval", "optimizer", in this order."""
    own = {id(parameter) for parameter in part.parameters()}
    listed = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = []
    if any(parameter.requires_grad for parameter in part.parameters()):
        missing.append("gradient")
    if any(module.training for module in part.modules()):
        missing.append("eval")
    if own & listed:
        missing.append("optimizer")
    return missing


def _cases() -> list[tuple[str, nn.Module, torch.optim.Optimizer, list[str]]]:
    def part() -> nn.Sequential:
        return nn.Sequential(nn.Linear(2, 2), nn.Dropout())

    other = nn.Linear(2, 2)

    def adam(*modules: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW([p for module in modules for p in module.parameters()])

    whole = part().requires_grad_(False).eval()
    free = part()
    waking = part().requires_grad_(False).eval()
    nn.Sequential(waking, other).train()  # the trap: it wakes the part up
    inner = part().requires_grad_(False).eval()
    inner[1].train()
    half = part().requires_grad_(False).eval()
    half[0].bias.requires_grad_(True)
    listed = part().requires_grad_(False).eval()
    return [
        ("a part that is frozen", whole, adam(other), []),
        ("a part whose model was put into train mode", waking, adam(other), ["eval"]),
        ("a part in eval mode with one dropout inside in train mode", inner, adam(other), ["eval"]),
        ("a part of which one bias wants a gradient", half, adam(other), ["gradient"]),
        ("a part that the optimizer lists", listed, adam(other, listed), ["optimizer"]),
        ("a part that is free", free, adam(other, free), ["gradient", "eval", "optimizer"]),
    ]


def _diagnose_frozen(function: Callable[..., Any]) -> str | None:
    for what, part, optimizer, right in _cases():
        found = function(part, optimizer)
        if not isinstance(found, (list, tuple)):
            return f"return a list, empty when nothing is lacking, got {found!r}."
        found = list(found)
        if found == right:
            continue
        if sorted(map(str, found)) == sorted(right):
            return 'the order should be "gradient", "eval", "optimizer".'
        if right == ["eval"] and not found and "inside" not in what:
            return "a part whose model was put into train mode passes: requires_grad is not enough, see part.training."
        if right == ["eval"]:
            return f"{what}: look at all modules, part.modules(), not only at the outer one."
        if right == ["gradient"]:
            return f"{what}: look at all parameters with any(...), not at the first one."
        if right == ["optimizer"]:
            return (
                f"{what}: found {found}. Compare the parameters by identity, id(p), with those in "
                "optimizer.param_groups; comparing values asks whether numbers are equal."
            )
        return f"{what} should give {right}, got {found}."
    return None


# ---- 4. two curves ---------------------------------------------------------------------------------------------------
def verdict(known: Sequence[float], new: Sequence[float], good: float) -> str:
    """The verdict of the last errors on known and on new data, when `good` is an error that one can live with."""
    if known[-1] > good:
        return "underfitting"
    return "overfitting" if new[-1] > good else "generalises"


def _diagnose_verdict(function: Callable[..., Any]) -> str | None:
    cases = [
        ([1.0, 0.5, 0.1], [1.0, 0.6, 0.15], 0.2, "generalises"),
        ([1.0, 0.9, 0.8], [1.0, 0.9, 0.85], 0.2, "underfitting"),
        ([1.0, 0.3, 0.02], [1.0, 0.5, 0.7], 0.2, "overfitting"),
        ([1.0, 0.3, 0.01], [1.0, 0.15, 0.6], 0.2, "overfitting"),
        ([1.0, 0.8, 0.5], [1.0, 0.9, 1.4], 0.2, "underfitting"),
        ([0.4, 0.1, 0.01], [0.4, 0.12, 0.08], 0.2, "generalises"),
    ]
    for number, (known, new, good, right) in enumerate(cases):
        found = function(list(known), list(new), good)
        if found == right:
            continue
        if number == 3:
            return "new data were good in between, but the last model is the one you have: compare the last errors."
        if number == 4:
            return (
                "known data are bad here and new ones worse: fitting comes first, so this is underfitting. Ask about "
                "known data before you look at new ones."
            )
        if number == 5:
            return (
                "both errors are good here. A gap between them is no fault: the error on known data is nearly always "
                "lower. Compare each with `good`."
            )
        if found not in ("underfitting", "overfitting", "generalises"):
            return f'the answer should be "underfitting", "overfitting" or "generalises", got {found!r}.'
        return f"known {known}, new {new}, good {good}: this is {right!r}, got {found!r}."
    return None


EXERCISES = register(
    Exercise(
        "glossary.block_flags",
        block_flags,
        _diagnose_flags,
        "With pad_masks these flags are the whole mask of pi0.",
        (
            "Where may earlier tokens no longer look? Only there stands a 1.",
            "A 1 stands on the first token of a state group and on the first token of an action group.",
        ),
        form="groups: list of str -> list of as many ints, 0 or 1",
    ),
    Exercise(
        "glossary.still_valid",
        still_valid,
        _diagnose_valid,
        "This is why a prefix may not look at what comes after it.",
        (
            "Start with the changed tokens. A token that looks at one of them gets other keys in the next layer.",
            "Repeat: stale = stale | (allow & stale[None, :]).any(1), until nothing changes. The rest stays valid.",
        ),
        form="allow: bool [N, N], row: who looks; changed: list of ints -> list of ints",
    ),
    Exercise(
        "glossary.name_the_terms",
        name_the_terms,
        _diagnose_names,
        "You know them by what they do.",
        (
            "ml.find_terms(...) searches meanings too: try a word of the riddle.",
            "One is about reading true codes, one about codebooks, one about weights, one about feet, one about fp16.",
        ),
        form="riddles: list of str -> list of as many str, English terms",
    ),
    Exercise(
        "glossary.not_frozen",
        not_frozen,
        _diagnose_frozen,
        "Run it once before a long training: it costs nothing.",
        (
            "Does any parameter want a gradient, is any module in train mode, does the optimizer list any?",
            "any(p.requires_grad ...), any(m.training for m in part.modules()), ids of parameters in param_groups.",
        ),
        form='part: Module, optimizer: Optimizer -> list of "gradient", "eval", "optimizer"',
    ),
    Exercise(
        "glossary.verdict",
        verdict,
        _diagnose_verdict,
        "Fitting first, generalising second, and both from the last point.",
        (
            "Two questions in order: are known data good enough? Then: are new ones?",
            "known[-1] > good: underfitting. Else new[-1] > good: overfitting. Else it generalises.",
        ),
        form='known, new: lists of floats, good: float -> "underfitting", "overfitting" or "generalises"',
    ),
)
