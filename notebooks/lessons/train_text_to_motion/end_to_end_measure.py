"""The measurements of the experiment in `end_to_end.py`, during training and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from motionlab.config import RunConfig
from motionlab.data.composed.corpus import Corpus
from motionlab.data.splits import Clips
from motionlab.evaluation.action_lists import order_score, wanted_actions
from motionlab.evaluation.actions import ActionClassifier, train_classifier
from motionlab.evaluation.tokenizer import measure_tokenizer, reconstruct
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.sequence import build_sequences
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.usage import CodeUsage
from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures
from motionlab.tokenizer.model import MotionTokenizer

WATCHED = 64  # training clips whose tokens are followed from look to look


@dataclass(frozen=True)
class Look:
    """Measurements during training, on test clips if not said otherwise.

    Fields:
        step: updates so far of the model that is learning; in two stages those of the decoder.
        mpjpe_mm, mpjpe_heading_mm: reconstruction error of the tokenizer.
        decoder_loss: nats per token; entropy: of the tokens alone, what a decoder would reach that knows how often each
            token occurs and nothing else.
        used, perplexity: of the codebook, over the watched training clips.
        tokens_changed, clips_changed: share of the watched tokens, and of the clips with at least one, that changed
            since the look before.
    """

    step: int
    mpjpe_mm: float
    mpjpe_heading_mm: float
    decoder_loss: float
    entropy: float
    used: int
    perplexity: float
    tokens_changed: float
    clips_changed: float


@dataclass
class Material:
    """Shared by all points."""

    config: RunConfig
    corpus: Corpus
    normalizer: Normalizer
    text: TextCache
    clips: list[Tensor]  # training clips, normalised, [T, 272] each

    @cached_property
    def judge(self) -> ActionClassifier:
        """The classifier of actions, trained only on real clips; the same one for every point."""
        steps = self.config.evaluation.classifier_steps
        with torch.enable_grad():  # the first caller may be measuring
            return train_classifier(self.corpus.train, steps=steps)

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, TextFeatures]:
        """Motion `[B, T, 272]` padded with zeros, its mask `[B, T]`, and the first caption of every clip."""
        chosen = [self.clips[i] for i in rows]
        motion = nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        mask = torch.arange(motion.shape[1]) < torch.tensor([len(clip) for clip in chosen]).unsqueeze(1)
        return motion, mask, self.text.features([self.corpus.train.captions(i)[0] for i in rows])


class Watch:
    """Measures both models on the way, and remembers the tokens of the look before."""

    def __init__(self, material: Material, tokenizer: MotionTokenizer, llama: MotionLlama) -> None:
        self.material, self.tokenizer, self.llama = material, tokenizer, llama
        self.before: list[Tensor] = []

    @torch.inference_mode()
    def look(self, step: int) -> Look:
        """Measure now; both models are in training mode afterwards."""
        store, normalizer = self.material.corpus.seen_pairs, self.material.normalizer
        errors, _ = measure_tokenizer(self.tokenizer, store, normalizer)
        tokens = self.tokenizer.encode_clips([normalizer.normalize(store.features(i)) for i in range(len(store))])
        text = self.material.text.features([store.captions(i)[0] for i in range(len(store))])
        self.llama.eval()
        held_out = build_sequences(tokens, text, self.llama.codebook_size, self.llama.max_length)
        loss = float(sequence_losses(self.llama, held_out).loss)
        now = self.tokenizer.encode_clips(self.material.clips[:WATCHED])
        usage = CodeUsage(self.tokenizer.codebook_size)
        usage.update(torch.cat(now))
        summary = usage.summary()
        changed = [row != old for row, old in zip(now, self.before, strict=True)] if self.before else []
        self.before = now
        self.tokenizer.train()
        self.llama.train()
        return Look(
            step=step,
            mpjpe_mm=short(errors["mpjpe_mm"]),
            mpjpe_heading_mm=short(errors["mpjpe_heading_mm"]),
            decoder_loss=short(loss),
            entropy=short(token_entropy(tokens)),
            used=summary.used,
            perplexity=short(summary.perplexity),
            tokens_changed=short(float(torch.cat(changed).float().mean())) if changed else 0.0,
            clips_changed=short(sum(bool(row.any()) for row in changed) / len(changed)) if changed else 0.0,
        )


def token_entropy(tokens: Sequence[Tensor]) -> float:
    """Nats per token, END counted once a clip: the loss of a decoder that knows only how often each token occurs.

    >>> round(token_entropy([torch.tensor([0]), torch.tensor([1])]), 4)  # 0, 1, END, END: 1/4, 1/4, 1/2
    1.0397
    """
    counts = torch.cat([torch.cat(list(tokens)).bincount(), torch.tensor([len(tokens)])]).double()
    share = counts[counts > 0] / counts.sum()
    return float(-(share * share.log()).sum())


@torch.no_grad()
def action_scores(material: Material, tokenizer: MotionTokenizer, llama: MotionLlama) -> dict[str, float]:
    """Order score of the actions that a classifier, trained only on real clips, sees in the test clips.

    "other caption" holds each generated motion against the caption of the next clip: what chance gives.
    """
    store, normalizer, config = material.corpus.seen_pairs, material.normalizer, material.config
    text = material.text.features([store.captions(i)[0] for i in range(len(store))])
    sampling = Sampling(max_tokens=config.sampling.max_tokens, temperature=0.8, top_p=0.9)
    tokenizer.eval()
    made = [
        reconstruct(tokenizer, normalizer, one.tokens[None])
        for one in generate(llama, text.states, text.mask, sampling)
    ]
    real = [store.features(i) for i in range(len(store))]
    coded = tokenizer.encode_clips([normalizer.normalize(clip) for clip in real])
    restored = [reconstruct(tokenizer, normalizer, row[None]) for row in coded]
    scores = {"real": real, "reconstructed": restored, "generated": made}
    result = {name: short(_score(material.judge, store, motions)) for name, motions in scores.items()}
    return {**result, "other caption": short(_score(material.judge, store, [*made[-1:], *made[:-1]]))}


def _score(judge: ActionClassifier, store: Clips, motions: Sequence[Tensor]) -> float:
    wanted = [wanted_actions(store.segments(i)) for i in range(len(store))]
    scores = [order_score(want, judge.recognise(motion)) for want, motion in zip(wanted, motions, strict=True)]
    return sum(scores) / len(scores)


def short(value: float) -> float:
    """Five digits are enough for a file of results."""
    return float(f"{value:.5g}")
