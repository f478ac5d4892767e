"""Steering as plain data: the form of YAML files, of the HTTP API's JSON, and of their checks.

    loop: true
    keyframes:
      - {time_s: 1.0, clip: pose.bvh, clip_s: 0.4}
    paths:
      - {joint: pelvis, times_s: [0, 2], points: [[0, 0], [1, 1.5]]}
    timeline:
      - {begins_s: 2.0, text: sinks into a deep squat}

A clip is a motion file where files are read, or motion as the API gives it: `fps`, `joints`,
`parents` and `positions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raydance.config import parse_yaml
from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.systems.steering import JointPath, Keyframe, Steering

MAX_FRAMES: Final = 4_000
MAX_JOINTS: Final = 200
MAX_LENGTH_S: Final = 600.0

Time = Annotated[float, Field(ge=0.0, le=MAX_LENGTH_S, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Point = Annotated[list[Number], Field(min_length=2, max_length=3)]
_Position = Annotated[list[Number], Field(min_length=3, max_length=3)]
_Frame = Annotated[list[_Position], Field(min_length=1, max_length=MAX_JOINTS)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InlineMotion(_Model):
    """Motion given as numbers, as `/v1/generate` answers it: metres, y up."""

    fps: float = Field(gt=0.0, le=1000.0, allow_inf_nan=False)
    joints: list[Annotated[str, Field(max_length=200)]] = Field(max_length=MAX_JOINTS)
    parents: list[int] = Field(max_length=MAX_JOINTS)
    positions: list[_Frame] = Field(min_length=1, max_length=MAX_FRAMES)


ClipReference = InlineMotion | Annotated[str, Field(min_length=1, max_length=4000)]


class KeyframePlan(_Model):
    """A pose at a time; see `steering.Keyframe`."""

    time_s: Time = Field(description="In the motion that is made")
    clip: ClipReference = Field(description="Where the pose is from")
    clip_s: Time = Field(default=0.0, description="Seconds into the clip")
    placed: bool = Field(
        default=False, description="Also take the pose's place on the floor and its heading"
    )


class PathPlan(_Model):
    """Where a joint shall be; see `steering.JointPath`."""

    joint: str = Field(max_length=100, examples=["pelvis", "right_wrist"])
    times_s: list[Time] = Field(min_length=1, max_length=2_000)
    points: list[Point] = Field(
        min_length=1,
        max_length=2_000,
        description="[x, y, z] metres, or [x, z] on the floor; the motion begins at the origin "
        "and faces +z",
    )


class SentencePlan(_Model):
    """Words that hold from a time on."""

    begins_s: Time
    text: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]


class SteeringPlan(_Model):
    """What motion shall keep to; see `steering.Steering`."""

    keyframes: list[KeyframePlan] = Field(default_factory=list, max_length=100)
    paths: list[PathPlan] = Field(default_factory=list, max_length=20)
    loop: bool = Field(default=False, description="The end has the pose and velocity of the start")
    after: ClipReference | None = Field(default=None, description="Go on from this clip")
    before: ClipReference | None = Field(default=None, description="End in this clip's first pose")
    edit: ClipReference | None = Field(default=None, description="Change this clip")
    strength: float = Field(
        default=0.5, ge=0.0, le=1.0, description="Of the change: 0 none, 1 nothing is kept"
    )
    timeline: list[SentencePlan] = Field(default_factory=list, max_length=100)

    def steering(self, open_clip: Callable[[str], Clip]) -> Steering | None:
        """What it asks for, its timeline apart; None where that is nothing.

        Args:
            open_clip: opens a clip that is named rather than given.

        Raises:
            InputError: a clip that cannot be opened or makes no sense.
        """

        def clip(reference: InlineMotion | str | None, name: str) -> Clip | None:
            if reference is None:
                return None
            return open_clip(reference) if isinstance(reference, str) else _inline(reference, name)

        found = Steering(
            keyframes=tuple(
                Keyframe(
                    time_s=keyframe.time_s,
                    clip=_there(clip(keyframe.clip, f"keyframes[{i}].clip")),
                    clip_s=keyframe.clip_s,
                    placed=keyframe.placed,
                )
                for i, keyframe in enumerate(self.keyframes)
            ),
            paths=tuple(
                JointPath(joint=path.joint, times_s=tuple(path.times_s), points=_points(path, i))
                for i, path in enumerate(self.paths)
            ),
            loop=self.loop,
            after=clip(self.after, "after"),
            before=clip(self.before, "before"),
            edit=clip(self.edit, "edit"),
            strength=self.strength,
        )
        return None if found == Steering(strength=self.strength) else found

    def opened(self, open_clip: Callable[[str], Clip]) -> OpenPlan:
        """`steering` and `sentences` together; raises as `steering`."""
        return OpenPlan(steering=self.steering(open_clip), sentences=self.sentences())

    def sentences(self) -> tuple[tuple[float, str], ...]:
        """The timeline as `DanceLanguage.make` takes it."""
        return tuple((sentence.begins_s, sentence.text) for sentence in self.timeline)


@dataclass(frozen=True, kw_only=True)
class OpenPlan:
    """A plan with its clips opened, as tasks take it."""

    steering: Steering | None = None
    sentences: tuple[tuple[float, str], ...] = ()


def read_plan(path: Path) -> SteeringPlan:
    """A plan from a YAML (or JSON) file.

    Raises:
        InputError: missing, no YAML, or not of the form; names the key, its value and what is
            allowed.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a steering file ({error})") from None
    try:
        return SteeringPlan.model_validate(data if data is not None else {})
    except ValidationError as error:
        raise InputError(f"{path}: {_in_words(error)}") from None


def _in_words(error: ValidationError) -> str:
    first: Any = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    return f"{place}: {first['input']!r:.80}; {first['msg']}"


def _there(clip: Clip | None) -> Clip:
    assert clip is not None, "a keyframe has a clip"
    return clip


def _points(path: PathPlan, number: int) -> np.ndarray:
    if len({len(point) for point in path.points}) > 1:
        raise InputError(f"paths[{number}].points: some have two numbers and some three")
    return np.array(path.points, dtype=np.float64)


def _inline(motion: InlineMotion, name: str) -> Clip:
    num = len(motion.joints)
    if any(len(frame) != num for frame in motion.positions) or len(motion.parents) != num:
        raise InputError(f"{name}: {num} joints; parents and every frame need as many")
    if len(motion.positions) / motion.fps > MAX_LENGTH_S:
        raise InputError(
            f"{name}: {len(motion.positions)} frames at {motion.fps:g} a second; at most "
            f"{MAX_LENGTH_S:g} s"
        )
    if any(not -1 <= parent < i for i, parent in enumerate(motion.parents)):
        raise InputError(f"{name}.parents: each joint's parent comes before it, or is -1")
    return Clip(
        clip_id=name,
        source=name,
        fps=motion.fps,
        joint_names=tuple(motion.joints),
        parents=tuple(motion.parents),
        positions=np.array(motion.positions, dtype=np.float32),
    )
