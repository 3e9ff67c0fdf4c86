"""Exercises of lesson 19, "How does the tokenizer encode?": each layer of it, written by the learner."""

from __future__ import annotations

from lessons.build_the_tokenizer.field import (
    depth_for,
    diagnose_depth,
    diagnose_field,
    diagnose_length,
    output_length,
    receptive_field,
)
from lessons.build_the_tokenizer.layers import (
    convolve,
    diagnose_convolve,
    diagnose_double,
    diagnose_residual,
    double,
    residual,
)
from motionlab.teaching.exercise import Exercise, register

EXERCISES = register(
    Exercise(
        "tokenizer.convolve",
        convolve,
        diagnose_convolve,
        "Every layer of the tokenizer but its norms is this.",
        (
            "Put the zeros with F.pad(x, (0, 0, sides, sides)). Which frames does the kernel at place t see?",
            "x[t : t + (k - 1) * dilation + 1 : dilation] for t = 0, stride, 2 stride, ...; then an einsum, or a loop "
            "over the taps: the sum of frames @ weight[:, :, tap].T.",
        ),
        form="x [T, in], weight [out, in, k], bias [out], stride, dilation, sides: ints -> [T', out]",
    ),
    Exercise(
        "tokenizer.output_length",
        output_length,
        diagnose_length,
        "It tells how many tokens a clip becomes, before you run anything.",
        (
            "How far does the kernel reach beyond its first tap? How many places are left for the first tap?",
            "(length + 2 * sides - (kernel - 1) * dilation - 1) // stride + 1",
        ),
        form="five ints -> int",
    ),
    Exercise(
        "tokenizer.receptive_field",
        receptive_field,
        diagnose_field,
        "The published encoder: 62 frames, two seconds.",
        (
            "Walk from the input to the output and keep two numbers: frames seen, and the jump from output to output.",
            "seen += (kernel - 1) * dilation * jump, and after it jump *= stride.",
        ),
        form="layers: a list of (kernel, stride, dilation) -> int",
    ),
    Exercise(
        "tokenizer.residual",
        residual,
        diagnose_residual,
        "Three of them, with dilations 9, 3, 1, are the published stack.",
        (
            "The order in each half is norm, activation, convolution.",
            "h = wide(activation(norm_1(x))); the same with the others on h; then x + h.",
        ),
        form="x [T, C] and five functions of it -> [T, C]",
    ),
    Exercise(
        "tokenizer.double",
        double,
        diagnose_double,
        "The convolution after it smooths the steps.",
        ("Each row twice in a row.", "x.repeat_interleave(2, dim=0)"),
        form="x [N, C] -> [2N, C]",
    ),
    Exercise(
        "tokenizer.depth_for",
        depth_for,
        diagnose_depth,
        "With growing dilations the field grows like a power, with equal ones like a ruler.",
        (
            "Try depth 0, 1, 2, ... and ask your receptive_field each time.",
            "The layers of a depth: (3, 1, 1), (4, 2, 1), then (3, 1, growth ** power) for each block, then (3, 1, 1).",
        ),
        form="frames and growth: ints -> int",
    ),
)
