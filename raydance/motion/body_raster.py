"""A body of capsules and a trunk as pixels, with light and shade, by NumPy alone.

Everything is in pixels: x to the right, y down, depth towards the viewer.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np

_LIGHT: Final = np.array([0.34, -0.62, 0.71], np.float32)  # from above, the right and in front
_AMBIENT, _DIFFUSE = 0.66, 0.42
_SMALL_PX: Final = 24
_FINER: Final = 2  # the trunk is drawn so many times larger, for smooth edges


class Canvas:
    """A picture `[H, W, 3]` float32 (0 to 255) with the depth of what is drawn on it."""

    def __init__(self, picture: np.ndarray) -> None:
        self.colour: np.ndarray = picture.astype(np.float32)
        self.depth: np.ndarray = np.full(picture.shape[:2], -np.inf, np.float32)

    def pixels(self) -> np.ndarray:
        """`[H, W, 3]` uint8."""
        return (self.colour + 0.5).astype(np.uint8)  # light is never so strong that it clips

    def _blend(
        self, rows: slice, columns: slice, alpha: np.ndarray, colour: np.ndarray, depth: np.ndarray
    ) -> None:
        """Put colours `[h, w, 3]` where they are in front of what is there."""
        behind = self.depth[rows, columns]
        alpha = np.where(depth > behind, alpha, np.float32(0))
        part = self.colour[rows, columns]
        part += alpha[..., None] * (colour - part)
        np.copyto(behind, depth, where=alpha > 0.5)

    def capsules(
        self, starts: np.ndarray, ends: np.ndarray, radii: np.ndarray, colours: np.ndarray
    ) -> None:
        """Tapered capsules; those drawn last should be the nearest, for smooth edges.

        Args:
            starts, ends: `[L, 3]`, (x, y, depth).
            radii: `[L, 2]`, at the start and at the end.
            colours: `[L, 3]`, 0 to 255.
        """
        reach = radii[:, :, None]
        points = np.stack((starts, ends), axis=1)[:, :, :2]
        corner = np.floor((points - reach).min(axis=1)).astype(int) - 1
        size = np.ceil((points + reach).max(axis=1)).astype(int) + 1 - corner
        is_small = size.max(axis=1) <= _SMALL_PX  # fingers: many at once, in windows of one size
        groups = [np.array([limb]) for limb in np.flatnonzero(~is_small)]
        if is_small.any():
            groups.append(np.flatnonzero(is_small))
        for group in groups:
            wide, tall = size[group].max(axis=0)
            first, last, thick = (
                values[group].astype(np.float32) for values in (starts, ends, radii)
            )
            found = _capsules(first, last, thick, corner[group], (int(tall), int(wide)))
            for limb, alpha, shade, depth in zip(group.tolist(), *found):
                x, y = corner[limb].tolist()
                self._put((x, y), alpha, shade, depth, colours[limb])

    def _put(
        self,
        corner: tuple[int, int],
        alpha: np.ndarray,
        shade: np.ndarray,
        depth: np.ndarray,
        colour: np.ndarray,
    ) -> None:
        """Blend a window `[h, w]` whose upper left corner is at (x, y), as far as it is seen."""
        x, y = corner
        tall, wide = alpha.shape[0], alpha.shape[1]
        height, width = self.depth.shape[0], self.depth.shape[1]
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + wide, width), min(y + tall, height)
        if left >= right or top >= bottom:
            return
        seen = slice(top - y, bottom - y), slice(left - x, right - x)
        colours = shade[seen][..., None] * colour.astype(np.float32)
        self._blend(slice(top, bottom), slice(left, right), alpha[seen], colours, depth[seen])

    def surface(self, points: np.ndarray, normals: np.ndarray, colour: np.ndarray) -> None:
        """A tube of rings.

        Args:
            points: `[R, S, 3]`, (x, y, depth); a ring is closed.
            normals: `[R, S, 3]`, the same axes.
            colour: `[3]`, 0 to 255.
        """
        height, width = self.depth.shape[0], self.depth.shape[1]
        flat = points.reshape(-1, 3)
        left, top = np.maximum(np.floor(flat[:, :2].min(axis=0)).astype(int) - 1, 0)
        right, bottom = np.minimum(
            np.ceil(flat[:, :2].max(axis=0)).astype(int) + 2, (width, height)
        )
        if left >= right or top >= bottom:
            return
        places = (points - (left, top, 0)) * (_FINER, _FINER, 1)
        size = ((bottom - top) * _FINER, (right - left) * _FINER)
        depth, shade = _rasterised(places.astype(np.float32), normals.astype(np.float32), size)
        depths = _parts(depth)
        count = functools.reduce(np.add, [np.isfinite(part).astype(np.float32) for part in depths])
        alpha = count / np.float32(_FINER**2)
        mean = functools.reduce(np.add, _parts(shade)) / np.maximum(count, np.float32(1))
        front = functools.reduce(np.maximum, depths)
        rows, columns = slice(top, bottom), slice(left, right)
        self._blend(rows, columns, alpha, mean[..., None] * colour.astype(np.float32), front)


def _parts(fine: np.ndarray) -> list[np.ndarray]:
    """The values that become one pixel, each as a picture: quicker to add up than by `sum`."""
    return [fine[i::_FINER, j::_FINER] for i in range(_FINER) for j in range(_FINER)]


def _capsules(
    starts: np.ndarray,
    ends: np.ndarray,
    radii: np.ndarray,
    corner: np.ndarray,
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverage, shade and depth `[L, h, w]` of capsules in windows of one size."""
    near = (corner + 0.5).astype(np.float32)
    px = np.arange(size[1], dtype=np.float32) + (near[:, :1] - starts[:, :1])
    py = np.arange(size[0], dtype=np.float32) + (near[:, 1:] - starts[:, 1:2])
    px, py = px[:, None, :], py[:, :, None]
    dx, dy, dz = ((ends - starts)[:, i, None, None] for i in range(3))
    r0, r1 = radii[:, 0, None, None], radii[:, 1, None, None]
    square = dx * dx + dy * dy
    share = np.clip((px * dx + py * dy) / np.maximum(square, np.float32(1e-6)), 0, 1)
    from_end = np.where(dz + r1 > r0, np.float32(1), np.float32(0))  # the end that is seen
    share = np.where(square < 0.25, from_end, share)
    radius = share * (r1 - r0) + r0
    nx = (px - share * dx) / radius
    ny = (py - share * dy) / radius
    off = nx * nx + ny * ny
    nz = np.sqrt(np.maximum(1 - off, 0))
    alpha = np.clip((1 - np.sqrt(off)) * radius + np.float32(0.5), 0, 1)
    depth = share * dz + starts[:, 2, None, None] + nz * radius
    return alpha, _shade(nx, ny, nz), depth


