"""`motionlab import` on real files: right on each convention of skeletons, and swapped sides are seen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from motionlab.jobs.import_motions import ImportResult, import_motions


def run(*inputs: Path, out: Path) -> ImportResult:
    return import_motions(list(inputs), out, workers=1)


REAL_RIGHT = (
    "cmu_12_01_walk.bvh", "cmu_renamed_jumping_jacks.bvh", "mvn_chain_z_up_dab.bvh", "mixed_orders_z_up.bvh",
    "rest_y_up_motion_z_up.bvh", "rokoko_dance.bvh", "smpl_names_generated.bvh", "no_neck_walk.bvh",
    "short_names_no_toes_walk.bvh", "mocapbank_chest_names.bvh", "makehuman_leaf_hips_z_up_walk.bvh",
    "mixamo_positions_on_every_joint.bvh", "geno_one_frame.bvh", "kimodo_soma_motion.npz",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", ["cmu_12_01_walk", "rokoko_dance", "mocapbank_chest_names", "short_names_no_toes_walk"]
)
def test_swapped_names_and_a_mirrored_axis_are_seen(
    name: str, real_motion: Callable[[str], Path], tmp_path: Path
) -> None:
    """Also without toes: knees tell."""
    tree, rows_text = real_motion(f"{name}.bvh").read_text().split("MOTION")
    other = {"Left": "Right", "Right": "Left"}
    swapped = re.sub("Left|Right", lambda found: other[found[0]], tree)
    (tmp_path / "swapped.bvh").write_text(f"{swapped}MOTION{rows_text}")
    flips = [-1.0 if turn in ("Xposition", "Yrotation", "Zrotation") else 1.0
             for turn in re.findall(r"[XYZ](?:position|rotation)", tree)]  # fmt: skip
    tree = re.sub(r"OFFSET\s+(\S+)", lambda found: f"OFFSET {-float(found[1])}", tree)
    lines = rows_text.strip().splitlines()
    lines[2:] = [" ".join(str(s * float(v)) for s, v in zip(flips, row.split(), strict=True)) for row in lines[2:]]
    (tmp_path / "mirrored.bvh").write_text(tree + "MOTION\n" + "\n".join(lines) + "\n")
    result = run(tmp_path, out=tmp_path / "out")
    assert len(result.clips) == 2
    for clip in result.clips:
        assert clip.verdict == "doubtful" and "left and right are swapped" in clip.reasons[0]


def test_the_skeleton_of_amc_files_is_no_motion(real_motion: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("cmu_02.asf", "cmu_02_03_run.amc"):
        shutil.copy(real_motion(name), tmp_path / name)
    result = run(tmp_path, out=tmp_path / "out")
    assert [clip.name for clip in result.clips] == ["cmu_02_03_run"] and not result.unreadable
    assert result.counts["right"] == 1


def test_real_files_are_right(real_motion: Callable[[str], Path], tmp_path: Path) -> None:
    result = run(*(real_motion(name) for name in REAL_RIGHT), out=tmp_path / "out")
    wrong = {clip.name: clip.reasons for clip in result.clips if clip.verdict != "right"}
    assert wrong == {} and len(result.clips) == len(REAL_RIGHT)
    angles = [clip.measures["limb_angle_deg"] for clip in result.clips]
    assert max(angles) < 1
