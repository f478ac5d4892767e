"""When the feet stand on the floor, and motion in which they then stand still.

Contacts come from height and speed, with hysteresis, over a floor found in the motion itself. The
cleaning goes the way of Kovar, Schreiner and Gleicher 2002 ("Footskate Cleanup for Motion Capture
Editing"): places for the feet first, then legs that reach them. It differs in how it blends: what
a contact takes away is velocity, so nothing jumps at its ends; and bones keep their lengths, so
the pelvis yields instead.

Dimensions: T frames; a foot has two points, in the order of `FEET`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.motion import legs
from raydance.motion.bones import fix_bone_lengths
from raydance.motion.skeleton import INDEX, NUM_JOINTS
from raydance.motion.stitch import smooth_step

FEET: Final = (
    (INDEX["left_ankle"], INDEX["left_foot"]),
    (INDEX["right_ankle"], INDEX["right_foot"]),
)
"""Heel and toe of each foot: the skeleton's ankle and ball of the foot."""

_ENTER_HEIGHT_M, _LEAVE_HEIGHT_M = 0.04, 0.07
_ENTER_SPEED_M_S, _LEAVE_SPEED_M_S = 0.4, 0.8
_SPEED_REACH_S = 0.05
_SHORTEST_S = 0.12
_LOW: Final = 10.0  # percent
_LEGS: Final = tuple(
    tuple(INDEX[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
_MIN_FRAMES: Final = 4
_FADE_S: Final = 0.1
_HOME_S: Final = 0.4
_RESTING_M: Final = (0.0, 0.02)  # over the floor, as a contact's mean
_BELOW_M: Final = 0.01  # under the level at which feet rest: they roll
_FURTHEST_M: Final = 0.20
_MOST_SUNK_M: Final = 0.10


def floor_levels(motion: np.ndarray, fps: float) -> np.ndarray:
    """Heights `[2]` (heel, toe) at which the two feet rest: low ones of the frames without haste.

    Robust: a tenth of those frames may lie below. A motion that never rests (a jump, a run) takes
    a tenth of all frames instead.

    Args:
        motion: `[T, 50, 3]`, metres, y up.
    """
    height = motion[:, FEET, 1].astype(np.float64)
    is_slow = speeds(motion, fps) < _LEAVE_SPEED_M_S
    levels = np.empty(2)
    for point in range(2):
        slow = height[:, :, point][is_slow[:, :, point]]
        some = slow if len(slow) > 0.1 * 2 * len(motion) else height[:, :, point]
        levels[point] = np.percentile(some, _LOW)
    return levels


def speeds(motion: np.ndarray, fps: float) -> np.ndarray:
    """Speeds `[T, 2, 2]` of heel and toe of each foot, m/s, over about a tenth of a second."""
    feet = motion[:, FEET].astype(np.float64)
    reach = max(1, round(_SPEED_REACH_S * fps))
    frames = np.arange(len(feet))
    before, after = np.maximum(frames - reach, 0), np.minimum(frames + reach, len(feet) - 1)
    way = np.linalg.norm(feet[after] - feet[before], axis=-1)
    return way * fps / np.maximum(after - before, 1)[:, None, None]


def foot_contacts(
    motion: np.ndarray, fps: float, joint_mask: np.ndarray | None = None
) -> np.ndarray:
    """Which points of the feet stand on the floor in each frame.

    A contact needs a frame that is low and slow (4 cm over the floor, 0.45 m/s), lasts as long as
    the point stays within 7 cm and 0.9 m/s, and no shorter than 0.12 s.

    Args:
        motion: `[T, 50, 3]`, metres, y up.
        joint_mask: `[50]` bool; a point that is not there never stands.

    Returns:
        `[T, 2, 2]` bool: left and right foot, heel and toe.
    """
    mask = np.ones(NUM_JOINTS, dtype=bool) if joint_mask is None else np.asarray(joint_mask, bool)
    height = motion[:, FEET, 1] - floor_levels(motion, fps)
    speed = speeds(motion, fps)
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


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """`(first, end)` of each stretch of True in `[T]`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `clean_feet` found and did.

    Attributes:
        note: why the motion came back unchanged; empty where it was cleaned.
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


def clean_feet(
    motion: np.ndarray, fps: float, joint_mask: np.ndarray | None = None
) -> tuple[np.ndarray, Report]:
    """Motion whose feet stand still where they stand, on legs that keep their lengths.

    Bones get constant lengths (`fix_bone_lengths`). Then, as each foot stands, the standing point
    (the toe where it stands, else the heel) is held where it was on average, no higher than 2 cm
    over the floor, with the whole foot moved alike; the moves fade in and out, and between two
    contacts one goes over into the other. Knees follow (`legs.solve_knee`), and the body sinks by
    at most 10 cm where a leg cannot reach. A foot that slides fast (`foot_contacts`) is taken to
    mean it.

    Args:
        motion: `[T, 50, 3]`, metres, y up.
        fps: frames per second.
        joint_mask: `[50]` bool; hips, knees and ankles are needed.

    Returns:
        `[T, 50, 3]`, of the motion's type, and what was done. Without leg joints or contacts the
        motion comes back as it is.
    """
    mask = np.ones(NUM_JOINTS, dtype=bool) if joint_mask is None else np.asarray(joint_mask, bool)
    if not mask[[joint for leg in _LEGS for joint in leg]].all():
        return motion, Report(note="hips, knees or ankles are not there")
    if len(motion) < _MIN_FRAMES:
        return motion, Report(note=f"{len(motion)} frames; at least {_MIN_FRAMES} are needed")
    rigid = fix_bone_lengths(motion.astype(np.float64), mask)
    contacts = foot_contacts(rigid, fps, mask)
    if not contacts.any():
        return motion, Report(note="no foot stands on the floor")
    points = _points(rigid, mask)
    moves = _hold(points, contacts, floor_levels(rigid, fps), fps)
    cleaned, sunk = _follow(rigid, moves, fps)
    kept = motion.copy()
    kept[:, mask] = cleaned[:, mask]
    return kept, Report(
        contact_share=float(contacts.any(axis=-1).mean()),
        skate_before_m_s=_skate(_points(motion, mask), contacts, fps),
        skate_after_m_s=_skate(_points(cleaned, mask), contacts, fps),
        max_correction_m=float(np.linalg.norm(moves, axis=-1).max()),
        pelvis_lowered_m=float(sunk.max()),
        bones_changed_m=float(np.linalg.norm(rigid - motion, axis=-1)[:, mask].max()),
    )


def _points(motion: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Heel and toe of each foot, `[T, 2, 2, 3]`; an absent toe lies in the heel."""
    return motion[:, [[heel, toe if mask[toe] else heel] for heel, toe in FEET]].astype(np.float64)


def _skate(points: np.ndarray, contacts: np.ndarray, fps: float) -> float:
    """Mean horizontal speed of the standing points, m/s."""
    way = np.linalg.norm(np.diff(points[..., [0, 2]], axis=0), axis=-1)
    stands = _standing(contacts)
    stands = stands[1:] * stands[:-1]
    return float((way * stands).sum() / max(stands.sum(), 1.0) * fps)


def _standing(contacts: np.ndarray) -> np.ndarray:
    """Which point holds each foot, `[T, 2, 2]`, 0 to 1: the toe where it stands, else the heel."""
    shares = contacts.astype(np.float64)
    return np.stack([shares[..., 0] * (1.0 - shares[..., 1]), shares[..., 1]], axis=-1)


def _hold(points: np.ndarray, contacts: np.ndarray, levels: np.ndarray, fps: float) -> np.ndarray:
    """How each foot has to be moved, `[T, 2, 3]`, to stand still as it stands.

    What a contact takes away is the standing point's velocity, so that moves are smooth whatever
    point stands; what is left free, a constant for each contact, puts it where it was on average.
    """
    fade = max(1, round(_FADE_S * fps))
    home = max(2, round(_HOME_S * fps))
    soft = _softened(contacts, fade)
    hold = np.stack([soft[..., 0] * (1.0 - soft[..., 1]), soft[..., 1]], axis=-1)  # [T, 2, 2]
    steps = np.diff(points, axis=0)
    # Nothing is taken of a step that is too fast to stand: it belongs to the swing.
    haste = np.linalg.norm(steps, axis=-1) * fps / _LEAVE_SPEED_M_S
    still = 1.0 - smooth_step(np.clip(2.0 * haste - 1.0, 0.0, 1.0))
    step_share = 0.5 * (hold[1:] + hold[:-1]) * still
    taken = (steps * step_share[..., None]).sum(axis=2)
    drift = np.concatenate([np.zeros((1, 2, 3)), -np.cumsum(taken, axis=0)])
    moves = np.empty_like(drift)
    stands = _standing(contacts)
    for foot in range(2):
        nodes: list[tuple[float, float, np.ndarray]] = []  # first and last frame, constant
        for first, end in runs(contacts[:, foot].any(axis=-1)):
            part = slice(first, end)
            constant = -drift[part, foot].mean(axis=0)
            weight = stands[part, foot]
            over_floor = points[part, foot, :, 1] + (drift[part, foot, 1] + constant[1])[:, None]
            over_floor = ((over_floor - levels) * weight).sum() / weight.sum()
            constant[1] += np.clip(over_floor, *_RESTING_M) - over_floor
            if nodes and first - nodes[-1][1] > 2 * home:
                away = nodes[-1][1] + home
                nodes.append((away, first - home, -drift[away, foot]))
            nodes.append((first, end - 1, constant))
        if nodes:
            start, finish = nodes[0][0] - home, nodes[-1][1] + home
            nodes.insert(0, (-np.inf, start, np.zeros(3)))
            nodes.append((finish, np.inf, -drift[-1, foot]))
        moves[:, foot] = drift[:, foot] + _between(nodes, len(points))
    moves = _limited(moves)
    floor = levels - _BELOW_M
    below = np.maximum(floor - (points[..., 1] + moves[:, :, None, 1]), 0.0).max(axis=-1)
    moves[..., 1] += legs.cover(below, fade)
    return moves


def _limited(moves: np.ndarray) -> np.ndarray:
    """Moves `[..., 3]` bent so as not to pass the limit; up to half of it hardly changed."""
    far = np.linalg.norm(moves, axis=-1, keepdims=True) / _FURTHEST_M
    return moves / (1.0 + far**4) ** 0.25


def _softened(contacts: np.ndarray, num_frames: int) -> np.ndarray:
    """Contacts as shares `[T, ...]` that fade over some frames before and after them."""
    num = len(contacts)
    soft = contacts.astype(np.float64)
    for step in range(1, min(num_frames, num - 1) + 1):
        share = smooth_step(np.array(1.0 - step / (num_frames + 1)))
        soft[step:] = np.maximum(soft[step:], share * contacts[:-step])
        soft[:-step] = np.maximum(soft[:-step], share * contacts[step:])
    return soft


def _between(nodes: list[tuple[float, float, np.ndarray]], num_frames: int) -> np.ndarray:
    """`[T, 3]`: each node's constant in its frames, a smooth way from one to the next between."""
    if not nodes:
        return np.zeros((num_frames, 3))
    firsts, lasts = np.array([n[0] for n in nodes]), np.array([n[1] for n in nodes])
    constants = np.stack([n[2] for n in nodes])
    frames = np.arange(num_frames)
    here = np.searchsorted(firsts, frames, side="right") - 1
    after = np.minimum(here + 1, len(nodes) - 1)
    # Outside of a gap, of which the first and last node have none, the division has no meaning.
    is_between = frames > lasts[here]
    begin = np.where(is_between, lasts[here], 0.0)
    gap = np.where(is_between, firsts[after] - begin, 1.0)
    share = smooth_step(np.where(is_between, (frames - begin) / gap, 0.0))
    return constants[here] + (constants[after] - constants[here]) * share[:, None]


def _follow(motion: np.ndarray, moves: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """The whole body after its feet's moves `[T, 2, 3]`, and how far it sank, `[T]`."""
    across = motion[:, INDEX["left_hip"]] - motion[:, INDEX["right_hip"]]
    needed = [
        legs.too_far(*(motion[:, joint] for joint in leg), motion[:, leg[2]] + moves[:, side])
        for side, leg in enumerate(_LEGS)
    ]
    sunk = legs.cover(np.maximum(*needed), max(1, round(_FADE_S * fps)))
    sunk = _MOST_SUNK_M * np.tanh(sunk / _MOST_SUNK_M)
    cleaned = motion.copy()
    cleaned[..., 1] -= sunk[:, None]
    for side, (hip, knee, ankle) in enumerate(_LEGS):
        new_knee, new_ankle = legs.solve_knee(
            motion[:, hip],
            motion[:, knee],
            motion[:, ankle],
            cleaned[:, hip],
            motion[:, ankle] + moves[:, side],
            across,
        )
        cleaned[:, knee], cleaned[:, ankle] = new_knee, new_ankle
        toe = FEET[side][1]
        cleaned[:, toe] = motion[:, toe] + new_ankle - motion[:, ankle]
    return cleaned, sunk
