"""Words beyond copying: motion for combinations of two labels that training never saw together.

Some combinations (a content in a style, a movement on a side) are held out of training, and motion
is made from their captions. An independent judge, trained on real windows of every combination,
names both labels. Beside the generated motion stand real motion and a copy of a training window of
the nearest caption, which cannot have both labels.

Dimensions: N windows, T frames, J joints, D sentence embedding.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.data.dataset import Dataset
from raydance.data.index import scores
from raydance.data.resplit import resplit
from raydance.errors import InputError
from raydance.evaluation.motion_classifier import MotionClassifier
from raydance.motion.augment import mirror_caption
from raydance.text.encoder import TextConfig, load_text_encoder

Pair = tuple[str, str]
Generate = Callable[[Sequence[str], np.ndarray, int], list[np.ndarray]]
"""From captions, lengths in frames and a seed to a motion `[T, J, 3]` of each, metres."""

_BETWEEN: Final = "_"  # the judge mirrors the words between these on their own


def pair_of(clip: Mapping[str, Any], labels: Pair) -> Pair | None:
    """The values of a clip's two labels; None where one is missing."""
    found = clip["labels"]
    facts = json.loads(found or "{}") if isinstance(found, str) else found
    first, second = (str(facts.get(label, "")) for label in labels)
    return (first, second) if first and second else None


def choose(dataset: Dataset, labels: Pair, count: int, seed: int = 0) -> list[Pair]:
    """Combinations to hold out, each first label at most once, second labels in turns.

    Every label stays in training in other combinations, and every combination has at least two
    recordings: some for the judge to learn from, others to measure on. Where left and right make
    another combination, that is held out too: training mirrors its clips into this one.

    Raises:
        InputError: fewer combinations can be held out.
    """
    recordings: dict[Pair, set[str]] = {}
    trained: set[Pair] = set()
    for clip in dataset.clips():
        if clip["num_windows"] and clip["captions"] and (pair := pair_of(clip, labels)):
            recordings.setdefault(pair, set()).add(clip["recording"])
            if clip["split"] == "train":
                trained.add(pair)
    rng = np.random.default_rng([seed, 97])
    pairs = sorted(recordings)
    order = [pairs[i] for i in rng.permutation(len(pairs))]
    used: Counter[str] = Counter()
    chosen: list[Pair] = []

    def keeps(pair: Pair) -> bool:
        """Whether all labels that are held out stay in training without this one."""
        left = trained - twins(pair)
        held = [one for other in (*chosen, pair) for one in twins(other) if one in recordings]
        return all(any(other[i] == one[i] for other in left) for one in held for i in (0, 1))

    while len(chosen) < count:
        free = [
            pair
            for pair in order
            if len(recordings[pair]) > 1 and not used[pair[0]] and keeps(pair)
        ]
        if not free:
            raise InputError(
                f"{dataset.path}: {len(chosen)} combinations of {labels[0]} and {labels[1]} can be "
                f"held out, {count} are asked for; each needs two recordings with captions, and "
                "other combinations with its labels"
            )
        pair = min(free, key=lambda one: used[one[1]])
        chosen.append(pair)
        used.update(pair)
        trained -= twins(pair)
    return sorted(chosen)


def mirrored(pair: Pair) -> Pair:
    """The combination that left and right exchanged make of one."""
    return mirror_caption(pair[0]), mirror_caption(pair[1])


def twins(pair: Pair) -> set[Pair]:
    """A combination and its mirrored one."""
    return {pair, mirrored(pair)}


