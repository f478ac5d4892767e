"""Motion made from words, measured in the space of an evaluator by the protocol of Guo et al.

R-precision, MM-Dist, FID, Diversity and MModality ("Generating Diverse and Natural 3D Human Motions
from Text", 2022), repeated, with the 95 % interval 1.96 std / sqrt(n). Real motion, chance (a real
training clip drawn for every caption) and copies (a training clip of the nearest caption) are
measured in the same way. What differs: the evaluator is the user's own, so figures compare only
within one evaluator and one set of data; and FID takes two halves of the test split, drawn anew in
each repetition, one as the real set and one whose captions are answered, so that real motion is
measured against motion that it is not and all rows have the same bias. MModality is drawn from one
set of repeats.

Dimensions: N test clips, Z outputs of the evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation.clips import long_enough, read_split, rows_by_caption
from raydance.evaluation.measure import Better, Measure
from raydance.metrics.distribution import diversity, fid, multimodality
from raydance.metrics.retrieval import mm_dist, r_precision
from raydance.systems.engine import System, named
from raydance.systems.evaluator.run import Evaluator

FIGURES: Final[dict[str, tuple[str, Better]]] = {
    "fid": ("FID", "lower"),
    "r_precision_1": ("R-precision, top 1", "higher"),
    "r_precision_2": ("R-precision, top 2", "higher"),
    "r_precision_3": ("R-precision, top 3", "higher"),
    "diversity": ("Diversity", "target"),
    "mm_dist": ("MM-Dist", "lower"),
    "multimodality": ("MModality", "target"),
}
"""Figure -> its name, and which is better, in the order of the paper's table."""

MOST_CLIPS: Final = 200
MIN_CLIPS: Final = 8
_POOL: Final = 32
_PAIRS: Final = 300
_SEED_STEP: Final = 100_003
_CLIPS_AT_ONCE: Final = 200

Generate = Callable[[Sequence[str], np.ndarray, int], Sequence[np.ndarray]]
"""Captions, lengths in frames and a seed -> motions `[T, J, 3]`."""
Points = Callable[[Sequence[str], np.ndarray, int], np.ndarray]
"""The same -> points `[N, Z]` of motion."""


