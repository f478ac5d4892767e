"""The figures of Lang2Motion's tables: recall, displacement, TAP-Vid's, similarity, smoothness.

What the paper leaves open is read as follows: the gallery is all test tracks, every sentence of
theirs is a query, and all tracks that have it are right; displacements are per point, in pixels of
a frame of 256 x 256 and normalised to [-1, 1]; nothing predicts visibility, so all points are
called visible; similarity is the cosine of a track, by an encoder without overlays, with its first
sentence.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any, Final

import numpy as np

from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.evaluation.lang2motion import chance, described, nearest_sentences, read_split, recall
from raydance.metrics import tracks as metrics
from raydance.systems.lang2motion.autoencoder_run import AutoencoderLang2Motion
from raydance.systems.lang2motion.clip_steps import OVERLAYS
from raydance.systems.lang2motion.run import Lang2Motion

KS: Final = (1, 3, 5, 10)
SCALE: Final = 128.0
"""Pixels at 256 of one normalised unit."""

_TIMED: Final = 10
_AT_ONCE: Final = 256

Figures = dict[str, float]


class TrackFigures:
    """A run and the test tracks of its dataset.

    Attributes:
        real: `[B, T, N, 2]` in [-1, 1]; `visible`: `[B, T, N]`.
        told: the first sentence of each track.
        sentences: all of them, each once; `right`: `[S, B]` bool, which track has which.
    """

    def __init__(self, system: Lang2Motion, split: str = "test") -> None:
        self.system, self.split = system, split
        self.dataset = Dataset.open(system.run.facts["dataset"]["path"])
        self.rows = described(read_split(self.dataset, split))
        self.real, self.visible = self.rows["tracks"], self.rows["visible"]
        self.told = [words[0] for words in self.rows["captions"]]
        self.sentences = list(dict.fromkeys(s for words in self.rows["captions"] for s in words))
        self.right = np.array(
            [[text in words for words in self.rows["captions"]] for text in self.sentences]
        )

    # Search

    @cached_property
    def points(self) -> np.ndarray:
        """Points `[S, Z]` of all sentences."""
        return self._placed(self.sentences)

    @cached_property
    def told_points(self) -> np.ndarray:
        """Points `[B, Z]` of the first sentence of each track."""
        return self.points[[self.sentences.index(text) for text in self.told]]

    def _placed(self, texts: list[str]) -> np.ndarray:
        parts = range(0, len(texts), _AT_ONCE)
        return np.concatenate([self.system.place_texts(texts[i : i + _AT_ONCE]) for i in parts])

    def recall(self, track_points: np.ndarray | None = None) -> tuple[list[float], list[float]]:
        """R@1, 3, 5, 10 in percent, from sentences to tracks and back.

        Args:
            track_points: `[B, Z]`; by default where the encoder places the tracks alone.
        """
        if track_points is None:
            track_points = self.system.place_tracks(self.real, self.visible)
        return self._recall(self.points @ track_points.T)

    def _recall(self, scores: np.ndarray) -> tuple[list[float], list[float]]:
        there = [recall(scores, self.right, k) for k in KS]
        return there, [recall(scores.T, self.right.T, k) for k in KS]

    def recall_of_copies(self) -> tuple[list[float], list[float]]:
        """As `recall`, with the training track of the nearest sentence in a sentence's place."""
        training = read_split(self.dataset, "train")
        found = nearest_sentences(self.system, training, self.sentences)[:, 0]
        place = self.system.place_tracks
        copies = place(training["tracks"][found], training["visible"][found])
        scores = copies @ place(self.real, self.visible).T
        return self._recall(scores)

    def chance(self) -> tuple[list[float], list[float]]:
        """What drawing at random gives, as `recall`."""
        return _chances(self.right), _chances(self.right.T)

    # Overlays, of runs of the paper's way

    @cached_property
    def overlays(self) -> np.ndarray:
        """The CLIP's features `[B, T, Z]` of the drawn tracks, as the run keeps them."""
        folder, found = self.system.run.columns(OVERLAYS), []
        for shard in self.dataset.shards(self.split):
            rows = read_columns(folder / f"{shard.name}.parquet", ["overlay_features"])
            found.append(np.asarray(rows["overlay_features"]))
        features = np.concatenate(found)
        captions = read_split(self.dataset, self.split)["captions"]
        kept: np.ndarray = described({"captions": captions, "features": features})["features"]
        return kept

    @cached_property
    def pictures(self) -> np.ndarray:
        """Mean features `[B, Z]` of the drawn tracks, of length 1."""
        return _unit(self.overlays.mean(axis=1))

    # Generation

    @cached_property
    def copies(self) -> np.ndarray:
        """`[B, T, N, 2]`: the training track of the nearest sentence, moved to the start."""
        training = read_split(self.dataset, "train")
        nearest = nearest_sentences(self.system, training, self.told)[:, 0]
        copied = training["tracks"][nearest]
        moved: np.ndarray = copied - copied[:, :1] + self.real[:, :1]
        return moved

    def of(self, made: np.ndarray) -> Figures:
        """Figures of tracks `[B, T, N, 2]` that start where the real ones do."""
        tapvid = metrics.tapvid(
            SCALE * (made + 1.0),
            SCALE * (self.real + 1.0),
            predicted_visible=np.ones(self.visible.shape, dtype=bool),
            true_visible=self.visible,
        )
        away, last = metrics.ade(made, self.real), metrics.fde(made, self.real)
        return {
            "aj": float(np.nanmean(tapvid["average_jaccard"])),
            "oa": float(np.mean(tapvid["occlusion_accuracy"])),
            "ade_px": SCALE * away,
            "fde_px": SCALE * last,
            "ade": away,
            "fde": last,
            "smooth": metrics.smoothness(made),
        }

    def similarity(self, made: np.ndarray) -> float:
        """Mean cosine of tracks `[B, T, N, 2]` with their first sentence, in this run's space."""
        points = self.system.place_tracks(made, np.ones(made.shape[:3], dtype=bool))
        return float((points * self.told_points).sum(axis=1).mean())

    def from_sentences(self) -> np.ndarray:
        """The one answer to each first sentence: the expected path, or what is decoded."""
        return self.system.expected(self.system.prompt(self.told, self.real[:, 0]))

    def nearest_of(self, samples: np.ndarray) -> np.ndarray:
        """Of samples `[K, B, T, N, 2]` the one nearest to each real track."""
        error = np.linalg.norm(samples - self.real, axis=-1).mean(axis=(2, 3))
        return samples[error.argmin(axis=0), np.arange(len(self.real))]

    def median_s(self, **options: Any) -> float:
        """Seconds from a sentence and a box to one track, median of some after a first one."""
        task, times = self.system.tasks["generate"], []
        for number in range(_TIMED + 1):
            text = self.sentences[number % len(self.sentences)]
            started = time.perf_counter()
            task.answer([task.request({"text": text}, options)])
            times.append(time.perf_counter() - started)
        return float(np.median(times[1:]))


