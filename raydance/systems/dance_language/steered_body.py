"""The body of a run: how long its bones are, how far it reaches, and poses of others fitted to it.

Generated bodies have the bones of the training data. A pose of a larger or smaller body would be
met by stretching them, so such poses are rebuilt with the run's bones (`Body.fitted`).

Dimensions: N poses, T frames, J joints, B bones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.motion import skeleton

_TOLERANCE: Final = 0.05
"""Share by which a body may be larger or smaller than those of the run and still counts as one."""
_JUMP_M: Final = 0.8
"""How much higher than standing on the toes somebody who jumps can get."""
_REGROWS: Final = 20
_NO_LENGTH_M: Final = 1e-6


@dataclass(frozen=True)
class Body:
    """Bones of a run's training data.

    Attributes:
        poses: `[N, J, 3]`, metres: single frames of the training data.
        joint_mask: `[J]` bool: joints that they have.
    """

    poses: np.ndarray
    joint_mask: np.ndarray

    def _lengths(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Child and parent of each bone among some joints, `[B]`, and lengths `[N, B]`."""
        parents = np.array(skeleton.parents_among(kept.tolist()))
        rows = np.flatnonzero(parents >= 0)
        child, parent = kept[rows], kept[parents[rows]]
        lengths_NB = np.linalg.norm(self.poses[:, child] - self.poses[:, parent], axis=-1)
        return child, parent, lengths_NB

    def chain_m(self, first: int, second: int) -> float:
        """Length of the bones from one joint to another: they are never further apart."""
        child, parent, lengths_NB = self._lengths(np.flatnonzero(self.joint_mask))
        # Long ones of the run, so that no pose of the data is called impossible.
        length = dict(zip(child.tolist(), np.percentile(lengths_NB, 95, axis=0).tolist()))
        above = dict(zip(child.tolist(), parent.tolist()))

        def way_up(joint: int) -> list[int]:
            way = [joint]
            while way[-1] in above:
                way.append(above[way[-1]])
            return way

        return sum(length[j] for j in set(way_up(first)) ^ set(way_up(second)) if j in length)

    def reach_m(self, joint: int) -> float:
        """How far a joint can be from the pelvis."""
        return self.chain_m(0, joint)

    def highest_m(self, joint: int) -> float:
        """How high above the floor a joint can be, in a jump."""
        feet = np.flatnonzero(self.joint_mask[: skeleton.NUM_BODY_JOINTS])
        legs = max(self.reach_m(int(foot)) for foot in feet if "ankle" in skeleton.JOINTS[foot])
        return legs + self.reach_m(joint) + _JUMP_M

    def fitted(self, motion: np.ndarray, joint_mask: np.ndarray) -> tuple[np.ndarray, float]:
        """Motion with this body's bones where it is of another size.

        Bones keep their directions; the path of the pelvis and the lowest point of the motion are
        scaled with the body.

        Args:
            motion: `[T, J, 3]`, metres, y up.
            joint_mask: `[J]` bool.

        Returns:
            The motion, and this body's size by that of the motion's: exactly 1 where nothing was
            changed.
        """
        kept = np.flatnonzero(joint_mask & self.joint_mask)
        child, parent, own_NB = self._lengths(kept)
        bones_TB3 = motion[:, child] - motion[:, parent]
        theirs_B = np.median(np.linalg.norm(bones_TB3, axis=-1), axis=0)
        counts = child < skeleton.NUM_BODY_JOINTS
        size = theirs_B[counts].sum()
        low, high = np.percentile(own_NB[:, counts].sum(axis=1), [1, 99])
        if not counts.any() or size < _NO_LENGTH_M:
            return motion, 1.0
        if (1.0 - _TOLERANCE) * low <= size <= (1.0 + _TOLERANCE) * high:
            return motion, 1.0
        own_B = np.median(own_NB, axis=0)
        factor = float(own_B[counts].sum() / size)
        scaled = motion * factor
        lengths = np.maximum(np.linalg.norm(bones_TB3, axis=-1, keepdims=True), _NO_LENGTH_M)
        rebuilt = scaled.copy()
        for bone, (joint, above) in enumerate(zip(child, parent)):
            direction = bones_TB3[:, bone] / lengths[:, bone]
            rebuilt[:, joint] = rebuilt[:, above] + direction * own_B[bone]
        rise = scaled[:, kept, 1].min() - rebuilt[:, kept, 1].min()
        rebuilt[:, kept, 1] += rise
        return rebuilt, factor


def scale_of(motion: np.ndarray, start: int, overlap: int, mask: np.ndarray) -> np.ndarray:
    """How much larger the body was in the first `overlap` frames than from frame `start` on, `[S]`.

    Windows that go on from each other would else pass on every little change of size, and a dancer
    of a minute would shrink.
    """
    if start >= motion.shape[1]:
        return np.ones(len(motion))
    kept = np.flatnonzero(mask)
    kept = kept[kept < skeleton.NUM_BODY_JOINTS]
    parents = np.array(skeleton.parents_among(kept.tolist()))
    child = np.flatnonzero(parents >= 0)
    bones = motion[:, :, kept[child]] - motion[:, :, kept[parents[child]]]
    size_ST = np.linalg.norm(bones, axis=-1).sum(axis=-1)
    first, now = size_ST[:, :overlap].mean(axis=1), size_ST[:, start:].mean(axis=1)
    return first / np.maximum(now, 1e-6)


def regrown(window: np.ndarray, given: int, scale_S: np.ndarray) -> np.ndarray:
    """A window `[S, L, J, 3]` whose size goes over from that of the frames before to its own."""
    return window * sizes(window.shape[1], given, scale_S)[:, :, None, None]


def sizes(num_frames: int, given: int, scale_S: np.ndarray) -> np.ndarray:
    """Factors `[S, L]` from the size of the frames before to the window's own."""
    share_L = np.clip((np.arange(num_frames) - given + 1) / _REGROWS, 0.0, 1.0)
    rises_L = share_L**2 * (3.0 - 2.0 * share_L)
    return 1.0 / scale_S[:, None] + (1.0 - 1.0 / scale_S[:, None]) * rises_L
