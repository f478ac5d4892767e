"""What motion can be asked to keep to: keyframes, paths, other clips, a loop, later sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from raydance.motion.clip import Clip


@dataclass(frozen=True, kw_only=True)
class Keyframe:
    """A pose at a time.

    Attributes:
        time_s: in the motion that is made.
        clip: where the pose is from; clip_s: seconds into it.
        placed: also take the pose's place on the floor and its heading, as the clip has them
            counted from its first frame. Otherwise the dancer may be anywhere, and faces as in the
            first frame of the motion.
    """

    time_s: float
    clip: Clip
    clip_s: float = 0.0
    placed: bool = False


@dataclass(frozen=True, kw_only=True)
class JointPath:
    """Where a joint shall be at some times, linear between them.

    Attributes:
        joint: a canonical name; `pelvis` with points on the floor leads the whole body.
        times_s: rising; points: `[n, 3]` metres, y up, or `[n, 2]`: x and z on the floor. The
            motion begins at the origin and faces +z.
    """

    joint: str
    times_s: tuple[float, ...]
    points: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """Words that hold from a time on, as `DanceLanguage.encode_text` gives them."""

    begins_s: float
    words: Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Steering:
    """What motion shall keep to.

    Attributes:
        keyframes, paths: as above.
        loop: the last frame's pose and velocity are those of the first.
        after: a clip that the motion goes on from, in its coordinates.
        before: a clip whose first pose the motion ends in.
        edit: a clip that is changed by the sentence; strength: 0 leaves it, 1 keeps nothing.
    """

    keyframes: tuple[Keyframe, ...] = ()
    paths: tuple[JointPath, ...] = ()
    loop: bool = False
    after: Clip | None = None
    before: Clip | None = None
    edit: Clip | None = None
    strength: float = 0.5
