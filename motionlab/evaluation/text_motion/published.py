"""An evaluator of MotionStreamer or MotionMillion from a local folder: the numbers of papers, where its files are.

Both are one architecture, TEMOS (Petrovich et al., ECCV 2022) with the contrastive loss of TMR (ICCV 2023), for the
272 features: latent width 512 in MotionMillion, 256 in MotionStreamer.

    caption -> DistilBERT, every token [L, 768] -> ReLU, linear ----+
                                                                    +-> [mu, logvar, token 1, ...] -> transformer
    motion  -> (x - mean) / std, linear 272 -> width per frame -----+   (4 layers, 4 heads, feed-forward 1024, gelu)

The two learned tokens come first, positions are added to all of them, and the embedding is the last layer's state
of `mu`: the mean of the Gaussian. The state of `logvar` is not needed.

The folder holds the checkpoint (`*.ckpt`, of which the tensors `textencoder.*` and `motionencoder.*` are read), the
mean and deviation it was trained with (`mean.npy`, `std.npy`), and DistilBERT (`distilbert-base-uncased/`:
`config.json` and the tokenizer; the weights too, where the checkpoint lacks `textencoder.text_model.*`). Nothing is
downloaded. TMR's own release reads the 263 features of HumanML3D and is not one of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.evaluation.text_motion.model import places
from motionlab.files.arrays import read_arrays
from motionlab.files.foreign_config import read_foreign_config
from motionlab.files.pth import read_pth, state_of
from motionlab.files.weights import headers, require_tensors, shapes_only
from motionlab.motion.features import DIM, check_features
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer
from motionlab.text.cache import TextCache
from motionlab.text.encoder import check_captions
from motionlab.text.transformers_loading import hidden_states, quiet_loading, transformers_module

HEADS, LONGEST = 4, 300
DISTILBERT = "distilbert-base-uncased"
_FIX = "Put the files of one published evaluator into the folder; motionlab downloads nothing."
_TEXT, _MOTION, _LANGUAGE = "textencoder.", "motionencoder.", "text_model."
# A table of sines that older versions stored, and numbers 0, 1, 2, ... that older versions of transformers stored.
_COMPUTED = ("sequence_pos_encoding.pe", "text_model.embeddings.position_ids")


class LatentEncoder(nn.Module):
    """Vectors of frames or words to the mean of a Gaussian. Names are those of the published files.

    Args:
        inputs: width of a frame or word.
        relu: whether a ReLU stands before the linear layer, as in the text encoder.
    """

    def __init__(self, inputs: int, width: int, layers: int, feed_forward: int, relu: bool) -> None:
        super().__init__()
        self.mu_token, self.logvar_token = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        if relu:
            self.projection = nn.Sequential(nn.ReLU(), nn.Linear(inputs, width))
        else:
            self.skel_embedding = nn.Linear(inputs, width)
        layer = nn.TransformerEncoderLayer(
            width, HEADS, feed_forward, activation=F.gelu, batch_first=True
        )  # norms after each part, as torch has them by default
        self.seqTransEncoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """`[B, L, inputs]` and `[B]` to `[B, width]`."""
        x = self.projection(tokens) if hasattr(self, "projection") else self.skel_embedding(tokens)  # [B, L, width]
        front = torch.stack((self.mu_token, self.logvar_token)).expand(len(x), 2, -1)
        x = torch.cat((front, x), dim=1)  # [B, 2 + L, width]
        x = x + places(x.shape[1], x.shape[2]).to(x)
        unused = torch.arange(x.shape[1]) >= 2 + lengths[:, None]  # [B, 2 + L]
        state: Tensor = self.seqTransEncoder(x, src_key_padding_mask=unused)
        return state[:, 0]


class PublishedEvaluator:
    """A published pair of encoders; the same two methods as `TextMotionEvaluator`.

    Args:
        motion, text: the encoders.
        normalizer: mean and deviation that the motion encoder was trained with.
        tokenizer, language_model: DistilBERT.
    """

    def __init__(
        self, motion: LatentEncoder, text: LatentEncoder, normalizer: Normalizer, tokenizer: Any, language_model: Any
    ) -> None:
        self.motion, self.text, self.normalizer = motion.eval(), text.eval(), normalizer
        self.tokenizer, self.language_model = tokenizer, language_model.eval()

    @property
    def size(self) -> int:
        """D, the width of an embedding."""
        return len(self.motion.mu_token)

    @torch.inference_mode()
    def embed_motion(self, motions: Sequence[Motion | Tensor | np.ndarray]) -> Tensor:
        """Embeddings `[N, D]` of features `[T, 272]` in physical units at 30 fps, or of `Motion`s.

        Raises:
            InputError: no motion, joints (its input is features), or more than 300 frames; the motion is named.
        """
        rows = []
        for number, motion in enumerate(motions):
            features = motion.features if isinstance(motion, Motion) else torch.as_tensor(motion)
            check_features(features, f"motion {number}")
            if features.ndim != 2 or len(features) > LONGEST:
                raise InputError(
                    f"motion {number}",
                    found=f"shape {tuple(features.shape)}",
                    expected=f"(frames, {DIM}), at most {LONGEST} frames, as the evaluator was trained",
                    fix=f"Cut it: motion.crop(0, {LONGEST}).",
                )
            rows.append(self.normalizer.normalize(features.float()))
        return _embedded(self.motion, rows)

    @torch.inference_mode()
    def embed_text(self, captions: Sequence[str], texts: TextCache | None = None) -> Tensor:
        """Embeddings `[N, D]`. It reads the captions with its own DistilBERT; `texts` is not used.

        Raises:
            InputError: no captions, an empty one, or one of more tokens than DistilBERT has positions.
        """
        check_captions(captions)
        longest = int(self.language_model.config.max_position_embeddings)
        return _embedded(self.text, hidden_states(self.tokenizer, self.language_model, captions, longest, "cpu"))


def load_published_evaluator(folder: str | Path, distilbert: str | Path | None = None) -> PublishedEvaluator:
    """The evaluator of a local folder (see the top of this file).

    Args:
        distilbert: folder of DistilBERT, when it is not `distilbert-base-uncased` in the same folder.

    Raises:
        InputError: a file is missing or damaged, or holds other tensors than this architecture has.
        MissingExtra: transformers is not installed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(folder, found="no such folder", expected="the files of a published evaluator", fix=_FIX)
    path, normalizer = _one_file(folder, "*.ckpt"), _statistics(folder)
    state = state_of(read_pth(path, skip_classes=True), "state_dict", path, fix=_FIX)
    motion, text = (_part(state, prefix, path) for prefix in (_MOTION, _TEXT))
    language = {name.removeprefix(_LANGUAGE): text.pop(name) for name in list(text) if name.startswith(_LANGUAGE)}
    place = Path(distilbert) if distilbert is not None else folder / DISTILBERT
    tokenizer, model = _distilbert(place, language, path)
    return PublishedEvaluator(
        _encoder(motion, "skel_embedding", DIM, path, _MOTION),
        _encoder(text, "projection.1", int(model.config.hidden_size), path, _TEXT),
        normalizer,
        tokenizer,
        model,
    )


