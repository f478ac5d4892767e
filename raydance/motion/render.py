"""Pictures of motion: frames, animations and strips, drawn without a GPU.

The body is the one that the service's page shows (`raydance.motion.body_shape`). The dancer's left
is blue, the right is orange, the middle dark. Perspective three-quarter view onto a floor grid
(half-metre squares), which goes along with a dancer who travels; motion in metres, y up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from raydance.errors import InputError
from raydance.files import replacing
from raydance.motion import body_shape
from raydance.motion.body_raster import Canvas
from raydance.motion.skeleton import NUM_JOINTS

_PAPER: Final = (250, 250, 248)
_GRID: Final = (214, 217, 222)
_SHADOW: Final = (222, 223, 226)
_INK: Final = (46, 52, 64)
COLOURS: Final = {"left": (28, 110, 200), "right": (226, 106, 40), "middle": _INK}
_SCALE: Final = 2  # the floor is drawn at twice the size and averaged, for smooth lines
_MAX_FRAMES: Final = 20_000
_TRAVELS_M: Final = 0.8  # further, and the view goes along
_THICK_M: Final = 0.13  # of a body around its joints
_TRUNK_FIRST_M: Final = 0.015  # so much nearer, the trunk hides where thighs enter it
_FIRST_SMOOTHED: Final = 15  # frames


@dataclass
class _Panel:
    """One motion `[T, 50, 3]` with its camera and title, drawn into its own picture."""

    motion: np.ndarray
    joint_mask: np.ndarray
    title: str
    size: tuple[int, int]

    def __post_init__(self) -> None:
        present = self.motion[:, self.joint_mask]
        self.limbs = body_shape.limbs(self.motion, self.joint_mask)
        self.floor = min(float(present[..., 1].min()), 0.0)
        self.centres = self._centres(present)
        self.is_still = bool(np.ptp(self.centres, axis=0).max() < 1e-6)
        width, height = self.size
        yaw, pitch = np.radians(-28.0), np.radians(14.0)
        around = np.array(
            [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        )
        tilt = np.array(
            [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        )
        self.camera = tilt @ around
        # Fit the whole body in every frame, and its shadow; many points are thinned out.
        ends = np.concatenate([self.limbs.starts, self.limbs.ends], axis=1)
        root = present[:, :1] * (1, 0, 1) + (0, self.floor, 0)
        near = np.concatenate([ends, root], axis=1) - self.centres[:, None]
        self.span = float(max(2 * np.abs(near).max(), 1.5))
        near = near.reshape(-1, 3)[:: max(1, near.size // 60_000)]
        flat, _ = self._flat(near)
        low, high = flat.min(axis=0) - _THICK_M, flat.max(axis=0) + _THICK_M
        self.middle = 0.5 * (low + high)
        reach = 0.5 * np.maximum(high - low, 1e-6)
        title_px = 18 if self.title else 0
        self.zoom = min(0.48 * width / reach[0], (0.48 * height - 0.5 * title_px) / reach[1])
        self.zoom = min(self.zoom, 0.62 * height)
        self.shift = np.array([0.5 * width, 0.5 * (height + title_px)])

    def _centres(self, present: np.ndarray) -> np.ndarray:
        """What each frame's view looks at `[T, 3]`: the dancer's path, smoothed, or one point."""
        low, high = present.min(axis=(0, 1)), present.max(axis=(0, 1))
        middle = 0.5 * (low + high)
        path = present.mean(axis=1)
        if np.ptp(path[:, [0, 2]], axis=0).max() < _TRAVELS_M:
            return np.repeat(middle[None], len(present), axis=0)
        reach = min(_FIRST_SMOOTHED, (len(path) - 1) // 2)
        padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
        sums = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
        smooth = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
        smooth[:, 1] = middle[1]
        return smooth

    def _flat(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points `[..., 3]` in metres from the view's middle -> their places `[..., 2]` before
        zoom, y up, and how much nearer each is than the middle `[..., 1]`, as a factor of size."""
        seen = points @ self.camera.T
        distance = 4.0 * max(self.span, 1.8)
        nearer = distance / np.maximum(distance - seen[..., 2:], 0.2 * distance)
        return seen[..., :2] * nearer, nearer

    def project(self, points: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """`[..., 3]` metres -> pixels (x, y down, depth) and pixels per metre `[..., 1]`."""
        near = points - self.centres[frame]
        flat, nearer = self._flat(near)
        places = (flat - self.middle) * self.zoom * (1, -1) + self.shift
        depth = (near @ self.camera[2])[..., None] * self.zoom
        return np.concatenate([places, depth], axis=-1), nearer * self.zoom

    @cached_property
    def _first_floor(self) -> np.ndarray:
        return self._draw_floor(0)

    def _draw_floor(self, frame: int) -> np.ndarray:
        """Floor grid and title `[3, H, W]` uint8."""
        lines = Image.new("L", (self.size[0] * _SCALE, self.size[1] * _SCALE))
        draw = ImageDraw.Draw(lines)
        step = 0.5 if self.span < 6 else round(self.span / 6)
        half = np.ceil((0.5 * self.span + 0.4) / step) * step
        middle = np.round(self.centres[frame][[0, 2]] / step) * step
        offset = np.arange(-half, half + 0.5 * step, step)
        x, z = np.meshgrid(middle[0] + offset, middle[1] + offset, indexing="ij")
        grid = np.stack((x, np.full_like(x, self.floor), z), axis=-1)
        places = self.project(grid, frame)[0][..., :2] * _SCALE
        for row in (*places, *places.swapaxes(0, 1)):
            draw.line([*row[0], *row[-1]], fill=255, width=_SCALE)
        picture = _toward(_GRID, lines.reduce(_SCALE))
        if self.title:
            np.minimum(picture, self._title, out=picture)
        return picture

    @cached_property
    def _title(self) -> np.ndarray:
        """The title on paper `[3, H, W]`."""
        picture = Image.new("L", self.size)
        draw = ImageDraw.Draw(picture)
        font = ImageFont.load_default(size=12)
        text, room = self.title, self.size[0] - 12
        while len(text) > 1 and draw.textlength(text, font=font) > room:
            text = text[:-2].rstrip() + "…"
        draw.text((6, 4), text, fill=255, font=font)
        return _toward(_INK, picture)

    def draw(self, frame: int) -> Image.Image:
        """The picture of a frame; a motion that is over keeps its last one."""
        frame = min(frame, len(self.motion) - 1)
        canvas = Canvas(self._first_floor if self.is_still else self._draw_floor(frame))
        self._draw_shadow(canvas, frame)
        limbs = self.limbs
        starts, size = self.project(limbs.starts[frame], frame)
        ends, end_size = self.project(limbs.ends[frame], frame)
        radii = limbs.radii * np.concatenate([size, end_size], axis=-1)
        if body_shape.has_torso(self.joint_mask):
            one = slice(frame, frame + 1)
            points, normals = body_shape.torso(self.motion[one], self.joint_mask)
            places, _ = self.project(points[0], frame)
            places[..., 2] += _TRUNK_FIRST_M * self.zoom
            turned = (normals[0] @ self.camera.T) * (1, -1, 1)
            canvas.surface(places, turned, np.array(COLOURS["middle"]))
        order = np.argsort(starts[:, 2] + ends[:, 2])
        colours = np.array([COLOURS[side] for side in limbs.sides])
        radii = np.maximum(radii, 0.5)
        canvas.capsules(starts[order], ends[order], radii[order], colours[order])
        return canvas.picture()

    def _draw_shadow(self, canvas: Canvas, frame: int) -> None:
        """A soft disc on the floor below the body's middle."""
        root = self.motion[frame, self.joint_mask][0] * (1, 0, 1) + (0, self.floor, 0)
        (x, y, _), size = self.project(root, frame)
        across, down = 0.3 * float(size[0]), 0.12 * float(size[0])
        left, right = (int(np.clip(x + sign * 2 * across, 0, self.size[0])) for sign in (-1, 1))
        top, bottom = (int(np.clip(y + sign * 2 * down, 0, self.size[1])) for sign in (-1, 1))
        columns = (np.arange(left, right, dtype=np.float32) + 0.5 - np.float32(x)) / across
        rows = (np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - np.float32(y)) / down
        dark = np.exp(-1.5 * columns**2) * np.exp(-1.5 * rows**2)
        part = canvas.colour[:, top:bottom, left:right]
        part += dark * (_planes(_SHADOW) - _planes(_PAPER))


def _planes(colour: tuple[int, int, int]) -> np.ndarray:
    return np.array(colour, np.float32)[:, None, None]


def _toward(colour: tuple[int, int, int], share: Image.Image) -> np.ndarray:
    """Paper `[3, H, W]` uint8, painted over by shares of 255."""
    return np.stack([np.asarray(share.point(table)) for table in _tables(colour)])


@cache
def _tables(colour: tuple[int, int, int]) -> list[list[int]]:
    """Red, green and blue of every share of 255 of a colour on paper."""
    return [[round(p + i / 255 * (c - p)) for i in range(256)] for p, c in zip(_PAPER, colour)]


def _panels(
    motions: np.ndarray | Sequence[np.ndarray],
    joint_mask: np.ndarray | Sequence[np.ndarray | None] | None,
    titles: Sequence[str] | None,
    size: tuple[int, int],
) -> list[_Panel]:
    is_one = isinstance(motions, np.ndarray) and motions.ndim == 3
    every = [np.asarray(m, dtype=np.float64) for m in ([motions] if is_one else motions)]
    if not every:
        raise InputError("nothing to draw: at least one motion is needed")
    masks: list[np.ndarray]
    if joint_mask is None:
        masks = [np.ones(NUM_JOINTS, dtype=bool)] * len(every)
    elif isinstance(joint_mask, np.ndarray) and joint_mask.ndim == 1:
        masks = [joint_mask.astype(bool)] * len(every)
    else:
        full = np.ones(NUM_JOINTS, dtype=bool)
        masks = [full if m is None else np.asarray(m, dtype=bool) for m in joint_mask]
    names = list(titles) if titles is not None else [""] * len(every)
    if len(masks) != len(every) or len(names) != len(every):
        raise InputError(
            f"{len(every)} motions, {len(masks)} joint masks and {len(names)} titles: "
            "one of each per motion is needed"
        )
    for i, (motion, mask) in enumerate(zip(every, masks)):
        if motion.ndim != 3 or motion.shape[1:] != (NUM_JOINTS, 3) or not len(motion):
            raise InputError(f"motion {i} has shape {motion.shape}, [T, {NUM_JOINTS}, 3] is needed")
        if mask.shape != (NUM_JOINTS,) or not mask.any():
            raise InputError(f"joint mask {i}: {NUM_JOINTS} flags are needed, at least one set")
        if not np.isfinite(motion[:, mask]).all():
            raise InputError(f"motion {i} holds values that are not finite in joints it has")
    return [_Panel(m, k, str(n), size) for m, k, n in zip(every, masks, names)]


def _join(pictures: list[Image.Image]) -> Image.Image:
    if len(pictures) == 1:
        return pictures[0]
    width, height = pictures[0].size
    whole = Image.new("RGB", (width * len(pictures), height), _PAPER)
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i * width, 0))
    return whole


