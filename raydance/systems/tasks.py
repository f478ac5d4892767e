"""Tasks: what a finished run can do, declared so that the rest follows from the declaration.

The command line, the HTTP API, the Python client and the page's forms are made from a run's tasks:
their inputs, their options (a pydantic model) and the kind of what they answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from raydance.errors import InputError
from raydance.motion import joint_rotations, skeleton
from raydance.motion.clip import Clip, generated_clip
from raydance.motion.export import write_clip
from raydance.motion.export.written_file import Residual, WrittenFile
from raydance.plain_text import one_line
from raydance.tracks.export import write_track
from raydance.tracks.track import Track
from raydance.validation_messages import message_of

InputKind = Literal[
    "text", "motion", "music", "signal", "tracks", "box", "mask", "image", "overlay", "steering"
]
"""A sentence; a `Clip`; a file or `MusicFeatures`; a file of another signal, or its
values `[T, F]`; a `Track`; left, top,
right, bottom; a mask `[H, W]` bool; a picture `[H, W, 3]` uint8; pictures `[S, H, W, 3]` uint8; an
`OpenPlan`. Inputs that callers name are named by their kind, signals by their name."""


class TaskOptions(BaseModel):
    """Base of the options of a task: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a task.

    Attributes:
        is_learned: False where the run was trained without such inputs: it changes nothing.
    """

    kind: InputKind
    help: str
    is_optional: bool = False
    is_learned: bool = True


@dataclass(frozen=True, kw_only=True)
class TaskRequest:
    """What one caller wants of a task: inputs by name, and checked options."""

    inputs: Mapping[str, Any]
    options: Any


@dataclass(frozen=True, kw_only=True)
class MotionAnswer:
    """Motion of one or several samples.

    Attributes:
        motion: `[n, T, 50, 3]` metres, y up.
        joint_mask: `[50]` bool: joints that it has.
        rotations: `[n, T, 50, 6]` of those joints (`raydance.motion.joint_rotations`), where the
            run makes them.
        facts: how it was made.
        notices: what the caller should know.
        beats_s: times of the music's beats, seconds.
        lines: what people read in place of facts and notices.
    """

    motion: np.ndarray
    joint_mask: np.ndarray
    fps: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    notices: Sequence[str] = ()
    beats_s: Sequence[float] = ()
    lines: Sequence[str] = ()
    rotations: np.ndarray | None = None
    kind: Literal["motion"] = "motion"

    def as_clip(self, sample: int, name: str, caption: str = "") -> Clip:
        """One sample as a clip that writers take, with the joints it has.

        With rotations, joints are where those put them (`joint_rotations.posed`).
        """
        captions = (caption,) if caption else ()
        clip = generated_clip(self.motion[sample], self.joint_mask, self.fps, name, *captions)
        if self.rotations is None:
            return clip
        return joint_rotations.posed(clip, self.rotations[sample][:, self.joint_mask])

    @property
    def num_samples(self) -> int:
        """How many motions."""
        return len(self.motion)

    @property
    def num_frames(self) -> int:
        """Of each of them."""
        return self.motion.shape[1]

    def write(self, sample: int, path: Path, caption: str = "", **options: Any) -> WrittenFile:
        """Write one sample as a file of motion; `options` are those of `write_clip`."""
        clip = self.as_clip(sample, one_line(path.stem), caption)
        written = write_clip(path, clip, **options)
        if self.rotations is None:
            return written
        off = Residual.between(clip.positions, self.motion[sample][:, self.joint_mask])
        note = f"rotations as generated: joints are {off} from the generated positions"
        return WrittenFile(off, (note, *written.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain data and arrays."""
        kept = np.flatnonzero(self.joint_mask)
        samples = [{"positions": np.ascontiguousarray(one[:, kept])} for one in self.motion]
        for sample, one in zip(samples, self.rotations if self.rotations is not None else ()):
            sample["rotations"] = np.ascontiguousarray(one[:, kept])
        return {
            "kind": self.kind,
            "fps": self.fps,
            "joints": [skeleton.JOINTS[joint] for joint in kept],
            "parents": list(skeleton.parents_among(kept.tolist())),
            "samples": samples,
            "beats_s": list(self.beats_s),
            "facts": dict(self.facts),
            "notices": list(self.notices),
        }


