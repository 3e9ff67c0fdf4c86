"""Fewer triangles for the same picture: vertices that share a cell of a grid become one.

The scenes have about 300,000 triangles, and a picture of 64 pixels costs what they cost, not what its pixels do. Vertex
clustering (Rossignac and Borrel, "Multi-resolution 3D approximations for rendering complex scenes", 1993) is the
simplest way out: a grid over each mesh, one vertex for each cell, and triangles with two corners in one cell are gone.

Only meshes that nothing collides with are thinned, in the compiled model and before the pictures are set up: the
physics is the same to the last bit. Normals and texture coordinates stay those of the old corners, which leaves a dark
speckle here and there; files made in this way say so (`visual_thinning`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero_env.package import mujoco

LEAST_CELLS, MOST_CELLS = 4, 256


def cluster(vertices: np.ndarray, faces: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles over one vertex for each cell.

    Args:
        vertices: `[V, 3]`.
        faces: `[F, 3]` numbers of vertices.
        cells: along the longest side of the box around the mesh; cells are cubes.

    Returns:
        `[K, 3]` triangles, K <= F, over the old vertices, and `[K]` which old triangles they were.

    Raises:
        InputError: a number of cells out of range.

    >>> corners = np.array([[0.0, 0, 0], [0.1, 0, 0], [4, 0, 0], [0, 4, 0]])
    >>> cluster(corners, np.array([[0, 1, 2], [1, 2, 3]]), cells=4)  # 0 and 1 are one: the first triangle is gone
    (array([[0, 2, 3]]), array([1]))
    """
    if not LEAST_CELLS <= cells <= MOST_CELLS:
        expected = f"{LEAST_CELLS} to {MOST_CELLS} cells"
        raise InputError("visual_thinning", found=cells, expected=expected, fix="Choose another number, or None.")
    low, high = vertices.min(0), vertices.max(0)
    edge = max(float((high - low).max()) / cells, 1e-12)
    places = np.minimum(((vertices - low) / edge).astype(np.int64), cells - 1)  # [V, 3]
    keys = (places[:, 0] * cells + places[:, 1]) * cells + places[:, 2]  # [V]
    _, first, cell = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.stack([np.bincount(cell, weights=vertices[:, axis]) for axis in range(3)], axis=1)
    middles = sums / np.bincount(cell)[:, None]  # [C, 3]
    away = ((vertices - middles[cell]) ** 2).sum(1)  # [V]
    order = np.lexsort((away, cell))  # within each cell, the nearest to its middle comes first
    nearest = np.empty(len(first), dtype=np.int64)
    nearest[cell[order[::-1]]] = order[::-1]  # the last one written stays
    mapped = nearest[cell][faces]  # [F, 3]
    a, b, c = mapped.T
    kept = np.flatnonzero((a != b) & (b != c) & (a != c))
    _, once = np.unique(np.sort(mapped[kept], axis=1), axis=0, return_index=True)
    kept = kept[np.sort(once)]
    return mapped[kept], kept


def thin_visual_meshes(model: Any, cells: int) -> tuple[int, int]:
    """Thin what is only seen, in place.

    Args:
        model: a `mujoco.MjModel` of which no pictures were set up yet.

    Returns:
        Triangles of the seen meshes, before and after.
    """
    before = after = 0
    for mesh in visual_meshes(model):
        start, count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
        first, many = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        old = slice(start, start + count)
        faces, kept = cluster(
            np.array(model.mesh_vert[first : first + many], dtype=np.float64), np.array(model.mesh_face[old]), cells
        )
        before += count
        if 0 < len(faces) < count:
            new = slice(start, start + len(faces))
            for corners in (model.mesh_facenormal, model.mesh_facetexcoord):
                corners[new] = np.array(corners[old])[kept]
            model.mesh_face[new] = faces
            model.mesh_facenum[mesh] = count = len(faces)
        after += count
    return before, after


def visual_meshes(model: Any) -> list[int]:
    """Numbers of the meshes that some shape shows and no shape collides with."""
    is_mesh = model.geom_type == int(mujoco().mjtGeom.mjGEOM_MESH)
    collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    used = {int(number) for number in model.geom_dataid[is_mesh]}
    return sorted(used - {int(number) for number in model.geom_dataid[is_mesh & collides]})