def render_frame(
    motions: np.ndarray | Sequence[np.ndarray],
    frame: int = 0,
    *,
    titles: Sequence[str] | None = None,
    joint_mask: np.ndarray | Sequence[np.ndarray | None] | None = None,
    size: tuple[int, int] = (320, 320),
) -> Image.Image:
    """One frame of one or several motions side by side.

    Args:
        motions: `[T, 50, 3]` or a sequence of them, metres, y up; the view fits the whole motion.
        frame: which frame; a shorter motion shows its last.
        titles: one per motion.
        joint_mask: `[50]` booleans, or one per motion; a joint without its parent hangs on the
            nearest ancestor that is there.
        size: (width, height) of a panel, pixels.

    Raises:
        InputError: wrong shapes or counts, or values that are not finite.
    """
    return _join([panel.draw(frame) for panel in _panels(motions, joint_mask, titles, size)])


def frames(
    motions: np.ndarray | Sequence[np.ndarray],
    *,
    fps: float,
    stride: int = 1,
    titles: Sequence[str] | None = None,
    joint_mask: np.ndarray | Sequence[np.ndarray | None] | None = None,
    size: tuple[int, int] = (320, 320),
    follow: Callable[[float], None] | None = None,
) -> Iterator[Image.Image]:
    """The frames of an animation, every `stride`-th, drawn one by one as they are asked for.

    Arguments and errors as `render_frame`, and errors at once; `fps` is only checked. `follow` is
    called with the share of frames drawn, above 0 up to 1.
    """
    if not 0 < fps <= 1000:
        raise InputError(f"{fps} frames per second: allowed are above 0 and up to 1000")
    panels = _panels(motions, joint_mask, titles, size)
    num_frames = max(len(panel.motion) for panel in panels)
    if num_frames > _MAX_FRAMES:
        raise InputError(f"{num_frames} frames to draw: allowed are {_MAX_FRAMES}")

    def drawn(frame: int) -> Image.Image:
        picture = _join([panel.draw(frame) for panel in panels])
        if follow is not None:
            follow(min(1.0, (frame + stride) / num_frames))
        return picture

    return (drawn(frame) for frame in range(0, num_frames, stride))


