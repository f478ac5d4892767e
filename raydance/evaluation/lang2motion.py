"""Figures of Lang2Motion on tracks that were not trained on: search both ways, and generation.

Distances are per point, mean over points and frames, in pixels of a frame of 256 x 256 (as TAP-Vid
measures). Beside the model stand staying in place and the paths of the training tracks whose
sentences are nearest, as many as samples are drawn, moved to the test track's start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from raydance.data import index
from raydance.data.dataset import Dataset
from raydance.evaluation.measure import Measure
from raydance.evaluation.told_motion import told_measures
from raydance.metrics import tracks as metrics
from raydance.stages.track_flow import TrackPrompt
from raydance.systems.lang2motion.run import Lang2Motion

SAMPLES: Final = 10
MOST_TRACKS: Final = 1000
_EMPHASIS: Final = 5.0
_SCALE: Final = 128.0
_ACROSS: Final = {
    "right": re.compile(r"\bleft to (the )?right\b"),
    "left": re.compile(r"\bright to (the )?left\b"),
}


def measures_of(
    system: Lang2Motion, datasets: Mapping[str, Dataset], split: str = "test"
) -> list[Measure]:
    """All figures on a split."""
    (dataset,) = datasets.values()
    test, training = described(read_split(dataset, split)), read_split(dataset, "train")
    if not test["captions"]:
        return []
    sentences = [words[0] for words in test["captions"]]
    return [
        *search_measures(system, training, test, sentences),
        *generation_measures(system, training, test, sentences),
    ]


def read_split(dataset: Dataset, split: str) -> dict[str, Any]:
    """Tracks, visibility, captions and labels of a split."""
    parts: dict[str, list[Any]] = {"tracks": [], "visible": [], "captions": [], "labels": []}
    for shard in dataset.shards(split):
        rows = dataset.read_shard(shard, columns=list(parts))
        for name, found in parts.items():
            found.append(rows[name])
    return {
        "tracks": np.concatenate(parts["tracks"]),
        "visible": np.concatenate(parts["visible"]),
        "captions": [words for part in parts["captions"] for words in part],
        "labels": [text for part in parts["labels"] for text in part],
    }


def described(rows: Mapping[str, Any]) -> dict[str, Any]:
    """The first rows that have a caption, `MOST_TRACKS` at most."""
    kept = [i for i, words in enumerate(rows["captions"]) if words][:MOST_TRACKS]
    return {
        name: values[kept] if isinstance(values, np.ndarray) else [values[i] for i in kept]
        for name, values in rows.items()
    }


def nearest_sentences(
    system: Lang2Motion, training: Mapping[str, Any], sentences: list[str]
) -> np.ndarray:
    """`[B, S]`: for each sentence the training tracks whose own are nearest, by the frozen encoder,
    as many as samples are drawn."""
    owners = [i for i, words in enumerate(training["captions"]) if words]
    known = [training["captions"][i][0] for i in owners]
    found = index.scores(_embedded(system, sentences), _embedded(system, known), "cosine")
    return np.array(owners)[np.argsort(-found, axis=1, kind="stable")[:, :SAMPLES]]


def _embedded(system: Lang2Motion, texts: list[str]) -> np.ndarray:
    parts = [
        system.text_batch(texts[i : i + 256])["text_embedding"].cpu().numpy()
        for i in range(0, len(texts), 256)
    ]
    return np.concatenate(parts)


def search_measures(
    system: Lang2Motion,
    training: Mapping[str, Any],
    test: Mapping[str, Any],
    sentences: list[str],
) -> list[Measure]:
    """R@K with several right answers: tracks with the same sentence are right for each other."""
    tracks = system.place_tracks(test["tracks"], test["visible"])
    texts = np.concatenate(
        [system.place_texts(sentences[i : i + 256]) for i in range(0, len(sentences), 256)]
    )
    right = np.array([[text in words for words in test["captions"]] for text in sentences])
    copies = training["tracks"][nearest_sentences(system, training, sentences)[:, 0]]
    seen = system.place_tracks(copies, np.ones(copies.shape[:3], dtype=bool))
    size = len(sentences)
    measures = []
    for name, learned, simple, answers in (
        ("text to track", texts @ tracks.T, seen @ tracks.T, right),
        ("track to text", tracks @ texts.T, tracks @ seen.T, right.T),
    ):
        for k in (1, 3, 5, 10):
            measures.append(
                Measure(
                    group=f"search among {size}",
                    name=f"{name}, R@{k}",
                    value=recall(learned, answers, k),
                    baseline=recall(simple, answers, k),
                    chance=100.0 * float(np.mean([chance(n, size, k) for n in answers.sum(1)])),
                    is_main=k in (1, 10),
                )
            )
    return measures


def recall(scores: np.ndarray, right: np.ndarray, k: int) -> float:
    """Percentage of queries with a right answer among the k best."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return 100.0 * float(np.take_along_axis(right, best, axis=1).any(axis=1).mean())


