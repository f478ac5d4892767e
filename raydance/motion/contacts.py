"""Foot contacts with the floor, and removal of foot skating.

Contacts are found from height and speed, with hysteresis, over a floor estimated from the motion.
Cleaning follows Kovar, Schreiner and Gleicher 2002 ("Footskate Cleanup for Motion Capture
Editing"): first positions of the feet, then legs that reach them. It differs in blending: a contact
removes velocity, so there are no jumps at its ends; and bones keep their lengths, so the pelvis is
lowered instead.

Dimensions: T frames; a foot has two points, in the order of `FEET`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import legs
from raydance.motion.bones import fix_bone_lengths
from raydance.motion.pinning import FADE_S, moves_to_stand, runs, standing
from raydance.motion.skeleton import INDEX, NUM_JOINTS

FEET: Final = (
    (INDEX["left_ankle"], INDEX["left_foot"]),
    (INDEX["right_ankle"], INDEX["right_foot"]),
)
"""Heel and toe of each foot: the skeleton's ankle and ball of the foot."""

_ENTER_HEIGHT_M, _LEAVE_HEIGHT_M = 0.04, 0.07
_ENTER_SPEED_M_S, _LEAVE_SPEED_M_S = 0.45, 0.9
_SPEED_REACH_S = 0.05
_SHORTEST_S = 0.12
_LOW: Final = 10.0  # percent
_LEGS: Final = tuple(
    tuple(INDEX[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
_MIN_FRAMES: Final = 4
_MOST_SUNK_M: Final = 0.10


def _floor_levels(points: np.ndarray, fps: float) -> np.ndarray:
    """Heights `[2]` (heel, toe) at which the two feet rest: low ones of the frames without haste.

    Robust: a tenth of those frames may lie below. A motion that never rests (a jump, a run) takes
    a tenth of all frames instead.
    """
    is_slow = _speeds(points, fps) < _LEAVE_SPEED_M_S
    levels = np.empty(2)
    for point in range(2):
        height = points[:, :, point, 1]
        slow = height[is_slow[:, :, point]]
        levels[point] = np.percentile(slow if len(slow) > 0.1 * height.size else height, _LOW)
    return levels


def _speeds(points: np.ndarray, fps: float) -> np.ndarray:
    """Speeds `[T, 2, 2]` of `[T, 2, 2, 3]`, m/s, over about a tenth of a second."""
    reach = max(1, round(_SPEED_REACH_S * fps))
    frames = np.arange(len(points))
    before, after = np.maximum(frames - reach, 0), np.minimum(frames + reach, len(points) - 1)
    way = np.linalg.norm(points[after] - points[before], axis=-1)
    return way * fps / np.maximum(after - before, 1)[:, None, None]


def foot_contacts(
    motion: np.ndarray, fps: float, joint_mask: np.ndarray | None = None
) -> np.ndarray:
    """Points of the feet that are in contact with the floor, for each frame.

    A contact needs a frame that is low and slow (4 cm over the floor, 0.45 m/s), lasts as long as
    the point stays within 7 cm and 0.9 m/s, and no shorter than 0.12 s.

    Args:
        motion: `[T, 50, 3]`, metres, y up.
        joint_mask: `[50]` bool; a point that is not there never stands.

    Returns:
        `[T, 2, 2]` bool: left and right foot, heel and toe.

    Raises:
        InputError: a wrong shape, or values that are not finite in joints that are there.
    """
    mask = _checked(motion, joint_mask)
    if not len(motion):
        return np.zeros((0, 2, 2), dtype=bool)
    points = _points(motion, mask)
    height = points[..., 1] - _floor_levels(points, fps)
    speed = _speeds(points, fps)
    certain = (height < _ENTER_HEIGHT_M) & (speed < _ENTER_SPEED_M_S)
    possible = (height < _LEAVE_HEIGHT_M) & (speed < _LEAVE_SPEED_M_S)
    contacts = np.zeros_like(certain)
    shortest = max(2, round(_SHORTEST_S * fps))
    for foot, point in np.ndindex(2, 2):
        if not mask[FEET[foot][point]]:
            continue
        for first, end in runs(possible[:, foot, point]):
            if end - first >= shortest and certain[first:end, foot, point].any():
                contacts[first:end, foot, point] = True
    return contacts


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `clean_feet` found and did.

    Attributes:
        note: why the feet are as they were; empty where they were cleaned.
        contact_share: of the frames of both feet.
        skate_before_m_s, skate_after_m_s: way of the standing points on the floor for each second
            of contact; the contacts are those found before.
        max_correction_m: greatest way that a heel or toe was moved.
        pelvis_lowered_m: the most that the body sank because a leg was too short.
        bones_changed_m: greatest way that a joint was moved to keep bones at one length.
    """

    note: str = ""
    contact_share: float = 0.0
    skate_before_m_s: float = 0.0
    skate_after_m_s: float = 0.0
    max_correction_m: float = 0.0
    pelvis_lowered_m: float = 0.0
    bones_changed_m: float = 0.0

    @property
    def line(self) -> str:
        """What was done, as people read it; empty where nothing was."""
        if self.note:
            return ""
        before, after = 100 * self.skate_before_m_s, 100 * self.skate_after_m_s
        return f"standing feet slid {before:.1f} cm/s, now {after:.1f}"


def clean_feet(
    motion: np.ndarray, fps: float, joint_mask: np.ndarray | None = None
) -> tuple[np.ndarray, Report]:
    """Remove foot skating: standing feet stay in place, and bones keep their lengths.

    The body's bones become constant (`fix_bone_lengths`). Then, as each foot stands, the standing
    point (the toe where it stands, else the heel) is held where it was on average, no higher than
    3 cm over the floor, with the whole foot moved alike; the moves fade in and out, and between two
    contacts one goes over into the other. Knees follow (`legs.solve_knee`), and the body sinks by
    at most 10 cm where a leg cannot reach. A foot that slides fast (`foot_contacts`) is left
    sliding.

    Args:
        motion: `[T, 50, 3]`, metres, y up.
        fps: frames per second.
        joint_mask: `[50]` bool; hips, knees and ankles are needed.

    Returns:
        `[T, 50, 3]`, of the motion's type, and what was done. Without contacts only the bones
        change; without leg joints, or of less than four frames, the motion comes back as it is.

    Raises:
        InputError: a wrong shape, or values that are not finite in joints that are there.
    """
    mask = _checked(motion, joint_mask)
    if not mask[[joint for leg in _LEGS for joint in leg]].all():
        return motion, Report(note="hips, knees or ankles are not there")
    if len(motion) < _MIN_FRAMES:
        return motion, Report(note=f"{len(motion)} frames; at least {_MIN_FRAMES} are needed")
    rigid = fix_bone_lengths(motion.astype(np.float64), mask)
    bones_changed_m = float(np.linalg.norm(rigid - motion, axis=-1)[:, mask].max())
    contacts = foot_contacts(rigid, fps, mask)
    if not contacts.any():
        kept = motion.copy()
        kept[:, mask] = rigid[:, mask]
        note = "no foot stands on the floor"
        return kept, Report(note=note, bones_changed_m=bones_changed_m)
    points = _points(rigid, mask)
    moves = moves_to_stand(points, contacts, _floor_levels(points, fps), fps, _LEAVE_SPEED_M_S)
    cleaned, sunk = _follow(rigid, moves, fps)
    kept = motion.copy()
    kept[:, mask] = cleaned[:, mask]
    return kept, Report(
        contact_share=float(contacts.any(axis=-1).mean()),
        skate_before_m_s=_skate(_points(motion, mask), contacts, fps),
        skate_after_m_s=_skate(_points(cleaned, mask), contacts, fps),
        max_correction_m=float(np.linalg.norm(moves, axis=-1).max()),
        pelvis_lowered_m=float(sunk.max()),
        bones_changed_m=bones_changed_m,
    )


def clean_samples(
    motions: np.ndarray, fps: float, joint_mask: np.ndarray
) -> tuple[np.ndarray, list[Report]]:
    """`clean_feet` of each of several motions `[N, T, 50, 3]`."""
    cleaned = [clean_feet(motion, fps, joint_mask) for motion in motions]
    return np.stack([motion for motion, _ in cleaned]), [report for _, report in cleaned]


def _checked(motion: np.ndarray, joint_mask: np.ndarray | None) -> np.ndarray:
    mask = np.ones(NUM_JOINTS, dtype=bool) if joint_mask is None else np.asarray(joint_mask, bool)
    if motion.ndim != 3 or motion.shape[1:] != (NUM_JOINTS, 3) or mask.shape != (NUM_JOINTS,):
        raise InputError(
            f"motion of shape {motion.shape}, joint mask of {mask.shape}; "
            f"[T, {NUM_JOINTS}, 3] and [{NUM_JOINTS}] are needed"
        )
    if not np.isfinite(motion[:, mask]).all():
        raise InputError("motion holds values that are not finite in joints it has")
    return mask


def _points(motion: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Heel and toe of each foot, `[T, 2, 2, 3]`; an absent toe lies in the heel."""
    return motion[:, [[heel, toe if mask[toe] else heel] for heel, toe in FEET]].astype(np.float64)


def _skate(points: np.ndarray, contacts: np.ndarray, fps: float) -> float:
    """Mean horizontal speed of points in contact, m/s."""
    way = np.linalg.norm(np.diff(points[..., [0, 2]], axis=0), axis=-1)
    stands = standing(contacts)
    stands = stands[1:] * stands[:-1]
    return float((way * stands).sum() / max(stands.sum(), 1.0) * fps)


def _follow(motion: np.ndarray, moves: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """The whole body after its feet's moves `[T, 2, 3]`, and how far it sank, `[T]`."""
    across = motion[:, INDEX["left_hip"]] - motion[:, INDEX["right_hip"]]
    targets = [motion[:, ankle] + moves[:, side] for side, (_, _, ankle) in enumerate(_LEGS)]
    needed = [
        legs.too_far(motion[:, hip], motion[:, knee], motion[:, ankle], target)
        for (hip, knee, ankle), target in zip(_LEGS, targets)
    ]
    sunk = legs.cover(np.maximum(*needed), max(1, round(FADE_S * fps)))
    sunk = _MOST_SUNK_M * np.tanh(sunk / _MOST_SUNK_M)
    cleaned = motion.copy()
    cleaned[..., 1] -= sunk[:, None]
    for side, (hip, knee, ankle) in enumerate(_LEGS):
        new_knee, new_ankle = legs.solve_knee(
            motion[:, hip],
            motion[:, knee],
            motion[:, ankle],
            cleaned[:, hip],
            targets[side],
            across,
        )
        cleaned[:, knee], cleaned[:, ankle] = new_knee, new_ankle
        toe = FEET[side][1]
        cleaned[:, toe] = motion[:, toe] + new_ankle - motion[:, ankle]
    return cleaned, sunk
