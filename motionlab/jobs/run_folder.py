"""The files of a finished run, and how to open it again.

runs/<name>/
  config.yaml                 every setting, resolved
  made_from.json              digests of the splits that it is about; each training has such a file as well
  normalizer.safetensors      mean and std of the 272 features
  tokenizer-fsq/              model.safetensors, history.csv, checkpoints/ (one folder per quantizer)
  known_captions.safetensors  what the training captions know (known_actions.py)
  codes.safetensors           tokens of the training and validation clips
  llama/                      model.safetensors, history.csv, checkpoints/
  STAGE/ or STAGE-VARIANT/    the same for every other stage (jobs/stages/)
  judge.safetensors           the action classifier that scored the run, made again by every `evaluate`
  motions/                    the motions that the report shows, as .npy of 272 features
  metrics.json                every number of the report
  report.html                 one file, no network

A run of the robot half has vla_pretrain/ (with backbone.safetensors) and vla/ instead, and success.gif, failure.gif and
report.md next to its report.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch

from motionlab.config import RunConfig, load_config, to_yaml
from motionlab.errors import InputError
from motionlab.evaluation.judge import Judge
from motionlab.files import records, sha256, write_text
from motionlab.files.reading import read_text
from motionlab.files.weights import shapes_only
from motionlab.jobs.artefacts import read_record, require, tensor_digest
from motionlab.jobs.build import make_llama, make_tokenizer, text_cache
from motionlab.jobs.metrics import Metrics
from motionlab.jobs.run_settings import check_continued, check_free
from motionlab.llama.checks import check_codebook
from motionlab.llama.model import MotionLlama
from motionlab.llama.weights.published import infer_arguments
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import cache_dir
from motionlab.text.cache import TextCache
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.checkpoints.checkpoint import has_checkpoint
from motionlab.training.checkpoints.tensor_files import check_fits, load_into, load_model_state, save_model

Model = TypeVar("Model", bound=torch.nn.Module)

BUNDLED = Path(__file__).resolve().parent.parent / "pretrained" / "tiny"  # comes with the package; `pretrained.py`
CONFIG_DIGEST = "# sha256 of the lines above: "


@dataclass
class Run:
    """One run folder; models are loaded on first use.

    Raises (from every property):
        InputError: the part is missing (the run did not get that far) or belongs to another architecture.
    """

    folder: Path
    config: RunConfig

    @classmethod
    def create(cls, folder: str | Path, config: RunConfig) -> Run:
        """Make the folder and write the resolved config into it.

        Raises:
            InputError: as `planned`.
        """
        run = cls.planned(folder, config)
        run.save_config()
        return run

    @classmethod
    def planned(cls, folder: str | Path, config: RunConfig) -> Run:
        """The run that `create` would make or continue; nothing is written yet.

        A run may continue with other settings where those shape no weights; `run_settings.py` says which.

        Raises:
            InputError: the folder holds a run with settings that do not allow this; each of them is named.
        """
        folder = Path(folder)
        if (folder / "config.yaml").exists():
            check_continued(folder, cls.open(folder).config, config)
        return cls(folder, config)

    @classmethod
    def open(cls, folder: str | Path, overrides: Sequence[str] = ()) -> Run:
        """Open a run that exists.

        Args:
            overrides: `key=value` texts for settings that shape no weights. The folder keeps its own until
                `save_config`.
        """
        folder = Path(folder)
        path = folder / "config.yaml"
        if not path.is_file():
            raise InputError(
                folder, found="no config.yaml", expected="the folder of a run", fix="Make one with: motionlab run."
            )
        _check_config(path)
        config = load_config(path, overrides)
        if overrides:
            check_free(folder, load_config(path), config)
        return cls(folder, config)

    @property
    def title(self) -> str:
        """Its folder, for messages; where it lies in the package is nobody's concern."""
        return "the bundled run" if self.folder == BUNDLED else f"the run {self.folder}"

    @property
    def engine_folder(self) -> Path:
        """Where an engine keeps what it makes of the decoder; nothing is written into the package."""
        return cache_dir() / "bundled_engine" if self.folder == BUNDLED else self.stage_folder("llama")

    def save_config(self) -> None:
        """Write the settings as `config.yaml`."""
        text = to_yaml(self.config)
        write_text(self.folder / "config.yaml", f"{text}{CONFIG_DIGEST}{_sha256_of(text)}\n")

    @cached_property
    def normalizer(self) -> Normalizer:
        """Statistics of the training split."""
        path = self._need("normalizer.safetensors")
        try:
            return Normalizer.load(path)
        except InputError as error:
            fix = f"Remove the file; this makes it again, without training: {self._command('run')}."
            raise InputError(path, found=error.found, expected=error.expected, fix=fix) from error

    @cached_property
    def text(self) -> TextCache:
        """Caption features, cached on disk."""
        return text_cache(self.config.text)

    def stage_folder(self, name: str, variant: str | None = None) -> Path:
        """Where a stage is trained. `training_report.py` finds the name of the stage in it again."""
        return self.folder / (f"{name}-{variant}" if variant else name)

    def tokenizer_folder(self, quantizer: str) -> Path:
        """Where the tokenizer with this quantizer lives."""
        return self.stage_folder("tokenizer", quantizer)

    def tokenizer(self, quantizer: str | None = None) -> MotionTokenizer:
        """A trained tokenizer, in eval mode; the run's own one by default."""
        quantizer = quantizer or self.config.tokenizer.quantizer
        config = self.config.tokenizer
        name = f"tokenizer-{quantizer}"
        state, path = self._weights(name), self.folder / name / "model.safetensors"
        return _filled(lambda: make_tokenizer(config, quantizer), state, path, config.depth)

    def tokenizer_digests(self) -> dict[str, str]:
        """All that decides the tokens of a motion: the digests of the tokenizer's weights and of the normaliser."""
        return {
            "tokenizer": sha256(self._need(f"tokenizer-{self.config.tokenizer.quantizer}/model.safetensors")),
            "normalizer": tensor_digest([self.normalizer.mean, self.normalizer.std]),
        }

    @cached_property
    def llama(self) -> MotionLlama:
        """The trained decoder, in eval mode. Its codes must be those of the run's tokenizer."""
        state, path = self._weights("llama"), self.folder / "llama" / "model.safetensors"
        codebook_size = infer_arguments(state, path)["codebook_size"]
        check_codebook(self.tokenizer().codebook_size, codebook_size)
        if read_record(self.folder / "llama"):
            require(
                self.folder / "llama",
                {**self.tokenizer_digests(), "text": self.text.identity},
                fix="Remove the folder llama and train the decoder again, or bring back the part that it learned from.",
            )
        config, text_dim = self.config, self.text.dim
        return _filled(
            lambda: make_llama(config, codebook_size=codebook_size, text_dim=text_dim),
            state,
            path,
            config.llama.n_layer,
        )

    def fill(self, model: torch.nn.Module, name: str) -> None:
        """Load the best weights of the stage in the folder `name` into a model, and put it into eval mode."""
        state, _, path = self.stored(name)
        load_into(model, state, where=path)
        model.eval()

    def stored(self, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any], Path]:
        """The weights of the stage in the folder `name`, the metadata in their file, and the file."""
        state = self._weights(name)
        path = self.folder / name / "model.safetensors"
        return state, load_model_state(path)[1], path

    @property
    def judge(self) -> Judge | None:
        """The classifier that scored the run; None when it was not scored, or its clips do not name their actions.

        Raises:
            InputError: it is of an earlier version, or damaged.
        """
        path = self.folder / "judge.safetensors"
        return Judge.load(path) if path.is_file() else None

    def save(self, model: torch.nn.Module, name: str) -> None:
        """Keep a model's weights for inference as `<name>/model.safetensors`."""
        save_model(self.folder / name / "model.safetensors", model, {"run": self.config.name})

    @property
    def metrics(self) -> dict[str, Any]:
        """Every measured number so far, with the types of `Metrics`."""
        path = self.folder / "metrics.json"
        if not path.is_file():
            return {}
        expected, fix = "the numbers of a run", "Remove the file; its numbers are measured again."
        values = records.read_record(path, dict[str, Any], expected=expected, fix=fix, finite=False)
        records.typed(values, Metrics, path, expected=expected, fix=fix)
        return values

    def record(self, **values: Any) -> None:
        """Add numbers to `metrics.json`, atomically."""
        records.write_record(self.folder / "metrics.json", {**self.metrics, **values})

    def _weights(self, name: str) -> dict[str, torch.Tensor]:
        """The weights of the stage in the folder `name`; for damaged ones the error says what writes them again."""
        path = self._need(f"{name}/model.safetensors")
        try:
            return load_model_state(path)[0]
        except InputError as error:
            if not has_checkpoint(path.parent / "checkpoints"):
                raise  # someone copied the weights in
            stage, _, variant = name.partition("-")
            command = self._command("train", stage, *(["--variant", variant] if variant else []))
            fix = f"Write it again from the checkpoint, without training: {command}."
            raise InputError(path, found=error.found, expected=error.expected, fix=fix) from error

    def command_for_actions(self) -> str:
        """The command line that lists the actions that this run knows."""
        if self.folder == BUNDLED:
            return "motionlab generate --actions"
        return shlex.join(["motionlab", "generate", "--actions", "--run", str(self.folder)])

    def _need(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise InputError(
                path,
                found="no such file",
                expected="a run that got this far",
                fix=f"Continue it with: {self._command('run')}.",
            )
        return path

    def _command(self, *words: str) -> str:
        """A command line that works in this folder, with the settings of this run."""
        place = ["--preset", str(self.folder / "config.yaml"), "--out", str(self.folder.parent)]
        return shlex.join(["motionlab", *words, *place, "--name", self.folder.name])


def _filled(make: Callable[[], Model], state: Mapping[str, torch.Tensor], path: Path, layers: int) -> Model:
    """The model with the weights of `path`, in eval mode; its size is compared with them before it is made."""
    if layers > len(state):  # even without memory, many layers take their time
        raise InputError(
            path,
            found=f"{len(state)} tensors",
            expected=f"the weights of {layers} layers",
            fix="Use the configuration that the weights were trained with.",
        )
    with shapes_only():
        check_fits(make(), state, where=path)
    model = make()
    load_into(model, state, where=path)
    return model.eval()


def _check_config(path: Path) -> None:
    """Whether `config.yaml` is as it was written: its last line, a comment, is the digest of the others.

    A file without that line, made by hand or by an earlier version, is taken as it is.
    """
    fix = "Restore the file. If you changed it on purpose, remove its last line."
    text, _, digest = read_text(path, expected="settings", fix=fix).rpartition(CONFIG_DIGEST)
    if text and digest.strip() != _sha256_of(text):
        raise InputError(path, found="changed content", expected="the settings as they were written", fix=fix)


def _sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
