"""Embedded scenes: one object that moves, with exact tracks, masks, pictures and sentences.

Seven kinds of motion (`scene_motions`), each with directions and three speeds; a third of the
scenes have an occluder that hides some points for some frames. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.tracks import grid, scene_drawing, scene_motions, scene_sentences
from raydance.tracks.scene_motions import Path
from raydance.tracks.track import Track

SIDE: Final = 128
"""Width and height of a scene's frames, pixels."""

NUM_FRAMES: Final = 30
FPS: Final = 15.0
_EDGE: Final = 3.0  # pixels between objects and the edge of the frame
_CLEAR: Final = 3.0  # pixels between a start and the next region of the frame
_RADII: Final = {"small": (8.0, 10.0), "large": (14.0, 17.0)}
_MIN_RADIUS: Final = 5.0
_OCCLUDED_SHARE: Final = 0.4  # of the scenes, where there is room
_HIDDEN: Final = (0.03, 0.45)  # share of points and frames that an occluder may hide
_TRIES: Final = 200

IDENTITY: Final = ("size", "colour", "shape", "start", "kind", "direction", "speed")
"""Labels that a scene's sentences tell; scenes of `make_scenes` differ in at least one."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One embedded scene.

    Attributes:
        labels: `IDENTITY`, and `occluded`: `yes` or `no`.
        captions: five sentences with all of `IDENTITY`.
        path: of the object, in pixels of the frame.
        radius: pixels, at the start.
        occluder: `[4]` (left, top, right, bottom), or None.
        background: `[SIDE, SIDE, 3]` uint8, with floor, but without the string of a swing.
        seed: that of `make_scenes`; `number`: in its order.
    """

    labels: dict[str, str]
    captions: tuple[str, ...]
    path: Path
    radius: float
    occluder: np.ndarray | None
    background: np.ndarray
    seed: int
    number: int

    @property
    def num_frames(self) -> int:
        return len(self.path.centres)

    def moved(self, shape: np.ndarray) -> np.ndarray:
        """`[T, V, 2]` pixels, of points `[V, 2]` of the object seen from its centre."""
        return shape @ self.path.maps.swapaxes(-1, -2) + self.path.centres[:, None]

    @cached_property
    def outline(self) -> np.ndarray:
        """`[T, V, 2]` pixels."""
        return self.moved(self.radius * scene_drawing.SHAPES[self.labels["shape"]])

    def track(self, side: int = grid.DEFAULT_SIDE) -> Track:
        """Exact track of a `side` x `side` grid in the object's mask in the first frame."""
        start = grid.grid_in_mask(self._mask(0), side, seed=self.seed + self.number)
        shape = (start - self.path.centres[0]) @ np.linalg.inv(self.path.maps[0]).T
        points = self.moved(shape)
        name = f"synthetic/{self.seed}/{self.number:06d}"
        return Track(
            track_id=name,
            source="synthetic",
            points=points.astype(np.float32),
            visible=~_inside(points, self.occluder),
            frame_size=(SIDE, SIDE),
            fps=FPS,
            captions=self.captions,
            labels=self.labels,
        )

    def masks(self) -> np.ndarray:
        """`[T, SIDE, SIDE]` bool: where the object is seen."""
        masks = np.stack([self._mask(frame) for frame in range(self.num_frames)])
        if self.occluder is not None:
            hidden = scene_drawing.covered(scene_drawing.box_corners(self.occluder), SIDE)
            masks &= hidden < 0.5
        return masks

    def frames(self) -> np.ndarray:
        """`[T, SIDE, SIDE, 3]` uint8."""
        marks = self.moved(self.radius * scene_drawing.mark_corners())
        colour = scene_drawing.COLOURS[self.labels["colour"]]
        pictures = []
        for frame in range(self.num_frames):
            picture = self.background.astype(np.float32)
            if self.labels["kind"] == "swinging":
                assert self.path.anchor is not None
                scene_drawing.paint_line(picture, self.path.anchor, self.path.centres[frame])
            scene_drawing.paint_object(picture, self.outline[frame], marks[frame], colour)
            if self.occluder is not None:
                scene_drawing.paint_box(picture, self.occluder)
            pictures.append(np.rint(picture).astype(np.uint8))
        return np.stack(pictures)

    def _mask(self, frame: int) -> np.ndarray:
        return scene_drawing.covered(self.outline[frame], SIDE) >= 0.5


def make_scenes(count: int, seed: int = 0, *, num_frames: int = NUM_FRAMES) -> Iterator[Scene]:
    """`count` scenes that differ in what their sentences tell; kinds and directions take turns.

    Args:
        count: how many.
        seed: decides everything.
        num_frames: over which the same motion is spread, at least 12.

    Raises:
        InputError: fewer than 12 frames, or more scenes than sentences can tell apart.
    """
    if num_frames < 12:
        raise InputError(f"{num_frames} frames: scenes have at least 12")
    told: set[tuple[str, ...]] = set()
    for number in range(count):
        for attempt in range(_TRIES):
            scene = _scene(seed, number, attempt, num_frames)
            if scene is None:
                continue
            identity = tuple(scene.labels[name] for name in IDENTITY)
            if identity not in told:
                told.add(identity)
                yield scene
                break
        else:
            raise InputError(f"{count} scenes: no more than {number} that differ were found")


