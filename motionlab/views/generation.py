"""One generated motion, and the distributions that its codes were drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.jobs.generate import generate_motions
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.guidance import guide
from motionlab.llama.decoding.sampling import Sampling, token_probabilities
from motionlab.llama.null_text import with_null_rows
from motionlab.llama.sequence import build_sequences
from motionlab.motion.motion import Motion
from motionlab.plots.generation import DistributionView

if TYPE_CHECKING:
    from motionlab.evaluation.actions import ActionClassifier

SHOWN = 24  # most likely codes of a place that are shown


def entropy_bits(probability: Tensor) -> Tensor:
    """Entropy in bits of distributions `[..., V]`, `[...]`.

    >>> import torch
    >>> entropy_bits(torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
    tensor([1., 0.])
    """
    nats: Tensor = torch.special.entr(probability).sum(-1)
    return nats / math.log(2)


def view_distribution(
    plain: Tensor, guided: Tensor, tokens: Sequence[int], place: int, sampling: Sampling
) -> DistributionView:
    """The probabilities that a generated motion was drawn from.

    Args:
        plain: logits `[n, K + 1]` of the text; guided: after guidance (the same without it).
        tokens: the `n` tokens that were drawn; END is K.
        place: 0 to n - 1.
    """
    if not 0 <= place < len(plain):
        raise InputError(
            "place", found=place, expected=f"0 to {len(plain) - 1}: the motion has {len(plain)} tokens", fix="Go back."
        )
    before, after = plain.float().softmax(-1), token_probabilities(guided, sampling)
    end = plain.shape[-1] - 1
    order = (after[place] + 1e-6 * before[place]).argsort(descending=True)[:SHOWN].tolist()
    return DistributionView(
        names=["END" if code == end else str(code) for code in order],
        before=before[place, order].tolist(),
        after=after[place, order].tolist(),
        chosen=order.index(tokens[place]) if tokens[place] in order else None,
        entropy_before=entropy_bits(before).tolist(),
        entropy_after=entropy_bits(after).tolist(),
        kept=(after > 0).sum(-1).tolist(),
        place=place,
    )


@dataclass(frozen=True)
class GenerationView:
    """A generated motion and what it was drawn from.

    Fields:
        stopped_by: "end" or "limit"; actions: what the classifier sees, or None without one.
        path: metres that the pelvis went over the floor; seconds: how long it lasts.
        mean_bits: entropy of what a token was drawn from, mean over the places.
    """

    sentence: str
    motion: Motion
    codes: list[int]
    stopped_by: str
    path: float
    seconds: float
    mean_bits: float
    actions: list[str] | None
    distribution: DistributionView


@torch.inference_mode()
def token_logits(run: Run, sentence: str, tokens: Sequence[int], guidance: float) -> tuple[Tensor, Tensor]:
    """Logits `[n, K + 1]` that each of the `n` tokens of a motion was drawn from: of the text, and guided.

    Args:
        tokens: codes, and END at the end if the motion has one.
    """
    llama = run.llama
    features = run.text.features([sentence])
    device = llama.llama_proj.weight.device
    codes = torch.tensor([token for token in tokens if token != llama.end_token], dtype=torch.long)
    batch = build_sequences([codes], features, llama.codebook_size, llama.max_length).to(device)
    width = int(features.mask.sum())
    plain = llama(batch.tokens, batch.text, batch.text_mask)[0, width - 1 :][: len(tokens)]  # [n, K+1]
    if guidance == 1.0:
        return plain.cpu(), plain.cpu()
    _, null_mask = with_null_rows(batch.text[:, :1], batch.text_mask[:, :1])
    nothing = build_sequences(
        [codes], type(features)(torch.zeros(1, 1, features.dim), null_mask[1:].cpu()), llama.codebook_size,
        llama.max_length,
    ).to(device)  # fmt: skip
    without = llama(nothing.tokens, nothing.text, nothing.text_mask)[0][: len(tokens)]  # one slot of text: place 0 on
    return plain.cpu(), guide(torch.cat([plain, without]), guidance).cpu()


def compute_generation(
    run: Run,
    sentence: str,
    *,
    temperature: float,
    top_p: float,
    guidance: float = 1.0,
    seed: int = 0,
    place: int = 0,
    judge: ActionClassifier | None = None,
) -> GenerationView:
    """Generate the motion of a sentence, and look at one of its places.

    Args:
        run: with a trained tokenizer and decoder; what is not named here is as in its own sampling.
        place: of the token that is looked at; beyond the end of the motion it is the last one.
        judge: names the actions of the motion, if given.

    Raises:
        InputError: guidance for a decoder that never trained without text, or an empty sentence.
    """
    if guidance != 1.0 and run.config.llama.text_drop == 0:
        raise InputError(
            "guidance",
            found=f"{guidance:g} for a decoder that never trained without text",
            expected="1 (off)",
            fix="Train with llama.text_drop=0.1 to use guidance.",
        )
    sampling = replace(
        run.config.sampling, greedy=False, temperature=temperature, top_p=top_p, guidance=guidance, seed=seed
    )
    run.config.check_sampling(sampling)
    made = generate_motions(run, [sentence], sampling, compare=False)[0][0]
    codes = made.generated.tokens.tolist()
    tokens = [*codes, run.llama.end_token] if made.generated.stopped_by == "end" else codes
    plain, guided = token_logits(run, sentence, tokens, guidance)
    distribution = view_distribution(plain, guided, tokens, min(place, len(tokens) - 1), sampling)
    floor = made.motion.joints()[:, 0, [0, 2]]  # [T, 2] metres, the pelvis from above
    return GenerationView(
        sentence=sentence,
        motion=made.motion,
        codes=codes,
        stopped_by=made.generated.stopped_by,
        path=float(floor.diff(dim=0).norm(dim=-1).sum()),
        seconds=len(made.motion) / made.motion.fps,
        mean_bits=sum(distribution.entropy_after) / len(distribution.entropy_after),
        actions=None if judge is None else judge.recognise(made.motion.features),
        distribution=distribution,
    )