def _shade(nx: np.ndarray, ny: np.ndarray, nz: np.ndarray) -> np.ndarray:
    lit = nx * _LIGHT[0] + ny * _LIGHT[1] + nz * _LIGHT[2]
    return np.float32(_AMBIENT) + np.float32(_DIFFUSE) * np.maximum(lit, np.float32(-0.35))


def _rasterised(
    points: np.ndarray, normals: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Depth (-inf where nothing is) and shade of a tube's triangles, both `size`; all at once."""
    depth = np.full(size[0] * size[1], -np.inf, np.float32)
    shade = np.zeros(size[0] * size[1], np.float32)
    light = _shade(normals[..., 0], normals[..., 1], normals[..., 2])
    values = np.concatenate([points, light[..., None]], axis=-1)
    after = np.roll(values, -1, axis=1)
    a, b, c, d = values[:-1], after[:-1], after[1:], values[1:]
    corners = np.concatenate([np.stack((a, b, c), axis=-2), np.stack((a, c, d), axis=-2)])
    corners = corners.reshape(-1, 3, 4)
    p0, p1, p2 = corners[:, 0, :2], corners[:, 1, :2], corners[:, 2, :2]
    area = (p1[:, 0] - p0[:, 0]) * (p2[:, 1] - p0[:, 1]) - (p1[:, 1] - p0[:, 1]) * (
        p2[:, 0] - p0[:, 0]
    )
    keep = area > 1e-3  # those that face the viewer; y points down
    corners, area = corners[keep], area[keep]
    low = np.floor(corners[:, :, :2].min(axis=1)).astype(int)
    spans = np.ceil(corners[:, :, :2].max(axis=1)).astype(int) - low + 1
    # Triangles of alike size together, so that few pixels are looked at in vain.
    order = np.argsort(spans.max(axis=1))
    for group in np.array_split(order, max(1, len(order) // 48)):
        if not len(group):
            continue
        wide, tall = spans[group].max(axis=0)
        x = low[group, 0, None, None] + np.arange(wide)[None, None]
        y = low[group, 1, None, None] + np.arange(tall)[None, :, None]
        cx, cy, cz, cl = (corners[group, :, i][:, :, None, None] for i in range(4))
        px, py = (x + 0.5).astype(np.float32), (y + 0.5).astype(np.float32)
        whole = area[group][:, None, None]
        w1 = (px - cx[:, 0]) * (cy[:, 2] - cy[:, 0]) - (py - cy[:, 0]) * (cx[:, 2] - cx[:, 0])
        w2 = (cx[:, 1] - cx[:, 0]) * (py - cy[:, 0]) - (cy[:, 1] - cy[:, 0]) * (px - cx[:, 0])
        w1, w2 = w1 / whole, w2 / whole
        inside = (w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)
        inside &= (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
        where = (y * size[1] + x)[inside]
        w1, w2 = w1[inside], w2[inside]
        which = np.nonzero(inside)[0]
        z0, z1, z2 = (corners[group, i, 2][which] for i in range(3))
        l0, l1, l2 = (corners[group, i, 3][which] for i in range(3))
        z = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
        lit = l0 + w1 * (l1 - l0) + w2 * (l2 - l0)
        near = np.argsort(z, kind="stable")  # of several for one pixel the last one stays
        where, z, lit = where[near], z[near], lit[near]
        front = z > depth[where]
        depth[where[front]], shade[where[front]] = z[front], lit[front]
    return depth.reshape(size), shade.reshape(size)