def render_gif(
    path: str | Path,
    motions: np.ndarray | Sequence[np.ndarray],
    *,
    fps: float,
    titles: Sequence[str] | None = None,
    joint_mask: np.ndarray | Sequence[np.ndarray | None] | None = None,
    size: tuple[int, int] = (320, 320),
    follow: Callable[[float], None] | None = None,
) -> None:
    """Write an animation that loops, whole or not at all; arguments and errors as `frames`.

    GIF times are whole hundredths of a second and viewers slow down below two, so above 50 frames
    per second some frames are left out and the speed stays true.
    """
    stride = max(1, int(np.ceil(fps / 50)))
    drawn = frames(
        motions,
        fps=fps,
        stride=stride,
        titles=titles,
        joint_mask=joint_mask,
        size=size,
        follow=follow,
    )
    palette, plain = _palette(), Image.Dither.NONE
    pictures = [picture.quantize(palette=palette, dither=plain) for picture in drawn]
    # Rounding the ends, not the lengths, keeps the whole as long as it should be.
    ends = np.round(np.arange(1, len(pictures) + 1) * stride * 100 / fps)
    durations_ms = [int(d) * 10 for d in np.diff(ends, prepend=0)]
    with replacing(Path(path)) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=durations_ms,
            loop=0,
            optimize=False,
        )


