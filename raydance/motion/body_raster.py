"""A body of capsules and a trunk as pixels, with light and shade, by NumPy and Pillow.

Everything is in pixels: x to the right, y down, depth towards the viewer.

Dimensions: L limbs, R rings, S points of a ring, Q quads of a surface, N pixels.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

_LIGHT: Final = np.array([0.34, -0.62, 0.71], np.float32)  # from above, the right and in front
_AMBIENT, _DIFFUSE = 0.66, 0.42
_FINER: Final = 2  # the trunk is drawn so many times larger, for smooth edges
_HALF: Final = np.float32(0.5)


class Canvas:
    """A picture with the depth of what is drawn on it.

    Args:
        picture: `[3, H, W]`, 0 to 255; copied.
    """

    def __init__(self, picture: np.ndarray) -> None:
        self.colour: np.ndarray = picture.astype(np.float32)
        self.depth: np.ndarray = np.full(picture.shape[1:], -np.inf, np.float32)

    def picture(self) -> Image.Image:
        """What is drawn."""
        planes = (self.colour + _HALF).astype(np.uint8)  # light is never so strong that it clips
        return Image.merge("RGB", [Image.fromarray(plane) for plane in planes])

    def capsules(
        self, starts: np.ndarray, ends: np.ndarray, radii: np.ndarray, colours: np.ndarray
    ) -> None:
        """Tapered capsules; those drawn last should be the nearest, for smooth edges.

        Args:
            starts, ends: `[L, 3]`, (x, y, depth).
            radii: `[L, 2]`, at the start and at the end.
            colours: `[L, 3]`, 0 to 255.
        """
        height, width = self.depth.shape[0], self.depth.shape[1]
        num_pixels, x, y = _pixels_near(starts, ends, radii.max(axis=1) + 0.5, (height, width))
        drawn, alphas, shades, depths = _capsules(starts, ends, radii, num_pixels, x, y)
        pixels = (y * width + x)[drawn]
        bounds = np.searchsorted(drawn, np.cumsum(num_pixels))
        picture, front = self.colour.reshape(3, -1), self.depth.reshape(-1)
        for limb, (begin, end) in enumerate(pairwise([0, *bounds.tolist()])):
            pixel, depth, alpha = pixels[begin:end], depths[begin:end], alphas[begin:end]
            before = front.take(pixel)
            alpha = alpha * (depth > before)
            behind = picture.take(pixel, axis=1)
            colour = shades[begin:end] * colours[limb, :, None].astype(np.float32)
            picture[:, pixel] = behind + alpha * (colour - behind)
            front[pixel] = np.where(alpha > _HALF, depth, before)

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
        places = (points - (left, top, 0)).astype(np.float32)
        alpha, shade, depth = _tube(
            places, normals.astype(np.float32), (bottom - top, right - left)
        )
        before = self.depth[top:bottom, left:right]
        alpha = alpha * (depth > before)
        part = self.colour[:, top:bottom, left:right]
        part += alpha * (shade * colour[:, None, None].astype(np.float32) - part)
        np.copyto(before, depth, where=alpha > _HALF)


def _ranges(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many whole numbers `[N]` there are from `low` to below `high`, and all of them."""
    count = np.maximum(high - low, 0)
    first = low - np.cumsum(count) + count
    return count, np.repeat(first, count) + np.arange(count.sum())


