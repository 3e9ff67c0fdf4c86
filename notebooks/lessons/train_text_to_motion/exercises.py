"""Exercises of lesson 12, "train stage 2": references, and checks that name the mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from motionlab.teaching.exercise import Exercise, register

IGNORE = -100  # the label of a place that is not scored


# ---- exercise 1: one training row ------------------------------------------------------------------------------------
def lay_out(codes: Sequence[int], text_slots: int, codebook_size: int, length: int) -> tuple[list[int], list[int]]:
    """Tokens and labels of one row of a batch: text slots (PAD id), codes, END, padding up to `length` places.

    A label is the NEXT token, IGNORE where nothing is asked.
    """
    end, pad = codebook_size, codebook_size + 1
    tokens = [pad] * text_slots + list(codes) + [end]
    labels = [IGNORE] * (text_slots - 1) + list(codes) + [end]
    return tokens + [pad] * (length - len(tokens)), labels + [IGNORE] * (length - len(labels))


def _diagnose_layout(function: Callable[..., Any]) -> str | None:
    codes, width, size, length = [5, 6, 7], 2, 10, 9
    result = function(list(codes), width, size, length)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "return two lists: tokens and labels."
    tokens, labels = ([int(value) for value in part] for part in result)
    right_tokens, right = lay_out(codes, width, size, length)
    written = width + len(codes) + 1  # places up to END
    if len(tokens) != len(labels):
        return f"tokens and labels must have the same length: {len(tokens)} and {len(labels)}."
    if size not in tokens:
        return "END (the number K) is missing from the tokens: the model would never learn when a motion is over."
    if len(tokens) != length:
        return f"a row with length = 9 should have 9 places, not {len(tokens)}: fill it up after END."
    if tokens[:width] != [size + 1] * width:
        return "the text slots hold PAD (K + 1): their content is replaced by text features."
    if tokens == [size + 1] * (length - written + width) + [*codes, size]:
        return "the padding is between text and codes. It belongs after END: the first code follows the text at once."
    if tokens[:written] == right_tokens[:written] and tokens != right_tokens:
        return f"after END every place holds PAD (K + 1 = 11), not {tokens[written:]}."
    if tokens != right_tokens:
        return f"the tokens should be {right_tokens}, not {tokens}."
    if labels[:written] == [IGNORE] * width + [*codes, size]:
        return (
            "the labels are not shifted: place i has to predict token i + 1. Now the model predicts the "
            "token that it reads."
        )
    if size + 1 in labels:
        return "PAD is a label somewhere. It is never predicted; a place without a target gets IGNORE (-100)."
    if labels[width - 1] != codes[0]:
        return "the last text slot should predict the first code: nothing else could."
    if labels[width + len(codes) - 1] != size:
        return "the last code should predict END."
    if labels[written - 1 :] != right[written - 1 :]:
        return f"END and the padding ask for nothing: IGNORE (-100) there, not {labels[written - 1 :]}."
    if labels != right:
        return f"the labels should be {right}, not {labels}."
    other = function([3], 1, 4, 3)
    if [list(part) for part in other] != [list(part) for part in lay_out([3], 1, 4, 3)]:
        return "right for three codes and padding, wrong for one code, one text slot and no padding."
    return None


# ---- exercise 3: probabilities ---------------------------------------------------------------------------------------
def probabilities(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Divide by the temperature, then keep the smallest set of codes that reaches `top_p`; sums to 1."""
    p = (logits / temperature).softmax(-1)  # [K]
    if top_p == 1:  # off: the sum rounds to 1 before the last code, which would be left out
        return p
    values, order = p.sort(descending=True)
    before = values.cumsum(-1) - values  # probability of everything more likely
    kept = torch.where(before < top_p, values, 0.0)
    return torch.zeros_like(p).scatter(-1, order, kept / kept.sum())


