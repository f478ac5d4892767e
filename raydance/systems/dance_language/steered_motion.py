"""Steered motion as it is answered: with whole bones and standing feet, and what it keeps to.

Dimensions: S samples, T frames, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raydance.motion import skeleton
from raydance.motion.contacts import clean_feet
from raydance.systems.constraints import Wanted, missing, settle
from raydance.systems.dance_language.steering_targets import FLOOR, Targets


@dataclass(frozen=True, kw_only=True)
class Steered:
    """Motion, and what it was to keep to.

    Attributes:
        motion: `[S, lead + T, 50, 3]`: the frames that it goes on from first.
        settled_m: `[S, T, 50]`: how far joints were from what was wanted before they were settled.
        world: what was wanted.
        is_loop: whether the end was to meet the beginning.
    """

    motion: np.ndarray
    settled_m: np.ndarray
    world: Targets
    is_loop: bool

    @property
    def lead(self) -> int:
        """Frames of the clip that the motion goes on from."""
        return self.motion.shape[1] - self.world.frames

    def made(self) -> np.ndarray:
        """The motion without the frames that it goes on from, `[S, T, 50, 3]`."""
        return self.motion[:, self.lead :].astype(np.float32)

    def finished(self, samples: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Some samples with whole bones and standing feet, and how well they keep to constraints.

        What is wanted is settled again on the cleaned body. Motion without constraints is left to
        its caller, who may want it as it was made.

        Returns:
            `[n, T, 50, 3]`, and for each constraint its `kind`, `time_s` where it has one,
            `residual_cm` of the motion and `settled_cm`, what had to be settled after sampling:
            the largest of these samples.
        """
        motion, settled_m = self.motion[samples], self.settled_m[samples]
        if self.world.named or self.is_loop or self.lead:
            motion = _cleaned(self.world, motion, self.lead, self.is_loop)
        found = _residuals(self.world, self.is_loop, motion[:, self.lead :], settled_m)
        if self.lead:
            found.insert(0, _continuation(motion, self.lead, self.world.system.joint_mask))
        return motion[:, self.lead :].astype(np.float32), found


def _residuals(
    world: Targets, is_loop: bool, motion: np.ndarray, settled: np.ndarray
) -> list[dict[str, Any]]:
    target = np.repeat(world.target[None], len(motion), axis=0)
    wanted = Wanted(target=target, weight=world.weight, is_relative=world.is_relative)
    off = np.linalg.norm(missing(motion, wanted), axis=-1)
    found = [
        facts
        | {
            "residual_cm": round(100.0 * float(off[:, rows].max(initial=0.0)), 2),
            "settled_cm": round(100.0 * float(settled[:, rows].max(initial=0.0)), 2),
        }
        for facts, rows in world.named
    ]
    if is_loop:
        known = world.system.joint_mask
        pose = (motion - motion[:, :, :1] * FLOOR)[:, :, known]
        gap = np.linalg.norm(pose[:, -1] - pose[:, 0], axis=-1)
        speeds = np.diff(motion[:, :, known], axis=1)
        change = np.linalg.norm(speeds[:, -1] - speeds[:, 0], axis=-1) * world.fps
        found.append(
            {
                "kind": "loop",
                "residual_cm": round(100.0 * float(gap.max()), 2),
                "velocity_cm_s": round(100.0 * float(change.max()), 2),
            }
        )
    return found


def _cleaned(world: Targets, motion: np.ndarray, lead: int, is_loop: bool) -> np.ndarray:
    """Motion `[S, lead + T, J, 3]` with whole bones and standing feet that has what is wanted."""
    mask = world.system.joint_mask
    target = np.repeat(world.target[None], len(motion), axis=0)
    before = np.broadcast_to(mask[:, None], (lead, *world.weight.shape[1:]))
    wanted = Wanted(
        target=np.concatenate([motion[:, :lead], target], axis=1),
        weight=np.concatenate([before, world.weight]),
        is_relative=np.concatenate([np.zeros(lead, dtype=bool), world.is_relative]),
        loop=world.frames - 1 if is_loop else 0,
    )
    cleaned = np.stack([clean_feet(one, world.fps, mask)[0] for one in motion])
    return settle(cleaned, wanted, parents=skeleton.PARENTS)


def _continuation(motion: np.ndarray, lead: int, mask: np.ndarray) -> dict[str, Any]:
    """How far the first frame is from where the last frames before it were going."""
    expected = motion[:, lead - 1]
    if lead > 1:
        expected = 2.0 * expected - motion[:, lead - 2]
    gap = np.linalg.norm(motion[:, lead] - expected, axis=-1)[:, mask]
    return {"kind": "after", "residual_cm": round(100.0 * float(gap.max()), 2)}
