"""The tokens of the clips that the decoder learns from: made once, and kept with the run."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.data.corpus import Corpus
from motionlab.data.store import MotionStore
from motionlab.jobs.run_folder import Run
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import choose_device
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.weights import read_tensors, write_tensors


def training_codes(run: Run, corpus: Corpus) -> list[Tensor]:
    """The tokens of every training clip, from the run's tokenizer; made once and kept as `codes.safetensors`."""
    path = run.folder / "codes.safetensors"
    if path.exists():
        stored = read_tensors(path)[0]
        return list(stored["codes"].long().split(stored["lengths"].tolist()))
    device = torch.device(choose_device(run.config.device).value)
    codes = tokenise(run.tokenizer().to(device), corpus.train, run.normalizer.to(device))
    lengths = torch.tensor([len(row) for row in codes])
    write_tensors(path, {"codes": torch.cat(codes).int(), "lengths": lengths}, {"run": run.config.name})
    return codes


def tokenise(model: MotionTokenizer, store: MotionStore, normalizer: Normalizer) -> list[Tensor]:
    """Tokens of every clip of a store, int64 [n] each, on the CPU."""
    device = next(model.parameters()).device
    clips = [normalizer.normalize(store.features(i).to(device)) for i in range(len(store))]
    return [row.cpu() for row in model.encode_clips(clips)]
