"""What motion is made from: options of the task, and the condition of one motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from pydantic import Field

from raydance.data.signals import signal_of
from raydance.music.beat_clock import BeatClock
from raydance.music.features import MusicFeatures
from raydance.systems.everything2motion.clip_rows import SILENT_FRAMES
from raydance.systems.tasks import TaskOptions

MAX_SECONDS: Final = 600.0
MAX_SAMPLES: Final = 16


class GenerateOptions(TaskOptions):
    """How motion is made."""

    seconds: float | None = Field(
        default=None, gt=0.4, le=MAX_SECONDS, description="The song's, or as the words suggest"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Another seed, another motion")
    samples: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    genre: str | None = Field(default=None, max_length=100, description="Kind of dance")
    guidance: float | None = Field(default=None, ge=0.0, le=10.0)
    steps: int | None = Field(default=None, ge=1, le=100, description="Of the flow's sampler")
    clean_feet: bool = Field(
        default=True, description="Keep feet that stand from sliding, and bones at one length"
    )


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What one motion is told by.

    Attributes:
        text: a sentence, or none.
        music: features at the run's rate from the motion's first frame, or none.
        signals: values `[T', F]` of each further signal, likewise.
        genre: number of the kind of dance, -1 unknown.
        num_frames: T.
        seed: of the noise.
        before: `[G, K]` codes of patches that it goes on from.
    """

    num_frames: int
    text: str | None = None
    music: MusicFeatures | None = None
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)
    genre: int = -1
    seed: int = 0
    before: np.ndarray | None = None


def signal_columns(
    conditions: Sequence[Condition],
    clocks: Sequence[BeatClock],
    names: Sequence[str],
    num_given: int,
) -> dict[str, np.ndarray]:
    """Batch columns `NAME` and `has_NAME` of signals, after `num_given` ticks that are known."""
    longest = num_given + max(clock.num_ticks for clock in clocks)
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        signal, given = signal_of(name), [_signal(one, name) for one in conditions]
        has = np.array([values is not None for values in given])
        room = longest if has.any() else SILENT_FRAMES
        arrays[name] = np.zeros((len(given), room, len(signal.values)), dtype=np.float32)
        arrays[f"has_{name}"] = has
        for row, values, one, clock in zip(arrays[name], given, conditions, clocks):
            if values is not None:
                values = values[: one.num_frames]
                silence = np.zeros((one.num_frames - len(values), len(signal.values)))
                ticks = clock.to_ticks(np.concatenate([values, silence]), smooth=False)
                row[num_given : num_given + len(ticks)] = signal.scaled(ticks)
    return arrays


def _signal(condition: Condition, name: str) -> np.ndarray | None:
    """Values `[T', F]` of a signal, or None."""
    if name == "music":
        return condition.music.values if condition.music is not None else None
    return condition.signals.get(name)
