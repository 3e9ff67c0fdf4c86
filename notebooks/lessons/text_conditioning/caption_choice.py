"""Many captions for one motion: always the first, or another one at each epoch? The experiment of lesson 07.

A finished run gives the tokenizer, the codes and the captions: every clip has three. Only a decoder of two layers is
retrained, otherwise with the settings of the run. The third caption of a clip is never trained on. Three conditions:

    "first"     one caption per clip, the same in every epoch
    "random"    one of two, drawn in every epoch
    "padding"   as "random", but with a bug: the batch is padded to its longest text, and the decoder reads the padding
                as if it were words

A point is a condition, a number of training clips and a seed; about a minute on one core. A point that the file holds
is not trained again. The committed file comes from:

    motionlab train tokenizer --preset two_frames --name plain llama.text_drop=0 sampling.guidance=1 \
        sampling.temperature=0.8
    cd notebooks; train="python -m lessons.text_conditioning.caption_choice ../runs/plain results/caption_choice.jsonl"
    for seed in 0 1 2; do $train --seed $seed --clips 240; $train --seed $seed --clips 2400; done
    for seed in 0 1 2; do $train --seed $seed --clips 2400 --conditions padding; done
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from motionlab import runtime
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.data.splits import Clips
from motionlab.errors import InputError
from motionlab.evaluation.action_lists import order_score, wanted_actions
from motionlab.evaluation.actions import ActionClassifier, train_classifier
from motionlab.files import write_text
from motionlab.jobs.build import make_llama
from motionlab.jobs.run_folder import Run
from motionlab.jobs.tokens import training_codes
from motionlab.llama.decoding.generate import generate
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.sequence import SequenceBatches, build_sequences
from motionlab.runtime import seed_everything
from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures
from motionlab.training.loop import fit
from motionlab.training.stage import FunctionStage, Losses

STEPS, LAYERS, LOSS_BATCH = 240, 2, 32
CONDITIONS = ("first", "random", "padding")
EXTRA_PADDING = 12  # slots after each text where padding that is read is measured
HELD_OUT = 2  # number of the caption that is never trained on
# Sentences that no caption of the corpus is built like. The actions stay in the order of time.
NEW_WORDS = ("we see a man who {0}", "we see a man who {0}; next he {1}")


@dataclass(frozen=True)
class Point:
    """One trained condition to compare."""

    condition: str
    clips: int
    seed: int


@dataclass(frozen=True)
class Measured:
    """The results of one decoder. Losses in nats per token; scores from 0 to 1, the mean over 64 test clips each.

    Fields:
        trained: loss on clips and captions that were trained on (the first caption).
        other_caption: loss on the same clips with the caption that was held out.
        new_clips: loss on validation clips with their held-out caption.
        new_words: loss on validation clips with sentences of another form.
        new_clips_padded: as `new_clips`, but `EXTRA_PADDING` slots of padding after each text are read as words.
        seen, unseen: action score of motions generated from the captions of the test splits, one text at a time.
        seen_new_words, unseen_new_words: the same from sentences of another form.
        limit: share of all generated motions that did not end on their own.
        seconds: training time on the machine where the row was made.
    """

    trained: float
    other_caption: float
    new_clips: float
    new_words: float
    new_clips_padded: float
    seen: float
    unseen: float
    seen_new_words: float
    unseen_new_words: float
    limit: float
    seconds: float


class Texts(Protocol):
    """A source of features for captions."""

    def features(self, captions: Sequence[str]) -> TextFeatures: ...

    def token_counts(self, captions: Sequence[str]) -> list[int]: ...


class PaddingRead:
    """The bug: padding counts as text. It becomes zeros, which the decoder's projection maps to its bias."""

    def __init__(self, texts: Texts) -> None:
        self.texts, self.token_counts = texts, texts.token_counts

    def features(self, captions: Sequence[str]) -> TextFeatures:
        """As the texts, but every slot of the batch is in use."""
        return padding_read(self.texts.features(captions))


