"""Dances made for test songs as a set: feature-space FID, diversity, physical foot contact.

Beside real test dances, over the first 22 joints, which all skeletons share, at the run's own rate.
As in the protocol of AIST++ and Bailando (`metrics.dance.dance_fid`), dances begin at the origin
and features are z-scored by all real dances, here of both splits. The FID of few dances is biased
upwards, so it stands beside "real to real": the FID of as many real training dances, mean of
several draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from scipy.spatial.distance import pdist

from raydance.evaluation.measure import Measure
from raydance.metrics.dance import physical_foot_contact
from raydance.metrics.dance_features import (
    Exact,
    geometric_features,
    kinetic_features,
    protocol_crop,
)
from raydance.metrics.distribution import fid

GROUP: Final = "dances as a set"
MOST_REAL_TO_REAL: Final = 1.5
"""Goal: FID of dances made over that of real training dances."""

NUM_JOINTS: Final = 22
_DRAWS: Final = 10
_MIN_DANCES: Final = 2
_KINDS: Final[dict[str, Callable[..., np.ndarray]]] = {
    "kinetic": kinetic_features,
    "geometric": geometric_features,
}


def feature_measures(
    made: Sequence[np.ndarray],
    real: Sequence[np.ndarray],
    copies: Sequence[np.ndarray],
    training: Sequence[np.ndarray],
    *,
    fps: float,
) -> list[Measure]:
    """Lines of the table, kinetic and geometric, as they were published and fixed.

    Args:
        made, real, copies: of each test song the dance made, the real one and the baseline's, all
            of one length, `[T, J, 3]`, metres, y up; the first 22 joints are all there.
        training: real training dances of that length.
        fps: frames per second.

    Returns:
        None where there are fewer than two dances of a kind.
    """
    num = min(len(made), len(training))
    if num < _MIN_DANCES:
        return []
    draw = np.random.default_rng([0, 97])
    draws = [draw.choice(len(training), num, replace=False) for _ in range(_DRAWS)]
    main: list[Measure] = []
    others: list[Measure] = []
    for kind in _KINDS:
        for exact in ("fixed", "published"):
            own, truth, plain, seen = _features((made, real, copies, training), kind, exact, fps)
            floor = float(np.mean([fid(seen[rows], truth) for rows in draws]))
            found, copied = fid(own[:num], truth), fid(plain[:num], truth)
            (main if exact == "fixed" else others).append(
                Measure(
                    group=GROUP,
                    name=f"FID of {kind} features ({exact}) over real to real; "
                    f"goal: at most {MOST_REAL_TO_REAL}",
                    unit="x",
                    better="lower",
                    value=found / floor,
                    baseline=copied / floor,
                    target=1.0,
                    is_main=exact == "fixed",
                )
            )
            others += [
                Measure(
                    group=GROUP,
                    name=f"FID of {kind} features ({exact})",
                    unit="",
                    better="lower",
                    value=found,
                    baseline=copied,
                    target=floor,
                    is_main=False,
                ),
                Measure(
                    group=GROUP,
                    name=f"diversity of {kind} features ({exact})",
                    unit="",
                    better="target",
                    value=float(pdist(own).mean()),
                    baseline=float(pdist(plain).mean()),
                    target=float(pdist(truth).mean()),
                    is_main=False,
                ),
            ]
    contact = [
        float(np.mean([physical_foot_contact(motion, fps=fps) for motion in motions]))
        for motions in (made, copies, real)
    ]
    foot = Measure(
        group=GROUP,
        name="physical foot contact (PFC)",
        unit="",
        # A body that never moves has 0: lower is not better than real.
        better="target",
        value=contact[0],
        baseline=contact[1],
        target=contact[2],
    )
    return [*main, foot, *others]


def _features(
    sets: Sequence[Sequence[np.ndarray]], kind: str, exact: Exact, fps: float
) -> list[np.ndarray]:
    """`[N, d]` of dances made, real, copied, and of training: z-scored by the second and fourth."""
    found = []
    for motions in sets:
        cropped = [protocol_crop(motion[:, :NUM_JOINTS], fps=fps) for motion in motions]
        found.append(np.stack([_KINDS[kind](motion, fps=fps, exact=exact) for motion in cropped]))
    everything_real = np.concatenate([found[1], found[3]])
    # A condition that hardly any real dance meets would outweigh all others: a frame is the unit.
    least = 1.0 / len(sets[0][0]) if kind == "geometric" else 1e-10
    scale = everything_real.std(axis=0).clip(min=least)
    return [(features - everything_real.mean(axis=0)) / scale for features in found]
