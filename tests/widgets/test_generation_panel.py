"""The generation panel shows what the sampler did; the panel of stage 2's training follows its file."""

from __future__ import annotations

import base64
import dataclasses
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from motionlab.config import load_config
from motionlab.data.composed.corpus import build_corpus
from motionlab.errors import InputError
from motionlab.jobs.build import make_llama, make_tokenizer
from motionlab.jobs.prepare import fit_normalizer
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling, token_probabilities
from motionlab.runtime import seeded
from motionlab.training.reporting.history import History
from motionlab.views.generation import token_logits
from motionlab.widgets.fitting import DENSITY
from motionlab.widgets.generation_panel import MOMENTS, DecoderTrainingPanel, GenerationPanel, verdict

SENTENCE = "a person walks"


def make_run(folder: Path, text_drop: float) -> Run:
    config = load_config("ci", [f"llama.text_drop={text_drop}", "corpus.n_train=24"])
    run = Run.create(folder, config)
    fit_normalizer(run, build_corpus(config.corpus))
    with seeded(0):
        tokenizer = make_tokenizer(config.tokenizer)
        llama = make_llama(config, codebook_size=tokenizer.codebook_size, text_dim=run.text.dim)
        for parameter in llama.parameters():
            parameter.data.normal_(std=0.2)
    run.save(tokenizer, "tokenizer-fsq")
    run.save(llama, "llama")
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run"), text_drop=0.1)


@pytest.fixture
def panel(run: Run) -> GenerationPanel:
    return GenerationPanel(run, SENTENCE)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_the_logits_are_those_that_the_codes_were_drawn_from(run: Run, guidance: float) -> None:
    """Greedy codes are the largest logits at every place, with guidance and without."""
    features = run.text.features([SENTENCE])
    sampling = Sampling(max_tokens=20, greedy=True, guidance=guidance)
    (made,) = generate(run.llama, features.states, features.mask, sampling)
    plain, guided = token_logits(run, SENTENCE, made.tokens.tolist(), guidance)
    assert guided[1:].argmax(-1).tolist() == made.tokens.tolist()[1:]
    assert torch.equal(plain, guided) == (guidance == 1.0)


def test_the_panel_draws_and_describes(panel: GenerationPanel) -> None:
    panel.set(temperature=1.0, top_p=1.0, place=3)
    view = panel.result
    assert view.motion.features.shape[0] == 4 * len(view.codes) and view.stopped_by in ("end", "limit")
    assert view.distribution.place == 3
    wide = np.mean(view.distribution.entropy_after)
    panel.preset("careful")
    assert panel.params["temperature"] == 0.3 and np.mean(panel.result.distribution.entropy_after) < wide
    assert f"place 3: ≈{view.distribution.kept[3]} tokens to draw from" in panel.describe(view)
    assert panel.table().rows[0][0] == "code" and len(panel.table().rows) == 9
    assert repr(panel) == "<GenerationPanel: sentence, temperature, top_p, guidance, place, seed>"
    assert "generated" in repr(panel.player())


def test_what_is_shown_is_the_distribution_of_the_code(panel: GenerationPanel, run: Run) -> None:
    panel.set(temperature=0.7, top_p=0.9, guidance=2.0, place=1, seed=3)
    view = panel.result
    tokens = [*view.codes, run.llama.end_token] if view.stopped_by == "end" else view.codes
    _, guided = token_logits(run, SENTENCE, tokens, 2.0)
    expected = token_probabilities(guided[1], Sampling(max_tokens=1, temperature=0.7, top_p=0.9))
    assert view.distribution.after == pytest.approx(expected.sort(descending=True).values[:24].tolist(), abs=1e-6)
    assert view.distribution.chosen is not None
    assert view.distribution.names[view.distribution.chosen] == str(tokens[1])


def test_a_motion_that_was_cut_says_so(panel: GenerationPanel) -> None:
    view = panel.result
    assert "END" in verdict(dataclasses.replace(view, stopped_by="end"))
    cut = verdict(dataclasses.replace(view, stopped_by="limit", actions=["walk", "kick"]))
    assert cut == "CUT at the limit: it was not finished · seen: walk, kick"
    assert verdict(dataclasses.replace(view, actions=[])).endswith("seen: no action")


def test_a_seed_is_a_motion_and_a_sentence_is_another(panel: GenerationPanel) -> None:
    first = panel.result.codes
    panel.set(seed=5)
    assert panel.result.codes != first
    panel.set(seed=0)
    assert panel.result.codes == first
    panel.set(sentence="somebody jumps high")
    assert panel.result.codes != first and panel.result.sentence == "somebody jumps high"


def test_bad_input_is_shown_and_does_not_raise(panel: GenerationPanel, tmp_path: Path) -> None:
    panel.set(sentence=" ")
    assert 'role="alert"' in panel._text.value
    panel.set(sentence=SENTENCE, place=39)  # beyond the end of a short motion: its last place
    assert 'role="alert"' not in panel._text.value
    plain = GenerationPanel(make_run(tmp_path / "plain", text_drop=0.0), SENTENCE)
    plain.set(guidance=2.0)
    assert "never trained without text" in plain._text.value
    with pytest.raises(InputError, match="expected 0.1 to 3"):
        panel.set(temperature=9.0)


def test_the_training_panel_follows_the_file(tmp_path: Path) -> None:
    panel = DecoderTrainingPanel(tmp_path)
    assert panel.summary() == "smooth=1 -> no training yet"
    history = History(tmp_path / "history.csv")
    for i in (1, 2, 3):
        row = {"step": i, "lr": 1e-3, "loss": 4.0 / i, "accuracy": 0.1 * i}
        history.append(row | ({"val_loss": 3.0, "val_accuracy": 0.25} if i == 2 else {}))
    assert panel.summary() == (
        "smooth=1 -> step 3 | loss ≈1.333 | held-out loss ≈3.000 | accuracy ≈0.300 | held-out accuracy ≈0.250"
    )
    panel.set(smooth=2)
    assert "| loss ≈1.667 |" in panel.summary() and "accuracy ≈0.250 |" in panel.summary()
    assert panel.table().rows == [["step", "held-out loss", "held-out accuracy"], ["2", "≈3.000", "≈0.250"]]
    assert repr(panel) == "<DecoderTrainingPanel: smooth>"


def test_a_saved_page_shows_moments_of_the_motion(panel: GenerationPanel) -> None:
    """A row above the picture and as wide as it, with a figure at each moment."""
    panel.set(seed=1)
    drawn = Image.open(BytesIO(panel._image.value))
    kept = Image.open(BytesIO(base64.b64decode(panel.still()["image/png"])))
    assert kept.width == round(drawn.width / DENSITY)
    side = kept.width // MOMENTS
    assert abs(kept.height - round(drawn.height / DENSITY) - side) <= 1
    strip = kept.convert("L").crop((0, 0, kept.width, side))
    dark = [np.asarray(strip.crop((i * side, 0, (i + 1) * side, side))).min() for i in range(MOMENTS)]
    assert max(dark) < 160  # a figure in each