def _diagnose_probabilities(function: Callable[..., Any]) -> str | None:
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    before = logits.clone()
    plain = function(logits, 1.0, 1.0)
    if not isinstance(plain, Tensor) or plain.shape != logits.shape:
        return "return one probability per code, in the order of the codes."
    if not torch.equal(logits, before):
        return "your function changed the logits it was given: work on a copy."
    if not torch.allclose(plain, logits.softmax(-1), atol=1e-5):
        sorted_out = torch.allclose(plain, logits.softmax(-1).sort(descending=True).values, atol=1e-5)
        reason = "The numbers are right but sorted: put each back at its own code." if sorted_out else ""
        return f"with temperature 1 and top_p 1 nothing should change but the softmax. {reason}".strip()
    cold = function(logits, 0.5, 1.0)
    if torch.allclose(cold, (logits * 0.5).softmax(-1), atol=1e-5):
        return "the logits are multiplied by the temperature. Divide: a low temperature makes differences larger."
    if torch.allclose(cold, plain, atol=1e-5):
        return "the temperature has no effect."
    if not torch.allclose(cold, (logits / 0.5).softmax(-1), atol=1e-5):
        return "with top_p 1 the result should be the softmax of logits / temperature."
    nucleus = function(logits, 1.0, 0.6)
    if not torch.isclose(nucleus.sum(), torch.tensor(1.0), atol=1e-5):
        return "after top-p the probabilities no longer sum to 1: divide by their sum."
    if torch.allclose(nucleus, torch.tensor([0.0, 1.0, 0.0, 0.0]), atol=1e-5):
        return "0.5 alone does not reach 0.6: the code that crosses the border is still kept."
    if torch.allclose(nucleus, plain, atol=1e-5):
        return "top_p has no effect."
    if not torch.allclose(nucleus, torch.tensor([0.0, 2 / 3, 0.0, 1 / 3]), atol=1e-5):
        return f"with top_p 0.6 only codes 1 and 3 should be left (0.67 and 0.33), not {_rounded(nucleus)}."
    least = function(logits, 1.0, 0.01)
    if not torch.allclose(least, torch.tensor([0.0, 1.0, 0.0, 0.0]), atol=1e-5):
        return "the most likely code must always be kept, however small top_p is."
    both = function(logits, 2.0, 0.7)
    if torch.allclose(both, _wrong_order(logits, 2.0, 0.7), atol=1e-5):
        return "top-p came before the temperature. First divide, then look for the set that reaches top_p."
    if not torch.allclose(both, probabilities(logits, 2.0, 0.7), atol=1e-5):
        return "temperature and top_p are right alone, not together."
    return None


