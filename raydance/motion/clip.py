"""One recording, or a part of it: what every reader returns and every writer takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from raydance.motion import skeleton

if TYPE_CHECKING:
    from raydance.motion.export.written_file import WrittenFile


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Motion of one skeleton with its true units, rate and up axis.

    Attributes:
        clip_id: unique name within a library; a relative path without suffix by default.
        source: where it came from (a path, or `synthetic`).
        fps: frames per second, the true one.
        joint_names: J names as the source gives them.
        parents: J indices of parents, -1 for the root; a parent precedes its children.
        positions: `[T, J, 3]` float32, global, metres, y up.
        rotations: `[T, J, 4]` float32 unit quaternions (w, x, y, z), local to the parent and in
            the y-up frame, where the source has them; never recovered from positions.
        offsets: `[J, 3]` float32, metres: rest offset of each joint from its parent, where the
            source has a skeleton.
        captions: sentences about this clip.
        labels: further facts, such as `{"content": "walk", "style": "happy"}`.
        recording: what a split is decided by; clips cut from one recording share it.
        split: `train`, `val` or `test` where the user fixed it, else None.
    """

    clip_id: str
    source: str
    fps: float
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    positions: np.ndarray
    rotations: np.ndarray | None = None
    offsets: np.ndarray | None = None
    captions: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    recording: str = ""
    split: str | None = None

    def __post_init__(self) -> None:
        num_joints = len(self.joint_names)
        assert self.positions.ndim == 3 and self.positions.shape[1:] == (num_joints, 3)
        assert len(self.parents) == num_joints
        if not self.recording:
            object.__setattr__(self, "recording", self.clip_id)

    @property
    def num_frames(self) -> int:
        return int(self.positions.shape[0])

    def save(self, path: str | Path) -> WrittenFile:
        """Write it as a file; the suffix (npz, bvh, glb, gif, mp4) says the format.

        Returns:
            How far the file's joints are off, and what its reader should know.

        Raises:
            InputError: a suffix that is not written, or a program for it is missing.
        """
        from raydance.motion.export import write_clip

        return write_clip(path, self)

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.fps


def generated_clip(
    motion: np.ndarray, joint_mask: np.ndarray, fps: float, name: str, *captions: str
) -> Clip:
    """Generated motion as a clip that writers take.

    Args:
        motion: `[T, 50, 3]`, metres, y up.
        joint_mask: `[50]` bool: the joints that it has; the clip has no others.
    """
    kept = np.flatnonzero(joint_mask)
    return Clip(
        clip_id=name,
        source="generated",
        fps=fps,
        joint_names=tuple(skeleton.JOINTS[joint] for joint in kept),
        parents=skeleton.parents_among(kept.tolist()),
        positions=motion[:, kept],
        captions=captions,
    )
