"""Joints to points: skeletons of 2-D poses, and points at equal steps along their bones.

Dimensions: T frames, J joints, N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from raydance.tracks.resampling import filled

Bones = Sequence[tuple[int, int]]

JHMDB: Final[Bones] = (
    (2, 0), (0, 1), (0, 3), (0, 4), (1, 5), (1, 6), (3, 7), (4, 8), (5, 9), (6, 10), (7, 11),
    (8, 12), (9, 13), (10, 14),
)  # fmt: skip
"""15 joints: neck, belly, face, then right and left shoulder, hip, elbow, knee, wrist, ankle."""

COCO: Final[Bones] = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12),
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip
"""17 keypoints: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left first."""

OPENPOSE_18: Final[Bones] = (
    (0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11),
    (11, 12), (12, 13), (0, 14), (0, 15), (14, 16), (15, 17),
)  # fmt: skip
"""OpenPose's 18 joints (its COCO model), also those of the Kinetics skeletons."""

OPENPOSE_25: Final[Bones] = (
    (0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (10, 11),
    (8, 12), (12, 13), (13, 14), (0, 15), (0, 16), (15, 17), (16, 18), (14, 19), (19, 20),
    (14, 21), (11, 22), (22, 23), (11, 24),
)  # fmt: skip
"""OpenPose's BODY_25."""


def points_along(
    joints: np.ndarray, known: np.ndarray, bones: Bones, num_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points spread over a skeleton's bones, each bone with as many as its length earns.

    Frames in which a joint was not found take its place from the frames before and after; bones
    of which an end is never found are left out.

    Args:
        joints: `[T, J, 2]`, pixels; any values where unknown.
        known: `[T, J]` bool.
        bones: pairs of joints.
        num_points: N.

    Returns:
        `[T, N, 2]` float32 and visibility `[T, N]`: both ends of the bone are known. With no bone
        at all the joints themselves, repeated.
    """
    found = np.any(known, axis=0).tolist()
    places = filled(joints.astype(np.float32), known)
    ends = np.array([bone for bone in bones if found[bone[0]] and found[bone[1]]], int)
    if not len(ends):
        ends = np.array([(joint, joint) for joint in np.flatnonzero(found).tolist()], int)
    first, second = ends.T
    lengths = np.median(np.linalg.norm(places[:, first] - places[:, second], axis=-1), axis=0)
    counts = _apportioned(lengths, num_points)
    bone = np.repeat(np.arange(len(ends)), counts)
    share = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    start, end = places[:, first[bone]], places[:, second[bone]]
    points = start + share[:, None].astype(np.float32) * (end - start)
    return points, known[:, first[bone]] & known[:, second[bone]]


def _apportioned(lengths: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that add up to `total`, in proportion to lengths (Sainte-Lague)."""
    counts = np.zeros(len(lengths), int)
    lengths = np.maximum(lengths, 1e-6)
    for _ in range(total):
        counts[np.argmax(lengths / (2 * counts + 1))] += 1
    return counts