def chance(num_right: int, size: int, k: int) -> float:
    """That k of `size` drawn at random hold one of the right ones."""
    missed = 1.0
    for drawn in range(min(k, size)):
        missed *= max(0.0, size - num_right - drawn) / (size - drawn)
    return 1.0 - missed


def generation_measures(
    system: Lang2Motion,
    training: Mapping[str, Any],
    test: Mapping[str, Any],
    sentences: list[str],
) -> list[Measure]:
    """Distances of generated tracks to the real ones from the same start."""
    real = test["tracks"]
    prompt = system.prompt(sentences, real[:, 0])
    samples = np.stack([system.sample(prompt, seed) for seed in range(SAMPLES)])
    firm = system.sample(prompt, 0, emphasis=_EMPHASIS)
    nearest = nearest_sentences(system, training, sentences)
    each = [training["tracks"][rows] for rows in nearest.T]
    all_copied = [copies - copies[:, :1] + real[:, :1] for copies in each]
    copied = all_copied[0]
    return [
        *_distances(system, prompt, real, samples, all_copied),
        Measure(
            group="generation",
            name="path length over the real one",
            unit="x",
            better="target",
            value=path_length(firm) / path_length(real),
            baseline=path_length(copied) / path_length(real),
            target=1.0,
        ),
        Measure(
            group="generation",
            name="smoothness",
            unit="",
            better="target",
            value=float(np.mean([metrics.smoothness(one) for one in samples[0]])),
            target=float(np.mean([metrics.smoothness(one) for one in real])),
            is_main=False,
        ),
        *_sides(sentences, firm, copied, real),
        *told_measures(test["labels"], samples[0], copied, real),
    ]


def _distances(
    system: Lang2Motion,
    prompt: TrackPrompt,
    real: np.ndarray,
    samples: np.ndarray,
    all_copied: list[np.ndarray],
) -> list[Measure]:
    """ADE and FDE of every kind of answer, beside those of copies and of staying in place."""
    expected = system.expected(prompt)
    spread = system.spread(prompt, SAMPLES, seed=0)
    alternatives = system.alternatives(prompt)[:SAMPLES]
    copied = all_copied[0]
    stays = np.repeat(real[:, :1], real.shape[1], axis=1)

    def error(made: np.ndarray, last: bool = False) -> np.ndarray:
        """`[B]` pixels at 256."""
        distance = _SCALE * np.linalg.norm(made - real, axis=-1)
        return distance[:, -1].mean(axis=1) if last else distance.mean(axis=(1, 2))

    def best(made: Iterable[np.ndarray]) -> float:
        return float(np.min([error(one) for one in made], axis=0).mean())

    def middle(made: np.ndarray, last: bool = False) -> float:
        return float(error(made, last).mean())

    of_ten = "ADE of the best of ten"
    several = all_copied[: len(alternatives)]
    whole = min(middle(stays), middle(copied))
    ends = min(middle(stays, last=True), middle(copied, last=True))
    return [
        Measure(
            group="generation, px at 256",
            name=name,
            unit="",
            better="lower",
            value=value,
            baseline=baseline,
            target=0.0,
            is_main=is_main,
        )
        for name, value, baseline, is_main in (
            ("ADE of the expected path", middle(expected), whole, True),
            ("FDE of the expected path", middle(expected, last=True), ends, False),
            (f"{of_ten} alternatives", best(alternatives), best(several), True),
            (f"{of_ten} that stand for many draws", best(spread), best(all_copied), False),
            (f"{of_ten} draws", best(samples), best(all_copied), False),
            ("ADE of one draw", middle(samples[0]), middle(copied), False),
        )
    ]


def _sides(
    sentences: list[str], firm: np.ndarray, copied: np.ndarray, real: np.ndarray
) -> list[Measure]:
    """How often tracks go to the side that their sentence says."""
    sides = [_side(text) for text in sentences]
    told = [i for i, side in enumerate(sides) if side]
    if not told:
        return []
    sign = np.array([1.0 if sides[i] == "right" else -1.0 for i in told])
    return [
        Measure(
            group="generation",
            name=f"goes to the side that is said, of {len(told)}",
            value=_goes(firm[told], sign),
            baseline=_goes(copied[told], sign),
            target=_goes(real[told], sign),
            chance=50.0,
        )
    ]


def path_length(tracks: np.ndarray) -> float:
    """Mean length of the centres' paths of `[B, T, N, 2]`."""
    centre = tracks.mean(axis=2)
    return float(np.linalg.norm(np.diff(centre, axis=1), axis=-1).sum(axis=1).mean())


def _side(text: str) -> str:
    return next((side for side, says in _ACROSS.items() if says.search(text.lower())), "")


def _goes(tracks: np.ndarray, sign: np.ndarray) -> float:
    centre = tracks.mean(axis=2)[..., 0]
    return 100.0 * float(np.mean((centre[:, -1] - centre[:, 0]) * sign > 0.0))
