"""Motion generated from test captions: is it the movement asked for, is it natural, is it varied?

Whether it is the movement, an independent judge says (`MotionClassifier`); its accuracy on real
test motion is the ceiling. Two further judges name a motion by its nearest training clips. The
baseline copies a real training window of the nearest training caption, so it moves naturally by
construction and invents nothing.

Dimensions: M captions, S samples, T frames, J joints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from raydance.evaluation import baseline
from raydance.evaluation.measure import Measure
from raydance.metrics import motion as metrics
from raydance.motion.skeleton import INDEX

_FEET = [INDEX[f"{side}_{joint}"] for side in ("left", "right") for joint in ("ankle", "foot")]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Names a motion by its nearest training clips.

    Attributes:
        describe: motion `[M, T, 50, 3]` -> points `[M, D]` that the neighbours are found among.
    """

    describe: Callable[[np.ndarray], np.ndarray]
    neighbours: baseline.Neighbours
    k: int = 5

    def accuracy(
        self, motion: np.ndarray, names: Sequence[str], not_of: Sequence[str] | None = None
    ) -> float:
        """Percentage of motions that are given the name they should have."""
        found = self.neighbours.vote(self.describe(motion), self.k, not_of=not_of)
        return 100.0 * float(np.mean([a == b for a, b in zip(found, names)]))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Percentages of motions in which a judge sees the movement asked for."""

    judge: str
    generated: float
    copied: float
    real: float


@dataclass(frozen=True, kw_only=True)
class Naturalness:
    """Figures of motion alone: jerk in m/s^3 and the share of sliding foot steps."""

    jitter: float
    foot_skate: float


def naturalness(motion: np.ndarray, fps: float, joint_mask: np.ndarray | None) -> Naturalness:
    """Of motions `[M, T, 50, 3]`; the floor is where each motion's lowest foot is.

    A joint that the data lacks is left out, but no network learns it either: give generated
    motion the mask of the data.
    """
    return Naturalness(
        jitter=metrics.jitter(motion, fps=fps, joint_mask=joint_mask),
        foot_skate=100.0
        * metrics.foot_skate_ratio(_on_floor(motion), fps=fps, joint_mask=joint_mask),
    )


def _on_floor(motion: np.ndarray) -> np.ndarray:
    lowest = motion[:, :, _FEET, 1].min(axis=(1, 2))
    return motion - lowest[:, None, None, None] * np.array([0.0, 1.0, 0.0])


def spread_cm(samples_MSTJ3: np.ndarray, joint_mask: np.ndarray | None = None) -> float:
    """Mean distance of corresponding joints between samples of one caption, in cm."""
    num = samples_MSTJ3.shape[1]
    pairs = [(a, b) for a in range(num) for b in range(a + 1, num)]
    return float(
        np.mean(
            [
                metrics.mpjpe(samples_MSTJ3[:, a], samples_MSTJ3[:, b], joint_mask=joint_mask)
                for a, b in pairs
            ]
        )
    )


def measures_of(
    group: str,
    motion: np.ndarray,
    *,
    verdicts: Sequence[Verdict],
    copied: np.ndarray,
    real: Naturalness,
    chance: float,
    fps: float,
    joint_mask: np.ndarray | None,
    is_own: bool,
) -> list[Measure]:
    """One way of generating, measured.

    Args:
        is_own: whether it is the run's own way; only that is in the short table.
        motion: `[M, T, 50, 3]` generated, metres.
        verdicts: of the independent judge first.
        copied: `[M, T, 50, 3]`, what the baseline returns.
        real: figures of real test motion.
        chance: accuracy of a training name drawn at random.
    """
    own = naturalness(motion, fps, joint_mask)
    plain = naturalness(copied, fps, joint_mask)
    floor = max(real.jitter, 1e-9)
    return [
        *(
            Measure(
                group=group,
                name=f"the movement asked for, by {verdict.judge}",
                value=verdict.generated,
                baseline=verdict.copied,
                chance=chance,
                target=verdict.real,
                is_main=is_own and i == 0,
            )
            for i, verdict in enumerate(verdicts)
        ),
        Measure(
            group=group,
            name="jitter against real motion",
            unit="x",
            better="target",
            value=own.jitter / floor,
            baseline=plain.jitter / floor,
            target=1.0,
            is_main=is_own,
        ),
        Measure(
            group=group,
            name="steps in which a foot slides",
            better="target",
            value=own.foot_skate,
            baseline=plain.foot_skate,
            target=real.foot_skate,
            is_main=False,
        ),
    ]


def text_effect(
    group: str,
    right: np.ndarray,
    shuffled: np.ndarray,
    seeds_MSTJ3: np.ndarray,
    copies_MSTJ3: np.ndarray,
    real_cm: float,
    joint_mask: np.ndarray | None,
    *,
    is_own: bool,
) -> list[Measure]:
    """What the words and the seed change.

    Args:
        right, shuffled: `[M, T, 50, 3]` from the right and from another caption, same seeds.
        seeds_MSTJ3: several samples of some captions; `copies_MSTJ3`: the baseline's.
        real_cm: spread of real test motion that shares a caption.
    """
    return [
        Measure(
            group=group,
            name="change when captions are shuffled",
            unit="cm",
            value=metrics.mpjpe(right, shuffled, joint_mask=joint_mask),
            chance=0.0,
            is_main=is_own,
        ),
        Measure(
            group=group,
            name="spread over seeds of one caption",
            unit="cm",
            better="target",
            value=spread_cm(seeds_MSTJ3, joint_mask),
            baseline=spread_cm(copies_MSTJ3, joint_mask),
            target=real_cm,
            is_main=False,
        ),
    ]
