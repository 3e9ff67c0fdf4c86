"""Files that hold pickled Python objects, and numpy files of no kind we know: refused, each with what to do.

Unpickling a file runs the code it names. Motions from IsaacGym's poselib (`.npy` with a dictionary inside), PHC, the
original SMPL and AIST++ (`.pkl`), ProtoMotions (`.pt`) and MDM's `results.npy` are pickles, so they are never opened
here: the program that wrote them can write plain arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from motionlab.motion.formats.numpy_motion import SUFFIXES, headers, wrong
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import Reading, ReadOptions

PICKLES = (".pkl", ".pickle", ".p", ".pt")
_POSELIB = (
    "With poselib: m = SkeletonMotion.from_file('walk.npy'); np.savez('walk.npz', "
    "joints=m.global_translation.numpy(), joint_names=m.skeleton_tree.node_names, fps=m.fps)"
)
_SMPL = "Save its arrays without objects: np.savez('walk.npz', poses=poses, trans=trans, mocap_framerate=fps)"


def _is_pickle(path: Path) -> bool:
    return path.suffix.lower() in PICKLES or any(header.kind == "O" for header in headers(path).values())


def _refuse(path: Path, options: ReadOptions) -> Iterator[Reading]:
    raise wrong(
        path,
        "pickled Python objects, which run code when they are opened",
        "plain arrays",
        f"{_POSELIB}. {_SMPL}." if path.suffix.lower() == ".npy" else f"{_SMPL}.",
    )


def _refuse_unknown(path: Path, options: ReadOptions) -> Iterator[Reading]:
    found = [f"{name or 'an array'} {header.shape}" for name, header in headers(path).items()]
    raise wrong(
        path,
        ", ".join(found[:12]) or "no array",
        "[T, 272], [T, 263], [T, 85] or [T, 322] features, joints [T, J, 3], or poses and trans of AMASS",
        "See `motionlab formats`; for joints save an .npz with 'joints' [T, J, 3], 'joint_names' and 'fps'.",
    )


FORMAT = Format(
    name="pickles (poselib, PHC, SMPL .pkl)",
    suffixes=(".npy", ".npz", *PICKLES),
    carries="refused: opening such a file runs the code in it",
    loses="everything; the error says how to write plain arrays instead",
    recognises=_is_pickle,
    read=_refuse,
)
UNKNOWN = Format(
    name="other numpy files",
    suffixes=SUFFIXES,
    carries="refused: no known names and shapes",
    loses="everything",
    recognises=any_file,
    read=_refuse_unknown,
)
