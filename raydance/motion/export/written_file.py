"""What a writer of motion files tells about the file that it wrote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Residual:
    """How far a written file's joints are from the clip's, over all frames and joints, metres."""

    mean_m: float
    max_m: float

    @classmethod
    def between(cls, written: np.ndarray, positions: np.ndarray) -> Residual:
        """Of two `[T, J, 3]` in metres."""
        error = np.linalg.norm(written - positions, axis=-1)
        return cls(float(error.mean()), float(error.max()))

    def __str__(self) -> str:
        return f"{self.mean_m * 100:.1f} cm on average, {self.max_m * 100:.1f} cm at most"


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written.

    Attributes:
        residual: of the file's joints, where it holds rotations; None where it does not.
        notes: sentences that a user should read.
    """

    residual: Residual | None = None
    notes: tuple[str, ...] = ()
