"""Generation from test captions with the flow, and with every source of eq. 18's motion latent.

One motion is generated for the caption of each test window, so that generated and real motion have
the same movements in the same shares.

Dimensions: M captions, S samples, T frames, J joints, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from raydance.evaluation import generated_set
from raydance.evaluation.data import RunOutputs
from raydance.evaluation.generation import (
    Verdict,
    measures_of,
    naturalness,
    spread_cm,
    text_effect,
)
from raydance.evaluation.measure import Measure
from raydance.systems.dance_language.generation import Request, generate
from raydance.systems.dance_language.run import DanceLanguage

SOURCES = ("flow", "prior", "cluster", "nearest")
"""Sources that need words alone; `clip` edits a motion that the user gives."""

MAX_GENERATED: Final = 256
MAX_OTHER: Final = 64
_BATCH: Final = 64
_NUM_SEEDS: Final = 4
_NUM_SPREAD: Final = 8


def generation_measures(outputs: RunOutputs, num_generated: int, seed: int) -> list[Measure]:
    """Measures of the run's own source first, then of each source by name."""
    places = np.random.default_rng([seed, 71]).permutation(len(outputs.captions))[:num_generated]
    if len({outputs.captions[i] for i in places}) < 2:
        outputs.notes.append("fewer than two different test captions: generation is not measured")
        return []
    real = _Real(outputs)
    if min(len(places), len(outputs.rows)) < generated_set.MIN_WINDOWS:
        outputs.notes.append(
            f"{min(len(places), len(outputs.rows))} test windows are too few for a Frechet "
            f"distance, which needs {generated_set.MIN_WINDOWS}"
        )
    own = outputs.system.config.text_to_motion.source
    there = [s for s in SOURCES if s != "flow" or outputs.system.motion_flow is not None]
    settings = {
        True: _Setting(real, places.tolist(), seed),
        False: _Setting(real, places[:MAX_OTHER].tolist(), seed),
    }
    return [
        measure
        for source in sorted(there, key=lambda s: s != own)
        for measure in settings[source == own].measures(source)
    ]


def generated(
    system: DanceLanguage, captions: Sequence[str], lengths: np.ndarray, seed: int = 0
) -> list[np.ndarray]:
    """Motion `[T, 50, 3]` for each caption, by the run's own source, each of its own length."""
    words = system.encode_text(captions)
    requests = [
        Request(
            words={name: values[i] for name, values in words.items()},
            frames=int(lengths[i]),
            seed=seed + i,
        )
        for i in range(len(captions))
    ]
    return [
        made.motion[0]
        for i in range(0, len(requests), _BATCH)
        for made in generate(system, requests[i : i + _BATCH])
    ]


class _Real:
    """What is measured of real motion once, whatever is generated."""

    def __init__(self, outputs: RunOutputs) -> None:
        self.outputs = outputs
        test, training = outputs.data.test, outputs.data.training
        self.classifier = outputs.data.classifier
        self.kinematic, self.space = outputs.judges()
        named = [i for i, name in enumerate(test.facts.names) if name]
        truth = [test.facts.names[i] for i in named]
        kinematic = self.kinematic.neighbours.vote(test.features[named], self.kinematic.k)
        learned = outputs.motion["motion_embedding"][named]
        self.recognised = (
            self.classifier.accuracy(test.motion[named], test.joint_mask[named], truth),
            _percent(kinematic, truth),
            _percent(self.space.neighbours.vote(learned, self.space.k), truth),
        )
        self.features_MF = self.features(test.motion[outputs.rows])
        self.training_NF = np.concatenate(
            [self.features(motion * mask[:, None, :, None]) for motion, mask in training.parts()]
        )

    def features(self, motion: np.ndarray) -> np.ndarray:
        """In the judge's space, without joints that the test data lacks."""
        return self.classifier.features(motion, self.outputs.joint_mask)

    @cached_property
    def nearest_m(self) -> float:
        """Median distance of real test windows to the nearest training window."""
        return self.distance_m(self.outputs.data.test.motion[self.outputs.rows])

    def distance_m(self, motion: np.ndarray) -> float:
        """Median distance to the nearest training window, all as the run represents motion."""
        outputs = self.outputs
        mask = np.repeat(outputs.joint_mask[None], len(motion), axis=0)
        parts = ((outputs.as_read(m, k), k) for m, k in outputs.data.training.parts())
        found = generated_set.nearest_distances(
            outputs.as_read(motion, mask), outputs.joint_mask, parts
        )
        return float(np.median(found))