@dataclass(frozen=True, kw_only=True)
class TracksAnswer:
    """2-D point tracks of one or several samples.

    Attributes:
        points: `[n, T, N, 2]` pixels, x right, y down.
        visible: `[n, T, N]` bool.
        frame_size: width and height, pixels.
        lines: as of `MotionAnswer`.
    """

    points: np.ndarray
    visible: np.ndarray
    frame_size: tuple[int, int]
    fps: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    notices: Sequence[str] = ()
    lines: Sequence[str] = ()
    kind: Literal["tracks"] = "tracks"

    def as_track(self, sample: int, name: str, caption: str = "") -> Track:
        """One sample as a track that writers take."""
        return Track(
            track_id=name,
            source="generated",
            points=self.points[sample],
            visible=self.visible[sample],
            frame_size=self.frame_size,
            fps=self.fps,
            captions=(caption,) if caption else (),
        )

    @property
    def num_samples(self) -> int:
        """How many tracks."""
        return len(self.points)

    @property
    def num_frames(self) -> int:
        """Of each of them."""
        return self.points.shape[1]

    def write(self, sample: int, path: Path, caption: str = "") -> WrittenFile:
        """Write one sample as a file of tracks."""
        write_track(path, self.as_track(sample, one_line(path.stem), caption))
        return WrittenFile()

    def to_dict(self) -> dict[str, Any]:
        """Plain data and arrays."""
        return {
            "kind": self.kind,
            "fps": self.fps,
            "frame_size": list(self.frame_size),
            "samples": [
                {"points": points, "visible": visible}
                for points, visible in zip(self.points, self.visible)
            ],
            "facts": dict(self.facts),
            "notices": list(self.notices),
        }


@dataclass(frozen=True, kw_only=True)
class TableAnswer:
    """Rows of named values, the best first: hits of a search, or labels with their scores.

    Attributes:
        lines: what people read in place of rows, facts and notices.
    """

    rows: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notices: Sequence[str] = ()
    lines: Sequence[str] = ()
    kind: Literal["table"] = "table"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kind": self.kind,
            "rows": [dict(row) for row in self.rows],
            "facts": dict(self.facts),
            "notices": list(self.notices),
        }


Answer = MotionAnswer | TracksAnswer | TableAnswer


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something that a finished run can do.

    Attributes:
        name: as in commands and routes, such as `generate`.
        output: the kind of its answers.
        Options: a subclass of `TaskOptions`.
        answer: answers requests together; one that fails raises for all.
    """

    name: str
    help: str
    inputs: Mapping[str, Input]
    output: Literal["motion", "tracks", "table"]
    Options: type[TaskOptions]
    answer: Callable[[Sequence[TaskRequest]], list[Answer]]

    def request(self, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> TaskRequest:
        """Check what a caller gave.

        Raises:
            InputError: an input that is missing or unknown, or an option that is not allowed.
        """
        given = {name: value for name, value in inputs.items() if value is not None}
        unknown = sorted(set(given) - set(self.inputs))
        if unknown:
            allowed = ", ".join(self.inputs)
            raise InputError(f"{self.name} takes no {unknown[0]}; it takes: {allowed}")
        for name, wanted in self.inputs.items():
            if name not in given and not wanted.is_optional:
                raise InputError(f"{self.name}: {name} is missing ({wanted.help})")
        try:
            checked = self.Options.model_validate(dict(options))
        except ValidationError as error:
            raise InputError(f"{self.name}: {_first_mistake(error, self.Options)}") from None
        return TaskRequest(inputs=given, options=checked)

    def describe(self) -> dict[str, Any]:
        """Plain data for clients and forms: inputs, options as a JSON schema, kind of answer."""
        return {
            "name": self.name,
            "help": self.help,
            "inputs": {
                name: {
                    "kind": one.kind,
                    "help": one.help,
                    "required": not one.is_optional,
                    "learned": one.is_learned,
                }
                for name, one in self.inputs.items()
            },
            "options": self.Options.model_json_schema(),
            "output": self.output,
        }


def _first_mistake(error: ValidationError, options: type[TaskOptions]) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"no option {name}; options: {', '.join(options.model_fields) or 'none'}"
    return f"{name}: {message_of(first)}" if name else message_of(first)


class LoadedSystem(Protocol):
    """A finished run, ready for work."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What it can do, by name."""

    def to(self, device: Any) -> Any:
        """Let its networks work on another device."""


@runtime_checkable
class WithLibrary(Protocol):
    """A run whose `search` names what can be shown."""

    def stored(self, name: str) -> Answer:
        """What a row of `search` names (its `id`).

        Raises:
            InputError: nothing of that name, or nothing of the library at hand.
        """


def task_of(system: LoadedSystem, name: str) -> Task:
    """A task of a run.

    Raises:
        InputError: the run has none of that name.
    """
    if name not in system.tasks:
        raise InputError(f"this run cannot {name}; it can: {', '.join(system.tasks)}")
    return system.tasks[name]
