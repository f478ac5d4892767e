"""The windows an evaluation looks at: the test split, and the training split as baselines know it.

Test windows are held whole; of the training windows only descriptors are kept, so that a large
library fits. Where a split is larger than the bound, a seeded sample of it stands for it. Windows
of shorter clips, which hold their last frame, count for words alone: `full` leaves them out.

Dimensions: N windows, T frames, J joints, D descriptors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raydance.data.dataset import Dataset, Shard
from raydance.errors import InputError
from raydance.evaluation import baseline
from raydance.systems.dance_language.labels import label_of

MAX_TEST = 4000
MAX_TRAIN = 20_000
_FACTS = ["window_id", "clip_id", "recording", "captions", "labels", "length"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is written about N windows.

    Attributes:
        captions: the window's own captions; may be empty.
        labels: side-car facts of the clip.
        names: the movement's name, empty where nobody named it.
        is_full: whether the clip fills the window.
        address: (shard, row) of each.
    """

    window_id: list[str]
    clip_id: list[str]
    recording: list[str]
    captions: list[list[str]]
    labels: list[dict[str, str]]
    names: list[str]
    is_full: list[bool]
    address: list[tuple[Shard, int]]

    def __len__(self) -> int:
        return len(self.window_id)

    def part(self, rows: Sequence[int]) -> Facts:
        """Those of some rows."""
        names = Facts.__dataclass_fields__
        return Facts(**{name: [getattr(self, name)[i] for i in rows] for name in names})

    @property
    def full(self) -> list[int]:
        """Rows whose clip fills the window."""
        return [i for i, is_full in enumerate(self.is_full) if is_full]


