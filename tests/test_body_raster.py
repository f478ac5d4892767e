"""The drawn body: the pixels that are looked at hold all that a limb covers, depth decides."""

from __future__ import annotations

import numpy as np

from raydance.motion.body_raster import Canvas

SIZE = (60, 80)  # height, width


def blank() -> Canvas:
    return Canvas(np.full((3, *SIZE), 250, np.uint8))


def covered(start: np.ndarray, end: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Which pixels have their middle in a capsule: each looked at, against points on its axis."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    share = np.linspace(0, 1, 2001)[:, None]
    points, thick = start + share * (end - start), radii[0] + share[:, 0] * (radii[1] - radii[0])
    away = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1])
    return np.asarray((away <= thick - 0.05).any(axis=-1))


def test_limbs_of_every_direction_are_drawn_whole() -> None:
    ways = [(0.0, 0.0), (30.0, 0.0), (0.0, -25.0), (20.0, 20.0), (-25.0, 9.0), (70.0, 55.0)]
    for way in ways:
        start, end = np.array([40.0, 30.0, 0.0]), np.array([40.0 + way[0], 30.0 + way[1], 5.0])
        canvas = blank()
        canvas.capsules(start[None], end[None], np.array([[6.0, 6.0]]), np.array([[28, 110, 200]]))
        red = np.asarray(canvas.picture())[..., 0]
        inside = covered(start, end, np.array([6.0, 6.0]))
        assert (red[inside] < 150).all(), way
        assert np.count_nonzero(red < 245) < 1.3 * np.count_nonzero(inside), way


def test_what_is_nearer_hides_what_is_drawn_after_it() -> None:
    canvas = blank()
    starts = np.array([[20.0, 30.0, 50.0], [40.0, 10.0, 0.0]])
    ends = np.array([[60.0, 30.0, 50.0], [40.0, 50.0, 0.0]])
    canvas.capsules(starts, ends, np.full((2, 2), 5.0), np.array([[28, 110, 200], [226, 106, 40]]))
    red = np.asarray(canvas.picture())[..., 0]
    assert red[30, 40] < 60 and red[15, 40] > 120


def test_a_tube_is_as_wide_as_its_rings_behind_and_before_limbs() -> None:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    around = np.stack((np.cos(angle), 0 * angle, -np.sin(angle)), axis=-1)
    points = 12 * around + np.array([[[40, y, 0]] for y in (45.0, 30.0, 15.0)])
    normals = np.broadcast_to(around, points.shape)
    canvas = blank()
    canvas.surface(points, normals, np.array([46, 52, 64]))
    canvas.capsules(
        np.array([[40.0, 20.0, -30.0], [40.0, 40.0, 30.0]]),
        np.array([[70.0, 20.0, -30.0], [70.0, 40.0, 30.0]]),
        np.full((2, 2), 4.0),
        np.array([[226, 106, 40]] * 2),
    )
    red = np.asarray(canvas.picture())[..., 0]
    assert abs(np.count_nonzero(red[30] < 150) - 24) <= 1
    assert red[20, 45] < 60 and red[40, 45] > 120 and red[20, 60] > 120
