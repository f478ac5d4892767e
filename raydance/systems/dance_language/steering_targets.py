"""What steered motion shall keep to, as positions over its whole length, in its own coordinates.

Dimensions: T frames, J joints.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import skeleton
from raydance.motion.clip import Clip
from raydance.motion.mapping import map_to_canonical
from raydance.motion.windows import heading, resample, rotate_y
from raydance.systems.steering import JointPath, Keyframe, Sentence, Steering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raydance.systems.dance_language.run import DanceLanguage

MAX_KEYFRAMES: Final = 100
MAX_POINTS: Final = 2_000
FLOOR: Final = np.array([True, False, True])
"""The axes along the floor."""

_ENDING: Final = 5
_SHORTEST_SENTENCE_S: Final = 0.25
_SHORTEST_LOOP: Final = 5
_FASTEST_M_S: Final = 12.0
_LOWEST_M, _HIGHEST_M = -0.5, 4.0
_SLACK_M: Final = 0.05
_STRETCH_M: Final = 0.1
"""How much further than its bones reach a joint may be from the pelvis."""


class Targets:
    """Wanted positions of the whole motion, in its own coordinates."""

    def __init__(
        self, system: DanceLanguage, steering: Steering, frames: int, facing: float
    ) -> None:
        self.system, self.fps, self.frames = system, system.fps, frames
        self.facing = facing
        joints = len(skeleton.JOINTS)
        self.target = np.zeros((frames, joints, 3))
        self.weight = np.zeros((frames, joints, 3))
        self.is_relative = np.zeros(frames, dtype=bool)
        self.named: list[tuple[dict[str, Any], np.ndarray]] = []
        for keyframe in steering.keyframes:
            self._add_keyframe(keyframe)
        for path in steering.paths:
            self._add_path(path)
        if steering.before is not None:
            motion, mask = canonical(system, steering.before)
            poses = motion[: min(_ENDING, len(motion), frames // 2)]
            poses = poses - poses[:1, :1] * FLOOR
            poses = rotate_y(poses, self.facing - heading(poses[:1], mask))
            first = frames - len(poses)
            for t, pose in enumerate(poses, first):
                self._add_pose(t, pose, mask, False, f"the beginning of {steering.before.clip_id}")
            self._name({"kind": "before"}, range(first, frames))
        self._check_reach(starts_at_origin=steering.after is None)

    def _check_reach(self, starts_at_origin: bool) -> None:
        """Refuse paths that no body can follow.

        Raises:
            InputError: a joint above where a jump takes it, further from the start than anybody
                gets in that time, or further from another wanted joint than the bones between.
        """
        body = self.system.body
        for facts, rows in self.named:
            if facts["kind"] != "path" or facts["joint"] == "pelvis":
                continue
            joint = skeleton.INDEX[facts["joint"]]
            highest, reach = body.highest_m(joint), body.reach_m(joint)
            for frame in np.flatnonzero(rows[:, joint]):
                at = f"path of {facts['joint']} at {frame / self.fps:g} s"
                place, axes = self.target[frame, joint], self.weight[frame, joint] > 0.0
                if axes[1] and place[1] > highest:
                    raise InputError(
                        f"{at}: {place[1]:.2f} m high; a jump takes this joint to {highest:.2f} m"
                    )
                away = float(np.linalg.norm(place * FLOOR))
                furthest = reach + _FASTEST_M_S * frame / self.fps
                if starts_at_origin and away > furthest:
                    raise InputError(
                        f"{at}: {away:.2f} m from where the motion begins; this joint reaches "
                        f"{furthest:.2f} m by then"
                    )
                for other in np.flatnonzero(self.weight[frame].any(axis=1)):
                    both = axes & (self.weight[frame, other] > 0.0)
                    apart = float(np.linalg.norm((place - self.target[frame, other])[both]))
                    longest = body.chain_m(joint, int(other))
                    if other != joint and apart > longest + _SLACK_M:
                        raise InputError(
                            f"{at}: {apart:.2f} m from where {skeleton.JOINTS[other]} is wanted; "
                            f"the bones between them reach {longest:.2f} m"
                        )

    def _frame(self, time_s: float, what: str) -> int:
        frame = round(time_s * self.fps) if np.isfinite(time_s) else -1
        if not 0 <= frame < self.frames:
            longest = (self.frames - 1) / self.fps
            raise InputError(f"{what}: time {time_s:g} s; allowed: 0 to {longest:g} s")
        return frame

    def _add_keyframe(self, keyframe: Keyframe) -> None:
        what = f"keyframe at {keyframe.time_s:g} s"
        frame = self._frame(keyframe.time_s, what)
        motion, mask = canonical(self.system, keyframe.clip)
        row = round(keyframe.clip_s * self.fps) if np.isfinite(keyframe.clip_s) else -1
        if not 0 <= row < len(motion):
            last = (len(motion) - 1) / self.fps
            raise InputError(f"{what}: clip time {keyframe.clip_s:g} s; allowed: 0 to {last:g} s")
        if keyframe.placed:
            motion = motion - motion[:1, :1] * FLOOR
            pose = rotate_y(motion, -heading(motion[:1], mask))[row]
        else:
            pose = motion[row] - motion[row, :1] * FLOOR
            pose = rotate_y(pose, self.facing - heading(pose, mask))
        self._add_pose(frame, pose, mask, keyframe.placed, what)
        self._name({"kind": "keyframe", "time_s": keyframe.time_s}, [frame])

    def _add_pose(
        self, frame: int, pose: np.ndarray, mask: np.ndarray, placed: bool, what: str
    ) -> None:
        if self.weight[frame].any():
            raise InputError(f"{what}: another pose or path is wanted at the same frame")
        known = mask & self.system.joint_mask
        self.target[frame] = pose
        self.weight[frame] = known[:, None]
        self.is_relative[frame] = not placed

    def _add_path(self, path: JointPath) -> None:
        what = f"path of {path.joint}"
        if path.joint not in skeleton.INDEX:
            raise InputError(f"{what}: no such joint; allowed: {', '.join(skeleton.JOINTS)}")
        joint = skeleton.INDEX[path.joint]
        if not self.system.joint_mask[joint]:
            raise InputError(f"{what}: the run's data have no such joint")
        points, times = np.asarray(path.points, dtype=np.float64), np.asarray(path.times_s)
        if points.ndim != 2 or points.shape[1] not in (2, 3) or not len(points):
            raise InputError(f"{what}: points have shape {points.shape}; allowed: [n, 2] or [n, 3]")
        if len(points) != len(times) or (np.diff(times) <= 0.0).any():
            raise InputError(
                f"{what}: {len(times)} times for {len(points)} points; rising, as many"
            )
        if not np.isfinite(points).all():
            raise InputError(f"{what}: points that are no numbers")
        frames = [self._frame(float(t), what) for t in (times[0], times[-1])]
        chosen = np.arange(frames[0], frames[1] + 1)
        axes = [0, 2] if points.shape[1] == 2 else [0, 1, 2]
        values = np.stack(
            [np.interp(chosen / self.fps, times, column) for column in points.T], axis=1
        )
        if len(values) > 1:
            speed = float(np.linalg.norm(np.diff(values, axis=0), axis=1).max() * self.fps)
            if speed > _FASTEST_M_S:
                raise InputError(
                    f"{what}: {speed:.1f} m/s; nobody moves faster than {_FASTEST_M_S:g} m/s"
                )
        heights = points[:, 1] if points.shape[1] == 3 else np.zeros(1)
        if not (_LOWEST_M <= heights.min() and heights.max() <= _HIGHEST_M):
            raise InputError(
                f"{what}: heights from {heights.min():.2f} to {heights.max():.2f} m; allowed: "
                f"{_LOWEST_M:g} to {_HIGHEST_M:g} m"
            )
        if self.weight[chosen, joint][:, axes].any():
            raise InputError(f"{what}: another pose or path is wanted at the same frame")
        if self.is_relative[chosen].any():
            raise InputError(f"{what}: a pose without a place is wanted at the same frame")
        for axis, column in zip(axes, values.T):
            self.target[chosen, joint, axis] = column
            self.weight[chosen, joint, axis] = 1.0
        self._name({"kind": "path", "joint": path.joint}, chosen, joint)

    def _name(self, facts: dict[str, Any], frames: Iterable[int], joint: int | None = None) -> None:
        rows = np.zeros(self.weight.shape[:2], dtype=bool)
        rows[np.asarray(list(frames)), slice(None) if joint is None else joint] = True
        self.named.append((facts, rows))


def check_stretch(world: Targets, motion: np.ndarray) -> None:
    """Refuse paths of single joints that every sample could follow only with stretched limbs.

    Raises:
        InputError: names the joint, how far it would be from the pelvis, and how far it reaches.
    """
    for facts, rows in world.named:
        if facts["kind"] != "path" or facts["joint"] == "pelvis":
            continue
        joint = skeleton.INDEX[facts["joint"]]
        reach = world.system.body.reach_m(joint)
        frames = np.flatnonzero(rows[:, joint])
        apart_ST = np.linalg.norm(motion[:, frames, joint] - motion[:, frames, 0], axis=-1)
        least = apart_ST.max(axis=1).min()
        if least > reach + _STRETCH_M:
            at = frames[int(apart_ST[int(apart_ST.max(axis=1).argmin())].argmax())] / world.fps
            raise InputError(
                f"path of {facts['joint']} at {at:g} s: the nearest motion leaves it {least:.2f} m "
                f"from the pelvis, but its bones reach {reach:.2f} m; lead the pelvis there too, "
                "or give more time"
            )


def check(
    system: DanceLanguage, steering: Steering, sentences: Sequence[Sentence], frames: int
) -> None:
    """Refuse what does not go together.

    Raises:
        InputError: says what.
    """
    if system.config.representation == "per_frame":
        raise InputError("representation=per_frame has no root path: its motion cannot be steered")
    if not 0.0 <= steering.strength <= 1.0:
        raise InputError(f"strength: {steering.strength:g}; allowed: 0 to 1")
    if len(steering.keyframes) > MAX_KEYFRAMES:
        raise InputError(f"keyframes: {len(steering.keyframes)}; at most {MAX_KEYFRAMES}")
    if sum(len(path.times_s) for path in steering.paths) > MAX_POINTS:
        raise InputError(f"points of paths: at most {MAX_POINTS}")
    if steering.loop and (steering.after is not None or steering.before is not None):
        raise InputError("a loop ends as it begins: it goes with no clip before or after it")
    if steering.loop and frames < _SHORTEST_LOOP:
        raise InputError(f"frames: {frames}; a loop needs at least {_SHORTEST_LOOP}")
    _check_times(sentences, frames / system.fps)


def _check_times(sentences: Sequence[Sentence], duration_s: float) -> None:
    """Refuse a timeline of which a sentence would never be heard."""
    times = [sentence.begins_s for sentence in sentences]
    for before, now in zip(times, times[1:]):
        if not np.isfinite(now) or not 0.0 <= now < duration_s:
            raise InputError(
                f"timeline: a sentence at {now:g} s; allowed: 0 to {duration_s:g} s, the length"
            )
        if now - before < _SHORTEST_SENTENCE_S:
            raise InputError(
                f"timeline: sentences at {before:g} and {now:g} s; they need "
                f"{_SHORTEST_SENTENCE_S:g} s each"
            )


def canonical(
    system: DanceLanguage, clip: Clip, *, keeps_end: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A clip's motion `[T, 50, 3]` at the run's rate, in its own place, and its mask `[50]`.

    A body of another size than those of the run gets the run's bones.

    Args:
        keeps_end: leave the last frame where it is on the floor, not the origin.
    """
    mapped = map_to_canonical(clip, None)
    motion = resample(mapped.positions, clip.fps, system.fps).astype(np.float64)
    fitted, factor = system.body.fitted(motion, mapped.joint_mask)
    if factor != 1.0:
        warnings.warn(
            f"{clip.clip_id}: its body is {1.0 / factor:.2f} times the size of the run's; its "
            "poses were fitted to the run's bones",
            stacklevel=2,
        )
    if keeps_end:
        fitted = fitted + (motion[-1, 0] - fitted[-1, 0]) * FLOOR
    return np.where(mapped.joint_mask[:, None], fitted, 0.0), mapped.joint_mask
