"""Every setting of a run: typed dataclasses that check themselves, one file per section, and YAML in and out.

The classes are plain dataclasses, so a reader needs no framework to understand them; `fields.py` has the checks.
Modules never see these classes, `Sampling` aside: a job takes the numbers out and passes them as plain arguments.
No torch is loaded here.
"""

from motionlab.config.corpus import CorpusConfig
from motionlab.config.data import DataConfig
from motionlab.config.evaluation import EvaluationConfig
from motionlab.config.llama import LlamaConfig
from motionlab.config.run import RunConfig, VlaRunConfig, add_section, run_config
from motionlab.config.sampling import Sampling
from motionlab.config.text import TextConfig
from motionlab.config.tokenizer import QUANTIZERS, TokenizerConfig
from motionlab.config.training import TrainConfig
from motionlab.config.yaml_files import from_mapping, load_config, preset_names, to_mapping, to_yaml

__all__ = [
    "QUANTIZERS",
    "CorpusConfig",
    "DataConfig",
    "EvaluationConfig",
    "LlamaConfig",
    "RunConfig",
    "Sampling",
    "TextConfig",
    "TokenizerConfig",
    "TrainConfig",
    "VlaRunConfig",
    "add_section",
    "from_mapping",
    "load_config",
    "preset_names",
    "run_config",
    "to_mapping",
    "to_yaml",
]