def strip(
    motion: np.ndarray,
    num_poses: int = 8,
    *,
    title: str = "",
    joint_mask: np.ndarray | None = None,
    size: tuple[int, int] = (160, 240),
) -> Image.Image:
    """`num_poses` poses at equal times, from left to right.

    Raises:
        InputError: a wrong shape, values that are not finite, or fewer than one pose.
    """
    if num_poses < 1:
        raise InputError(f"{num_poses} poses: at least 1 is needed")
    panel = _panels(np.asarray(motion), joint_mask, None, size)[0]
    frames = np.linspace(0, len(panel.motion) - 1, num_poses).round().astype(int)
    whole = _join([panel.draw(int(frame)) for frame in frames])
    if title:
        font = ImageFont.load_default(size=12)
        ImageDraw.Draw(whole).text((6, 4), title, fill=_INK, font=font)
    return whole


def _palette() -> Image.Image:
    """The colours of a body in light and shade, of the floor, and of edges between the two."""
    greys = [tuple(round(p + w * (i - p)) for p, i in zip(_PAPER, _INK)) for w in _steps(0, 1, 22)]
    greys += [tuple(round(p + w * (g - p)) for p, g in zip(_PAPER, _GRID)) for w in _steps(0, 1, 8)]
    shades: list[tuple[int, ...]] = [_PAPER, *greys]
    for colour in COLOURS.values():
        for light in _steps(0.5, 1.1, 30):
            shades.append(tuple(min(255, round(light * c)) for c in colour))
        for light in (0.65, 0.95):
            for weight in _steps(0.15, 0.85, 7):
                lit = [min(255.0, light * c) for c in colour]
                shades.append(tuple(round(p + weight * (c - p)) for c, p in zip(lit, _PAPER)))
    unique = list(dict.fromkeys(shades))[:256]
    image = Image.new("P", (1, 1))
    image.putpalette([channel for shade in unique for channel in shade])
    return image


def _steps(low: float, high: float, num: int) -> list[float]:
    return [float(value) for value in np.linspace(low, high, num)]
