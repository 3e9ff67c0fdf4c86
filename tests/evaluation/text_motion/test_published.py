"""Published evaluators load from a folder of the published layout, strictly.

No published checkpoint is at hand here: the files are written by the test, with the names and shapes of the published
code and random numbers.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.text_motion.published import DISTILBERT, PublishedEvaluator, load_published_evaluator
from motionlab.runtime import random_generator, seeded

transformers = pytest.importorskip("transformers")
WIDTH, FORWARD, LAYERS, LANGUAGE = 16, 24, 2, 12
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a person walks kicks and then turns left right".split()
CAPTIONS = ["a person walks", "a person kicks and then turns left", "kicks"]


def layer_shapes(number: int) -> dict[str, tuple[int, ...]]:
    at = f"seqTransEncoder.layers.{number}."
    shapes = {
        "self_attn.in_proj_weight": (3 * WIDTH, WIDTH), "self_attn.in_proj_bias": (3 * WIDTH,),
        "self_attn.out_proj.weight": (WIDTH, WIDTH), "self_attn.out_proj.bias": (WIDTH,),
        "linear1.weight": (FORWARD, WIDTH), "linear1.bias": (FORWARD,),
        "linear2.weight": (WIDTH, FORWARD), "linear2.bias": (WIDTH,),
        "norm1.weight": (WIDTH,), "norm1.bias": (WIDTH,), "norm2.weight": (WIDTH,), "norm2.bias": (WIDTH,),
    }  # fmt: skip
    return {at + name: shape for name, shape in shapes.items()}


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the two encoders in the checkpoint, DistilBERT aside."""
    shapes: dict[str, tuple[int, ...]] = {}
    for prefix, linear, inputs in (
        ("textencoder.", "projection.1", LANGUAGE),
        ("motionencoder.", "skel_embedding", 272),
    ):
        own = {"mu_token": (WIDTH,), "logvar_token": (WIDTH,), f"{linear}.weight": (WIDTH, inputs)}
        own |= {f"{linear}.bias": (WIDTH,)}
        for number in range(LAYERS):
            own |= layer_shapes(number)
        shapes |= {prefix + name: shape for name, shape in own.items()}
    return shapes


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the loader wants it, with a checkpoint that also holds a decoder and an optimizer."""
    folder = tmp_path_factory.mktemp("published")
    config = transformers.DistilBertConfig(
        vocab_size=len(WORDS), dim=LANGUAGE, n_layers=1, n_heads=2, hidden_dim=20, max_position_embeddings=32
    )
    with seeded(0):
        language = transformers.AutoModel.from_config(config).eval()
    place = folder / DISTILBERT
    language.save_pretrained(place)
    (place / "model.safetensors").unlink()  # the checkpoint has them
    (place / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    transformers.BertTokenizer(str(place / "vocab.txt")).save_pretrained(place)
    numbers = random_generator(1)
    state = {
        name: torch.randn(shape, generator=numbers) / (4 if name.endswith("weight") else 1)
        for name, shape in published_shapes().items()
    }
    state |= {f"textencoder.text_model.{name}": value for name, value in language.state_dict().items()}
    state["textencoder.text_model.embeddings.position_ids"] = torch.arange(32)[None]
    state["motionencoder.sequence_pos_encoding.pe"] = torch.zeros(5000, 1, WIDTH)
    state["motiondecoder.final_layer.weight"] = torch.zeros(272, WIDTH)
    torch.save({"epoch": 199, "state_dict": state, "optimizer_states": []}, folder / "epoch=199.ckpt")
    np.save(folder / "Mean.npy", np.linspace(-1, 1, 272))
    np.save(folder / "Std.npy", np.linspace(0.5, 2, 272))
    return folder


@pytest.fixture(scope="module")
def loaded(source: Path) -> PublishedEvaluator:
    return load_published_evaluator(source)


@pytest.fixture
def copied(source: Path, tmp_path: Path) -> Path:
    return shutil.copytree(source, tmp_path / "copy")


def state_of(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / "epoch=199.ckpt", weights_only=True)["state_dict"]


def plain(state: dict[str, Tensor], prefix: str, tokens: Tensor) -> Tensor:
    """The embedding of one sequence of vectors `[L, width]` by the formulas, one head at a time."""
    w = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    x = torch.cat((torch.stack((w["mu_token"], w["logvar_token"])), tokens))
    for at in range(len(x)):
        for i in range(0, WIDTH, 2):
            angle = at / 10_000 ** (i / WIDTH)
            x[at, i] += math.sin(angle)
            x[at, i + 1] += math.cos(angle)
    for number in range(LAYERS):
        name = f"seqTransEncoder.layers.{number}."
        q, k, v = (x @ w[name + "self_attn.in_proj_weight"].T + w[name + "self_attn.in_proj_bias"]).chunk(3, dim=-1)
        size, heads = WIDTH // 4, []
        for head in range(4):
            part = slice(head * size, (head + 1) * size)
            heads.append((q[:, part] @ k[:, part].T / math.sqrt(size)).softmax(-1) @ v[:, part])
        mixed = torch.cat(heads, -1) @ w[name + "self_attn.out_proj.weight"].T + w[name + "self_attn.out_proj.bias"]
        x = F.layer_norm(x + mixed, (WIDTH,), w[name + "norm1.weight"], w[name + "norm1.bias"])
        hidden = F.gelu(x @ w[name + "linear1.weight"].T + w[name + "linear1.bias"])
        hidden = hidden @ w[name + "linear2.weight"].T + w[name + "linear2.bias"]
        x = F.layer_norm(x + hidden, (WIDTH,), w[name + "norm2.weight"], w[name + "norm2.bias"])
    return x[0]


def test_motions_are_embedded_by_the_formulas(loaded: PublishedEvaluator, source: Path) -> None:
    state = state_of(source)
    motions = [torch.randn(frames, 272, generator=random_generator(frames)) for frames in (7, 30, 12)]
    found = loaded.embed_motion(motions)
    assert found.shape == (3, WIDTH) and loaded.size == WIDTH
    mean, std = torch.linspace(-1, 1, 272), torch.linspace(0.5, 2, 272)
    linear = state["motionencoder.skel_embedding.weight"], state["motionencoder.skel_embedding.bias"]
    for row, motion in zip(found, motions, strict=True):
        frames = (motion - mean) / std @ linear[0].T + linear[1]
        torch.testing.assert_close(row, plain(state, "motionencoder.", frames), rtol=1e-3, atol=1e-4)


def test_captions_are_embedded_by_the_formulas(loaded: PublishedEvaluator, source: Path) -> None:
    state = state_of(source)
    language = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(source / DISTILBERT)).eval()
    mark = "textencoder.text_model."
    weights = {name.removeprefix(mark): value for name, value in state.items() if name.startswith(mark)}
    weights.pop("embeddings.position_ids")
    language.load_state_dict(weights)
    found = loaded.embed_text(CAPTIONS)
    for row, caption in zip(found, CAPTIONS, strict=True):
        ids = [WORDS.index(word) for word in ["[CLS]", *caption.split(), "[SEP]"]]
        with torch.no_grad():
            words = language(input_ids=torch.tensor([ids])).last_hidden_state[0]
        tokens = words.relu() @ state["textencoder.projection.1.weight"].T + state["textencoder.projection.1.bias"]
        torch.testing.assert_close(row, plain(state, "textencoder.", tokens), rtol=1e-3, atol=1e-4)


def test_weights_of_the_language_model_may_stand_in_its_folder(loaded: PublishedEvaluator, copied: Path) -> None:
    state = {name: value for name, value in state_of(copied).items() if "text_model" not in name}
    torch.save({"state_dict": state}, copied / "epoch=199.ckpt")
    with pytest.raises(InputError, match="no weights, and none in epoch=199.ckpt"):
        load_published_evaluator(copied)
    loaded.language_model.save_pretrained(copied / DISTILBERT)
    again = load_published_evaluator(copied)
    torch.testing.assert_close(again.embed_text(CAPTIONS), loaded.embed_text(CAPTIONS))


def test_the_language_model_may_be_elsewhere(loaded: PublishedEvaluator, copied: Path, tmp_path: Path) -> None:
    place = (copied / DISTILBERT).rename(tmp_path / "elsewhere")
    assert torch.equal(load_published_evaluator(copied, place).embed_text(CAPTIONS), loaded.embed_text(CAPTIONS))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"motionencoder.mu_token": None}, "no mu_token"),
        ({"motionencoder.emb_token": torch.zeros(WIDTH)}, "unknown emb_token"),
        ({"motionencoder.skel_embedding.weight": torch.zeros(WIDTH, 263)}, r"\[16, 263\] instead of \[16, 272\]"),
        ({"textencoder.projection.1.weight": torch.zeros(WIDTH, 768)}, r"\[16, 768\] instead of \[16, 12\]"),
        ({"textencoder.text_model.transformer.layer.0.ffn.lin1.bias": None}, "no transformer.layer.0.ffn.lin1.bias"),
        ({"motionencoder.seqTransEncoder.layers.1.norm1.bias": None}, "no seqTransEncoder.layers.1.norm1.bias"),
        ({"motionencoder.mu_token": torch.full((WIDTH,), torch.nan)}, "NaN or infinity"),
    ],
)
def test_other_tensors_are_refused(copied: Path, change: dict[str, Tensor | None], words: str) -> None:
    state: dict[str, Tensor | None] = {**state_of(copied), **change}
    torch.save({"state_dict": {name: v for name, v in state.items() if v is not None}}, copied / "epoch=199.ckpt")
    with pytest.raises(InputError, match=words):
        load_published_evaluator(copied)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("epoch=199.ckpt", r"\*\.ckpt: found no such file"),
        ("Mean.npy", "mean.npy: found no such file"),
        (f"{DISTILBERT}/config.json", "config.json: found no file"),
        (f"{DISTILBERT}/vocab.txt", "no tokenizer.json or vocab.txt"),
    ],
)
def test_a_missing_file_is_named(copied: Path, missing: str, words: str) -> None:
    (copied / missing).unlink()
    if missing.endswith("vocab.txt"):
        (copied / DISTILBERT / "tokenizer.json").unlink(missing_ok=True)
    with pytest.raises(InputError, match=words):
        load_published_evaluator(copied)


def test_two_checkpoints_no_folder_and_a_model_without_encoders_are_refused(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_published_evaluator(tmp_path / "nowhere")
    shutil.copy(copied / "epoch=199.ckpt", copied / "epoch=99.ckpt")
    with pytest.raises(InputError, match="exactly one file"):
        load_published_evaluator(copied)
    (copied / "epoch=99.ckpt").unlink()
    torch.save({"state_dict": {"net.weight": torch.zeros(2)}}, copied / "epoch=199.ckpt")
    with pytest.raises(InputError, match="no motionencoder"):
        load_published_evaluator(copied)


def test_joints_long_motions_and_long_captions_are_refused(loaded: PublishedEvaluator) -> None:
    with pytest.raises(InputError, match="at most 300 frames"):
        loaded.embed_motion([torch.zeros(301, 272)])
    with pytest.raises(InputError, match="motion 0"):
        loaded.embed_motion([torch.zeros(10, 22, 3)])
    with pytest.raises(InputError, match="at most 32"):
        loaded.embed_text(["walks " * 40])
