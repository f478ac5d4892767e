"""Unbroken motion of clips, and the rows that are cut from it as a shard is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from raydance.data.signals import signal_of
from raydance.motion import joint_rotations, windows
from raydance.motion.skeleton import NUM_JOINTS

if TYPE_CHECKING:
    from raydance.data.ingest import Settings

MAX_SPEED_M_S: Final = 60.0
"""Faster than any joint of a dancer: motion is never cut across such a jump."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Unbroken motion of a clip and where its windows begin.

    Attributes:
        clip: the clip's row.
        motion: `[T, 50, 3]` float32, metres, at the dataset's rate.
        joint_mask: `[50]` bool.
        begin_s: time of the first frame, from the clip's begin.
        starts: `[N]` first frames of rows in `motion`.
        lengths: `[N]` frames of each row before it is padded.
        signals: values `[T', F]` at the dataset's rate, from the clip's first frame, of each signal
            that it has.
        rotations: `[T, 50, 6]` of `motion` (`raydance.motion.joint_rotations`), where they are kept
            and the source has them.
    """

    clip: dict[str, Any]
    motion: np.ndarray
    joint_mask: np.ndarray
    begin_s: float
    starts: np.ndarray
    lengths: np.ndarray
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)
    rotations: np.ndarray | None = None

    def part(self, first: int, end: int | None) -> Piece:
        """Only the rows `first:end`."""
        return replace(self, starts=self.starts[first:end], lengths=self.lengths[first:end])


def cut(piece: Piece, settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows `[N, L, 50, 3]`, masks `[N, 50]` and start times `[N]` (seconds) of a piece."""
    motion = piece.motion[_frames_of(piece, settings)]
    masks = np.repeat(piece.joint_mask[None], len(motion), axis=0)
    times = piece.begin_s + piece.starts / settings.fps
    return windows.normalise_window(motion, masks), masks, times


def split_off(pieces: Sequence[Piece], count: int) -> tuple[list[Piece], list[Piece]]:
    """The first `count` windows, or all that there are, and the rest."""
    first: list[Piece] = []
    for i, piece in enumerate(pieces):
        if len(piece.starts) > count:
            rest = [piece.part(count, None), *pieces[i + 1 :]]
            return ([*first, piece.part(0, count)] if count else first), rest
        first.append(piece)
        count -= len(piece.starts)
    return first, []


def columns_of(pieces: Sequence[Piece], settings: Settings) -> dict[str, Any]:
    """The columns of a shard that holds the rows of some pieces."""
    motion, masks, times = (
        np.concatenate(parts) for parts in zip(*(cut(piece, settings) for piece in pieces))
    )
    clips = [piece.clip for piece in pieces for _ in piece.starts]
    lengths = np.concatenate([piece.lengths for piece in pieces])
    is_padded = settings.whole_clips or bool((lengths < settings.window).any())
    rate = settings.fps
    return {
        "window_id": [f"{c['clip_id']}@{round(t * rate)}" for c, t in zip(clips, times)],
        "clip_id": [clip["clip_id"] for clip in clips],
        "recording": [clip["recording"] for clip in clips],
        "source": [clip["source"] for clip in clips],
        "split": [clip["split"] for clip in clips],
        "start_s": times.tolist(),
        "end_s": (times + lengths / rate).tolist(),
        "motion": motion,
        "joint_mask": masks,
        **({"length": lengths.astype(np.int64)} if is_padded else {}),
        **(_rotation_columns(pieces, settings) if settings.rotations else {}),
        **_signal_columns(pieces, settings),
        "captions": [clip["captions"] for clip in clips],
        "labels": [clip["labels"] for clip in clips],
    }


def _rotation_columns(pieces: Sequence[Piece], settings: Settings) -> dict[str, np.ndarray]:
    """Rotations `[N, L, 50, 6]` of each row, turned as its motion is, and which rows have them."""
    rows, known = [], []
    for piece in pieces:
        known += [piece.rotations is not None] * len(piece.starts)
        if piece.rotations is None:
            rows.append(np.zeros((len(piece.starts), settings.window, NUM_JOINTS, 6), np.float32))
            continue
        angle = windows.heading(piece.motion[piece.starts], piece.joint_mask)
        found = piece.rotations[_frames_of(piece, settings)]
        rows.append(joint_rotations.turned(found, -angle[:, None]))
    return {"rotations": np.concatenate(rows), "has_rotations": np.array(known)}


def _frames_of(piece: Piece, settings: Settings) -> np.ndarray:
    """`[N, L]`: frames of each row; what is shorter than a window holds its last one to the end."""
    steps = np.minimum(np.arange(settings.window), piece.lengths[:, None] - 1)
    return piece.starts[:, None] + steps


def _signal_columns(pieces: Sequence[Piece], settings: Settings) -> dict[str, np.ndarray]:
    """Values `[N, L, F]` of each signal, zero after its end, and which rows have it."""
    columns: dict[str, np.ndarray] = {}
    for name in settings.places:
        rows, known = [], []
        for piece in pieces:
            found = piece.signals.get(name)
            for start, length in zip(piece.starts, piece.lengths):
                values = np.zeros((settings.window, len(signal_of(name).values)), dtype=np.float32)
                part = values[:0]
                if found is not None:
                    first = round(piece.begin_s * settings.fps) + int(start)
                    part = found[first : first + int(length)]
                values[: len(part)] = part
                known.append(len(part) > 0)
                rows.append(values)
        columns |= {name: np.stack(rows), f"has_{name}": np.array(known)}
    return columns


def pieces_of(
    positions: np.ndarray,
    joint_mask: np.ndarray,
    fps: float,
    clip: dict[str, Any],
    settings: Settings,
    rotations: np.ndarray | None = None,
) -> tuple[list[Piece], int]:
    """The parts of a clip that hold windows, and the number of jumps in it.

    Args:
        positions: `[T, J, 3]` metres at `fps`; joint_mask: `[J]`.
        clip: its row of the table of clips.
        rotations: `[T, J, 6]` at `fps`, where the clip has them.
    """
    ranges = windows.unbroken_pieces(positions, fps, MAX_SPEED_M_S)
    pieces = []
    for first, end in ranges:
        motion = windows.resample(positions[first:end], fps, settings.fps)
        starts, lengths = settings.rows_of(len(motion))
        if len(starts):
            pieces.append(
                Piece(
                    clip=clip,
                    # A copy where it is a view: the file's other frames must not stay in memory.
                    motion=motion.copy() if motion.base is not None else motion,
                    joint_mask=joint_mask,
                    begin_s=first / fps,
                    starts=starts,
                    lengths=lengths,
                    rotations=None
                    if rotations is None
                    else joint_rotations.resampled(rotations[first:end], fps, settings.fps),
                )
            )
    return pieces, len(ranges) - 1


def why_none(positions: np.ndarray, fps: float, settings: Settings) -> str:
    """Why a motion that `pieces_of` finds no windows in has none."""
    what = "the shortest clip" if settings.whole_clips else "one window"
    need = f"{what} is {settings.shortest / settings.fps:.2f} s"
    pieces = windows.unbroken_pieces(positions, fps, MAX_SPEED_M_S)
    if len(pieces) == 1:
        return f"{len(positions) / fps:.2f} s; {need}"
    longest = max(end - first for first, end in pieces)
    return (
        f"joints jump {len(pieces) - 1} times, faster than {MAX_SPEED_M_S:g} m/s (first after "
        f"frame {pieces[0][1] - 1}); the longest motion between jumps is {longest / fps:.2f} s, "
        f"{need}"
    )
