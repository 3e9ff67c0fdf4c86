"""The one place where pictures are turned: training, evaluation and videos all come through here.

OpenGL counts rows from below. A simulator that saves its pictures as OpenGL gives them ("opengl", the default of
robosuite and of LIBERO's files) stores them upside down; "opencv" stores them upright. Upside down is a vertical
flip. Some programs turn by 180 degrees instead, which also mirrors left and right; the same in training and evaluation,
it does a policy no harm, but a mirrored picture belongs to no camera, and geometry learned on it is wrong.
"""

from __future__ import annotations

import numpy as np

from motionlab.errors import InputError

CONVENTIONS = ("opengl", "opencv")
DEFAULT = "opengl"  # of files that do not say it


def check_convention(name: str, where: object) -> str:
    """The name, if there is such a convention.

    Raises:
        InputError: there is none.
    """
    if name not in CONVENTIONS:
        fix = "Give image_convention: opengl (stored upside down) or opencv (stored upright)."
        raise InputError(where, found=repr(name), expected=" or ".join(CONVENTIONS), fix=fix)
    return name


def upright(pictures: np.ndarray, convention: str) -> np.ndarray:
    """Stored pictures `[..., H, W, C]`, the upper edge first. The same function makes upright ones fit to be stored.

    >>> upright(np.array([[[1]], [[2]]]), "opengl")[:, 0, 0]
    array([2, 1])
    """
    check_convention(convention, "image_convention")
    return pictures[..., ::-1, :, :] if convention == "opengl" else pictures
