"""Vertex clustering on toy meshes."""

from __future__ import annotations

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.vla.libero_env.thinning import cluster


def sphere(rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a sphere of radius 1; outwards."""
    down, around = np.meshgrid(np.linspace(0.01, np.pi - 0.01, rows), np.arange(2 * rows) * np.pi / rows, indexing="ij")
    vertices = np.stack([np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down)], -1).reshape(-1, 3)
    faces = []
    for row in range(rows - 1):
        for column in range(2 * rows):
            a, b = row * 2 * rows + column, row * 2 * rows + (column + 1) % (2 * rows)
            c, d = a + 2 * rows, b + 2 * rows
            faces += [[a, c, b], [b, c, d]]
    return vertices, np.array(faces)


def test_a_sphere_keeps_its_shape() -> None:
    vertices, faces = sphere()
    thin, kept = cluster(vertices, faces, cells=10)
    assert len(thin) < len(faces) / 4
    used = vertices[np.unique(thin)]
    for axis in range(3):
        assert used[:, axis].max() > 0.9 and used[:, axis].min() < -0.9
    corners = vertices[thin]  # [K, 3 corners, 3]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = (normals * corners.mean(1)).sum(1) > 0
    assert outwards.mean() > 0.95  # corners keep their order
    assert len(kept) == len(thin) and (np.diff(kept) > 0).all()


def test_no_triangle_is_degenerate_or_twice() -> None:
    vertices, faces = sphere()
    thin, _ = cluster(vertices, faces, cells=8)
    assert all(len(set(face)) == 3 for face in thin.tolist())
    assert len({tuple(sorted(face)) for face in thin.tolist()}) == len(thin)


def test_a_fine_grid_changes_nothing() -> None:
    vertices = np.eye(4, 3)
    faces = np.array([[0, 1, 2], [1, 2, 3]])
    thin, kept = cluster(vertices, faces, cells=64)
    np.testing.assert_array_equal(thin, faces)
    np.testing.assert_array_equal(kept, [0, 1])


def test_a_vertex_of_a_cell_is_the_one_nearest_to_its_middle() -> None:
    vertices = np.array([[0.0, 0, 0], [0.4, 0, 0], [0.5, 0, 0], [4, 0, 0], [0, 4, 0]])
    thin, _ = cluster(vertices, np.array([[0, 3, 4], [2, 3, 4]]), cells=4)
    np.testing.assert_array_equal(thin, [[1, 3, 4]])


@pytest.mark.parametrize("cells", [3, 257])
def test_a_number_of_cells_out_of_range_is_refused(cells: int) -> None:
    with pytest.raises(InputError, match="visual_thinning"):
        cluster(*sphere(4), cells=cells)
