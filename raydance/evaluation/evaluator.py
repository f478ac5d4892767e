"""Whether an evaluator can be trusted: real pairs are found, and damaged motion is told from real.

Retrieval of test clips that it never saw, beside chance. Then test clips are damaged more and more,
and their FID to what they were is laid over the FID between two halves of the test split: noise,
dropped frames and motion run backwards have to raise it. Shuffled captions do not change motion, so
for them the Frechet distance of motion and caption together (DeVries et al., "On the Evaluation of
Conditional GANs", 2019) has to rise, and R-precision to fall to chance. 0 x means that the damage
is not seen at all; 1 x that it weighs as much as what two halves of reality differ by, below which
a FID of as many clips can hardly show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from raydance.data.dataset import Dataset
from raydance.evaluation.clips import read_split
from raydance.evaluation.measure import Measure
from raydance.metrics.distribution import fid
from raydance.metrics.retrieval import chance_r_at_k, mm_dist, r_at_k, r_precision
from raydance.systems.evaluator.run import Evaluator
from raydance.systems.step import MAIN

REPLICATIONS: Final = 20
MOST_CLIPS: Final = 1000
_MIN_CLIPS: Final = 8
_POOL: Final = 32
_KS: Final = (1, 5, 10)
_PAIRS: Final = "real pairs of test clips and captions"
_DAMAGE: Final = "FID of damage over that between halves of real test motion"


def noisy(motion: np.ndarray, rng: np.random.Generator, metres: float) -> np.ndarray:
    """Motion `[T, J, 3]` with Gaussian noise on every coordinate of every frame."""
    return motion + rng.normal(0.0, metres, motion.shape).astype(motion.dtype)


def dropped(motion: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Motion `[T, J, 3]` in which a share of the frames repeats the last one that is left."""
    is_kept = rng.random(len(motion)) >= share
    is_kept[0] = True
    return motion[np.maximum.accumulate(np.where(is_kept, np.arange(len(motion)), 0))]


def reversed_in_time(motion: np.ndarray, rng: np.random.Generator, _: float = 0.0) -> np.ndarray:
    """Motion `[T, J, 3]` run backwards."""
    return motion[::-1]


DAMAGES: Final[Mapping[str, tuple[Callable[..., np.ndarray], float]]] = {
    "noise of 1 cm": (noisy, 0.01),
    "noise of 2 cm": (noisy, 0.02),
    "noise of 5 cm": (noisy, 0.05),
    "a quarter of the frames dropped": (dropped, 0.25),
    "half of the frames dropped": (dropped, 0.5),
    "three quarters of the frames dropped": (dropped, 0.75),
    "run backwards": (reversed_in_time, 0.0),
}
"""What is done to motion, and how strongly."""


def measures_of(
    evaluator: Evaluator, datasets: Mapping[str, Dataset], split: str = "test"
) -> list[Measure]:
    """All figures of its validity."""
    test = read_split(datasets[MAIN], split)
    rows = np.array([i for i, words in enumerate(test["captions"]) if any(words)], dtype=int)
    if len(rows) > MOST_CLIPS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_CLIPS, replace=False))
    if len(rows) < _MIN_CLIPS:
        evaluator.notes.append(
            f"{len(rows)} {split} clips with captions are too few; {_MIN_CLIPS} are needed"
        )
        return []
    captions = [next(text for text in test["captions"][i] if text) for i in rows]
    motions = [test["motion"][i][: test["length"][i]] for i in rows]
    mask_NJ = test["joint_mask"][rows]
    text_NZ = evaluator.embed_text(captions)
    motion_NZ = evaluator.embed_motion(motions, mask_NJ)
    return [
        *_found(text_NZ, motion_NZ, captions),
        *_noticed(evaluator, motions, mask_NJ, text_NZ, motion_NZ),
    ]


