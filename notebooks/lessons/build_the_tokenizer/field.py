"""The view of a token: lengths and receptive fields, each with the check of its exercise.

A layer is (kernel, stride, dilation). It widens the receptive field by (kernel - 1) * dilation * jump, and jump is the
product of the strides before it: Dumoulin and Visin, arXiv:1603.07285; Araujo et al., Distill 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

from lessons.shared.answers import Function

Layer = tuple[int, int, int]  # kernel, stride, dilation


# ---- how long the result is ------------------------------------------------------------------------------------------
def output_length(length: int, kernel: int, stride: int, dilation: int, sides: int) -> int:
    """Places at which the whole kernel lies inside the padded clip."""
    return (length + 2 * sides - (kernel - 1) * dilation - 1) // stride + 1


def diagnose_length(function: Function) -> str | None:
    value = function(97, 5, 2, 2, 3)
    if isinstance(value, bool) or not isinstance(value, int):
        return f"frames are counted in whole numbers; you returned {value!r}: use //."
    known = {
        47: "one too few: count the first place, too (+ 1).",
        95: "the stride is missing: the kernel stands at every second frame.",
        52: "the kernel reaches further than its first tap, by (kernel - 1) * dilation frames.",
        46: "the zeros at BOTH ends count: 2 * sides.",
        50: "the dilation is missing: the taps are 2 frames apart.",
    }
    if value != 48:
        return known.get(value, f"(97, 5, 2, 2, 3) should give 48 frames, got {value}.")
    for other in ((96, 4, 2, 1, 1), (96, 3, 1, 9, 9), (96, 3, 1, 1, 0), (97, 4, 2, 1, 1), (10, 5, 3, 2, 2)):
        if function(*other) != output_length(*other):
            right = output_length(*other)
            return f"right for (97, 5, 2, 2, 3), but {other} should give {right}, got {function(*other)}."
    return None


# ---- how many frames one output sees ---------------------------------------------------------------------------------
def receptive_field(layers: Sequence[Layer]) -> int:
    """Frames of the input that one number of the output depends on; layers from the input to the output."""
    seen, jump = 1, 1  # jump: input frames from one output of the layers so far to the next
    for kernel, stride, dilation in layers:
        seen += (kernel - 1) * dilation * jump
        jump *= stride
    return seen


def diagnose_field(function: Function) -> str | None:
    layers = [(3, 1, 1), (4, 2, 1), (3, 1, 9), (3, 1, 1)]
    value, right = function(list(layers)), receptive_field(layers)
    if isinstance(value, bool) or not isinstance(value, int):
        return f"frames are counted in whole numbers; you returned {value!r}."
    known = {
        right - 1: "one output of no layer at all sees one frame: begin with 1, not 0.",
        26: "the jump is missing: after the layer with stride 2, one step of a kernel is two frames of the input.",
        14: "the dilation is missing.",
        49: "a layer's own stride does not widen its own kernel; it counts for the layers after it.",
        108: "the fields do not multiply. Each layer adds (kernel - 1) * dilation * jump.",
        37: "each layer adds (kernel - 1) * dilation frames, not kernel * dilation.",
    }
    if value != right:
        return known.get(value, f"{layers} should give {right}, got {value}.")
    for other in ([(3, 1, 1)], [(4, 2, 1), (4, 2, 1), (3, 1, 1)], [(1, 1, 5), (5, 3, 2), (2, 1, 1)]):
        if function(list(other)) != receptive_field(other):
            return f"right for the first stack, but {other} should give {receptive_field(other)}."
    return None


# ---- how deep --------------------------------------------------------------------------------------------------------
def encoder_layers(depth: int, growth: int, kernel: int = 3, stages: int = 1) -> list[Layer]:
    """The layers of the tokenizer's encoder, without those of size 1, which see one frame.

    >>> encoder_layers(depth=2, growth=3)
    [(3, 1, 1), (4, 2, 1), (3, 1, 3), (3, 1, 1), (3, 1, 1)]
    """
    layers: list[Layer] = [(kernel, 1, 1)]
    for _ in range(stages):
        layers += [(4, 2, 1), *((kernel, 1, growth**power) for power in reversed(range(depth)))]
    return [*layers, (kernel, 1, 1)]


def depth_for(frames: int, growth: int) -> int:
    """The fewest residual blocks with which a token of the encoder sees at least so many frames."""
    depth = 0
    while receptive_field(encoder_layers(depth, growth)) < frames:
        depth += 1
    return depth


def diagnose_depth(function: Function) -> str | None:
    value = function(96, 3)
    if isinstance(value, bool) or not isinstance(value, int):
        return f"blocks are counted in whole numbers; you returned {value!r}."
    known = {
        3: "three blocks see 62 frames, fewer than 96.",
        5: "four blocks are enough for 96 frames: the smallest depth is asked for.",
        22: "this is growth 1: use the argument.",
    }
    if value != 4:
        return known.get(value, f"96 frames with growth 3 need 4 blocks, got {value}.")
    for other in ((96, 1), (96, 2), (62, 3), (63, 3), (5, 3)):
        if function(*other) != depth_for(*other):
            return f"right for (96, 3), but {other} needs {depth_for(*other)} blocks, got {function(*other)}."
    return None
