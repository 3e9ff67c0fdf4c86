"""All settings of a run, and how the sections belong together."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any, ClassVar

from motionlab.config.corpus import CorpusConfig
from motionlab.config.data import DataConfig
from motionlab.config.evaluation import EvaluationConfig
from motionlab.config.fields import Section, group, hints, seed_setting, setting
from motionlab.config.llama import LlamaConfig
from motionlab.config.sampling import Sampling
from motionlab.config.text import TextConfig
from motionlab.config.tokenizer import QuantizerName, TokenizerConfig
from motionlab.config.training import TrainConfig
from motionlab.config.vla import VlaConfig, VlaDataConfig, VlaEvaluationConfig, VlaPretrainConfig
from motionlab.errors import InputError, printable

LONGEST_NAME = 200  # bytes; file systems take 255, and temporary names are longer


def _is_folder_name(name: str) -> bool:
    """Nothing that a terminal would act on, either: this is where a name comes in, and it is shown in many places."""
    is_one = Path(name).name == name and name not in ("", "..", ".")
    plain = name.isprintable() and printable(name) == name == name.strip()
    return is_one and plain and len(os.fsencode(name)) <= LONGEST_NAME


def _is_device(name: str) -> bool:
    return re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name) is not None


@dataclass
class RunConfig(Section):
    """The whole road: corpus, tokenizer, decoder, report."""

    name: str = setting(
        "run", "folder below runs/", test=_is_folder_name, says="the name of one folder",
        fix="Use --out for the folder above it.",
    )  # fmt: skip
    seed: int = seed_setting("seed of everything without its own")
    device: str = setting(
        "auto", "where the models run; auto explains its choice", test=_is_device, says="auto, cpu, mps, cuda or cuda:N"
    )
    compare_quantizers: list[QuantizerName] = setting(
        ["vq_ema"], "further quantizers trained with the same budget, to compare"
    )
    data: DataConfig = group(DataConfig, "where the motions come from")
    corpus: CorpusConfig = group(CorpusConfig, "the composed motions")
    text: TextConfig = group(TextConfig, "the captions")
    tokenizer: TokenizerConfig = group(TokenizerConfig, "stage 1, the model")
    tokenizer_training: TrainConfig = group(TrainConfig, "stage 1, the training")
    llama: LlamaConfig = group(LlamaConfig, "stage 2, the model")
    llama_training: TrainConfig = group(TrainConfig, "stage 2, the training")
    sampling: Sampling = group(Sampling, "generation", max_tokens=150)
    evaluation: EvaluationConfig = group(EvaluationConfig, "the scores")

    def check_relations(self) -> None:
        key, longest = "corpus.max_frames", self.longest
        if self.data.source != "composed":
            key = "data.max_frames"
        if longest is not None and self.tokenizer.window > longest:
            raise InputError(
                "tokenizer.window",
                found=self.tokenizer.window,
                expected=f"at most {key} ({longest}): no clip is longer",
                fix=f"Lower it, or raise {key}.",
            )
        self.check_sampling(self.sampling)

    def check_sampling(self, sampling: Sampling) -> None:
        """Refuse ways to sample that a decoder with these settings has not learnt."""
        if sampling.guidance != 1 and self.llama.text_drop == 0:
            raise InputError(
                "sampling.guidance",
                found=f"{sampling.guidance:g} for a decoder that never trained without text (llama.text_drop=0)",
                expected="1 (off)",
                fix="Train with llama.text_drop=0.1 to use guidance.",
            )

    @property
    def longest(self) -> int | None:
        """Frames that no clip exceeds by these settings; None when they do not say."""
        return self.corpus.max_frames if self.data.source == "composed" else self.data.max_frames

    @property
    def quantizers(self) -> list[Any]:
        """The run's own quantizer and those to compare it with, each once."""
        return list(dict.fromkeys([self.tokenizer.quantizer, *self.compare_quantizers]))


@dataclass
class VlaRunConfig(RunConfig):
    """A run of the robot half: demonstrations, backbone, policy, trials. A settings file with the section `vla` is one.

    The sections of text to motion are there with their defaults, and are not used.
    """

    UNUSED: ClassVar[tuple[str, ...]] = (
        "compare_quantizers", "data", "corpus", "text", "tokenizer", "tokenizer_training", "llama", "llama_training",
        "sampling", "evaluation",
    )  # fmt: skip

    vla_data: VlaDataConfig = group(VlaDataConfig, "the demonstrations")
    vla_pretrain: VlaPretrainConfig = group(VlaPretrainConfig, "stage 1 of the robot half, what the backbone learns")
    vla_pretrain_training: TrainConfig = group(TrainConfig, "stage 1 of the robot half, the training")
    vla: VlaConfig = group(VlaConfig, "stage 2 of the robot half, the policy")
    vla_training: TrainConfig = group(TrainConfig, "stage 2 of the robot half, the training")
    vla_evaluation: VlaEvaluationConfig = group(VlaEvaluationConfig, "the trials of the policy")

    def check_relations(self) -> None:
        super().check_relations()
        if self.vla_evaluation.execute > self.vla.horizon:
            raise InputError(
                "vla_evaluation.execute",
                found=self.vla_evaluation.execute,
                expected=f"at most vla.horizon ({self.vla.horizon})",
                fix="Carry out fewer actions, or raise vla.horizon.",
            )


_SECTIONS: dict[str, tuple[type[Section], str]] = {}  # name -> dataclass, sentence


def add_section(name: str, kind: type[Section], help: str) -> None:
    """Add a section to the config of a run: the settings of a stage that is not one of the two of `RunConfig`.

    Raises:
        ValueError: no name for a key, the name of a key that `RunConfig` has, or a class that does not check itself.
    """
    if not name.isidentifier() or name in hints(VlaRunConfig):
        raise ValueError(f"a section needs a name of its own of letters, digits and _, not {name!r}")
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        raise ValueError(f"section {name}: {kind!r} must be a Section, whose fields are declared with setting()")
    _SECTIONS[name] = kind, help


def run_config(values: Mapping[str, Any] | None = None) -> type[RunConfig]:
    """`RunConfig`, or `VlaRunConfig` for the values of a file that has a section `vla`, with what was added.

    So the settings of text to motion are the same, key by key, as without a robot half.
    """
    base = VlaRunConfig if values is not None and "vla" in values else RunConfig
    return _extended(base, tuple((name, *section) for name, section in _SECTIONS.items()))


@functools.cache  # one class for the same sections: configs of two classes are never equal
def _extended(base: type[RunConfig], sections: tuple[tuple[str, type[Section], str], ...]) -> type[RunConfig]:
    if not sections:
        return base
    fields: list[tuple[str, type, Any]] = [(name, kind, group(kind, help)) for name, kind, help in sections]
    return make_dataclass("RunConfig", fields, bases=(base,))
