"""Trees of joints with their motion, through the registry: dialects of BVH, ASF/AMC, glTF as text and as GLB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import SourceMotion
from tests.fuzz.registry import Format, register
from tests.motion.formats.gltf_builder import a_body
from tests.motion.formats.test_asf_amc import AMC, ASF
from tests.motion.formats.test_bvh import TEXT


def _make_bvh(folder: Path) -> list[Path]:
    """Two bodies, positions on a joint, a name of several words, a wrapped row, a number with an exponent."""
    tree, rows = TEXT.split("MOTION\n")
    tree = tree.replace("CHANNELS 3 Y", "CHANNELS 6 Xposition Yposition Zposition Y").replace("Chest", "Chest of Hips")
    head, first, second = rows.rsplit("\n", 3)[0], "0 90 0  0 0 90  0 10 0  0 0 0", "1 91 0  10 20 3e1\n0 12 0 40 50 60"
    other = tree.removeprefix("HIERARCHY\n")
    content = f"{tree}{other}MOTION\n{head}\n{first} {first}\n{first} {second}\n"
    (folder / "walk.bvh").write_text(content)
    return [folder / "walk.bvh"]


def _make_amc(folder: Path) -> list[Path]:
    (folder / "02.asf").write_text(ASF)
    (folder / "02_03.amc").write_text(AMC)
    return [folder / "02.asf", folder / "02_03.amc"]


def _make_gltf(folder: Path) -> list[Path]:
    body = a_body()
    bones = {"hips": {"node": 1}, "leftUpperLeg": {"node": 2}}
    body.document["extensions"] = {"VRMC_vrm_animation": {"humanoid": {"humanBones": bones}}}
    values = [[1, 1, 1]] * 6
    body.animate((1, "scale", "CUBICSPLINE", [0, 0.3], values), (2, "translation", "STEP", [0, 1], [[0, 1, 0]] * 2))
    return [body.write(folder / "walk.gltf")]


def _make_glb(folder: Path) -> list[Path]:
    return [a_body().write(folder / "walk.glb")]


def _reads(name: str) -> Callable[[Path], list[SourceMotion]]:
    def read(folder: Path) -> list[SourceMotion]:
        return [one.motion for one in read_file(folder / name) if isinstance(one.motion, SourceMotion)]

    return read


def _are_motions(motions: list[Any]) -> None:
    for motion in motions:
        assert len(motion.joints) == len(set(motion.joints)) and motion.rest is not None
        product = motion.rotations @ motion.rotations.mT  # what is finite and fits together, the class has checked
        assert float((product - torch.eye(3, dtype=product.dtype)).abs().max()) < 1e-6
        assert len(motion) < 200_000 and all(name.strip() for name in motion.joints)


register(Format("BVH dialects", _make_bvh, _reads("walk.bvh"), _are_motions))
register(Format("ASF/AMC", _make_amc, _reads("02_03.amc"), _are_motions))
register(Format("glTF", _make_gltf, _reads("walk.gltf"), _are_motions, ("bytes", "text", "json")))
register(Format("GLB", _make_glb, _reads("walk.glb"), _are_motions))
