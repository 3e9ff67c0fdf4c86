"""A VQ-VAE so small that it trains in a second, on chunks of four frames; lesson 02 lets its codebook die.

The network is two small layers on each side and sees one chunk of motion at a time, far weaker than the tokenizer
of stage 1. But it is made of the same parts, and its codebook dies of the same cause. To show that, the real
tokenizer trained for as long as a lesson can wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.config import CorpusConfig
from motionlab.data.batches import WindowBatches
from motionlab.data.composed.corpus import build_corpus
from motionlab.data.splits import Clips
from motionlab.motion.features import DIM, POSITIONS
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.base import Quantized, Quantizer
from motionlab.quantizers.usage import CodeUsage, Usage
from motionlab.runtime import seeded
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import MotionTokenizer

FRAMES = 4  # of a chunk: one token covers 4 frames, as in a tokenizer with down_t = 2
CODES, WIDTH = 128, 16  # of the codebook
HIDDEN, BATCH, STEPS, RATE = 64, 256, 200, 3e-3
BETA = 0.25  # weight of the commitment loss, that of the VQ-VAE paper
LOOK_EVERY = 10  # steps between two counts of the codes in use


# ---- data ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Chunks:
    """Motion cut into chunks of 4 frames.

    Fields:
        train, test: `[n, 4 * 272]`, normalised. The test chunks come from new compositions of the same recordings.
        normalizer: mean and standard deviation of the training clips.
        store, test_store: the clips themselves.
    """

    train: Tensor
    test: Tensor
    normalizer: Normalizer
    store: Clips
    test_store: Clips

    def error_mm(self, result: Tensor, real: Tensor) -> float:
        """Mean distance of a joint from its place, in mm, with the body's place and heading taken out of both."""
        difference = ((result - real).view(-1, FRAMES, DIM) * self.normalizer.std)[..., POSITIONS]
        return float(difference.reshape(-1, 22, 3).norm(dim=-1).mean() * 1000)


def load_chunks(clips: int = 96) -> Chunks:
    """Chunks of a small composed corpus: about six minutes of motion for training."""
    settings = CorpusConfig(
        n_train=clips, n_seen_pairs=16, n_unseen_pairs=4, n_new_takes=2, n_validation=4, max_frames=160
    )
    corpus = build_corpus(settings)
    train = corpus.train  # nothing is chosen by validation here
    normalizer = Normalizer.fit(train.features(i) for i in range(len(train)))
    parts = (_cut(train, normalizer), _cut(corpus.seen_pairs, normalizer))
    return Chunks(*parts, normalizer, train, corpus.seen_pairs)