def decoded(figures: TrackFigures, latents: np.ndarray, *, forced: bool = False) -> np.ndarray:
    """What a run of the paper's way decodes from points `[B, Z]` of its space and the starts.

    Args:
        forced: each frame goes on from the true one before it, as in training.
    """
    import torch

    system = figures.system
    assert isinstance(system, AutoencoderLang2Motion)
    latent, start, real = (
        torch.from_numpy(np.array(values, dtype=np.float32)).to(system.device)
        for values in (latents, figures.real[:, 0], figures.real)
    )
    with torch.inference_mode():
        made = system.autoencoder.decode(latent, start, real if forced else None)
    found: np.ndarray = made.cpu().numpy()
    return found


def with_overlays(figures: TrackFigures) -> np.ndarray:
    """Points `[B, Z]` of the test tracks where the encoder sees their overlays, too."""
    import torch

    system = figures.system
    assert isinstance(system, AutoencoderLang2Motion)
    tracks, features = (
        torch.from_numpy(np.array(values, dtype=np.float32)).to(system.device)
        for values in (figures.real, figures.overlays)
    )
    with torch.inference_mode():
        points: np.ndarray = system.autoencoder.encode(tracks, features).cpu().numpy()
    return _unit(points)


def _unit(points: np.ndarray) -> np.ndarray:
    unit: np.ndarray = points / np.maximum(np.linalg.norm(points, axis=-1, keepdims=True), 1e-12)
    return unit


def _chances(right: np.ndarray) -> list[float]:
    counts, size = right.sum(axis=1), right.shape[1]
    return [100.0 * float(np.mean([chance(int(n), size, k) for n in counts])) for k in KS]
