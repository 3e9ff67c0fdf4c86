"""Demonstrations: text, prefix and masks."""

from __future__ import annotations

from collections import Counter

import torch

import motionlab as ml
from lessons.glossary.kit import CAPTION, kit
from lessons.glossary.registry import shows


@shows("att_2d_masks")
def _two_d() -> str:
    pad, att = torch.tensor([[1, 1, 0, 1]]), torch.tensor([[0, 0, 0, 1]])
    return f"pad 1 1 0 1, att 0 0 0 1 -> {ml.make_att_2d_masks(pad, att)[0].int().tolist()}"


@shows("att_masks")
def _att() -> str:
    groups = [ml.TokenGroup("image", 2), ml.TokenGroup("state", 1, opens=True), ml.TokenGroup("action", 3, opens=True)]
    names, att = ml.token_layout(groups)
    return " ".join(f"{name}:{flag}" for name, flag in zip(names, att.tolist(), strict=True))


@shows("byte-pair encoding")
def _bpe() -> str:
    words = [list(word) for caption in kit.samples["walk"].captions for word in caption.split()]
    joined = []
    for _ in range(4):
        pairs = Counter(pair for word in words for pair in zip(word, word[1:], strict=False))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))  # the most frequent; of equals the first
        joined.append("".join(best))
        for word in words:
            for i in reversed(range(len(word) - 1)):
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [joined[-1]]
    return f"the first new symbols from the captions of one clip: {joined}"


@shows("context token")
def _context() -> str:
    looks = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    action, seen = torch.rand(1, 1, 16), torch.rand(1, 4, 16)  # one query; four vectors of what the camera sees now
    first, later = looks(action, seen, seen)[0], looks(action, seen + 1, seen + 1)[0]
    return f"the scene changes, the same query gets another answer: {not torch.allclose(first, later)}"


@shows("embedding layer")
def _layer() -> str:
    image, words, state = torch.nn.Linear(48, 16), torch.nn.Embedding(100, 16), torch.nn.Linear(8, 16)
    parts = (image(torch.rand(1, 4, 48)), words(torch.tensor([[5, 9, 0]])), state(torch.rand(1, 1, 8)))
    sequence = torch.cat(parts, dim=1)  # [1, 4 + 3 + 1, 16]
    pad, att = [1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 1]
    return f"4 patches, 3 words, 1 state -> {tuple(sequence.shape)}; pad_masks {pad}, att_masks {att}"


@shows("encoder-decoder")
def _t5() -> str:
    both = torch.nn.Transformer(16, 2, num_encoder_layers=1, num_decoder_layers=1, batch_first=True)
    read, written = torch.rand(1, 5, 16), torch.rand(1, 3, 16)
    memory = both.encoder(read)  # once for a sentence
    return f"it reads 5 tokens -> {tuple(memory.shape)}, and writes 3 -> {tuple(both.decoder(written, memory).shape)}"


@shows("influence")
def _influence() -> str:
    sampling = ml.Sampling(max_tokens=20, greedy=True, guidance=2.5)
    codes = ml.generate(kit.llama, kit.text.states, kit.text.mask, sampling)[0].tokens
    losses = []
    for caption in (CAPTION, "a person does a backflip"):
        text = kit.run.text.features([caption])
        batch = ml.build_sequences([codes], text, codebook_size=1024)
        with torch.no_grad():
            losses.append(float(ml.sequence_losses(kit.llama, batch).loss))
    return f"a walk: {ml.about(losses[0], 2)} nats a code under its caption, {ml.about(losses[1], 2)} under another"


@shows("pad_masks", "padding")
def _pad() -> str:
    features = kit.run.text.features([CAPTION, "a person does a backflip now"])
    return f"two captions in one rectangle {tuple(features.states.shape[:2])}: {features.mask.int().tolist()}"


@shows("pooling")
def _pooling() -> str:
    words = kit.text.states[0][kit.text.mask[0]]  # [6, 384]
    return f"{tuple(words.shape)} -> {tuple(words.mean(0).shape)}; the order of the words no longer matters"


@shows("prefix token")
def _prefix() -> str:
    names, att = ml.token_layout([ml.TokenGroup("text", 3), ml.TokenGroup("code", 2, opens=True, causal=True)])
    allow = ml.make_att_2d_masks(torch.ones(1, 5), att)[0]
    seen = allow.sum(1).tolist()
    return f"of {' '.join(names)} the first {ml.prefix_length(att)} see {seen[:3]} tokens, the codes {seen[3:]}"


@shows("prefix tuning")
def _tuning() -> str:
    model = ml.MotionLlama(100, n_layer=1, n_head=2, dim=32, text_dim=16).requires_grad_(False)
    prefix = torch.nn.Parameter(torch.zeros(1, 4, 16))  # four vectors in the place of a text: all that is trained
    logits = model(torch.full((1, 6), 5), prefix, torch.ones(1, 4))
    logits.sum().backward()
    frozen = sum(p.numel() for p in model.parameters())
    return f"trained: {prefix.numel()} numbers; the model's {frozen:,} stay as they are"


@shows("sentinel token", "span corruption")
def _sentinel() -> str:
    words = ml.Words(["a", "person", "walks", "and", "kicks"])
    ids = words.encode("a person walks and kicks")
    source, target = ml.corrupt_spans(ids, [False, False, True, True, False], words)
    return f"read: {words.decode(source)} | write: {words.decode(target)}"


@shows("text encoder")
def _encoder() -> str:
    return f"{CAPTION!r} -> {tuple(kit.text.states.shape)}: a vector of 384 numbers for each piece of the sentence"


@shows("token class")
def _token_class() -> str:
    names, att = ml.token_layout([ml.TokenGroup("image", 2), ml.TokenGroup("text", 2), ml.TokenGroup("state", 1, True)])
    return f"{' '.join(names)} have the flags {att.tolist()}: image and text differ in class and not in flag"


@shows("vocabulary")
def _vocabulary() -> str:
    words = ml.Words.of(["a person walks", "a person kicks"])
    return f"{words.size} entries; 'a person flies' is {words.encode('a person flies')}, and 2 is 'unknown'"


@shows("word piece")
def _piece() -> str:
    pieces: list[str] = []
    left = "backflips"
    known = {"back", "##flip", "##s", "walk", "##ing"}
    while left:
        mark = "##" if pieces else ""
        size = next(n for n in range(len(left), 0, -1) if mark + left[:n] in known)  # the longest that is known
        pieces.append(mark + left[:size])
        left = left[size:]
    return f"'backflips' from the known pieces {sorted(known)}: {pieces}"