def to_chunks(features: Tensor) -> Tensor:
    """`[T, 272]` -> `[T // 4, 4 * 272]`; up to three frames at the end are left out."""
    return features[: len(features) // FRAMES * FRAMES].reshape(-1, FRAMES * DIM)


def _cut(store: Clips, normalizer: Normalizer) -> Tensor:
    return torch.cat([to_chunks(normalizer.normalize(store.features(i))) for i in range(len(store))])


# ---- network ---------------------------------------------------------------------------------------------------------
class ChunkVQVAE(nn.Module):
    """Chunk `[n, 1088]` -> vector `[n, 16]` -> code -> chunk."""

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        size = FRAMES * DIM
        self.encoder = nn.Sequential(nn.Linear(size, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, quantizer.dim))
        self.quantizer = quantizer
        self.decoder = nn.Sequential(nn.Linear(quantizer.dim, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, size))

    def forward(self, x: Tensor) -> tuple[Tensor, Quantized]:
        quantized = self.quantizer(self.encoder(x))
        return self.decoder(quantized.codes), quantized


@dataclass(frozen=True)
class Trained:
    """A trained network and the state of its codebook.

    Fields:
        steps, used: how many codes all training chunks use together, every 10 steps.
        usage: the same count at the end, with perplexity and histogram.
        latents: `[n, 16]`, what the encoder gives for the training chunks at the end.
        codebook: `[K, 16]` at the end.
        spread: standard deviation of the latents, mean over the 16 dimensions.
        error_mm: joint error on the test chunks.
    """

    model: ChunkVQVAE
    steps: list[int]
    used: list[int]
    usage: Usage
    latents: Tensor
    codebook: Tensor
    spread: float
    error_mm: float


def train_chunks(
    make: Callable[[], Quantizer],
    chunks: Chunks,
    *,
    seed: int = 0,
    steps: int = STEPS,
    learn_encoder: bool = True,
) -> Trained:
    """Train one network. Everything but the quantizer is the same for the same seed: first weights and batches.

    Args:
        make: makes the quantizer.
        learn_encoder: False leaves the encoder untrained; decoder and codebook still learn.
    """
    with seeded(seed):
        quantizer = make()
        torch.manual_seed(seed)  # quantizers draw different amounts: begin again for the network
        model = ChunkVQVAE(quantizer)
        model.encoder.requires_grad_(learn_encoder)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0)
        order = torch.Generator().manual_seed(seed)
        history: list[tuple[int, int]] = []
        for step in range(steps):
            x = chunks.train[torch.randint(len(chunks.train), (BATCH,), generator=order)]
            result, quantized = model(x)
            loss = F.mse_loss(result, x) + quantized.loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % LOOK_EVERY == 0 or step == steps - 1:
                history.append((step + 1, count_codes(model, chunks.train).used))
    model.eval()
    with torch.no_grad():
        latents = model.encoder(chunks.train)
        result = model(chunks.test)[0]
        codebook = quantizer.indices_to_codes(torch.arange(quantizer.codebook_size))
    return Trained(
        model=model,
        steps=[step for step, _ in history],
        used=[used for _, used in history],
        usage=count_codes(model, chunks.train),
        latents=latents,
        codebook=codebook,
        spread=float(latents.std(0).mean()),
        error_mm=chunks.error_mm(result, chunks.test),
    )


@torch.no_grad()
def count_codes(model: ChunkVQVAE, x: Tensor) -> Usage:
    """Use of the codebook over chunks, without teaching it anything."""
    was_training = model.training
    usage = CodeUsage(model.quantizer.codebook_size)
    usage.update(model.eval().quantizer(model.encoder(x)).indices)
    model.train(was_training)
    return usage.summary()


# ---- the tokenizer of stage 1 ----------------------------------------------------------------------------------------
WINDOW, WINDOWS, TOKENIZER_STEPS = 32, 16, 120


@dataclass(frozen=True)
class SmallTokenizer:
    """A tokenizer of stage 1, very small and trained very briefly.

    Fields:
        usage: codes that 1,024 tokens of training windows use.
        spread, error_mm: as in `Trained`; the error on 128 test windows.
    """

    model: MotionTokenizer
    usage: Usage
    spread: float
    error_mm: float


def train_small_tokenizer(make: Callable[[], Quantizer], chunks: Chunks, *, seed: int = 0) -> SmallTokenizer:
    """Train the tokenizer of stage 1 at a toy size. Convolutions, losses and batches are the package's own."""
    with seeded(seed):
        quantizer = make()
        torch.manual_seed(seed)
        model = MotionTokenizer(quantizer, width=32, depth=1, down_t=2)
        batches = WindowBatches(chunks.store, chunks.normalizer, WINDOW, WINDOWS, seed=seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        for step in range(TOKENIZER_STEPS):
            x = batches(step)  # [16, 32, 272]: 128 tokens
            loss = tokenizer_losses(model(x), x, LossWeights())["total"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    usage = CodeUsage(quantizer.codebook_size)
    tests = WindowBatches(chunks.test_store, chunks.normalizer, WINDOW, 8 * WINDOWS, seed=0)(0)  # [128, 32, 272]
    with torch.no_grad():
        windows = torch.cat([batches(TOKENIZER_STEPS + i) for i in range(8)])  # [128, 32, 272]
        latents = model.encoder(windows)  # [128, 8, 16]
        usage.update(quantizer(latents).indices)
        result = model(tests).reconstruction
    error = chunks.error_mm(result.reshape(-1, FRAMES * DIM), tests.reshape(-1, FRAMES * DIM))
    return SmallTokenizer(model, usage.summary(), float(latents.std((0, 1)).mean()), error)