def _pixels_near(
    starts: np.ndarray, ends: np.ndarray, reach: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many pixels of a picture (height, width) are in reach `[L]` of each limb; their x, y."""
    low, high = np.minimum(starts, ends)[:, 1] - reach, np.maximum(starts, ends)[:, 1] + reach
    top, bottom = (np.clip(edge, 0, size[0]).astype(int) for edge in (low, np.ceil(high)))
    num_rows, y = _ranges(top, bottom)
    values = np.column_stack((starts[:, :2], (ends - starts)[:, :2], reach))
    x0, y0, dx, dy, reach = np.repeat(values, num_rows, axis=0).T
    dy = np.where(np.abs(dy) < 1e-3, 1e-3, dy)
    middle = y + 0.5 - y0
    # The axis where it is in reach of the row, and the strip of that reach around the whole axis.
    axis = np.clip(np.stack((middle - reach, middle + reach)) / dy, 0, 1) * dx
    strip, beside = middle * dx / dy, reach * np.hypot(dx, dy) / np.abs(dy)
    left = x0 + np.maximum(axis.min(axis=0) - reach, strip - beside)
    right = x0 + np.minimum(axis.max(axis=0) + reach, strip + beside)
    num_columns, x = _ranges(
        *(np.clip(edge, 0, size[1]).astype(int) for edge in (left, np.ceil(right)))
    )
    row_ends = np.cumsum(num_rows)
    totals = np.concatenate(([0], np.cumsum(num_columns)))
    return totals[row_ends] - totals[row_ends - num_rows], x, np.repeat(y, num_columns)


def _capsules(
    starts: np.ndarray,
    ends: np.ndarray,
    radii: np.ndarray,
    num_pixels: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which of the limbs' pixels `[N]` they cover; of these the coverage, shade and depth."""
    way = ends - starts
    square = (way[:, :2] ** 2).sum(axis=1)
    is_point = square < 0.25
    seen_end = np.where(way[:, 2] + radii[:, 1] > radii[:, 0], 1.0, 0.0)
    along = np.where(is_point[:, None], 0.0, way[:, :2] / np.maximum(square, 1e-6)[:, None])
    first = np.where(is_point, seen_end, 0.0)
    values = np.column_stack((starts, way, radii[:, 0], radii[:, 1] - radii[:, 0], along, first))
    x0, y0, z0, dx, dy, dz, r0, dr, ax, ay, first = np.repeat(
        values.T.astype(np.float32), num_pixels, axis=1
    )
    px, py = x.astype(np.float32) + _HALF - x0, y.astype(np.float32) + _HALF - y0
    share = np.clip(px * ax + py * ay + first, 0, 1)
    radius = share * dr + r0
    nx, ny = (px - share * dx) / radius, (py - share * dy) / radius
    off = nx * nx + ny * ny
    alpha = np.minimum((1 - np.sqrt(off)) * radius + _HALF, 1)
    nz = np.sqrt(np.maximum(1 - off, 0))
    depth = share * dz + z0 + nz * radius
    drawn = np.flatnonzero(alpha > 0)
    shade = _shade(nx, ny, nz)
    return drawn, alpha.take(drawn), shade.take(drawn), depth.take(drawn)


def _shade(nx: np.ndarray, ny: np.ndarray, nz: np.ndarray) -> np.ndarray:
    lit = nx * _LIGHT[0] + ny * _LIGHT[1] + nz * _LIGHT[2]
    return np.float32(_AMBIENT) + np.float32(_DIFFUSE) * np.maximum(lit, np.float32(-0.35))


def _tube(
    points: np.ndarray, normals: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverage, shade and depth of a tube, each `size` (height, width).

    Its quads are drawn enlarged, each in a colour that is its number, the nearest last; a pixel
    has depth and shade of the nearest quad in it, from the plane along the quad's diagonals.
    """
    light = _shade(normals[..., 0], normals[..., 1], normals[..., 2])
    values = np.concatenate([points, light[..., None]], axis=-1)
    after = np.roll(values, -1, axis=1)
    quads = np.stack((values[:-1], after[:-1], after[1:], values[1:]), axis=-2).reshape(-1, 4, 4)
    u, v = quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    facing = np.flatnonzero(area > 1e-3)  # the viewer; y points down
    facing = facing[np.argsort(quads[facing, :, 2].sum(axis=1))]
    quads, u, v, area = quads[facing], u[facing], v[facing], area[facing, None]
    across = (u[:, 2:] * v[:, 1:2] - v[:, 2:] * u[:, 1:2]) / area
    down = (v[:, 2:] * u[:, :1] - u[:, 2:] * v[:, :1]) / area
    middle, low, high = quads.mean(axis=1), quads[:, :, 2:].min(axis=1), quads[:, :, 2:].max(axis=1)
    begin = middle[:, 2:] - across * middle[:, :1] - down * middle[:, 1:2]
    enlarged = Image.new("I", (size[1] * _FINER, size[0] * _FINER))
    draw = ImageDraw.Draw(enlarged)
    places = np.floor(quads[:, :, :2] * _FINER).reshape(-1, 8).tolist()
    for number, place in enumerate(places, 1):
        draw.polygon(place, fill=number)
    fine = np.asarray(enlarged)
    parts = [fine[i::_FINER, j::_FINER] for i in range(_FINER) for j in range(_FINER)]
    nearest = functools.reduce(np.maximum, parts)
    alpha, shade, depth = np.zeros((3, *size), np.float32)
    where = np.nonzero(nearest)
    alpha[where] = sum((part[where] > 0).astype(np.float32) for part in parts) / _FINER**2
    which = nearest[where] - 1
    y, x = (place[:, None].astype(np.float32) + _HALF for place in where)
    plane = begin[which] + across[which] * x + down[which] * y
    depth[where], shade[where] = np.clip(plane, low[which], high[which]).T
    return alpha, shade, depth