def _scene(seed: int, number: int, attempt: int, num_frames: int) -> Scene | None:
    """One scene, or None where chance left no room for it."""
    random = np.random.default_rng((seed, number, attempt))

    def one_of(values) -> str:
        return str(values[random.integers(len(values))])

    kind = scene_motions.KINDS[number % len(scene_motions.KINDS)]
    directions = scene_motions.DIRECTIONS[kind]
    shapes = scene_drawing.ROUND if kind == "rolling" else tuple(scene_drawing.SHAPES)
    labels = {
        "size": one_of(tuple(_RADII)),
        "colour": one_of(tuple(scene_drawing.COLOURS)),
        "shape": one_of(shapes),
        "kind": kind,
        "direction": directions[number // len(scene_motions.KINDS) % len(directions)],
        "speed": one_of(scene_motions.SPEEDS),
    }
    radius = float(random.uniform(*_RADII[labels["size"]]))
    path = scene_motions.make_path(
        kind,
        labels["direction"],
        scene_motions.amount(kind, labels["speed"], random),
        radius=radius,
        num_frames=num_frames,
        random=random,
    )
    if radius * np.sqrt(np.abs(np.linalg.det(path.maps)).min()) < _MIN_RADIUS:
        return None
    placed = _placed(path, radius * scene_drawing.SHAPES[labels["shape"]], random)
    if placed is None:
        return None
    labels["start"] = _region(placed.centres[0])
    picture = scene_drawing.background(SIDE, random)
    if kind in ("rolling", "bouncing"):
        reach = 1.0 if kind == "rolling" else scene_drawing.SHAPES[labels["shape"]][:, 1].max()
        picture = _with_floor(picture, float(placed.centres[0, 1] + radius * reach))
    elif kind == "orbiting":
        picture = _with_middle(picture, placed)
    occluder = None
    if random.random() < _OCCLUDED_SHARE:
        occluder = _occluder(placed, radius, random)
    labels["occluded"] = "no" if occluder is None else "yes"
    return Scene(
        labels=labels,
        captions=tuple(scene_sentences.sentences(labels, random)),
        path=placed,
        radius=radius,
        occluder=occluder,
        background=picture,
        seed=seed,
        number=number,
    )


def _placed(path: Path, shape: np.ndarray, random: np.random.Generator) -> Path | None:
    """The path at a place of the frame in which it fits and its start has a clear name."""
    corners = (shape @ path.maps.swapaxes(-1, -2) + path.centres[:, None]).reshape(-1, 2)
    if path.anchor is not None:
        corners = np.concatenate([corners, path.anchor[None]])
    low, high = _EDGE - corners.min(axis=0), SIDE - _EDGE - corners.max(axis=0)
    if (low > high).any():
        return None
    for _ in range(20):
        shift = random.uniform(low, high)
        start = path.centres[0] + shift
        if all(abs(start[axis] - line) > _CLEAR for axis in (0, 1) for line in _thirds()):
            anchor = None if path.anchor is None else path.anchor + shift
            return Path(path.maps, path.centres + shift, anchor)
    return None


def _thirds() -> tuple[float, float]:
    return SIDE / 3, 2 * SIDE / 3


def _region(start: np.ndarray) -> str:
    column, row = np.searchsorted(_thirds(), start)
    return scene_sentences.REGIONS[row][column]


def _with_floor(picture: np.ndarray, height: float) -> np.ndarray:
    changed = picture.astype(np.float32)
    ends = np.array([[-2.0, height + 0.6], [SIDE + 2.0, height + 0.6]])
    scene_drawing.paint_line(changed, *ends)
    return np.rint(changed).astype(np.uint8)


def _with_middle(picture: np.ndarray, path: Path) -> np.ndarray:
    assert path.anchor is not None
    changed = picture.astype(np.float32)
    dot = np.array([[-1.5, 0.0], [0.0, -1.5], [1.5, 0.0], [0.0, 1.5]])
    scene_drawing.paint(changed, path.anchor + dot, (40, 40, 40))
    return np.rint(changed).astype(np.uint8)


def _occluder(path: Path, radius: float, random: np.random.Generator) -> np.ndarray | None:
    """A box across the path that leaves the first frame free, or None where none was found."""
    ring = radius * scene_drawing.SHAPES["ball"] * np.linspace(0.2, 1.0, 4)[:, None, None]
    points = ring.reshape(-1, 2) @ path.maps.swapaxes(-1, -2) + path.centres[:, None]
    start = np.concatenate([points[0].min(axis=0) - 1.0, points[0].max(axis=0) + 1.0])
    num_frames = len(points)
    for _ in range(20):
        middle = path.centres[random.integers(num_frames // 4, num_frames)]
        half = 0.5 * random.uniform((8.0, 20.0), (18.0, 50.0))
        if random.random() < 0.5:
            half = half[::-1]
        shifted = middle + random.uniform(-6, 6, 2)
        box = np.concatenate([shifted - half, shifted + half])
        is_clear = (box[:2] > start[2:]).any() or (box[2:] < start[:2]).any()
        if is_clear and _HIDDEN[0] <= _inside(points, box).mean() <= _HIDDEN[1]:
            return box
    return None


def _inside(points: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    if box is None:
        return np.zeros(points.shape[:-1], bool)
    return np.all((points >= box[:2]) & (points <= box[2:]), axis=-1)