def _found(text_NZ: np.ndarray, motion_NZ: np.ndarray, captions: Sequence[str]) -> list[Measure]:
    """Retrieval of real pairs, in pools of 32 and among all test clips."""
    num = len(captions)
    pool = min(_POOL, num)
    orders = [np.random.default_rng([i, 61]).permutation(num) for i in range(REPLICATIONS)]
    tops = np.array([r_precision(text_NZ[o], motion_NZ[o], batch_size=pool) for o in orders])
    shuffled = np.array(
        [
            (
                *r_precision(text_NZ[o], motion_NZ[np.roll(o, 1)], batch_size=pool),
                mm_dist(text_NZ[o], motion_NZ[np.roll(o, 1)]),
            )
            for o in orders
        ]
    )
    measures = [
        Measure(
            group=_PAIRS,
            name=f"R-precision among {pool}, top {k}",
            unit="",
            value=float(tops[:, k - 1].mean()),
            interval=_half_width(tops[:, k - 1]),
            chance=k / pool,
        )
        for k in (1, 2, 3)
    ]
    measures += [
        Measure(
            group=_PAIRS,
            name=f"R-precision among {pool}, top {k}, captions shuffled: near chance",
            unit="",
            better="target",
            value=float(shuffled[:, k - 1].mean()),
            interval=_half_width(shuffled[:, k - 1]),
            target=k / pool,
            is_main=k == 1,
        )
        for k in (1, 2, 3)
    ]
    measures.append(
        Measure(
            group=_PAIRS,
            name="MM-Dist (chance: captions shuffled)",
            unit="",
            better="lower",
            value=mm_dist(text_NZ, motion_NZ),
            chance=float(shuffled[:, 3].mean()),
        )
    )
    distance_NN = np.linalg.norm(text_NZ[:, None] - motion_NZ[None], axis=-1)
    luck = chance_r_at_k(captions, captions, _KS)
    for title, similarity in (
        ("sentence to motion of its caption", -distance_NN),
        ("motion to its caption", -distance_NN.T),
    ):
        recall = r_at_k(similarity, captions, captions, _KS)
        measures += [
            Measure(
                group=_PAIRS,
                name=f"{title}, R@{k}",
                value=recall[f"R{k:02d}"],
                chance=luck[f"R{k:02d}"],
                is_main=False,
            )
            for k in _KS
        ]
    return measures


def _noticed(
    evaluator: Evaluator,
    motions: Sequence[np.ndarray],
    mask_NJ: np.ndarray,
    text_NZ: np.ndarray,
    motion_NZ: np.ndarray,
) -> list[Measure]:
    """How far damage raises the Frechet distance between halves of the test split."""
    num = len(motions)
    half = num // 2
    orders = [np.random.default_rng([i, 61]).permutation(num) for i in range(REPLICATIONS)]
    halves = [(order[:half], order[half:]) for order in orders]
    plain = np.array([fid(motion_NZ[b], motion_NZ[a]) for a, b in halves])
    both_N2Z = np.concatenate([text_NZ, motion_NZ], axis=1)
    joint = np.array([fid(both_N2Z[b], both_N2Z[a]) for a, b in halves])
    measures = []
    for name, (damage, strength) in DAMAGES.items():
        rng = np.random.default_rng(59)
        spoilt = [damage(motion, rng, strength) for motion in motions]
        spoilt_NZ = evaluator.embed_motion(spoilt, mask_NJ)
        measures.append(
            _ratio(name, np.array([fid(spoilt_NZ[b], motion_NZ[b]) for _, b in halves]), plain)
        )
    mixed = []
    for _, b in halves:
        # Half-way round, so that hardly any motion keeps its own caption.
        other = np.concatenate([text_NZ[np.roll(b, len(b) // 2)], motion_NZ[b]], axis=1)
        mixed.append(fid(other, both_N2Z[b]))
    measures.append(_ratio("captions shuffled, of both together", np.array(mixed), joint))
    return measures


def _ratio(name: str, damaged: np.ndarray, plain: np.ndarray) -> Measure:
    floor = max(float(plain.mean()), 1e-12)
    return Measure(
        group=_DAMAGE,
        name=name,
        unit="x",
        value=float(damaged.mean()) / floor,
        interval=_half_width(damaged) / floor,
        chance=0.0,
    )


def _half_width(values: np.ndarray) -> float:
    """Of the 95 % interval of a mean over replications."""
    return 1.96 * float(values.std()) / len(values) ** 0.5