class _Setting:
    """Captions to generate from, with all that does not depend on the source."""

    def __init__(self, real: _Real, places: list[int], seed: int) -> None:
        self.real, self.seed = real, seed
        outputs = self.outputs = real.outputs
        self.captions = [outputs.captions[i] for i in places]
        self.names = [outputs.names[i] for i in places]
        system, test, training = outputs.system, outputs.data.test, outputs.data.training
        # Real motion of the same captions: other movements jerk and slide otherwise.
        asked = set(self.captions)
        same = [row for row, caption in zip(outputs.rows, outputs.captions) if caption in asked]
        self.natural = naturalness(test.motion[same], outputs.fps, test.joint_mask[same])
        self.chance = 100.0 * float(np.mean([training.facts.names.count(n) for n in self.names]))
        self.chance /= len(training.facts)
        means, members = outputs.caption_means()
        nearest = means.nearest(system.encode_text(self.captions)["text_embedding"])
        rng = np.random.default_rng([seed, 73])
        rows = np.array([rng.choice(members[u], _NUM_SEEDS) for u in nearest])  # [M, S]
        self.copied = training.motion_of(rows[:, 0].tolist())
        self.copied_clips = [training.facts.clip_id[i] for i in rows[:, 0]]
        first = {caption: i for i, caption in reversed(list(enumerate(self.captions)))}
        self.some = sorted(first.values())[:_NUM_SPREAD]
        flat = training.motion_of(rows[self.some].reshape(-1).tolist())
        self.copies = flat.reshape(len(self.some), _NUM_SEEDS, *flat.shape[1:])
        self.real_cm = self._real_spread(rng)
        clips = [test.facts.clip_id[outputs.rows[i]] for i in places]
        self.real_features_MF = real.features_MF[places]
        self.copied_features_MF = real.features(self.copied)
        self.pairs, self.pairs_share = generated_set.pairs_of_captions(
            self.captions, self.names, clips
        )
        # Half-way round the movements in order, so that nearly every caption gets another's.
        order = np.argsort(self.names, kind="stable")
        self.other = np.empty(len(self.names), dtype=int)
        self.other[order] = np.roll(order, len(order) // 2)

    def _real_spread(self, rng: np.random.Generator) -> float:
        """How far test windows of different clips with one caption are apart, in cm."""
        outputs = self.outputs
        facts = outputs.data.test.facts
        groups: dict[str, list[int]] = {}
        for row, caption in zip(outputs.rows, outputs.captions):
            groups.setdefault(caption, []).append(row)
        pairs = []
        for rows in groups.values():
            shuffled = rng.permutation(rows)
            for a, b in zip(shuffled[::2], shuffled[1::2]):
                if facts.clip_id[a] != facts.clip_id[b]:
                    pairs.append((a, b))
        if not pairs:
            return float("nan")
        motion = outputs.data.test.motion[np.array(pairs)]
        return spread_cm(motion, outputs.joint_mask)

    def measures(self, source: str) -> list[Measure]:
        """All measures of one source."""
        outputs = self.outputs
        is_own = source == outputs.system.config.text_to_motion.source
        group = "generation" if is_own else f"generation, source {source}"
        right = self._generate(self.captions, source)[:, 0]
        shuffled = self._generate([self.captions[i] for i in self.other], source)[:, 0]
        samples = self._generate([self.captions[i] for i in self.some], source, _NUM_SEEDS)
        return [
            *measures_of(
                group,
                right,
                verdicts=self._verdicts(right),
                copied=self.copied,
                real=self.natural,
                chance=self.chance,
                fps=outputs.fps,
                joint_mask=outputs.joint_mask,
                is_own=is_own,
            ),
            *self._as_a_set(group, right, is_own),
            *text_effect(
                group,
                right,
                shuffled,
                samples,
                self.copies,
                self.real_cm,
                outputs.joint_mask,
                is_own=is_own,
            ),
        ]

    def _generate(self, captions: Sequence[str], source: str, num_samples: int = 1) -> np.ndarray:
        """Motions `[M, S, T, 50, 3]`, each caption with a seed of its own."""
        system = self.outputs.system
        words = system.encode_text(captions)
        requests = [
            Request(
                words={name: values[i] for name, values in words.items()},
                seed=self.seed + i,
                num_samples=num_samples,
                source=source,
            )
            for i in range(len(captions))
        ]
        step = max(_BATCH // num_samples, 1)
        return np.stack(
            [
                made.motion
                for i in range(0, len(requests), step)
                for made in generate(system, requests[i : i + step])
            ]
        )

    def _verdicts(self, motion: np.ndarray) -> list[Verdict]:
        real, names, mask = self.real, self.names, self.outputs.joint_mask
        by_classifier, by_kinematics, by_space = real.recognised
        return [
            Verdict(
                judge="an independent judge",
                generated=real.classifier.accuracy(motion, mask, names),
                copied=real.classifier.accuracy(self.copied, mask, names),
                real=by_classifier,
            ),
            *(
                Verdict(
                    judge=title,
                    generated=judge.accuracy(motion, names),
                    copied=judge.accuracy(self.copied, names, self.copied_clips),
                    real=on_real,
                )
                for title, judge, on_real in (
                    ("kinematic descriptors", real.kinematic, by_kinematics),
                    ("the learned space", real.space, by_space),
                )
            ),
        ]

    def _as_a_set(self, group: str, motion: np.ndarray, is_own: bool) -> list[Measure]:
        real = self.real
        features_MF = real.features(motion)
        three = (features_MF, self.copied_features_MF, self.real_features_MF)
        generated, copied, true = (
            generated_set.mean_distance(f, self.pairs) if self.pairs else float("nan")
            for f in three
        )
        return generated_set.set_measures(
            group,
            frechet=(
                generated_set.frechet_ratio(features_MF, real.features_MF, real.training_NF),
                generated_set.frechet_ratio(
                    self.copied_features_MF, real.features_MF, real.training_NF
                ),
            ),
            diversity=(generated, copied, true) if self.pairs else None,
            pairs_share=self.pairs_share,
            nearest=(real.distance_m(motion), real.nearest_m),
            is_own=is_own,
        )


def _percent(found: list[str], truth: list[str]) -> float:
    return 100.0 * float(np.mean([a == b for a, b in zip(found, truth)]))
