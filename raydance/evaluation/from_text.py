"""Generation from test captions with the flow, and with every source of eq. 18's motion latent.

Dimensions: M captions, S samples, T frames, J joints.
"""

from __future__ import annotations

import numpy as np

from raydance.evaluation.generation import measures_of, naturalness, spread_cm, text_effect
from raydance.evaluation.measure import Measure
from raydance.evaluation.view import View

SOURCES = ("flow", "prior", "cluster", "nearest")
"""Sources that need words alone; `clip` edits a motion that the user gives."""

_NUM_SEEDS = 4
_NUM_SPREAD = 8


def generation_measures(view: View, num_generated: int, seed: int) -> list[Measure]:
    """Measures of the run's own source first, then of each source by name."""
    choice = _choose_captions(view, num_generated, seed)
    captions, names = [view.captions[i] for i in choice], [view.names[i] for i in choice]
    if len(captions) < 2:
        view.notes.append("fewer than two different test captions: generation is not measured")
        return []
    setting = _Setting(view, captions, names, seed)
    own = view.system.config.text_to_motion.source
    there = [s for s in SOURCES if s != "flow" or view.system.motion_flow is not None]
    return [m for source in sorted(there, key=lambda s: s != own) for m in setting.measures(source)]


def _choose_captions(view: View, num: int, seed: int) -> list[int]:
    """Places of different test captions, drawn by seed."""
    first: dict[str, int] = {}
    for place in np.random.default_rng([seed, 71]).permutation(len(view.captions)):
        first.setdefault(view.captions[place], int(place))
    return list(first.values())[:num]


class _Setting:
    """Captions to generate from, with all that does not depend on the source."""

    def __init__(self, view: View, captions: list[str], names: list[str], seed: int) -> None:
        self.view, self.captions, self.names, self.seed = view, captions, names, seed
        system, test, training = view.system, view.ground.test, view.ground.training
        self.judge, self.space = view.judges()
        named = [i for i, name in enumerate(test.facts.names) if name]
        truth = [test.facts.names[i] for i in named]
        own = self.judge.neighbours.vote(test.features[named], self.judge.k)
        learned = self.space.neighbours.vote(view.motion["motion_embedding"][named], self.space.k)
        self.ceiling = (_percent(own, truth), _percent(learned, truth))
        # Real motion of the same captions: other movements jerk and slide otherwise.
        asked = set(captions)
        same = [row for row, caption in zip(view.rows, view.captions) if caption in asked]
        self.real = naturalness(test.motion[same], view.fps, test.joint_mask[same])
        self.chance = 100.0 * float(np.mean([training.facts.names.count(n) for n in names]))
        self.chance /= len(training.facts)
        means, members = view.caption_means()
        nearest = means.nearest(system.encode_text(captions)["text_embedding"])
        rng = np.random.default_rng([seed, 73])
        rows = np.array([rng.choice(members[u], _NUM_SEEDS) for u in nearest])  # [M, S]
        some = rows[:_NUM_SPREAD]
        self.copied = training.motion_of(rows[:, 0].tolist())
        self.copied_clips = [training.facts.clip_id[i] for i in rows[:, 0]]
        flat = training.motion_of(some.reshape(-1).tolist())
        self.copies = flat.reshape(*some.shape, *flat.shape[1:])
        self.real_cm = self._real_spread(rng)
        # Half-way round the movements in order, so that nearly every caption gets another's.
        order = np.argsort(names, kind="stable")
        self.other = np.empty(len(names), dtype=int)
        self.other[order] = np.roll(order, len(order) // 2)

    def _real_spread(self, rng: np.random.Generator) -> float:
        """How far test windows of different clips with one caption are apart, in cm."""
        view = self.view
        facts = view.ground.test.facts
        groups: dict[str, list[int]] = {}
        for row, caption in zip(view.rows, view.captions):
            groups.setdefault(caption, []).append(row)
        pairs = []
        for rows in groups.values():
            shuffled = rng.permutation(rows)
            for a, b in zip(shuffled[::2], shuffled[1::2]):
                if facts.clip_id[a] != facts.clip_id[b]:
                    pairs.append((a, b))
        if not pairs:
            return float("nan")
        motion = view.ground.test.motion[np.array(pairs)]
        return spread_cm(motion, view.joint_mask)

    def measures(self, source: str) -> list[Measure]:
        """All measures of one source."""
        view, system = self.view, self.view.system
        is_own = source == system.config.text_to_motion.source
        group = "generation" if is_own else f"generation, source {source}"

        def generate(captions: list[str], num_samples: int = 1) -> np.ndarray:
            return np.stack(
                [
                    system.generate(c, seed=self.seed + i, num_samples=num_samples, source=source)
                    for i, c in enumerate(captions)
                ]
            )

        right = generate(self.captions)[:, 0]
        shuffled = generate([self.captions[i] for i in self.other])[:, 0]
        samples = generate(self.captions[:_NUM_SPREAD], _NUM_SEEDS)
        found = measures_of(
            group,
            right,
            self.names,
            judge=self.judge,
            space=self.space,
            copied=self.copied,
            copied_clips=self.copied_clips,
            ceiling=self.ceiling,
            real=self.real,
            chance=self.chance,
            fps=view.fps,
            joint_mask=view.joint_mask,
            is_own=is_own,
        )
        return found + text_effect(
            group,
            right,
            shuffled,
            samples,
            self.copies,
            self.real_cm,
            view.joint_mask,
            is_own=is_own,
        )


def _percent(found: list[str], truth: list[str]) -> float:
    return 100.0 * float(np.mean([a == b for a, b in zip(found, truth)]))