def _embedded(encoder: LatentEncoder, rows: Sequence[Tensor]) -> Tensor:
    """32 at a time, of like length."""
    if not len(rows):
        raise InputError("motions", found="none", expected="at least one", fix="Give motions to embed.")
    result = torch.empty(len(rows), len(encoder.mu_token))
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    for start in range(0, len(order), 32):
        some = order[start : start + 32]
        block = nn.utils.rnn.pad_sequence([rows[row] for row in some], batch_first=True)
        result[some] = encoder(block, torch.tensor([len(rows[row]) for row in some]))
    return result


def _part(state: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not part:
        raise InputError(
            path,
            found=f"no {prefix}* among {len(state)} tensors",
            expected="textencoder.* and motionencoder.*, as MotionStreamer and MotionMillion save them",
            fix=_FIX,
        )
    return {name: value for name, value in part.items() if name not in _COMPUTED}


def _encoder(state: Mapping[str, Tensor], linear: str, inputs: int, path: Path, prefix: str) -> LatentEncoder:
    """The encoder of a state dict; its sizes are read from the shapes."""
    width = len(_matrix(state, f"{linear}.weight", path, prefix))
    forward = len(_matrix(state, "seqTransEncoder.layers.0.linear1.weight", path, prefix))
    layers = len({name.split(".")[2] for name in state if name.startswith("seqTransEncoder.layers.")})
    if width % HEADS:
        raise InputError(path, found=f"width {width}", expected=f"a multiple of {HEADS}, the heads", fix=_FIX)
    with shapes_only():
        encoder = LatentEncoder(inputs, width, layers, forward, relu=linear.startswith("projection"))
    name = f"{prefix.rstrip('.')} for {inputs} numbers a {'word' if prefix == _TEXT else 'frame'}"
    require_tensors(headers(state), headers(encoder.state_dict()), path, model=name, fix=_FIX)
    encoder = encoder.to_empty(device="cpu")
    encoder.load_state_dict(dict(state), strict=True)
    return encoder.requires_grad_(False)


def _matrix(state: Mapping[str, Tensor], name: str, path: Path, prefix: str) -> Tensor:
    if name not in state or state[name].ndim != 2 or not state[name].numel():
        raise InputError(f"{path}: {prefix}{name}", found="no matrix", expected="the weights of a layer", fix=_FIX)
    return state[name]


def _distilbert(folder: Path, state: dict[str, Tensor], path: Path) -> tuple[Any, Any]:
    """Tokenizer and model; the weights are those of the checkpoint where it has them."""
    expected = "a local DistilBERT: config.json, the tokenizer's files, and the weights if the checkpoint lacks them"
    config = read_foreign_config(folder, expected, _FIX)
    config.text("model_type", ("distilbert",))
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise InputError(folder, found="no tokenizer.json or vocab.txt", expected=expected, fix=_FIX)
    if not state and not any((folder / name).is_file() for name in ("model.safetensors", "pytorch_model.bin")):
        raise InputError(folder, found=f"no weights, and none in {path.name}", expected=expected, fix=_FIX)
    transformers = transformers_module("read captions for a published evaluator")
    with quiet_loading():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if not state:
            model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
            return tokenizer, model.requires_grad_(False)
        model = transformers.AutoModel.from_config(
            transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        )
    require_tensors(headers(state), headers(model.state_dict()), path, model="DistilBERT", fix=_FIX)
    model.load_state_dict(state, strict=True)
    return tokenizer, model.requires_grad_(False)


def _statistics(folder: Path) -> Normalizer:
    values = []
    for name in ("mean", "std"):
        path = _one_file(folder, f"{name}.npy", f"[{name[0].upper()}{name[0]}]{name[1:]}.npy")
        values.append(torch.from_numpy(np.asarray(read_arrays(path, expected=f"{DIM} numbers", fix=_FIX)[""])).float())
    mean, std = values
    return Normalizer(mean, std)


def _one_file(folder: Path, name: str, pattern: str | None = None) -> Path:
    paths = [path for path in sorted(folder.glob(pattern or name)) if path.is_file()]
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths[:3]) or "no such file"
        raise InputError(folder / name, found=found, expected="exactly one file", fix=_FIX)
    return paths[0]
