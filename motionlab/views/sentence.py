"""Motions of one sentence, side by side, with what a judge sees in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from motionlab.jobs.generate import GeneratedMotion, frames_of, generate_motions, judged
from motionlab.jobs.known_actions import FILE, about_of, open_known_captions
from motionlab.jobs.run_folder import Run

MOST = 4  # motions of a sentence


@dataclass(frozen=True)
class SentenceView:
    """Some motions of a sentence.

    Fields:
        motions: each drawn anew.
        judged: whether the run has a judge that names their actions.
        outside: what the training captions do not hold of the sentence; empty when they hold all of it.
    """

    sentence: str
    motions: tuple[GeneratedMotion, ...]
    judged: bool
    outside: str

    @property
    def asked(self) -> bool:
        """Whether the reader chose the length."""
        return any(one.generated.stopped_by == "length" for one in self.motions)

    @property
    def cut(self) -> int:
        """How many motions were not over when the settings of the run allowed no more."""
        return sum(one.generated.stopped_by == "limit" for one in self.motions)

    def labels(self) -> list[str]:
        """One for each motion: its number, its seconds, and its actions."""
        found = []
        for number, one in enumerate(self.motions, start=1):
            names = ", ".join(action.name for action in one.actions) or "no action" if one.actions is not None else ""
            found.append(f"{number}: {one.motion.duration:.1f} s" + (f", {names}" if names else ""))
        return found


def compute_sentence(
    run: Run,
    sentence: str,
    *,
    motions: int = 1,
    guidance: float | None = None,
    temperature: float | None = None,
    seconds: float = 0.0,
    seed: int = 0,
) -> SentenceView:
    """Generate a sentence several times.

    Args:
        run: with a trained tokenizer and decoder.
        motions: how many, each from other random numbers; at most `MOST`.
        guidance, temperature: None keeps those of the run.
        seconds: length of each; 0 lets the decoder say when a motion is over.

    Raises:
        InputError: an empty sentence, a length out of range, or guidance for a decoder that never trained without text.
    """
    own = run.config.sampling
    sampling = replace(
        own, guidance=own.guidance if guidance is None else guidance,
        temperature=own.temperature if temperature is None else temperature,
    )  # fmt: skip
    run.config.check_sampling(sampling)
    limit = sampling.max_tokens * run.config.tokenizer.frames_per_token
    frames = [frames_of(seconds, limit)] if seconds else None
    made = []
    for number in range(motions):  # each with a seed of its own: in one batch, equal sentences get equal draws
        drawn = replace(sampling, seed=seed * MOST + number)
        made.append(judged(run, generate_motions(run, [sentence], drawn, frames)[0][0]))
    return SentenceView(sentence, tuple(made), all(one.actions is not None for one in made), made[0].outside)


def known_sentences(run: Run) -> list[str]:
    """A sentence for each action that the training clips of a run know, the most frequent first; [] if unknown."""
    about = about_of(open_known_captions(run), run.folder / FILE)
    return [f"a person {action.phrases[0]}" for action in about.actions if action.phrases]
