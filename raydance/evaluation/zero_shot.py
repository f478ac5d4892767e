"""Names of actions from tracks of poses that a run never saw, beside chance and taught classifiers.

The protocol of Lang2Motion's Table 3 on any dataset with names in its labels: joints of tracks
become points along the bones when they are ingested; clips in 3-D are seen by a camera here. A name
goes into a prompt, and the nearest sentence wins. Beside it stand, taught by the training and
validation rows: the nearest neighbour and a linear probe on the run's own features, and the nearest
neighbour on the tracks themselves, moved to their centre and brought to one size. A name was seen
if all its words are among those of the run's training sentences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from raydance.data.dataset import Dataset
from raydance.data.schema import MOTION, TRACKS
from raydance.errors import InputError
from raydance.evaluation.measure import Measure
from raydance.motion.clip import generated_clip
from raydance.tracks.projection import project
from raydance.tracks.track import Track, to_pixels

LABELS: Final = ("action", "content", "movement", "label")
"""Labels that hold names, the first that a dataset has."""

PROMPT: Final = "a person {}"
_KS: Final = (1, 5)
_AT_ONCE: Final = 512


class TrackSpace(Protocol):
    """A run with a space of tracks and sentences."""

    @property
    def library(self) -> Any: ...

    def row_of(self, track: Track) -> tuple[np.ndarray, np.ndarray]: ...

    def place_tracks(self, tracks: np.ndarray, visible: np.ndarray) -> np.ndarray: ...

    def place_texts(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Poses:
    """Rows with names: tracks `[n, T, N, 2]` in [-1, 1], visibility `[n, T, N]`, a name of each."""

    tracks: np.ndarray
    visible: np.ndarray
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """Shares of test rows whose name is among the first one and five, in percent.

    Attributes:
        label: whose values are the names.
        seen, unseen: names by whether the training sentences have their words.
        found: what is told -> (top-1, top-5).
    """

    label: str
    num_rows: int
    num_taught: int
    seen: list[str]
    unseen: list[str]
    found: dict[str, tuple[float, float]]

    def as_rows(self) -> list[tuple[str, ...]]:
        """What is told, how many names, top-1, top-5, as text."""
        count = len(self.seen) + len(self.unseen)
        counts = {SEEN: f"{len(self.seen)} of {count}", UNSEEN: f"{len(self.unseen)} of {count}"}
        return [
            (what, counts.get(what, str(count)), *(f"{value:.1f}" for value in values))
            for what, values in self.found.items()
        ]


CHANCE: Final = "chance"
ZERO_SHOT: Final = "zero-shot"
SEEN: Final = "zero-shot, rows with names seen"
UNSEEN: Final = "zero-shot, rows with names not seen"
NEIGHBOUR: Final = "nearest neighbour on the features (taught)"
PROBE: Final = "linear probe on the features (taught)"
RAW: Final = "nearest neighbour on the tracks (taught)"


def zero_shot(system: TrackSpace, dataset: Dataset, label: str | None = None) -> ZeroShot:
    """Measure on the test rows of a dataset of tracks or motion.

    Args:
        label: whose values are the names; by default the first of `LABELS` that the dataset has.

    Raises:
        InputError: no test or training rows with names, or fewer than two names.
    """
    label = label or _label_of(dataset)
    test = _poses(system, dataset, ("test",), label)
    taught = _poses(system, dataset, ("train", "val"), label)
    names = sorted({*test.names, *taught.names})
    if len(names) < 2:
        raise InputError(f"{dataset.path}: label {label} has {len(names)} names; at least 2")
    if len(set(taught.names)) < 2:
        raise InputError(
            f"{dataset.path}: label {label} has {len(set(taught.names))} names in the training and "
            "validation rows; at least 2"
        )
    sentences = [PROMPT.replace("{}", spoken(name)) for name in names]
    test_points, points = (_placed(system, poses) for poses in (test, taught))
    right = np.array([names.index(name) for name in test.names])
    lessons = np.array([names.index(name) for name in taught.names])
    words = {word for text in _training_sentences(system) for word in _words(text)}
    seen = [n for n in names if _words(spoken(n)) and set(_words(spoken(n))) <= words]
    is_seen = np.array([name in seen for name in test.names])
    scores = test_points @ system.place_texts(sentences).T
    found = {
        CHANCE: (100.0 / len(names), 100.0 * min(5, len(names)) / len(names)),
        ZERO_SHOT: top(scores, right),
    }
    if is_seen.any() and not is_seen.all():
        found[SEEN] = top(scores[is_seen], right[is_seen])
        found[UNSEEN] = top(scores[~is_seen], right[~is_seen])
    by_neighbour = _best_of_each(test_points @ points.T, lessons, len(names))
    found[NEIGHBOUR] = top(by_neighbour, right)
    found[PROBE] = top(_probed(points, lessons, test_points, len(names)), right)
    shapes, test_shapes = _shapes(taught.tracks), _shapes(test.tracks)
    found[RAW] = top(_best_of_each(test_shapes @ shapes.T, lessons, len(names)), right)
    return ZeroShot(
        label=label,
        num_rows=len(right),
        num_taught=len(lessons),
        seen=seen,
        unseen=[name for name in names if name not in seen],
        found=found,
    )


def check_names(dataset: Dataset, label: str | None = None) -> None:
    """See that names can be told, before anything is trained for it.

    Raises:
        InputError: as `zero_shot`.
    """
    label = label or _label_of(dataset)
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for clip in dataset.clips():
        if name := str(json.loads(clip["labels"] or "{}").get(label, "")):
            names[clip["split"] == "test"].add(name)
    if not names[True] or len(names[False]) < 2:
        raise InputError(
            f"{dataset.path}: label {label} has {len(names[True])} names in the test rows and "
            f"{len(names[False])} in the others; at least 1 and 2"
        )


def zero_shot_measures(found: ZeroShot) -> list[Measure]:
    """The same as lines of the table that `raydance evaluate` prints."""
    chances = found.found[CHANCE]
    neighbour = found.found[RAW]
    return [
        Measure(
            group=f"{found.label} of {found.num_rows} rows, "
            f"{len(found.seen) + len(found.unseen)} names",
            name=f"{what}, top-{k}",
            value=values[place],
            chance=chances[place],
            baseline=neighbour[place] if "taught" in what else None,
        )
        for what, values in found.found.items()
        if what not in (CHANCE, RAW)
        for place, k in enumerate(_KS)
    ]


def notes_of(found: ZeroShot) -> list[str]:
    """What the figures rest on."""
    return [
        f"names whose words the training sentences have: {', '.join(found.seen) or 'none'}; "
        f"others: {', '.join(found.unseen) or 'none'}",
        f"taught by {found.num_taught} rows, which the zero-shot figures do not use; their "
        "baseline is the nearest neighbour on the tracks themselves",
    ]


def top(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Shares of rows, in percent, whose right name is the best and among the best five.

    Args:
        scores: `[n, L]`.
        right: `[n]`, numbers of names.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = order == right[:, None]
    one, five = (100.0 * float(hits[:, :k].any(axis=1).mean()) for k in _KS)
    return one, five


def spoken(name: str) -> str:
    """A name as words: `climb_stairs` is "climb stairs"."""
    return re.sub(r"[_\-|]+", " ", name).strip()


def _words(text: str) -> list[str]:
    """Its words without the endings of verbs."""
    found = re.findall(r"[a-z]+", text.lower())
    return [re.sub(r"(ning|ing|ed|es|s)$", "", word) or word for word in found]


def _training_sentences(system: TrackSpace) -> Iterator[str]:
    facts = system.library[1]
    for split, captions in zip(facts["split"], facts["captions"]):
        if split == "train":
            yield from captions


def _labels(dataset: Dataset) -> set[str]:
    return {key for clip in dataset.clips() for key in json.loads(clip["labels"] or "{}")}


def _label_of(dataset: Dataset) -> str:
    keys = _labels(dataset)
    for label in LABELS:
        if label in keys:
            return label
    raise InputError(f"{dataset.path}: no row has a label of: {', '.join(LABELS)}")


def _poses(system: TrackSpace, dataset: Dataset, splits: Sequence[str], label: str) -> Poses:
    names, rows = [], []
    for name, track in _tracks(dataset, splits, label):
        names.append(name)
        rows.append(system.row_of(track))
    if not rows:
        wanted = " or ".join(splits)
        known = ", ".join(sorted(_labels(dataset))) or "none"
        raise InputError(
            f"{dataset.path}: no {wanted} row has a label {label!r}; its labels: {known}"
        )
    tracks, visible = (np.concatenate(parts) for parts in zip(*rows))
    return Poses(tracks=tracks, visible=visible, names=names)


def _tracks(dataset: Dataset, splits: Sequence[str], label: str) -> Iterator[tuple[str, Track]]:
    """Names and tracks of the rows that have the label; of motion by a camera before it."""
    for shard in (shard for split in splits for shard in dataset.shards(split)):
        rows = dataset.read_shard(shard)
        for number, labels in enumerate(rows["labels"]):
            name = str(json.loads(labels or "{}").get(label, ""))
            if not name:
                continue
            row = {key: values[number] for key, values in rows.items()}
            if dataset.modality is MOTION:
                motion = row["motion"][: int(row.get("length", len(row["motion"])))]
                body = generated_clip(motion, row["joint_mask"], dataset.fps, row["window_id"])
                yield name, project(body)
            elif dataset.modality is TRACKS:
                yield name, _stored(row)


def _stored(row: dict[str, Any]) -> Track:
    width, height = (round(float(side)) for side in row["frame_size"])
    return Track(
        track_id=row["window_id"],
        source=row["source"],
        points=to_pixels(row["tracks"], (width, height)),
        visible=row["visible"],
        frame_size=(width, height),
        fps=(len(row["tracks"]) - 1) / float(row["end_s"]),
    )


def _placed(system: TrackSpace, poses: Poses) -> np.ndarray:
    parts = [
        system.place_tracks(poses.tracks[i : i + _AT_ONCE], poses.visible[i : i + _AT_ONCE])
        for i in range(0, len(poses.names), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _best_of_each(scores: np.ndarray, lessons: np.ndarray, count: int) -> np.ndarray:
    """`[n, L]`: the best score with a taught row of each name; names that nobody taught come last.

    Args:
        scores: `[n, taught]`.
    """
    best = np.full((len(scores), count), -np.inf)
    for name in np.unique(lessons):
        best[:, name] = scores[:, lessons == name].max(axis=1)
    return best


def _probed(
    points: np.ndarray, lessons: np.ndarray, test_points: np.ndarray, count: int
) -> np.ndarray:
    """`[n, L]`: scores of a logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    probe.fit(points, lessons)
    scores = np.full((len(test_points), count), -np.inf)
    scores[:, probe.classes_] = probe.predict_log_proba(test_points)
    return scores


def _shapes(tracks: np.ndarray) -> np.ndarray:
    """Tracks as unit vectors `[n, T * N * 2]`, each about its own centre: cosines compare them."""
    flat = (tracks - tracks.mean(axis=(1, 2), keepdims=True)).reshape(len(tracks), -1)
    unit: np.ndarray = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    return unit
