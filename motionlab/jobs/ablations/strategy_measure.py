"""Measures a trained decoder: its losses, how it continues after its own codes, and the motions it writes.

Motions are generated twice: with the length of the real clip given to every decoder, and with a length of its own. A
decoder of next codes writes END itself. Masked modelling has no END to write; its length is that of the training clip
whose caption is nearest, so that it too is told nothing but the caption. All are drawn with the temperature, top_p and
guidance of the run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from motionlab.data.splits import Clips
from motionlab.errors import InputError
from motionlab.evaluation.action_lists import order_score, wanted_actions
from motionlab.evaluation.diversity import mean_distance
from motionlab.jobs.ablations.strategy_point import Ground, TrainedDecoder, curve_clips
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.masked import MaskedSampling, generate_masked
from motionlab.llama.exposure import by_distance, walk
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.corruption import corrupt_codes
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.objectives.strategies import MaskedModelling
from motionlab.llama.sequence import Sequences

MEASURE: dict[str, Any] = {
    "curve_clips": 64,  # validation clips under the curves
    "places": 64,  # codes from the start of a clip
    "bin": 8,  # codes per bin in a curve by position
    "starts": [16, 32],  # true codes before the first own one, for the curve by distance
    "distance": 17,  # entries of that curve: after 0 to 16 own codes
    "noise": [0.0, 0.1, 0.3, 0.5],  # shares of random codes in the history
    "captions": 64,  # of each test split
    "looks": 20,  # of iterative decoding
    "fewer_looks": [1, 5],  # tried too, on seen_pairs
    "choice_noise": [1.0, 4.5],  # tried too, on seen_pairs; MaskGIT takes 4.5, the rest of the file has none
    "same_captions": 8,  # captions with several motions each
    "same_samples": 4,
}
GREEDY = 1e-9  # a temperature at which only the most likely code is left

SCORES = (
    "score_seen", "score_unseen", "exact_seen", "exact_unseen", "score_free_seen", "score_free_unseen",
    "exact_free_seen", "exact_free_unseen", "score_other", "score_fewer_looks", "score_choice_noise",
)  # fmt: skip


@dataclass(frozen=True)
class StrategyResult:
    """The results of one decoder. None where a number has no meaning for it.

    Fields:
        loss, accuracy: of the next token on validation clips, true history; nats per token, share.
        train_loss: the same on as many training clips: the gap says how much was learned by heart.
        noisy_loss: loss when a share (`MEASURE["noise"]`) of the codes that are read is random.
        masked_loss: of masked modelling, at masked places of validation clips, over all shares of masks.
        clean_accuracy, own_accuracy: by position, bins of 8 codes; true history, and nothing but own codes.
        clean_nats, own_nats: minus the logarithm of the probability of the true code, likewise.
        distance_accuracy, distance_nats: after 0, 1, 2 ... own codes that follow true ones. In all six, None where no
            clip has a code.
        score_seen, score_unseen: action score of motions generated with the length given (`exact_`: share that is
            exactly right); `score_free_`, `exact_free_`: with a length of its own; `score_other`: against other
            captions, chance. None where clips do not say their actions.
        score_fewer_looks: of iterative decoding with fewer looks. score_choice_noise: with noise in its choice.
        diversity, multimodality: mean pose distance in mm over captions (None for a single one), and over motions of
            one caption.
        seconds_a_step: median. seconds: the whole training.
    """

    loss: float | None
    accuracy: float | None
    train_loss: float | None
    noisy_loss: list[float] | None
    masked_loss: float | None
    clean_accuracy: list[float | None]
    own_accuracy: list[float | None]
    clean_nats: list[float | None]
    own_nats: list[float | None]
    distance_accuracy: list[float | None]
    distance_nats: list[float | None]
    score_seen: float | None
    score_unseen: float | None
    exact_seen: float | None
    exact_unseen: float | None
    score_free_seen: float | None
    score_free_unseen: float | None
    score_other: float | None
    score_fewer_looks: list[float] | None
    diversity: float | None
    multimodality: float
    seconds_a_step: float
    seconds: float
    exact_free_seen: float | None = None  # files of earlier measurements have none of these three
    exact_free_unseen: float | None = None
    score_choice_noise: list[float] | None = None


def measure_decoder(ground: Ground, trained: TrainedDecoder) -> StrategyResult:
    """All numbers of one decoder."""
    model = trained.model
    numbers = {**_losses(ground, model), **_curves(ground, model), **_scores(ground, model), **_variety(ground, model)}
    return StrategyResult(**numbers, seconds_a_step=round(trained.seconds_a_step, 4), seconds=round(trained.seconds, 1))


def reference_numbers(ground: Ground) -> dict[str, Any]:
    """The references for every point: the judge on real clips and on their reconstructions, and their diversity."""
    tokenizer, normalizer, found = ground.run.tokenizer(), ground.run.normalizer, dict[str, Any]()
    for name, store in ground.tests.items():
        real = [store.features(i) for i in _test_clips(store)]
        with torch.inference_mode():
            rows = tokenizer.encode_clips([normalizer.normalize(clip) for clip in real])
            made = [normalizer.denormalize(clip.float()) for clip in tokenizer.decode_clips(rows)]
        if ground.judges(name):
            found[f"real_{name}"] = round(_mean(_score(ground, store, real)), 4)
            found[f"reconstructed_{name}"] = round(_mean(_score(ground, store, made)), 4)
        if name == "seen" and len(real) > 1:
            found["diversity_real"] = round(mean_distance(real), 2)
            found["diversity_reconstructed"] = round(mean_distance(made), 2)
    lengths = [len(ground.codes.validation[i]) for i in curve_clips(ground, MEASURE["curve_clips"])]
    found["curve_count"] = [sum(length > place for length in lengths) for place in range(MEASURE["places"])]
    return found


@torch.inference_mode()
def _losses(ground: Ground, model: MotionLlama) -> dict[str, Any]:
    """The losses on validation and training clips."""
    held_out = ground.batches(len(ground.splits.validation), held_out=True)
    device = model.llama_proj.weight.device
    if model.mask_token is not None:
        losses = [float(MaskedModelling()(model, batch.to(device)).loss) for batch in held_out]
        return {
            "loss": None,
            "accuracy": None,
            "train_loss": None,
            "noisy_loss": None,
            "masked_loss": round(_mean(losses), 4),
        }
    learned = ground.batches(min(len(ground.splits.validation), len(ground.splits.train)))
    noisy = [_next_loss(model, held_out, share)[0] for share in MEASURE["noise"]]
    return {
        "loss": noisy[0],
        "accuracy": _next_loss(model, held_out, 0.0)[1],
        "train_loss": _next_loss(model, learned, 0.0)[0],
        "noisy_loss": noisy,
        "masked_loss": None,
    }


def _next_loss(model: MotionLlama, batches: Sequence[Sequences], share: float) -> tuple[float, float]:
    """Loss and accuracy of the next token with a share of random codes in the history."""
    loss = accuracy = labels = 0.0
    for batch in batches:
        tokens = corrupt_codes(batch.tokens, 1 - share, model.codebook_size, batch.draws())
        noisy = dataclasses.replace(batch, tokens=tokens).to(model.llama_proj.weight.device)
        losses = sequence_losses(model, noisy)
        loss += float(losses.loss) * batch.n_labels
        accuracy += float(losses.accuracy) * batch.n_labels
        labels += batch.n_labels
    return round(loss / labels, 4), round(accuracy / labels, 4)


def _curves(ground: Ground, model: MotionLlama) -> dict[str, list[float | None]]:
    """Accuracy and nats by position and by distance."""
    batch = ground.batch(curve_clips(ground, MEASURE["curve_clips"]), held_out=True).to(model.llama_proj.weight.device)
    sampling, places, width = ground.run.config.sampling, MEASURE["places"], MEASURE["bin"]
    # A look of masked modelling is a whole pass: with true codes, every fourth place has to do.
    stride = 1 if model.mask_token is None else 4
    clean = walk(model, batch, start=places, places=range(0, places, stride), sampling=sampling).binned(width // stride)
    own = walk(model, batch, start=0, places=range(places), sampling=sampling).binned(width)
    distance = by_distance(model, batch, MEASURE["starts"], MEASURE["distance"], sampling)
    curves = {"clean": clean, "own": own, "distance": distance}
    return {
        **{f"{name}_accuracy": _rounded(curve.accuracy) for name, curve in curves.items()},
        **{f"{name}_nats": _rounded(curve.loss) for name, curve in curves.items()},
    }


def _scores(ground: Ground, model: MotionLlama) -> dict[str, Any]:
    """Action scores of both test splits, and the diversity of what was written for the first."""
    numbers: dict[str, Any] = dict.fromkeys(SCORES)
    for name, store in ground.tests.items():
        judged = ground.judges(name)
        clips = _test_clips(store)
        captions = [store.captions(i)[0] for i in clips]
        lengths = [_codes_of(ground, int(store.lengths[i])) for i in clips]
        made = write_motions(ground, model, captions, lengths)
        if judged:
            free = write_motions(ground, model, captions, None)
            for kind, motions in (("", made), ("free_", free)):
                scores = _score(ground, store, motions)
                numbers[f"score_{kind}{name}"] = round(_mean(scores), 4)
                numbers[f"exact_{kind}{name}"] = round(_mean([score == 1.0 for score in scores]), 4)
        if name == "seen":
            numbers["diversity"] = round(mean_distance(made), 2) if len(made) > 1 else None
            if judged:
                numbers["score_other"] = round(_mean(_score(ground, store, made, shift=1)), 4)
            if judged and model.mask_token is not None:
                tried = [write_motions(ground, model, captions, lengths, looks=n) for n in MEASURE["fewer_looks"]]
                numbers["score_fewer_looks"] = [round(_mean(_score(ground, store, some)), 4) for some in tried]
                noise = MEASURE["choice_noise"]
                tried = [write_motions(ground, model, captions, lengths, choice_noise=some) for some in noise]
                numbers["score_choice_noise"] = [round(_mean(_score(ground, store, some)), 4) for some in tried]
    return numbers


def _variety(ground: Ground, model: MotionLlama) -> Mapping[str, float]:
    """How different several motions of one caption are."""
    store, samples = ground.tests["seen"], MEASURE["same_samples"]
    clips = _test_clips(store)[: MEASURE["same_captions"]]
    captions = [store.captions(i)[0] for i in clips for _ in range(samples)]
    lengths = [_codes_of(ground, int(store.lengths[i])) for i in clips for _ in range(samples)]
    made = write_motions(ground, model, captions, lengths)
    groups = [mean_distance(made[at : at + samples]) for at in range(0, len(made), samples)]
    return {"multimodality": round(_mean(groups), 2)}


def check_test_lengths(ground: Ground) -> None:
    """Before any training: every test clip whose length decoders are given must fit in `sampling.max_tokens`.

    Raises:
        InputError: names the first clip that does not, and the number that is needed.
    """
    names = {id(clips): name for name, clips in ground.splits.tests.items()}
    for clips in ground.tests.values():
        split, room = names[id(clips)], ground.run.config.sampling.max_tokens
        chosen = _test_clips(clips)
        longest = max(_codes_of(ground, int(clips.lengths[i])) for i in chosen)
        for i in chosen:
            codes = _codes_of(ground, int(clips.lengths[i]))
            if codes > room:
                raise InputError(
                    ground.splits.clip_name(split, i),
                    found=f"{codes} codes",
                    expected=f"at most {room} (sampling.max_tokens of the run)",
                    fix=f"Raise it with: motionlab evaluate --run {ground.run.folder} sampling.max_tokens={longest}.",
                )


def write_motions(
    ground: Ground,
    model: MotionLlama,
    captions: Sequence[str],
    lengths: Sequence[int] | None,
    looks: int = MEASURE["looks"],
    choice_noise: float = 0.0,
) -> list[Tensor]:
    """Features `[T, 272]` of one motion per caption, drawn as the run draws.

    Args:
        lengths: codes of each motion; None lets the decoder end them, or takes those of `nearest_lengths`.
        looks, choice_noise: of iterative decoding, for a decoder of masked modelling.
    """
    run, text = ground.run, ground.run.text.features(list(captions))
    sampling = run.config.sampling
    if model.mask_token is None:
        written = generate(model, text.states, text.mask, sampling, lengths=lengths)
    else:
        drawn = MaskedSampling(
            steps=looks, temperature=GREEDY if sampling.greedy else sampling.temperature, top_k=sampling.top_k,
            top_p=sampling.top_p, choice_noise=choice_noise, guidance=sampling.guidance, seed=sampling.seed,
        )  # fmt: skip
        lengths = nearest_lengths(ground, captions) if lengths is None else lengths
        written = generate_masked(model, text.states, text.mask, lengths, drawn)
    with torch.inference_mode():
        clips = run.tokenizer().decode_clips([row.tokens for row in written])
        return [run.normalizer.denormalize(clip.float()) for clip in clips]


def nearest_lengths(ground: Ground, captions: Sequence[str]) -> list[int]:
    """Codes of the training clip whose caption is nearest, but no more than a decoder may write."""
    clips, most = ground.splits.train, ground.run.config.sampling.max_tokens
    nearest = ground.training_motions.nearest_captions(captions)
    return [min(most, _codes_of(ground, int(clips.lengths[index]))) for index in nearest]


def _score(ground: Ground, store: Clips, motions: Sequence[Tensor], shift: int = 0) -> list[float]:
    """Order score of each motion against the actions of its clip, or of the clip `shift` places on."""
    clips = _test_clips(store)
    wanted = [wanted_actions(store.segments(i)) for i in clips]
    found = [ground.judge.recognise(motion) for motion in motions]
    return [order_score(wanted[(at + shift) % len(wanted)], some) for at, some in enumerate(found)]


def _test_clips(store: Clips) -> list[int]:
    return list(range(min(MEASURE["captions"], len(store))))


def _codes_of(ground: Ground, frames: int) -> int:
    return -(-frames // ground.run.config.tokenizer.frames_per_token)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _rounded(curve: Tensor) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 4) for value in curve.tolist()]
