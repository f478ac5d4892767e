"""People found frame by frame to one track each: the nearest skeleton goes on.

Dimensions: J joints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

MAX_GAP: Final = 10
"""Frames for which a person may not be found."""

MAX_PEOPLE: Final = 100
"""In one frame."""

_MAX_MOVE: Final = 0.5  # of the person's own size, from one time found to the next
_FAR: Final = 1e9


@dataclass
class Person:
    """A person in the frames from `start` on; `poses` are `[J, 3]` (x, y, score), None for none."""

    start: int
    poses: list[np.ndarray | None] = field(default_factory=list)
    last: np.ndarray | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.poses)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Joints `[T, J, 2]` and which are known `[T, J]`: score above 0."""
        assert self.last is not None
        none = np.zeros_like(self.last)
        whole = np.stack([none if pose is None else pose for pose in self.poses])
        return whole[..., :2], whole[..., 2] > 0


def link(frames: list[list[np.ndarray]]) -> list[Person]:
    """People over time.

    Args:
        frames: for each the poses `[J, 3]` (x, y, score; 0 is not found) of those in it.
    """
    people: list[Person] = []
    active: list[Person] = []
    for number, poses in enumerate(frames):
        poses = [pose for pose in poses if (pose[:, 2] > 0).any()]
        active = [person for person in active if number - person.end < MAX_GAP]
        costs = np.array([[_distance(p.last, pose) for pose in poses] for p in active])
        taken: set[int] = set()
        if costs.size:
            for row, column in zip(*linear_sum_assignment(costs)):
                if costs[row, column] < _MAX_MOVE:
                    person = active[row]
                    person.poses += [None] * (number - person.end)
                    person.poses.append(poses[column])
                    person.last = poses[column]
                    taken.add(int(column))
        for column, pose in enumerate(poses):
            if column not in taken:
                person = Person(number, [pose], pose)
                people.append(person)
                active.append(person)
    return people


def _distance(first: np.ndarray | None, second: np.ndarray) -> float:
    """Mean distance of the joints that both have, in sizes of the first."""
    assert first is not None
    both = (first[:, 2] > 0) & (second[:, 2] > 0)
    if not both.any():
        return _FAR
    known = first[first[:, 2] > 0, :2]
    size = max(float(np.linalg.norm(np.ptp(known, axis=0))), 1.0)
    return float(np.linalg.norm(first[both, :2] - second[both, :2], axis=1).mean()) / size