class Estimate(NamedTuple):
    """A mean over replications and half the width of its 95 % interval."""

    mean: float
    half_width: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Of one value from each replication."""
        return cls(float(np.mean(values)), 1.96 * float(np.std(values)) / len(values) ** 0.5)


Scores = Mapping[str, Estimate]
"""Figure -> estimate; `multimodality` only where one text is answered several times."""


@dataclass(frozen=True, kw_only=True)
class Replications:
    """How often everything is repeated.

    Attributes:
        count: replications, each with new motion, captions and order.
        texts, repeats, pairs: of MModality; fewer texts where the test split has fewer.
    """

    count: int = 20
    texts: int = 100
    repeats: int = 30
    pairs: int = 10

    def __post_init__(self) -> None:
        if self.count < 2 or self.texts < 1 or not 1 <= self.pairs <= self.repeats:
            raise InputError("replications: at least 2, and no more pairs than repeats")


class TextMotionProtocol:
    """Test clips with captions, and the real rows that generators are laid beside.

    Args:
        evaluator: trained on none of the test recordings.
        dataset: with captions; at the evaluator's rate.
        joint_mask: `[J]` bool: joints of the generator. All motion is measured without those that
            it or most test clips lack.
        split: `test`, or `val` in a search.

    Raises:
        InputError: another rate, too few test clips with captions, or recordings that the
            evaluator was trained on.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        dataset: Dataset,
        joint_mask: np.ndarray,
        *,
        split: str = "test",
        replications: Replications | None = None,
    ) -> None:
        self.evaluator, self.replications = evaluator, replications or Replications()
        if abs(dataset.fps - evaluator.fps) > 1e-6:
            raise InputError(
                f"{dataset.path}: {dataset.fps:g} frames a second; the evaluator was trained at "
                f"{evaluator.fps:g}"
            )
        tested = {clip["recording"] for clip in dataset.clips() if clip["split"] == split}
        if shared := sorted(tested & evaluator.training_recordings):
            raise InputError(
                f"{dataset.path}: {shared[0]} is tested on, but the evaluator was trained on it"
            )
        test, self.training = read_split(dataset, split), read_split(dataset, "train")
        rows = [i for i, words in enumerate(test.get("captions", ())) if any(words)]
        if len(rows) > MOST_CLIPS:
            rows = np.sort(np.random.default_rng(0).choice(rows, MOST_CLIPS, False)).tolist()
        if len(rows) < MIN_CLIPS:
            raise InputError(
                f"{dataset.path}: {len(rows)} {split} clips with captions; at least {MIN_CLIPS} "
                "are needed"
            )
        self.captions = [[text for text in test["captions"][i] if text] for i in rows]
        self.lengths = test["length"][rows]
        self.joint_mask = joint_mask & (test["joint_mask"][rows].mean(axis=0) > 0.5)
        real = [test["motion"][i][: test["length"][i]] for i in rows]
        self.real_NZ = evaluator.embed_motion(real, test["joint_mask"][rows] & self.joint_mask)
        self.training_NZ = evaluator.embed_motion(
            [m[:length] for m, length in zip(self.training["motion"], self.training["length"])],
            self.training["joint_mask"] & self.joint_mask,
        )

    def real(self) -> Scores:
        """Of the test clips' own motion."""
        return self._scores(lambda captions, lengths, seed: self.real_NZ)

    def chance(self) -> Scores:
        """Of real training clips, one drawn for every caption."""
        return self._scores(self._drawn, repeats=True)

    def copies(self) -> Scores:
        """Of training clips with the nearest caption, long enough where there is one."""
        return self._scores(self._copied, repeats=True)

    def made(self, generate: Generate, *, repeats: bool = True) -> Scores:
        """Of what a generator makes of the captions, as long as the test clips.

        Args:
            repeats: whether MModality is measured, which takes most of the time.
        """

        def points(captions: Sequence[str], lengths: np.ndarray, seed: int) -> np.ndarray:
            found = []
            for start in range(0, len(captions), _CLIPS_AT_ONCE):
                part = slice(start, start + _CLIPS_AT_ONCE)
                motions = generate(captions[part], lengths[part], seed + start)
                found.append(self.evaluator.embed_motion(motions, self.joint_mask))
            return np.concatenate(found)

        return self._scores(points, repeats=repeats)

    def _scores(self, points: Points, *, repeats: bool = False) -> Scores:
        """Figures of motion that answers captions; `repeats`: whether it can differ."""
        found: dict[str, list[float]] = {name: [] for name in FIGURES}
        num = len(self.captions)
        several_UQZ = self._repeated(points) if repeats else None
        for replication in range(self.replications.count):
            rng = np.random.default_rng([replication, 61])
            captions = [str(rng.choice(words)) for words in self.captions]
            order = rng.permutation(num)
            motion_NZ = points(captions, self.lengths, replication * _SEED_STEP)[order]
            text_NZ = self.evaluator.embed_text(captions)[order]
            tops = r_precision(text_NZ, motion_NZ, batch_size=min(_POOL, num))
            for k, share in enumerate(tops, start=1):
                found[f"r_precision_{k}"].append(share)
            found["mm_dist"].append(mm_dist(text_NZ, motion_NZ))
            found["diversity"].append(
                diversity(motion_NZ, num_pairs=min(_PAIRS, num), seed=replication)
            )
            half = num // 2
            found["fid"].append(fid(motion_NZ[half:], self.real_NZ[order][:half]))
            if several_UQZ is not None:
                pairs = self.replications.pairs
                found["multimodality"].append(
                    multimodality(several_UQZ, num_pairs=pairs, seed=replication)
                )
        return {name: Estimate.of(values) for name, values in found.items() if values}

    def _repeated(self, points: Points) -> np.ndarray:
        """Points `[texts, repeats, Z]` of several answers to some captions, each of one length."""
        settings = self.replications
        first = {words[0]: i for i, words in reversed(list(enumerate(self.captions)))}
        texts = sorted(first)[: settings.texts]
        lengths = np.repeat([self.lengths[first[text]] for text in texts], settings.repeats)
        flat = points([text for text in texts for _ in range(settings.repeats)], lengths, 7919)
        return flat.reshape(len(texts), settings.repeats, -1)

    def _drawn(self, captions: Sequence[str], lengths: np.ndarray, seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 67])
        return self.training_NZ[rng.integers(len(self.training_NZ), size=len(captions))]

    def _copied(self, captions: Sequence[str], lengths: np.ndarray, seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 71])
        owners = rows_by_caption(self.training["captions"])
        nearest = self.evaluator.nearest(sorted(set(captions)), sorted(owners))
        rows = [
            long_enough(owners[nearest[text]], self.training["length"], int(length), rng)
            for text, length in zip(captions, lengths)
        ]
        return self.training_NZ[rows]


def text_motion_measures(
    system: System,
    loaded: Any,
    dataset: Dataset,
    evaluator: Evaluator,
    replications: Replications | None = None,
) -> list[Measure]:
    """A run's figures by an evaluator, beside real motion, chance and copies.

    Raises:
        InputError: a system that makes no motion from words, or as for `TextMotionProtocol`.
    """
    generate = generator_of(system, loaded)
    protocol = TextMotionProtocol(evaluator, dataset, loaded.joint_mask, replications=replications)
    made, real = protocol.made(generate), protocol.real()
    chance, copies = protocol.chance(), protocol.copies()
    return [
        Measure(
            group=f"text to motion by the evaluator {evaluator.run.path.name}",
            name=name,
            unit="",
            better=better,
            value=made[key].mean,
            interval=made[key].half_width,
            chance=chance[key].mean,
            baseline=copies[key].mean if key in real else None,
            # One test clip is one answer: real motion of a caption varies as training clips do.
            target=(real if key in real else copies)[key].mean,
        )
        for key, (name, better) in FIGURES.items()
    ]


def generator_of(system: System, loaded: Any) -> Generate:
    """Motion from captions by a loaded run.

    Raises:
        InputError: its system makes none.
    """
    if system.from_captions is None:
        raise InputError(f"{system.name} makes no motion from words that an evaluator could judge")
    function = named(system.from_captions)
    return lambda captions, lengths, seed: function(loaded, captions, lengths, seed)