def hold_out(dataset: Dataset, out: Path, labels: Pair, pairs: Sequence[Pair]) -> Dataset:
    """A copy of the dataset that has all clips of these combinations, and of those mirrored, in its
    test split."""
    held = set().union(*(twins(pair) for pair in pairs))

    def split_of(clip: Mapping[str, Any]) -> str | None:
        return "test" if pair_of(clip, labels) in held else None

    return resplit(dataset, out, split_of)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Percentage of windows with the first label, the second and both."""

    motion: str
    first: float
    second: float
    both: float


@dataclass(frozen=True, kw_only=True)
class _Windows:
    motion_NTJ3: np.ndarray
    mask_NJ: np.ndarray
    window_id: list[str]
    recording: list[str]
    caption: list[str]
    pair: list[Pair]

    def __len__(self) -> int:
        return len(self.pair)

    def part(self, rows: Sequence[int]) -> _Windows:
        return _Windows(
            motion_NTJ3=self.motion_NTJ3[rows],
            mask_NJ=self.mask_NJ[rows],
            **{
                name: [getattr(self, name)[i] for i in rows]
                for name in ("window_id", "recording", "caption", "pair")
            },
        )

    def names(self) -> list[str]:
        return [_BETWEEN.join(pair) for pair in self.pair]


def measure(
    dataset: Dataset, labels: Pair, pairs: Sequence[Pair], generate: Generate, seed: int = 0
) -> tuple[list[Row], int]:
    """Judge real, copied and generated motion of held-out combinations.

    Args:
        dataset: as `hold_out` gives it; `generate` has learned from its training split alone.

    Returns:
        A row for each kind of motion, and how many windows were judged.

    Raises:
        InputError: a held-out combination is in the training split.
    """
    train, test = _read(dataset, "train", labels), _read(dataset, "test", labels)
    if seen := sorted(set().union(*(twins(pair) for pair in pairs)) & set(train.pair)):
        raise InputError(f"{dataset.path}: {' '.join(seen[0])} is to be held out, but trained on")
    held = test.part([i for i, pair in enumerate(test.pair) if pair in pairs])
    # Half of the recordings of each combination teach the judge, the others are measured on.
    teaches: dict[str, bool] = {}
    for pair in pairs:
        own = sorted({r for r, p in zip(held.recording, held.pair) if p == pair})
        teaches |= {name: i % 2 == 0 for i, name in enumerate(own)}
    shown = held.part([i for i, name in enumerate(held.recording) if teaches[name]])
    asked = held.part([i for i, name in enumerate(held.recording) if not teaches[name]])
    judge = MotionClassifier.fit(
        np.concatenate([train.motion_NTJ3, shown.motion_NTJ3]),
        np.concatenate([train.mask_NJ, shown.mask_NJ]),
        train.names() + shown.names(),
        train.window_id + shown.window_id,
        seed=seed,
    )
    parts = _parts(train, shown)
    joint_mask = asked.mask_NJ.mean(axis=0) > 0.5
    lengths = np.full(len(asked), asked.motion_NTJ3.shape[1])
    made = np.stack(generate(asked.caption, lengths, seed)) * joint_mask[None, None, :, None]
    copies = train.part(_nearest(asked.caption, train.caption, seed))
    row = partial(_row, judge, asked.pair, parts)
    return [
        row("real", asked.motion_NTJ3, asked.mask_NJ),
        row("copy of the nearest caption", copies.motion_NTJ3, copies.mask_NJ),
        row("generated", made, np.repeat(joint_mask[None], len(asked), axis=0)),
        _chance(asked.pair, train.pair + shown.pair),
    ], len(asked)


def _read(dataset: Dataset, split: str, labels: Pair) -> _Windows:
    """All windows of a split that have a caption and both labels, and whose clip fills them."""
    motion, mask = [], []
    texts: dict[str, list[Any]] = {
        name: [] for name in ("window_id", "recording", "caption", "pair")
    }
    for shard in dataset.shards(split):
        columns = ["window_id", "recording", "captions", "labels", "motion", "joint_mask", "length"]
        rows = dataset.read_shard(shard, columns=columns)
        is_full = rows["length"] == dataset.frames
        found = [pair_of({"labels": text}, labels) for text in rows["labels"]]
        keep = [i for i, pair in enumerate(found) if pair and rows["captions"][i] and is_full[i]]
        motion.append(rows["motion"][keep])
        mask.append(rows["joint_mask"][keep])
        texts["window_id"] += [rows["window_id"][i] for i in keep]
        texts["recording"] += [rows["recording"][i] for i in keep]
        texts["caption"] += [rows["captions"][i][0] for i in keep]
        texts["pair"] += [found[i] for i in keep]
    if not texts["pair"]:
        raise InputError(f"{dataset.path}: no {split} window has a caption and both labels")
    return _Windows(motion_NTJ3=np.concatenate(motion), mask_NJ=np.concatenate(mask), **texts)


def _parts(*windows: _Windows) -> dict[str, Pair]:
    """The labels that each of the judge's names stands for; mirrored names stand for theirs."""
    return {name: pair for one in windows for name, pair in zip(one.names(), one.pair)}


def _row(
    judge: MotionClassifier,
    wanted: Sequence[Pair],
    parts: Mapping[str, Pair],
    title: str,
    motion: np.ndarray,
    joint_mask: np.ndarray,
) -> Row:
    found = [parts.get(name, ("", "")) for name in judge(motion, joint_mask)]
    right = np.array([[a == b for a, b in zip(one, two)] for one, two in zip(found, wanted)])
    first, second = 100.0 * right.mean(axis=0)
    both = 100.0 * float(right.all(axis=1).mean())
    return Row(motion=title, first=float(first), second=float(second), both=both)


def _chance(wanted: Sequence[Pair], known: Sequence[Pair]) -> Row:
    """What a judge scores that draws a real window and says its labels."""
    shares = [Counter(pair[i] for pair in known) for i in (0, 1)]
    both = Counter(known)
    total = len(known) / 100.0
    return Row(
        motion="chance",
        first=float(np.mean([shares[0][pair[0]] for pair in wanted])) / total,
        second=float(np.mean([shares[1][pair[1]] for pair in wanted])) / total,
        both=float(np.mean([both[pair] for pair in wanted])) / total,
    )


def _nearest(captions: Sequence[str], training: Sequence[str], seed: int) -> list[int]:
    """A training window, drawn at random, of the training caption nearest to each caption."""
    encoder = load_text_encoder(TextConfig())
    known = sorted(set(training))
    asked = sorted(set(captions))
    near = scores(encoder.encode(asked), encoder.encode(known), "cosine").argmax(axis=1)
    place = dict(zip(asked, near))
    rows: dict[str, list[int]] = {}
    for row, caption in enumerate(training):
        rows.setdefault(caption, []).append(row)
    rng = np.random.default_rng([seed, 101])
    return [int(rng.choice(rows[known[place[caption]]])) for caption in captions]
