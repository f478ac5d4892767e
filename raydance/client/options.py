"""What can be asked of each question beside its main argument; the service's own where absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class GenerateOptions(TypedDict, total=False):
    """Of a generation.

    Attributes:
        frames, seconds: the length; one of them.
        source: one of the model's `sources`: `flow`, `prior`, `cluster` or `nearest`.
        steps, guidance, candidates: of the source `flow` alone.
        clean_feet: keep feet that stand from sliding.
        steering: keyframes, paths, a loop, clips and a timeline, as the API's document has them.
    """

    frames: int | None
    seconds: float | None
    seed: int
    num_samples: int
    source: str | None
    steps: int | None
    guidance: float | None
    candidates: int | None
    clean_feet: bool
    steering: dict[str, Any] | None


class ReadingOptions(TypedDict, total=False):
    """Of an uploaded motion file, where it is silent or wrong.

    Attributes:
        fps: its true frame rate.
        units: `m`, `cm` and so on.
        up: the axis that points up.
    """

    fps: float
    units: str
    up: str


class SearchOptions(ReadingOptions, total=False):
    """Of a search; the fields of `ReadingOptions` for a motion file.

    Attributes:
        library: in the captioned library or not.
        cursor: `next_cursor` of the page before.
    """

    library: bool
    cursor: str


class PartOptions(TypedDict, total=False):
    """Of a clip of a library.

    Attributes:
        start_s, end_s: the part that is wanted.
        library: a clip of the captioned library.
    """

    start_s: float
    end_s: float
    library: bool


class TaskInputs(TypedDict, total=False):
    """Of a task (`raydance task`), as `Client.models` lists them; files are paths.

    Attributes:
        box: left, top, right, bottom, pixels.
        signals: files of further signals, by their names.
        fps: of the file that is sent.
    """

    text: str
    box: list[float]
    motion: Any
    music: Any
    tracks: Any
    mask: Any
    image: Any
    overlay: Any
    signals: Mapping[str, Any]
    fps: float
