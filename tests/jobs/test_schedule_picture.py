from pathlib import Path

import matplotlib.image
import numpy as np

from motionlab.config import TrainConfig
from motionlab.jobs.schedule_picture import SchedulePicture, plot_schedule
from motionlab.training.checkpoints.state import Counters
from motionlab.training.schedule import lr_factor, schedule_arguments


def test_the_picture_is_there_before_the_first_step(tmp_path: Path) -> None:
    settings = TrainConfig(steps=50, warmup_steps=5, lr_scaling="sqrt", base_batch=8)
    SchedulePicture(tmp_path / "schedule.png", settings).started(Counters(), {})
    image = matplotlib.image.imread(tmp_path / "schedule.png")
    assert image.ndim == 3 and image.std() > 0.01


def test_the_line_is_the_schedule() -> None:
    settings = TrainConfig(steps=50, warmup_steps=5, schedule="wsd", min_lr_ratio=0.1)
    arguments = schedule_arguments(settings)
    line = plot_schedule({"wsd": (0.5, arguments)}).axes[0].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == list(range(50))
    assert np.asarray(line.get_ydata()).tolist() == [0.5 * lr_factor(s, **arguments) for s in range(50)]
