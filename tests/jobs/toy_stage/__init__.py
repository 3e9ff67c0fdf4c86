"""A third stage, as a developer would add one: a folder with settings and a stage, and one line of registration."""

from motionlab.config import TrainConfig
from motionlab.jobs.stages import StageEntry

from .settings import ToyConfig

ENTRY = StageEntry("toy", "toy_stage.stage:ToyStage", sections={"toy": ToyConfig, "toy_training": TrainConfig})