def _wrong_order(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    kept = probabilities(logits, 1.0, top_p) > 0
    return (logits / temperature).masked_fill(~kept, float("-inf")).softmax(-1)


def _rounded(values: Tensor) -> list[float]:
    return [round(float(value), 2) for value in values]


# ---- exercise 2: the loop --------------------------------------------------------------------------------------------
def write_codes(next_logits: Callable[[list[int]], Tensor], end: int, limit: int) -> tuple[list[int], str]:
    """Greedy generation: ask for the next token until END or until `limit` codes; say which of the two it was."""
    codes: list[int] = []
    while len(codes) < limit:
        token = int(next_logits(codes).argmax())
        if token == end:
            return codes, "end"
        codes.append(token)
    return codes, "limit"


def _diagnose_loop(function: Callable[..., Any]) -> str | None:
    asked: list[list[int]] = []

    def model(story: Sequence[int]) -> Callable[[list[int]], Tensor]:
        def next_logits(codes: list[int]) -> Tensor:
            asked.append(list(codes))
            if len(asked) > 50:
                raise RuntimeError("the loop asked 50 times: it does not stop")
            token = story[len(codes)] if len(codes) < len(story) else 1
            return torch.nn.functional.one_hot(torch.tensor(token), 5).float()

        return next_logits

    result = function(model([3, 2, 3, 4]), 4, 10)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "return two things: the codes, and 'end' or 'limit'."
    codes, stop = list(result[0]), result[1]
    if codes[:1] != [3]:
        return f"the model wants 3 first; your codes begin with {codes[:1]}. Take the token with the largest logit."
    if codes == [3, 2, 3, 4]:
        return "END is among the codes. It is no motion: the tokenizer cannot decode it."
    if len(codes) > 4:
        return "the loop continued after END."
    if codes != [3, 2, 3]:
        return f"the model wants 3, 2, 3, END; your codes are {codes}."
    if asked[1] != [3]:
        return "the model has to be asked with all codes so far: the second call got " + f"{asked[1]} instead of [3]."
    if stop != "end":
        return f"the model said END, and your function says {stop!r}."
    asked.clear()
    codes, stop = function(model([0, 1, 0, 1, 0, 1, 0, 1]), 4, 5)
    if len(codes) != 5:
        return f"with limit 5 there should be 5 codes, not {len(codes)}."
    if stop != "limit":
        return (
            "a motion that was cut at the limit is reported as finished. The published sampler did that: motions of "
            "100 frames, and nothing said that they were cut."
        )
    asked.clear()
    codes, stop = function(model([4]), 4, 5)
    if (list(codes), stop) != ([], "end"):
        return "a model that says END at once gives no codes, and 'end'."
    return None


# ---- exercise 4: a gradient through a choice -------------------------------------------------------------------------
def soft_choice(h: Tensor, grid: Tensor, table: Tensor, temperature: float) -> Tensor:
    """The row of `table` of the nearest grid point, with the gradient of the soft mixture.

    h `[n, d]`, grid `[K, d]`, table `[K, dim]` -> `[n, dim]`.
    """
    distance = (h[:, None] - grid).square().sum(-1)  # [n, K]
    soft = (-distance / temperature).softmax(-1) @ table  # [n, dim]
    hard = table[distance.argmin(-1)]  # [n, dim]
    return hard + soft - soft.detach()


def _diagnose_soft(function: Callable[..., Any]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(5, 2, generator=generator)
    grid = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    table = torch.randn(4, 3, generator=generator)

    def run(f: Callable[..., Any]) -> tuple[Any, Tensor | None]:
        x = h.clone().requires_grad_()
        out = f(x, grid, table, 0.5)
        if not isinstance(out, Tensor) or not out.requires_grad:
            return out, None
        (out * torch.arange(15.0).view(5, 3)).sum().backward()
        return out.detach(), x.grad

    value, gradient = run(function)
    right, right_gradient = run(soft_choice)
    if not isinstance(value, Tensor) or value.shape != (5, 3):
        return "the result should be a tensor [n, dim]: one row of the table a vector."
    distance = (h[:, None] - grid).square().sum(-1)
    mixture = (-distance / 0.5).softmax(-1) @ table
    if torch.allclose(value, mixture, atol=1e-5):
        return (
            "the value is the soft mixture. The decoder would read vectors that it never meets in generation: the "
            "value must be the hard row, only the gradient soft."
        )
    if torch.allclose(value, table[distance.argmax(-1)], atol=1e-5):
        return "this is the row of the farthest grid point: take argmin of the distance."
    if not torch.allclose(value, right, atol=1e-5):
        return "the value should be exactly the table row of the nearest grid point."
    if gradient is None or not gradient.abs().sum() > 0:
        return "no gradient reaches h: picking a row is a step function. Add soft - soft.detach()."
    assert right_gradient is not None
    if torch.allclose(gradient, -right_gradient, atol=1e-4):
        return "the gradient has the wrong sign: a larger distance must make a code less likely, so softmax(-distance)."
    if not torch.allclose(gradient, right_gradient, atol=1e-4):
        return "a gradient arrives, but not that of softmax(-distance / temperature) @ table. Is the temperature used?"
    return None


EXERCISES = register(
    Exercise(
        "stage2.lay_out",
        lay_out,
        _diagnose_layout,
        "This is a row of `build_sequences`: text, codes, END, padding, and a target one place to the left.",
        (
            "K codes are 0 to K - 1; END is K, PAD is K + 1. Text slots and padding hold PAD.",
            "Place i predicts token i + 1. So the labels are the tokens moved one place to the left.",
            "labels = [IGNORE] * (text_slots - 1) + codes + [end]; then fill up both lists, each with its own number.",
        ),
        form="codes: list of n ints, three ints -> two lists of `length` ints",
    ),
    Exercise(
        "stage2.probabilities",
        probabilities,
        _diagnose_probabilities,
        "With it you can say what a motion was drawn from; the panel below shows the same numbers.",
        (
            "First softmax(logits / temperature). Then sort.",
            "A code is kept when the sum of everything MORE likely is still below top_p: cumsum - values < top_p.",
            "A top_p of 1 keeps all: return the softmax as it is, because its sum rounds to 1 before the last code.",
            "Put the kept values back with scatter(-1, order, ...), and divide by their sum.",
        ),
        form="logits [K], two floats -> [K]",
    ),
    Exercise(
        "stage2.write_codes",
        write_codes,
        _diagnose_loop,
        "A motion that was cut now says so.",
        (
            "`next_logits(codes)` gives the logits of the token after these codes.",
            "END is a token that you look at and do not keep.",
            "Two ways out of the loop, so two places that return.",
        ),
        form="next_logits(list of ints) -> [K]; two ints -> (list of ints, str)",
    ),
    Exercise(
        "stage2.soft_choice",
        soft_choice,
        _diagnose_soft,
        "It is the step by which one loss could train both stages; the experiment says what that loss then does.",
        (
            "Compute both: the hard row table[nearest], and the soft mixture softmax(-distance / temperature) @ table.",
            "x - x.detach() is zero, and its gradient is that of x.",
            "return hard + soft - soft.detach()",
        ),
        form="h [n, d], grid [K, d], table [K, dim], temperature: float -> [n, dim]",
    ),
)