@dataclass(frozen=True, kw_only=True)
class TestWindows:
    """Windows of the test split.

    Attributes:
        motion: `[N, T, 50, 3]`, metres, y up; `joint_mask`: `[N, 50]`.
        features: `[N, D]`, descriptors z-scored with training statistics.
        total: windows in the split; more than N where a sample stands for it.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    facts: Facts
    motion: np.ndarray
    joint_mask: np.ndarray
    features: np.ndarray
    total: int

    def full(self) -> TestWindows:
        """Without windows of shorter clips."""
        rows = self.facts.full
        return replace(
            self,
            facts=self.facts.part(rows),
            motion=self.motion[rows],
            joint_mask=self.joint_mask[rows],
            features=self.features[rows],
        )


@dataclass(frozen=True, kw_only=True)
class TrainingWindows:
    """Windows of the training split, as the baselines know them.

    Attributes:
        features: `[N, D]` z-scored descriptors.
        mean_pose: `[50, 3]`, metres, of clips that fill a window.
    """

    dataset: Dataset
    facts: Facts
    scaler: baseline.Scaler
    features: np.ndarray
    mean_pose: np.ndarray
    total: int

    def full(self) -> TrainingWindows:
        """Without windows of shorter clips."""
        rows = self.facts.full
        return replace(self, facts=self.facts.part(rows), features=self.features[rows])

    def motion_of(self, rows: list[int]) -> np.ndarray:
        """Motion `[len(rows), T, 50, 3]` of some rows, read again from the dataset."""
        return self.windows_of(rows)[0]

    def windows_of(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Motion `[len(rows), T, 50, 3]` and joint masks `[len(rows), 50]` of some rows."""
        motion: list[np.ndarray] = [np.empty(0)] * len(rows)
        masks: list[np.ndarray] = [np.empty(0)] * len(rows)
        for places, some, mask in self._read(rows):
            for i, place in enumerate(places):
                motion[place], masks[place] = some[i], mask[i]
        return np.stack(motion), np.stack(masks)

    def parts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Motion `[n, T, 50, 3]` and joint masks `[n, 50]` of all rows, shard by shard."""
        for _, motion, mask in self._read(list(range(len(self.facts)))):
            yield motion, mask

    def _read(self, rows: list[int]) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
        """Places in `rows`, motion and masks, a shard at a time."""
        wanted: dict[str, list[tuple[int, int]]] = {}
        shards: dict[str, Shard] = {}
        for place, row in enumerate(rows):
            shard, index = self.facts.address[row]
            shards[shard.name] = shard
            wanted.setdefault(shard.name, []).append((place, index))
        for name, places in wanted.items():
            found = self.dataset.read_shard(shards[name], columns=["motion", "joint_mask"])
            keep = [index for _, index in places]
            yield [place for place, _ in places], found["motion"][keep], found["joint_mask"][keep]

    @cached_property
    def neighbours(self) -> baseline.Neighbours:
        """Windows that have a name, to find the nearest among."""
        return baseline.Neighbours(self.features, self.facts.names, self.facts.clip_id)


def read_training(
    dataset: Dataset, *, max_windows: int = MAX_TRAIN, seed: int = 0
) -> TrainingWindows:
    """Describe the training split, shard by shard.

    Raises:
        InputError: it has no windows.
    """
    parts, facts = [], []
    total_J3, count_J1 = np.zeros((50, 3)), np.zeros((50, 1))
    for shard, keep in _chosen(dataset, "train", max_windows, seed):
        rows = dataset.read_shard(shard, columns=[*_FACTS, "motion", "joint_mask"])
        motion, mask = rows["motion"][keep], rows["joint_mask"][keep]
        parts.append(baseline.describe(motion, mask, dataset.fps))
        facts.append(_facts(rows, shard, keep))
        full, whole = facts[-1].full, mask[facts[-1].full]
        total_J3 += np.where(whole[:, None, :, None], motion[full], 0.0).sum(axis=(0, 1))
        count_J1 += whole.sum(axis=0)[:, None] * motion.shape[1]
    raw = np.concatenate(parts)
    scaler = baseline.Scaler.fit(raw)
    return TrainingWindows(
        dataset=dataset,
        facts=_merge(facts),
        scaler=scaler,
        features=scaler(raw),
        mean_pose=total_J3 / np.maximum(count_J1, 1),
        total=sum(s.num_windows for s in dataset.shards("train")),
    )


def read_test(
    dataset: Dataset, scaler: baseline.Scaler, *, max_windows: int = MAX_TEST, seed: int = 0
) -> TestWindows:
    """Read the test split.

    Raises:
        InputError: it has no windows.
    """
    motion, mask, facts = [], [], []
    for shard, keep in _chosen(dataset, "test", max_windows, seed):
        rows = dataset.read_shard(shard, columns=[*_FACTS, "motion", "joint_mask"])
        motion.append(rows["motion"][keep])
        mask.append(rows["joint_mask"][keep])
        facts.append(_facts(rows, shard, keep))
    motion_NTJ3, mask_NJ = np.concatenate(motion), np.concatenate(mask)
    return TestWindows(
        facts=_merge(facts),
        motion=motion_NTJ3,
        joint_mask=mask_NJ,
        features=scaler(baseline.describe(motion_NTJ3, mask_NJ, dataset.fps)),
        total=sum(s.num_windows for s in dataset.shards("test")),
    )


def _chosen(
    dataset: Dataset, split: str, max_windows: int, seed: int
) -> Iterator[tuple[Shard, np.ndarray]]:
    """Shards of a split with the rows to keep, which are a seeded sample where there are more."""
    shards = dataset.shards(split)
    total = sum(shard.num_windows for shard in shards)
    if not total:
        raise InputError(
            f"{dataset.path}: no {split} windows. Splits are made by recording: ingest more "
            "recordings, or fix `split` in the captions file"
        )
    kept = np.ones(total, dtype=bool)
    if total > max_windows:
        chosen = np.random.default_rng([seed, 23]).choice(total, max_windows, replace=False)
        kept = np.zeros(total, dtype=bool)
        kept[chosen] = True
    first = 0
    for shard in shards:
        rows = np.flatnonzero(kept[first : first + shard.num_windows])
        first += shard.num_windows
        if len(rows):
            yield shard, rows


def _facts(rows: dict[str, Any], shard: Shard, keep: np.ndarray) -> Facts:
    captions = [list(rows["captions"][i] or ()) for i in keep]
    labels = [json.loads(rows["labels"][i] or "{}") for i in keep]
    return Facts(
        window_id=[rows["window_id"][i] for i in keep],
        clip_id=[rows["clip_id"][i] for i in keep],
        recording=[rows["recording"][i] for i in keep],
        captions=captions,
        labels=labels,
        names=[label_of(facts, words) for facts, words in zip(labels, captions)],
        is_full=(rows["length"][keep] == rows["motion"].shape[1]).tolist(),
        address=[(shard, int(i)) for i in keep],
    )


def _merge(parts: list[Facts]) -> Facts:
    names = Facts.__dataclass_fields__
    return Facts(**{name: [v for part in parts for v in getattr(part, name)] for name in names})
