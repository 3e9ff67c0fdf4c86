"""Exercises of lesson 18, "How is a decoder put together?": each part of it, written by the learner."""

from __future__ import annotations

from lessons.build_the_decoder.attention import attend, diagnose_attend, diagnose_head, diagnose_turn, head, turn
from lessons.build_the_decoder.layers import (
    block,
    diagnose_block,
    diagnose_norm,
    diagnose_swiglu,
    rms_norm,
    swiglu,
)
from lessons.build_the_decoder.sequence import (
    block_parameters,
    diagnose_loss,
    diagnose_parameters,
    diagnose_sees,
    diagnose_write,
    next_token_loss,
    sees,
    write,
)
from motionlab.teaching.exercise import Exercise, register

EXERCISES = register(
    Exercise(
        "decoder.rms_norm",
        rms_norm,
        diagnose_norm,
        "Every part of the decoder reads its input through this.",
        (
            "The mean runs over the last dimension only; keepdim=True lets the division broadcast.",
            "x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * scale",
        ),
        form="x [..., dim], scale [dim], eps: float -> [..., dim]",
    ),
    Exercise(
        "decoder.swiglu",
        swiglu,
        diagnose_swiglu,
        "Two thirds of a block's weights are in these three matrices.",
        (
            "The weights are stored as nn.Linear stores them, [out, in]: x @ gate.T is the layer.",
            "F.silu(x @ gate.T) * (x @ up.T), and down after it.",
        ),
        form="x [..., dim], gate and up [hidden, dim], down [dim, hidden] -> [..., dim]",
    ),
    Exercise(
        "decoder.turn",
        turn,
        diagnose_turn,
        "Queries and keys know where they are now, and a score depends on how far apart they are.",
        (
            "x[..., 0::2] and x[..., 1::2] are a and b of all pairs. The heads need a dimension of 1 in the angles.",
            "angle = torch.outer(places.float(), 10_000.0 ** (-torch.arange(0, hd, 2) / hd))[:, None]; "
            "torch.stack([a cos - b sin, a sin + b cos], dim=-1).flatten(-2)",
        ),
        form="x [B, S, heads, hd], places int64 [S] -> [B, S, heads, hd]",
    ),
    Exercise(
        "decoder.head",
        head,
        diagnose_head,
        "This is the only place of the decoder where positions meet.",
        (
            "query @ key.transpose(-2, -1) has a score for each pair of positions. Divide, hide, softmax, mix.",
            "Scores q @ k.transpose(-2, -1) / hd ** 0.5; masked_fill(~sees, -inf); softmax(-1); @ value.",
        ),
        form="query, key, value [B, S, hd], sees bool [B, S, S] -> [B, S, hd]",
    ),
    Exercise(
        "decoder.attend",
        attend,
        diagnose_attend,
        "With eight or thirty-two heads only the loop is longer; the package does all of them in one call.",
        (
            "H // G neighbouring query heads share a key-value head. Which one does query head h read?",
            "head(query[:, h], key[:, g], value[:, g], sees[:, 0]) with g = h // (H // G); torch.stack of all, dim=1.",
        ),
        form="query [B, H, S, hd], key and value [B, G, S, hd], sees bool [B, 1, S, S] -> [B, H, S, hd]",
    ),
    Exercise(
        "decoder.block",
        block,
        diagnose_block,
        "Stack it, and you have a decoder.",
        (
            "Each part reads a normalised copy of x, and its result is added to x itself.",
            "x = x + attention(norm_1(x)), and the same again with the second pair.",
        ),
        form="x [B, S, dim] and four functions of it -> [B, S, dim]",
    ),
    Exercise(
        "decoder.write",
        write,
        diagnose_write,
        "Every language model writes with this loop; sampling changes one line of it.",
        (
            "Ask for logits, take argmax, look whether it is END, else append it. At most `most` times.",
            "while len(tokens) < most: token = int(next_logits(tokens).argmax()) ...",
        ),
        form="next_logits: a list of ints -> [K + 1], end and most: ints -> list of ints",
    ),
    Exercise(
        "decoder.sees",
        sees,
        diagnose_sees,
        "The words are read in both directions, the motion is written in one.",
        (
            "Two rules joined by |: j <= i, or both i and j are words. torch.ones(S, S).tril() is the first.",
            "F.pad(text_mask, (0, length - W)) has a number for each position; words[:, :, None] & words[:, None, :].",
        ),
        form="text_mask bool [B, W], length: int -> bool [B, 1, length, length]",
    ),
    Exercise(
        "decoder.block_parameters",
        block_parameters,
        diagnose_parameters,
        "Times the number of layers, plus embedding and output, and the table of lesson 04 is yours.",
        (
            "Five matrices and two scales: queries, keys and values in one; the way out; gate, up, down.",
            "Queries need dim x dim; keys and values dim x (n_kv_heads * head_dim) each.",
        ),
        form="four ints -> int",
    ),
    Exercise(
        "decoder.next_token_loss",
        next_token_loss,
        diagnose_loss,
        "With it and an optimizer your decoder can be trained.",
        (
            "Which position predicts the first token? It has seen all words and no motion.",
            "F.cross_entropy(logits[words - 1:], the tokens followed by end)",
        ),
        form="logits [words + N, K + 1], tokens int64 [N], words and end: ints -> a tensor []",
    ),
)
