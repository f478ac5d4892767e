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
from raydance.motion import augment, joint_rotations, windows
from raydance.motion.clip import Clip
from raydance.motion.local_frames import NUM_PLACES, to_local, values_known
from raydance.motion.mapping import map_to_canonical
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
        rotations: whether `local` has rotations; those that a row lacks are the mean.
        mirror: probability that a training row is mirrored.
    """

    signals: Mapping[str, bool]
    beats_at_fps: float | None = None
    genres: tuple[str, ...] = ()
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    rotations: bool = False
    mirror: float = 0.5

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the dataset."""
        names = ["labels", "length"]
        names += [column for name in self._stored for column in (name, f"has_{name}")]
        names += motion_columns(self.rotations) if self.mean is not None else []
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
            names = motion_columns(self.rotations)
            picked = {name: np.asarray(rows[name])[flags] for name in names}
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
        assert self.mean is not None and self.std is not None
        local, is_known = local_of(rows, mirrored=mirrored)
        is_known[:, :NUM_PLACES] = True  # absent joints are zero, not the mean
        scaled = (local - self.mean) / self.std
        return np.where(is_known[:, None], scaled, 0.0).astype(np.float32)

    def _genre(self, labels: str) -> int:
        return genre_number(genre_of(labels), self.genres)


def motion_columns(rotations: bool) -> list[str]:
    """Columns of the dataset that `local_of` reads."""
    return ["motion", "joint_mask", *(("rotations", "has_rotations") if rotations else ())]


def local_of(rows: Mapping[str, Any], *, mirrored: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Values of frames `[N, T, F]` of stored rows, and which of them those have, `[N, F]` bool.

    Args:
        rows: the `motion_columns`; frames have rotations where those are among them.
        mirrored: whether left and right are swapped.
    """
    motion, mask = np.asarray(rows["motion"]), np.asarray(rows["joint_mask"])
    rotations = rows.get("rotations")
    if mirrored:
        motion, mask = augment.mirror(motion, mask)
        rotations = None if rotations is None else joint_rotations.mirrored(rotations)
    turning = None if rotations is None else mask & np.asarray(rows["has_rotations"])[:, None]
    return to_local(motion, mask, rotations), values_known(mask, turning)


def clip_row(clip: Clip, fps: float, frames: np.ndarray, rotations: bool) -> dict[str, np.ndarray]:
    """One row of the `motion_columns` of a clip.

    Args:
        frames: `[K]` places, in frames at `fps`, that are sampled.

    Raises:
        InputError: a skeleton that cannot be mapped.
    """
    mapped = map_to_canonical(clip)
    first, mask = int(frames[0]), mapped.joint_mask[None]
    motion = windows.resample(mapped.positions, clip.fps, fps)[None, first:].astype(np.float32)
    ticks = BeatClock(frame_of_tick=frames - first, tick_of_frame=np.zeros(0))
    row = {"motion": ticks.to_ticks(windows.normalise_window(motion, mask)[0])[None]}
    row["joint_mask"] = mask
    if rotations:
        six = joint_rotations.canonical_rotations(clip, mapped)
        row["has_rotations"] = np.array([six is not None])
        row["rotations"] = np.zeros((*row["motion"].shape[:3], 6), dtype=np.float32)
        if six is not None:
            faced = windows.heading(motion[0, 0], mask[0])
            six = joint_rotations.resampled(six, clip.fps, fps)[first:]
            row["rotations"][0] = ticks.to_ticks(joint_rotations.turned(six, -faced))
    return row


def at_beats(
    rows: Mapping[str, Any], fps: float, signals: Sequence[str] = ("music",)
) -> dict[str, Any]:
    """Rows whose clips with music are sampled at its beats; all get room for `most_ticks`.

    Args:
        rows: `music [N, T, F]`, `has_music [N]` and `length [N]`, and `motion [N, T, J, 3]` and
            `rotations` where they are wanted.
        fps: of the rows.
        signals: further columns `[N, T, F]`, and music.
    """
    out = dict(rows)
    moving = ("motion", "rotations")
    names = [name for name in (*moving, *signals) if name in rows]
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
            sampled = clock.to_ticks(rows[name][i][:length], smooth=name in moving)[:num]
            out[name][i, :num] = sampled
            out[name][i, num:] = sampled[-1] if name in moving else 0.0
    return out


def genre_of(labels: str) -> str:
    """The kind of a dance by its labels (JSON); empty where none names it."""
    known = json.loads(labels or "{}")
    return next((str(known[key]) for key in GENRE_LABELS if known.get(key)), "")


def genre_number(genre: str, genres: tuple[str, ...]) -> int:
    """The number of a genre, -1 where it is not among them."""
    return genres.index(genre) if genre in genres else -1
