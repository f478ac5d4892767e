"""Corrections that keep feet in place during contacts.

A contact removes the horizontal velocity of the standing point, so that corrections are smooth
whichever point stands, without jumps where a contact begins or ends. The remaining constant of each
contact puts the foot at its mean position.

Dimensions: T frames; two feet of two points each, heel and toe.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from raydance.motion.legs import cover
from raydance.motion.stitch import smooth_step

FADE_S: Final = 0.1
"""Over how long a move begins and ends."""

_HOME_S: Final = 0.4
_HURRY_S: Final = 0.3
_FURTHEST_M: Final = 0.20
_RESTING_M: Final = (0.0, 0.03)  # over the floor, as a contact's mean
_BELOW_M: Final = 0.01  # under the level at which feet rest: they roll


class _Node(NamedTuple):
    """A contact, or a time in which the foot is where it was: the move's constant in its frames."""

    first: float
    last: float
    constant: np.ndarray


def moves_to_stand(
    points: np.ndarray, contacts: np.ndarray, levels: np.ndarray, fps: float, fast_m_s: float
) -> np.ndarray:
    """Correction of each foot: `[T, 2, 3]` metres, at most about 20 cm.

    On the floor a foot stands still; its height changes only as a whole, so that a contact is 0 to
    3 cm over the level at which feet rest. Nothing goes deeper than 1 cm below that level.

    Args:
        points: `[T, 2, 2, 3]`, metres, y up.
        contacts: `[T, 2, 2]` bool.
        levels: `[2]` heights at which heels and toes rest.
        fps: frames per second.
        fast_m_s: speed of a point that is not standing; from half of it on, corrections fade out.
    """
    fade = max(1, round(FADE_S * fps))
    hold = standing(_softened(contacts, fade))
    steps = np.diff(points, axis=0)
    # Nothing is taken of a step that is too fast to stand: it belongs to the swing.
    haste = np.linalg.norm(steps, axis=-1) * fps / fast_m_s
    still = 1.0 - smooth_step(np.clip(2.0 * haste - 1.0, 0.0, 1.0))
    step_share = 0.5 * (hold[1:] + hold[:-1]) * still
    taken = (steps * step_share[..., None]).sum(axis=2) * (1.0, 0.0, 1.0)
    drift = np.concatenate([np.zeros((1, 2, 3)), -np.cumsum(taken, axis=0)])
    moves = np.empty_like(drift)
    for foot in range(2):
        nodes = _nodes(points[:, foot], contacts[:, foot], drift[:, foot], levels, fps)
        moves[:, foot] = drift[:, foot] + _between(nodes, len(points), fps)
    moves = _limited(moves)
    floor = levels - _BELOW_M
    below = np.maximum(floor - (points[..., 1] + moves[:, :, None, 1]), 0.0).max(axis=-1)
    moves[..., 1] += cover(below, fade)
    return moves


def _nodes(
    points: np.ndarray, contacts: np.ndarray, drift: np.ndarray, levels: np.ndarray, fps: float
) -> list[_Node]:
    """One foot's contacts, and before, after and between those far apart the way back."""
    home = max(2, round(_HOME_S * fps))
    stands = standing(contacts)
    nodes: list[_Node] = []
    for first, end in runs(contacts[:, 0] | contacts[:, 1]):
        constant = -drift[first:end].mean(axis=0)
        weight = stands[first:end]
        over_floor = ((points[first:end, :, 1] - levels) * weight).sum() / weight.sum()
        constant[1] = np.clip(over_floor, *_RESTING_M) - over_floor
        if nodes and first - nodes[-1].last > 2 * home:
            away = nodes[-1].last + home
            nodes.append(_Node(away, first - home, -drift[int(away)]))
        nodes.append(_Node(first, end - 1, constant))
    if not nodes:
        return []
    before = _Node(-np.inf, nodes[0].first - home, np.zeros(3))
    return [before, *nodes, _Node(nodes[-1].last + home, np.inf, -drift[-1])]


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


def _between(nodes: list[_Node], num_frames: int, fps: float) -> np.ndarray:
    """`[T, 3]`: each node's constant in its frames, a smooth way from one to the next between.

    The constants give way where they would hurry a foot through a short gap: least squares of
    what each frame of a node is off, and of the speed in the gaps, which counts as the way that it
    makes in 0.3 s.
    """
    if not nodes:
        return np.zeros((num_frames, 3))
    firsts, lasts = np.array([n.first for n in nodes]), np.array([n.last for n in nodes])
    inside = np.clip(lasts + 1, 0, num_frames) - np.clip(firsts, 0, num_frames)
    frames_of = np.diag(np.maximum(inside, 1.0))
    tie = (_HURRY_S * fps) ** 2 / (firsts[1:] - lasts[:-1])
    links = np.diff(np.eye(len(nodes)), axis=0)
    wanted = frames_of @ np.stack([n.constant for n in nodes])
    constants = np.linalg.solve(frames_of + links.T @ (tie[:, None] * links), wanted)
    frames = np.arange(num_frames)
    here = np.searchsorted(firsts, frames, side="right") - 1
    after = np.minimum(here + 1, len(nodes) - 1)
    # Outside of a gap, of which the first and last node have none, the division has no meaning.
    is_between = frames > lasts[here]
    begin = np.where(is_between, lasts[here], 0.0)
    gap = np.where(is_between, firsts[after] - begin, 1.0)
    share = smooth_step(np.where(is_between, (frames - begin) / gap, 0.0))
    return constants[here] + (constants[after] - constants[here]) * share[:, None]


def standing(contacts: np.ndarray) -> np.ndarray:
    """Which point holds a foot, `[..., 2]`, 0 to 1: the toe where it stands, else the heel."""
    shares = contacts.astype(np.float64)
    return np.stack([shares[..., 0] * (1.0 - shares[..., 1]), shares[..., 1]], axis=-1)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """`(first, end)` of each stretch of True in `[T]`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
