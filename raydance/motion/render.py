"""Stick-figure pictures of motion: frames, animations and strips, drawn with Pillow alone.

The dancer's left is blue, the right is orange, the middle dark. Perspective three-quarter view
onto a floor grid (half-metre squares); motion in metres, y up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from raydance.errors import InputError
from raydance.files import replacing
from raydance.motion.skeleton import INDEX, JOINTS, NUM_BODY_JOINTS, NUM_JOINTS, PARENTS

_PAPER: Final = (250, 250, 248)
_GRID: Final = (214, 217, 222)
_TRAIL: Final = (150, 196, 160)
_SHADOW: Final = (228, 229, 231)
_INK: Final = (46, 52, 64)
COLOURS: Final = {"left": (28, 110, 200), "right": (226, 106, 40), "middle": _INK}
_SCALE: Final = 2  # drawn at twice the size and averaged, for smooth lines
_MAX_FRAMES: Final = 20_000


def _bones(joint_mask: np.ndarray) -> list[tuple[int, int]]:
    """(joint, nearest present ancestor) of every present joint that has one."""
    bones = []
    for joint in range(NUM_JOINTS):
        parent = PARENTS[joint]
        while parent >= 0 and not joint_mask[parent]:
            parent = PARENTS[parent]
        if joint_mask[joint] and parent >= 0:
            bones.append((joint, parent))
    return bones


def _side(joint: int) -> str:
    side = JOINTS[joint].split("_")[0]
    return side if side in ("left", "right") else "middle"


@dataclass
class _Panel:
    """One motion `[T, 50, 3]` with its camera and title, drawn into its own picture."""

    motion: np.ndarray
    joint_mask: np.ndarray
    title: str
    size: tuple[int, int]

    def __post_init__(self) -> None:
        self.bones = _bones(self.joint_mask)
        present = self.motion[:, self.joint_mask]
        low, high = present.min(axis=(0, 1)), present.max(axis=(0, 1))
        low[1] = min(low[1], 0.0)
        high[1] += 0.18  # the skull above the head joint
        self.floor = float(low[1])
        self.centre = (low + high) / 2
        self.span = float(max(np.max(high - low), 1.5))
        width, height = self.size
        yaw, pitch = np.radians(-28.0), np.radians(14.0)
        around = np.array(
            [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        )
        tilt = np.array(
            [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        )
        self.camera = tilt @ around
        # Fit every joint of every frame, the skull and the shadow; many points are thinned out.
        some = present.reshape(-1, 3)[:: max(1, present.size // 30_000)]
        skull = np.array([[self.centre[0], high[1], self.centre[2]]])
        shadow = self.motion[:, 0] * (1, 0, 1) + (0, self.floor, 0)
        shadow = shadow if self.joint_mask[0] else skull
        flat = self._flat(np.concatenate([some, skull, shadow]))
        reach = np.maximum(np.abs(flat).max(axis=0), 1e-6)
        self.zoom = min(0.46 * width / reach[0], 0.42 * height / reach[1], 0.62 * height)

    def _flat(self, points: np.ndarray) -> np.ndarray:
        """`[N, 3]` metres -> `[N, 2]` in units of the picture before zoom, y up."""
        seen = (points - self.centre) @ self.camera.T
        distance = 4.0 * max(self.span, 1.8)
        return seen[:, :2] * (distance / np.maximum(distance - seen[:, 2:], 0.2 * distance))

    def project(self, points: np.ndarray) -> np.ndarray:
        """`[N, 3]` metres -> `[N, 2]` pixels of the enlarged drawing."""
        width, height = self.size
        flat = self._flat(points) * self.zoom
        shift = (0.5 * width, 0.54 * height)
        return (flat * (1, -1) + shift) * _SCALE

    @cached_property
    def background(self) -> Image.Image:
        """Floor grid and title, the same for all frames."""
        picture = Image.new("RGB", (self.size[0] * _SCALE, self.size[1] * _SCALE), _PAPER)
        draw = ImageDraw.Draw(picture)
        step = 0.5 if self.span < 6 else round(self.span / 6)
        half = np.ceil((0.5 * self.span + 0.4) / step) * step
        middle = np.round(self.centre[[0, 2]] / step) * step
        for offset in np.arange(-half, half + 0.5 * step, step):
            for ends in (((offset, -half), (offset, half)), ((-half, offset), (half, offset))):
                line = [(middle[0] + x, self.floor, middle[1] + z) for x, z in ends]
                points = self.project(np.array(line, dtype=float))
                draw.line([tuple(p) for p in points], fill=_GRID, width=_SCALE)
        if self.title:
            self._write_title(draw)
        return picture

    def _write_title(self, draw: ImageDraw.ImageDraw) -> None:
        font = ImageFont.load_default(size=12 * _SCALE)
        text, room = self.title, (self.size[0] - 12) * _SCALE
        while len(text) > 1 and draw.textlength(text, font=font) > room:
            text = text[:-2].rstrip() + "…"
        draw.text((6 * _SCALE, 4 * _SCALE), text, fill=_INK, font=font)

    def draw(self, frame: int) -> Image.Image:
        """The picture of a frame; a motion that is over keeps its last one."""
        frame = min(frame, len(self.motion) - 1)
        picture = self.background.copy()
        draw = ImageDraw.Draw(picture)
        self.draw_trail(draw, frame)
        self.draw_figure(draw, frame)
        return picture.reduce(_SCALE)

    def draw_trail(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        """Where the pelvis has been, on the floor, and a shadow where it is."""
        if not self.joint_mask[0]:
            return
        trail = self.motion[: frame + 1, 0].copy()
        trail[:, 1] = self.floor
        points = self.project(trail)
        radius = 0.16 * self.zoom * _SCALE
        x, y = points[-1]
        draw.ellipse((x - radius, y - radius / 3, x + radius, y + radius / 3), fill=_SHADOW)
        if len(points) > 1:
            draw.line([tuple(p) for p in points], fill=_TRAIL, width=2 * _SCALE)

    def draw_figure(self, draw: ImageDraw.ImageDraw, frame: int, fade: float = 0.0) -> None:
        """The figure, far limbs first; `fade` in [0, 1] moves its colours towards the paper."""
        joints = np.where(self.joint_mask[:, None], self.motion[frame], self.centre)
        points = self.project(joints)
        depth = (joints - self.centre) @ self.camera[2]
        thick = max(1.0, 0.019 * self.zoom) * _SCALE
        colours = {}
        for side, colour in COLOURS.items():
            mixed = [round(c + fade * (p - c)) for c, p in zip(colour, _PAPER)]
            colours[side] = (mixed[0], mixed[1], mixed[2])
        for joint, parent in sorted(self.bones, key=lambda b: float(depth[list(b)].sum())):
            width = thick if joint < NUM_BODY_JOINTS else max(1.0, 0.3 * thick)
            ends = [tuple(points[parent]), tuple(points[joint])]
            colour = colours[_side(joint)]
            draw.line(ends, fill=colour, width=round(width))
            if joint < NUM_BODY_JOINTS:
                for x, y in ends:
                    r = 0.5 * width
                    draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        head = INDEX["head"]
        if self.joint_mask[head]:
            self._draw_head(draw, frame, colours["middle"])

    def _draw_head(self, draw: ImageDraw.ImageDraw, frame: int, colour: tuple) -> None:
        """A disc above the head joint, which lies at the base of the skull."""
        head, neck = self.motion[frame, INDEX["head"]], self.motion[frame, INDEX["neck"]]
        up = np.array([0.0, 1.0, 0.0])
        if self.joint_mask[INDEX["neck"]]:
            bone = head - neck
            up = bone / max(float(np.linalg.norm(bone)), 1e-6) + 0.5 * up
        x, y = self.project((head + 0.05 * up)[None])[0]
        radius = 0.085 * self.zoom * _SCALE
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


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
) -> Iterator[Image.Image]:
    """The frames of an animation, every `stride`-th, drawn one by one as they are asked for.

    Arguments and errors as `render_frame`, and errors at once; `fps` is only checked.
    """
    if not 0 < fps <= 1000:
        raise InputError(f"{fps} frames per second: allowed are above 0 and up to 1000")
    panels = _panels(motions, joint_mask, titles, size)
    num_frames = max(len(panel.motion) for panel in panels)
    if num_frames > _MAX_FRAMES:
        raise InputError(f"{num_frames} frames to draw: allowed are {_MAX_FRAMES}")
    return (_join([panel.draw(i) for panel in panels]) for i in range(0, num_frames, stride))


def render_gif(
    path: str | Path,
    motions: np.ndarray | Sequence[np.ndarray],
    *,
    fps: float,
    titles: Sequence[str] | None = None,
    joint_mask: np.ndarray | Sequence[np.ndarray | None] | None = None,
    size: tuple[int, int] = (320, 320),
) -> None:
    """Write an animation that loops, whole or not at all; arguments and errors as `render_frame`.

    GIF times are whole hundredths of a second and viewers slow down below two, so above 50 frames
    per second some frames are left out and the speed stays true.
    """
    stride = max(1, int(np.ceil(fps / 50)))
    drawn = frames(motions, fps=fps, stride=stride, titles=titles, joint_mask=joint_mask, size=size)
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


def render_strip(path: str | Path, motion: np.ndarray, num_poses: int = 8, **options: Any) -> None:
    """Write `strip` as a PNG; arguments and errors are its."""
    whole = strip(motion, num_poses, **options)
    with replacing(Path(path)) as temporary:
        whole.save(temporary, format="PNG")


def _palette() -> Image.Image:
    """Every colour used and its shades towards the others, for smooth edges without a search."""
    inks = [_GRID, _TRAIL, _SHADOW, *COLOURS.values()]
    shades = [_PAPER]
    for ink in inks:
        for under in (_PAPER, _GRID, *COLOURS.values()):
            for weight in (1.0, 0.75, 0.5, 0.25):
                shades.append(
                    tuple(round(u + weight * (i - u)) for i, u in zip(ink, under))  # type: ignore
                )
    unique = list(dict.fromkeys(shades))[:256]
    image = Image.new("P", (1, 1))
    image.putpalette([channel for shade in unique for channel in shade])
    return image
