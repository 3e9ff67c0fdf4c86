"""Pictures of the features: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.features import FEATURE_SLICES
from motionlab.motion.formats.gait import GROUPS
from motionlab.motion.formats.pfnn import X_COLUMNS, pfnn_vectors
from motionlab.plots.motion_features import feature_figure, paths_figure, pfnn_figure, spread_of_features_figure
from motionlab.views.motion_features import compute_features


def test_a_curve_for_each_number_and_a_mark_at_the_frame() -> None:
    motion = load_samples()[0].motion
    view = compute_features(motion, 0.5, "heading")
    front, above, right = feature_figure(view).axes
    curves = [line for line in right.lines if np.size(line.get_xdata()) == len(motion)]
    assert [line.get_label() for line in curves] == view.labels
    assert np.asarray(curves[2].get_ydata()).tolist() == motion.features[:, 4].tolist()
    assert np.asarray(right.lines[-1].get_xdata())[0] == view.frame / 30
    assert len(front.lines) == 21 and len(above.lines) == 3  # bones; path, its start, the moment


def test_no_two_curves_look_the_same() -> None:
    curves = feature_figure(compute_features(load_samples()[0].motion, 0.5, "rotations")).axes[2].lines[:6]
    assert len({line.get_color() for line in curves}) == 6


def test_a_stretched_path_says_so() -> None:
    paths = {"true": torch.zeros(4, 2)}
    plain, stretched = (paths_figure(paths, stretch=stretch).axes[0] for stretch in (False, True))
    assert plain.get_aspect() == 1 and plain.get_xlabel() == "x, metres"
    assert stretched.get_aspect() == "auto" and "stretched" in stretched.get_xlabel()


def test_the_first_path_is_drawn_last_and_features_without_spread_are_crosses() -> None:
    axes = paths_figure({"true": torch.zeros(4, 2), "bent": torch.ones(4, 2)}).axes[0]
    assert [line.get_label() for line in axes.lines[::2]] == ["bent", "true"]
    spread = torch.ones(272)
    spread[[3, 5]] = 0.0
    lines = spread_of_features_figure({"one": spread}, FEATURE_SLICES).axes[0].lines
    assert [np.size(line.get_xdata()) for line in lines[:2]] == [270, 2] and lines[1].get_marker() == "x"


def test_a_pfnn_vector_is_drawn_as_it_is() -> None:
    sample = next(sample for sample in load_samples() if sample.name == "cmu_swing_2")
    vectors = pfnn_vectors(sample.motion)
    above, front, gait, clock = pfnn_figure(vectors, 5).axes
    assert len(front.lines) == 21 and len(gait.lines) == len(GROUPS)
    column = X_COLUMNS.index(f"gait_{GROUPS[1]}_+0")
    at = list(np.asarray(gait.lines[1].get_xdata())).index(0)
    assert np.asarray(gait.lines[1].get_ydata())[at] == float(vectors.x[5, column])
    assert clock.get_title() == f"phase {float(vectors.phase[5]):.2f}"
    assert len(above.collections) == 1