def padding_read(text: TextFeatures, extra: int = 0) -> TextFeatures:
    """The same features with a mask that is true everywhere, and `extra` more slots of zeros.

    >>> padding_read(TextFeatures(torch.ones(1, 2, 4), torch.tensor([[True, False]])), extra=1).mask
    tensor([[True, True, True]])
    """
    states = torch.nn.functional.pad(text.states * text.mask[..., None], (0, 0, 0, extra))  # [N, L + extra, dim]
    return TextFeatures(states, torch.ones(states.shape[:2], dtype=torch.bool))


def new_words(store: Clips, clip: int) -> str:
    """A caption of a clip in a form that no caption of the corpus has."""
    phrases = [segment.phrase for segment in store.segments(clip)]
    return NEW_WORDS[len(phrases) - 1].format(*phrases)


def train_decoder(run: Run, corpus: Corpus, point: Point, steps: int = STEPS) -> MotionLlama:
    """Train the decoder of a run on some of its clips; the weights are not written anywhere."""
    config = run.config
    settings = replace(
        config.llama_training, steps=steps, seed=point.seed, warmup_steps=min(30, steps - 1), precision="fp32"
    )
    if point.condition not in CONDITIONS:
        raise InputError("condition", found=repr(point.condition), expected=", ".join(CONDITIONS), fix="Choose one.")
    codes, clips = training_codes(run, corpus).train, range(point.clips)
    if len(codes) < point.clips:
        raise InputError("clips", found=point.clips, expected=f"at most {len(codes)}", fix="Ask for fewer.")
    known = slice(0, 1) if point.condition == "first" else slice(0, HELD_OUT)
    seed_everything(point.seed)
    shape = replace(config, llama=replace(config.llama, n_layer=LAYERS))
    model = make_llama(shape, codebook_size=run.tokenizer().codebook_size, text_dim=run.text.dim)
    batches = SequenceBatches(
        [codes[i] for i in clips],
        [corpus.train.captions(i)[known] for i in clips],
        PaddingRead(run.text) if point.condition == "padding" else run.text,
        codebook_size=model.codebook_size,
        batch_size=settings.batch_size,
        seed=point.seed,
        max_length=model.max_length,
        edge_drop=config.llama.edge_drop,
    )
    stage = FunctionStage(
        model,
        batches,
        step=lambda batch: Losses(sequence_losses(model, batch).loss),
        count=lambda batch: batch.n_labels,
        title=f"{point.condition}, {point.clips} clips",
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(stage, settings, folder)
    return model.eval()


@torch.inference_mode()
def text_loss(model: MotionLlama, codes: Sequence[Tensor], text: TextFeatures) -> float:
    """Mean loss in nats per token of predicting codes from text."""
    total = labels = 0.0
    for start in range(0, len(codes), LOSS_BATCH):
        rows = range(start, min(start + LOSS_BATCH, len(codes)))
        batch = build_sequences([codes[i] for i in rows], text.rows(rows), model.codebook_size, model.max_length)
        total += float(sequence_losses(model, batch).loss) * batch.n_labels
        labels += batch.n_labels
    return total / labels


@torch.inference_mode()
def action_scores(
    run: Run, model: MotionLlama, judge: ActionClassifier, store: Clips, text: TextFeatures
) -> tuple[float, int]:
    """Mean action score of one motion per text, and how many motions reached the limit of tokens."""
    tokenizer, normalizer, scores, limit = run.tokenizer(), run.normalizer, [], 0
    for clip, made in enumerate(generate(model, text.states, text.mask, run.config.sampling)):
        features = normalizer.denormalize(tokenizer.decode(made.tokens[None])[0])  # [T, 272]
        scores.append(order_score(wanted_actions(store.segments(clip)), judge.recognise(features)))
        limit += made.stopped_by == "limit"
    return sum(scores) / len(scores), limit


def measure(run: Run, corpus: Corpus, point: Point, judge: ActionClassifier, steps: int = STEPS) -> Measured:
    """Train one decoder and measure it; `judge` names the actions of what it generates."""
    began = time.perf_counter()
    model = train_decoder(run, corpus, point, steps)
    seconds = time.perf_counter() - began
    train, validation, codes = corpus.train, corpus.validation, training_codes(run, corpus)
    known, new = range(min(point.clips, 240)), range(len(validation))
    known_codes = codes.train[: len(known)]
    other = TextCache(None, run.text.encoder)  # in memory: sentences that the run does not need are not kept

    def held_out(clips: Clips, numbers: Sequence[int]) -> TextFeatures:
        return run.text.features([clips.captions(i)[HELD_OUT] for i in numbers])

    other_words = other.features([new_words(validation, i) for i in new])
    losses = {
        "trained": text_loss(model, known_codes, run.text.features([train.captions(i)[0] for i in known])),
        "other_caption": text_loss(model, known_codes, held_out(train, known)),
        "new_clips": text_loss(model, codes.validation, held_out(validation, new)),
        "new_words": text_loss(model, codes.validation, other_words),
        "new_clips_padded": padded_loss(model, codes.validation, held_out(validation, new)),
    }
    scores, limits = {}, 0
    for name, store in (("seen", corpus.seen_pairs), ("unseen", corpus.unseen_pairs)):
        clips = range(len(store))
        for suffix, text in (
            ("", run.text.features([store.captions(i)[0] for i in clips])),
            ("_new_words", other.features([new_words(store, i) for i in clips])),
        ):
            scores[name + suffix], limit = action_scores(run, model, judge, store, text)
            limits += limit
    made = 2 * (len(corpus.seen_pairs) + len(corpus.unseen_pairs))
    numbers = {name: round(value, 4) for name, value in (losses | scores).items()}
    return Measured(**numbers, limit=round(limits / made, 4), seconds=round(seconds, 1))


def padded_loss(model: MotionLlama, codes: Sequence[Tensor], text: TextFeatures, extra: int = EXTRA_PADDING) -> float:
    """The loss when each text is followed by `extra` slots of padding that are read as words."""
    rows = [padding_read(text.rows([i]), extra).states[0] for i in range(len(text))]
    return text_loss(model, codes, TextFeatures.from_rows(rows))


def load_points(path: str | Path) -> dict[Point, Measured]:
    """Read a result file.

    Raises:
        InputError: it is missing or not of this form.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return {Point(**row["point"]): Measured(**row["result"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, found=f"{type(error).__name__}: {error}", expected="a result file of lesson 07", fix="Make it again."
        ) from error


def main() -> None:
    """Train some conditions for one number of clips and one seed, and add them to the file."""
    parser = argparse.ArgumentParser(description="The caption experiment of lesson 07.")
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("out", type=Path, help="JSON lines; a point in it is not trained again")
    parser.add_argument("--clips", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=["first", "random"])
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer for a quick trial")
    arguments = parser.parse_args()
    runtime.set_threads(1)  # the same sums in the same order everywhere
    found = load_points(arguments.out) if arguments.out.exists() else {}
    points = [Point(condition, arguments.clips, arguments.seed) for condition in arguments.conditions]
    todo = [point for point in points if point not in found]
    if not todo:
        return
    run = Run.open(arguments.run)
    corpus = build_corpus(run.config.corpus)
    steps = run.config.evaluation.classifier_steps
    judge = train_classifier(corpus.train, steps=steps, seed=run.config.seed)
    for point in todo:
        measured = measure(run, corpus, point, judge, arguments.steps)
        found = (load_points(arguments.out) if arguments.out.exists() else {}) | {point: measured}
        rows = [json.dumps({"point": asdict(at), "result": asdict(got)}) for at, got in found.items()]
        write_text(arguments.out, "\n".join(rows) + "\n")
        print(point, measured, flush=True)


if __name__ == "__main__":
    main()
