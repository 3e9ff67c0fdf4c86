"""Numbers: motions, stores, samples, checkpoints, text features, published weights, Hugging Face folders, runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from motionlab.config import RunConfig, TrainConfig, load_config
from motionlab.data.composed.samples import CAPTIONS, EMBEDDINGS, PROVENANCE, check_files, load_caption_embeddings
from motionlab.data.composed.samples import samples_dir as bundled
from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.jobs.build import make_tokenizer
from motionlab.jobs.run_folder import Run
from motionlab.jobs.token_rows import TokenFile
from motionlab.jobs.tokens import stored_codes
from motionlab.llama.model import MotionLlama
from motionlab.llama.variant import LlamaVariant
from motionlab.llama.weights.huggingface import from_huggingface, to_huggingface
from motionlab.llama.weights.published import load_motionmillion
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer
from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures, identity
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from motionlab.training.checkpoints.state import Counters, pack, unpack
from tests.fuzz.attempt import copy_bundled
from tests.fuzz.registry import Format, register

SETTINGS = TrainConfig(steps=10, warmup_steps=0)
JSON = ("bytes", "text", "json")


def _motion(frames: int = 12) -> Motion:
    generator = torch.Generator().manual_seed(0)
    return Motion(torch.randn(frames, 272, generator=generator) * 0.1, name="walk")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _make_motion(name: str) -> Any:
    def make(folder: Path) -> list[Path]:
        _motion().save(folder / name)
        return _files(folder)

    return make


def _is_finite(*tensors: torch.Tensor) -> None:
    for tensor in tensors:
        assert not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _is_motion(motion: Motion) -> None:
    assert motion.features.shape == (len(motion), 272) and 0 < motion.fps < float("inf")
    _is_finite(motion.features)


def _make_normalizer(folder: Path) -> list[Path]:
    Normalizer(torch.zeros(272), torch.ones(272)).save(folder / "normalizer.safetensors")
    return _files(folder)


def _make_store(folder: Path) -> list[Path]:
    clips = [Clip(f"c{i}", _motion(), ["walks", "走"], [Segment("walk", "walks", 0, 12)]) for i in range(3)]
    MotionStore.write(folder / "store", clips)
    return _files(folder)


def _read_store(folder: Path) -> list[Clip]:
    """All of it, digests compared: a flipped bit among the features is found only then."""
    store = MotionStore.open(folder / "store", verify=True)
    assert len(store.windows([0, 1], [0, 1], 5)) == 2
    return list(store)


def _as_written(clips: list[Clip]) -> None:
    assert [(clip.name, clip.captions, len(clip.motion)) for clip in clips] == [
        (f"c{i}", ["walks", "走"], 12) for i in range(3)
    ]


def _make_samples(folder: Path) -> list[Path]:
    return copy_bundled(bundled(), folder, [EMBEDDINGS, PROVENANCE])


def _read_samples(folder: Path) -> Any:
    vectors = load_caption_embeddings(folder, check=False)
    copy_bundled(bundled(), folder, [CAPTIONS])
    check_files(folder, [CAPTIONS])
    return vectors


def _are_embeddings(found: Any) -> None:
    assert found.vectors.shape[0] == len(found.captions)
    _is_finite(found.vectors)


def _training_parts() -> tuple[nn.Module, torch.optim.Optimizer, torch.amp.GradScaler]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    return model, optimizer, torch.amp.GradScaler("cpu")


def _make_checkpoint(digests: bool) -> Any:
    def make(folder: Path) -> list[Path]:
        model, optimizer, scaler = _training_parts()
        write_checkpoint(folder, "last", 3, *pack(model, optimizer, scaler, Counters(step=3), SETTINGS, {"depth": 3}))
        record = folder / "last.json"
        if not digests:  # as earlier versions wrote it; every field then has to stand on its own
            values = json.loads(record.read_text())
            record.write_text(json.dumps({name: value for name, value in values.items() if name != "record_sha256"}))
        return _files(folder)

    return make


def _read_checkpoint(folder: Path) -> Counters:
    model, optimizer, scaler = _training_parts()
    counters = unpack(*read_checkpoint(folder), model, optimizer, scaler, SETTINGS, {"depth": 3}, folder)
    _is_finite(*model.state_dict().values())
    return counters


def _is_third_step(counters: Counters) -> None:
    assert counters.step == 3  # the record has a digest


class _Encoder:
    """Two slots of ones for every caption."""

    name, dim, max_tokens = "fake", 4, 8

    def encode(self, captions: list[str]) -> TextFeatures:
        return TextFeatures(torch.ones(len(captions), 2, 4), torch.ones(len(captions), 2, dtype=torch.bool))


def _make_cache(folder: Path) -> list[Path]:
    TextCache(folder, _Encoder()).features(["a", "b", "走"])  # type: ignore[arg-type]
    return [path for path in _files(folder) if path.suffix in (".json", ".safetensors")]


def _read_cache(folder: Path) -> torch.Tensor:
    """A caption is found with the features that were written, or not found, which is an InputError without encoder."""
    features = TextCache(folder).features(["a", "走"])
    assert bool((features.states == 1).all()) and features.lengths.tolist() == [2, 2]
    return features.states


def _make_old_cache(folder: Path) -> list[Path]:
    """As format 2 had it."""
    place = TextCache(folder, _Encoder()).folder  # type: ignore[arg-type]
    assert place is not None
    place.mkdir()
    content = save({"states": torch.ones(4, 4, dtype=torch.float16)})
    digest = hashlib.sha256(content).hexdigest()
    (place / "features-1.safetensors").write_bytes(content)
    index = {"format": 2, "identity": identity(_Encoder()), "file": "features-1.safetensors", "sha256": digest}  # type: ignore[arg-type]
    (place / "index.json").write_text(json.dumps({**index, "captions": ["a", "走"], "lengths": [2, 2]}))
    return _files(folder)


def _decoder() -> MotionLlama:
    torch.manual_seed(0)
    return MotionLlama(
        codebook_size=20, n_layer=2, n_head=4, dim=32, text_dim=6, max_length=48, variant=LlamaVariant(hidden=48)
    )


def _make_published(folder: Path) -> list[Path]:
    torch.save({"trans": _decoder().state_dict(), "nb_iter": 7}, folder / "net.pth")
    return _files(folder)


def _make_published_tokenizer(folder: Path) -> list[Path]:
    torch.manual_seed(0)
    config = replace(load_config("ci").tokenizer, width=16, code_dim=8)
    state = make_tokenizer(config, "vq_ema").motionmillion_state()
    torch.save({"net": state, "nb_iter": 7}, folder / "net.pth")
    return _files(folder)


def _make_folder(folder: Path) -> list[Path]:
    to_huggingface(_decoder()).save_pretrained(folder / "llama")
    return [folder / "llama" / "config.json", folder / "llama" / "model.safetensors"]


def _make_run(folder: Path) -> list[Path]:
    """A run as far as its tokenizer, with random weights."""
    torch.manual_seed(0)
    config: RunConfig = load_config("ci")
    config = replace(config, tokenizer=replace(config.tokenizer, width=16, code_dim=8))
    run = Run.create(folder / "run", config)
    Normalizer(torch.zeros(272), torch.ones(272)).save(run.folder / "normalizer.safetensors")
    run.save(make_tokenizer(config.tokenizer, "fsq"), "tokenizer-fsq")
    return _files(folder)


def _read_run(folder: Path) -> Any:
    run = Run.open(folder / "run")
    return run.normalizer, run.tokenizer()


def _is_run(parts: tuple[Normalizer, MotionTokenizer]) -> None:
    normalizer, tokenizer = parts
    _is_finite(normalizer.mean, normalizer.std)
    _has_finite_weights(tokenizer)


def _has_finite_weights(model: nn.Module) -> None:
    _is_finite(*model.state_dict().values())


class _Clips:
    """Lengths, which is all that the file of the tokens asks for."""

    lengths = np.array([3, 2])


def _make_codes(folder: Path) -> list[Path]:
    parts = {"train": [[5, 6, 7], [8]], "validation": [[1, 2]]}
    tensors = {f"{name}.codes": torch.tensor(sum(rows, []), dtype=torch.int32) for name, rows in parts.items()}
    lengths = {f"{name}.lengths": torch.tensor([len(row) for row in rows]) for name, rows in parts.items()}
    write_tensors(folder / "codes.safetensors", {**tensors, **lengths}, {"run": "walk", "made_from": {"train": "1"}})
    return _files(folder)


def _read_codes(folder: Path) -> Any:
    """The tokens of a run; a file that is not the one that was written is made again."""
    codes, changed = stored_codes(folder / "codes.safetensors", {"train": "1"}, (2, 1))
    if codes is None:
        raise InputError("codes.safetensors", found=changed, expected="tokens", fix="They are made again.")
    return codes


def _are_codes(codes: Any) -> None:
    assert [row.tolist() for row in (*codes.train, *codes.validation)] == [[5, 6, 7], [8], [1, 2]]


def _make_partial(folder: Path) -> list[Path]:
    TokenFile.create(folder / "codes.partial", {"train": "1"}, _Clips.lengths).put(0, torch.tensor([5, 6, 7]))
    return _files(folder)


def _read_partial(folder: Path) -> list[list[int]]:
    """The rows that count as made; others, and those of a file that was made from anything else, are made again."""
    file = TokenFile.create(folder / "codes.partial", {"train": "1"}, _Clips.lengths)
    return [file.row(clip).tolist() for clip in (0, 1) if file.has([clip], 9)]


def _are_rows_of_codes(rows: list[list[int]]) -> None:
    assert all(0 <= number < 9 for row in rows for number in row)


def _make_tensors(folder: Path) -> list[Path]:
    write_tensors(folder / "a.safetensors", {"x": torch.arange(12.0), "n": torch.arange(5)}, {"step": 3})
    return _files(folder)


def _are_those_tensors(found: tuple[dict[str, torch.Tensor], dict[str, Any]]) -> None:
    tensors, description = found
    assert torch.equal(tensors["x"], torch.arange(12.0)) and torch.equal(tensors["n"], torch.arange(5))
    assert description == {"step": 3}


register(Format("npy", _make_motion("walk.npy"), lambda folder: Motion.load(folder / "walk.npy"), _is_motion))
register(Format("npz", _make_motion("walk.npz"), lambda folder: Motion.load(folder / "walk.npz"), _is_motion))
register(
    Format(
        "normaliser", _make_normalizer, lambda folder: Normalizer.load(folder / "normalizer.safetensors"),
        lambda found: _is_finite(found.mean, found.std),
    )
)  # fmt: skip
register(Format("tensors", _make_tensors, lambda folder: read_tensors(folder / "a.safetensors"), _are_those_tensors))
register(Format("codes", _make_codes, _read_codes, _are_codes, JSON))
register(Format("codes on their way", _make_partial, _read_partial, _are_rows_of_codes, JSON))
register(Format("store", _make_store, _read_store, _as_written, JSON))
register(Format("samples", _make_samples, _read_samples, _are_embeddings, JSON))
register(
    Format(
        "checkpoint", _make_checkpoint(True), _read_checkpoint, _is_third_step, JSON,
    )
)  # fmt: skip
register(Format("old checkpoint", _make_checkpoint(False), _read_checkpoint, lambda counters: None, JSON))
register(
    Format(
        "text cache", _make_cache, _read_cache, _is_finite, JSON,
    )
)  # fmt: skip
register(
    Format(
        "old text cache", _make_old_cache, lambda folder: TextCache(folder).features(["a"]).states, _is_finite, JSON,
    )
)  # fmt: skip
register(
    Format(
        "published decoder", _make_published, lambda folder: load_motionmillion(folder / "net.pth", n_head=4),
        _has_finite_weights, ("bytes",),
    )
)  # fmt: skip
register(
    Format(
        "published tokenizer", _make_published_tokenizer,
        lambda folder: MotionTokenizer.from_motionmillion(folder / "net.pth"), _has_finite_weights, ("bytes",),
    )
)  # fmt: skip
register(
    Format(
        "Hugging Face", _make_folder, lambda folder: from_huggingface(folder / "llama", text_dim=6, max_length=48),
        _has_finite_weights, JSON,
    )
)  # fmt: skip
register(Format("run", _make_run, _read_run, _is_run, (*JSON, "yaml")))
