"""Rows of whole clips, of any length, as networks read them. No torch.

Dimensions: N rows, T frames, F values of a frame (`local_frames`) or features of music.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raydance.data.signals import signal_of
from raydance.motion import augment
from raydance.motion.local_frames import to_local
from raydance.music.beat_clock import BeatClock, most_ticks

GENRE_LABELS = ("genre", "dance", "style")
"""Labels that name the kind of a dance, in the order in which they are looked for."""

SILENT_FRAMES = 8
"""Frames of a signal in batches where no row has it."""


@dataclass(frozen=True, kw_only=True)
class ClipRows:
    """How stored clips become batch columns: `length`, `genre`, `local`, and of each signal
    `NAME` and `has_NAME`.

    Attributes:
        signals: of the run, and whether the dataset has each; without it no row does.
        beats_at_fps: frames per second of the rows, where those with music are to be sampled at the
            beats (`BeatClock`); else None.
        genres: names that `genre` counts from 0; any other is -1.
        mean, std: `[F]` of `local`, where it is wanted.
        mirror: probability that a training row is mirrored.
    """

    signals: Mapping[str, bool]
    beats_at_fps: float | None = None
    genres: tuple[str, ...] = ()
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    mirror: float = 0.5

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the dataset."""
        names = ["labels", "length"]
        names += [column for name in self._stored for column in (name, f"has_{name}")]
        names += ["motion", "joint_mask"] if self.mean is not None else []
        return tuple(names)

    @property
    def gives(self) -> tuple[str, ...]:
        """Batch columns."""
        local = ("local",) if self.mean is not None else ()
        heard = [column for name in self.signals for column in (name, f"has_{name}")]
        return ("length", "genre", *heard, *local)

    @property
    def _stored(self) -> list[str]:
        """Signals that the dataset has."""
        return [name for name, is_stored in self.signals.items() if is_stored]

    @property
    def augments(self) -> bool:
        """Whether training rows differ from what is stored."""
        return self.mirror > 0.0

    def mirror_flags(self, keys: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """`[N]` bool: rows that `training` mirrors."""
        return augment.uniforms(keys, seed=seed, epoch=epoch, stream=41) < self.mirror

    def training(
        self, rows: Mapping[str, Any], keys: np.ndarray, *, seed: int, epoch: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Batch columns, and which rows were mirrored, `[N]` bool."""
        flags = self.mirror_flags(keys, seed=seed, epoch=epoch)
        rows = self._sampled(rows)
        columns = self._columns(rows, mirrored=False)
        if self.mean is not None and flags.any():
            picked = {name: np.asarray(rows[name])[flags] for name in ("motion", "joint_mask")}
            local = np.array(columns["local"])
            local[flags] = self._local(picked, mirrored=True)
            columns["local"] = local
        return columns, flags

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """Batch columns of the rows as they are, or of all mirrored."""
        return self._columns(self._sampled(rows), mirrored=mirrored)

    def _sampled(self, rows: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.beats_at_fps is None or not self.signals.get("music"):
            return rows
        return at_beats(rows, self.beats_at_fps, self._stored)

    def _columns(self, rows: Mapping[str, Any], *, mirrored: bool) -> dict[str, np.ndarray]:
        num = len(rows["labels"])
        columns: dict[str, np.ndarray] = {
            "length": np.asarray(rows["length"], dtype=np.int64),
            "genre": np.array([self._genre(text) for text in rows["labels"]], dtype=np.int64),
        }
        for name, is_stored in self.signals.items():
            signal = signal_of(name)
            if is_stored:
                values, known = (
                    signal.scaled(np.asarray(rows[name])),
                    np.asarray(rows[f"has_{name}"]),
                )
            else:
                values = np.zeros((num, SILENT_FRAMES, len(signal.values)), dtype=np.float32)
                known = np.zeros(num, dtype=bool)
            columns |= {name: values, f"has_{name}": known}
        if self.mean is not None:
            columns["local"] = self._local(rows, mirrored=mirrored)
        return columns

    def _local(self, rows: Mapping[str, Any], *, mirrored: bool) -> np.ndarray:
        motion, mask = np.asarray(rows["motion"]), np.asarray(rows["joint_mask"])
        if mirrored:
            motion, mask = augment.mirror(motion, mask)
        assert self.mean is not None and self.std is not None
        return ((to_local(motion, mask) - self.mean) / self.std).astype(np.float32)

    def _genre(self, labels: str) -> int:
        return genre_number(genre_of(labels), self.genres)


def at_beats(
    rows: Mapping[str, Any], fps: float, signals: Sequence[str] = ("music",)
) -> dict[str, Any]:
    """Rows whose clips with music are sampled at its beats; all get room for `most_ticks`.

    Args:
        rows: `music [N, T, F]`, `has_music [N]` and `length [N]`, and `motion [N, T, J, 3]` where
            it is wanted.
        fps: of the rows.
        signals: further columns `[N, T, F]`, and music.
    """
    out = dict(rows)
    names = [name for name in ("motion", *signals) if name in rows]
    room = most_ticks(rows["music"].shape[1])
    for name in names:
        values = np.asarray(rows[name])
        out[name] = np.zeros((len(values), room, *values.shape[2:]), dtype=np.float32)
    out["length"] = np.array(rows["length"], dtype=np.int64)
    for i, (length, has_music) in enumerate(zip(rows["length"], rows["has_music"])):
        music = rows["music"][i][:length]
        clock = BeatClock.of_music(music, fps) if has_music else BeatClock.of_frames(len(music))
        out["length"][i] = num = min(clock.num_ticks, room)
        for name in names:
            sampled = clock.to_ticks(rows[name][i][:length], smooth=name == "motion")[:num]
            out[name][i, :num] = sampled
            out[name][i, num:] = sampled[-1] if name == "motion" else 0.0
    return out


def genre_of(labels: str) -> str:
    """The kind of a dance by its labels (JSON); empty where none names it."""
    known = json.loads(labels or "{}")
    return next((str(known[key]) for key in GENRE_LABELS if known.get(key)), "")


def genre_number(genre: str, genres: tuple[str, ...]) -> int:
    """The number of a genre, -1 where it is not among them."""
    return genres.index(genre) if genre in genres else -1
