"""What the API gives, typed: with `request_schema`, the source of its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Motion(BaseModel):
    """Joint positions over time: metres, y up; facing +z, the dancer's left is +x."""

    fps: float
    num_frames: int
    joints: list[str] = Field(description="Names of the J joints, of the canonical fifty")
    parents: list[int] = Field(description="Index of each joint's parent, -1 for the root")
    positions: list[list[list[float]]] = Field(description="[frames, joints, 3]")


class Converted(Motion):
    """A motion that was sent."""

    notices: list[str] = Field(description="What is doubtful about its body")


class Sample(Motion):
    """A motion that was made."""

    skate_before: float | None = Field(description="Foot skate before the clean-up, m/s")
    skate_after: float | None = Field(description="Foot skate after it, m/s")


class MadeBy(BaseModel):
    """How motion was made; settings are absent where the source has none."""

    source: str
    steps: int | None = Field(default=None, description="Of the flow's sampler")
    guidance: float | None = None
    candidates: int | None = None
    constraints: list[dict[str, Any]] | None = Field(
        default=None,
        description="Of each constraint its `kind`, `residual_cm` (what the motion misses it by) "
        "and `settled_cm` (what was corrected after sampling)",
    )


class UnderstoodAs(BaseModel):
    """How a sentence was understood."""

    caption: str = Field(description="The nearest caption of a training clip")
    similarity: float = Field(description="Cosine to it, in [-1, 1]")
    understanding: float | None = Field(
        description="How far the sentence lies within what the run learned, in [0, 1], from its "
        "words and the similarity; null for runs trained before they could tell"
    )
    unknown_words: list[str] = Field(description="Its words that no training caption has")
    notice: str = Field(
        description="What was not understood, such as a word that was never learned; else empty"
    )


class Generated(BaseModel):
    """Motion for a sentence."""

    model: str
    text: str
    seed: int
    notices: list[str] = Field(description="What the caller should know of the answer")
    made: MadeBy
    understood_as: UnderstoodAs
    samples: list[Sample]
    timings_ms: dict[str, float] = Field(
        description="Where the time went: text, motion, finish; total"
    )


class GeneratedMany(BaseModel):
    """Motion for several sentences, in their order."""

    model: str
    generations: list[Generated]


class Between(Sample):
    """A motion between two others."""

    share: float


class Interpolated(BaseModel):
    """Motions between two windows."""

    model: str
    samples: list[Between]


class Caption(BaseModel):
    """Words found for motion."""

    text: str
    score: float = Field(description="Cosine, in [-1, 1]: it ranks captions, no probability")
    cluster_verified: bool = Field(description="Whether the words occur in the motion's cluster")
    derived: bool = Field(description="Whether no person wrote these words")


class Segment(BaseModel):
    """A part of a clip with its captions, the best first."""

    start_s: float
    end_s: float
    cluster: int
    captions: list[Caption]
    confidence: float | None = Field(
        description="Probability that the first caption is right, calibrated on validation data; "
        "null where the motion is unlike the training data or the run has no calibration"
    )
    is_unlike_training: bool | None = Field(
        description="Whether the motion is unlike the training data, so that its captions say "
        "little; null where the run has no calibration"
    )


class Described(BaseModel):
    """The whole clip first, then each of its windows."""

    model: str
    file: str
    seconds: float
    notices: list[str] = Field(description="What the caller should know of the answer")
    segments: list[Segment]


class Hit(BaseModel):
    """A clip found, by its best window."""

    clip_id: str
    start_s: float
    end_s: float
    score: float
    captions: list[str]
    derived: list[bool] = Field(description="Of each caption, whether no person wrote it")
    labels: dict[str, str]
    split: str
    has_motion: bool = Field(description="Whether the service can show it")
    motion_url: str
    thumbnail_url: str


class Found(BaseModel):
    """Clips, the nearest first."""

    model: str
    notices: list[str] = Field(description="What the caller should know of the answer")
    understood_as: UnderstoodAs | None = Field(description="Null for a search by motion")
    hits: list[Hit]
    next_cursor: str | None = Field(description="Of the next page; null on the last one")


class Embedded(BaseModel):
    """Points of the shared space."""

    model: str
    metric: Literal["cosine", "euclidean"]
    width: int
    notices: list[str] = Field(description="What the caller should know of the answer")
    vectors: list[list[float]]
    start_s: list[float] | None = Field(
        default=None, description="For motion: where each vector's window begins"
    )


class ClipMotion(Motion):
    """A clip of a library."""

    clip_id: str
    start_s: float
    captions: list[str]


class Point(BaseModel):
    """A window on the map."""

    clip_id: str
    start_s: float
    end_s: float
    cluster: int
    x: float
    y: float
    caption: str


class Cluster(BaseModel):
    """A group of similar movement."""

    id: int
    description: str
    num_windows: int


class Map(BaseModel):
    """The latent space, seen from above."""

    model: str
    method: Literal["pca"]
    explained: list[float] = Field(description="Share of the variance along x and along y")
    points: list[Point] = Field(description="Of this page, spread evenly over the library")
    num_windows: int = Field(description="Of all pages")
    next_cursor: str | None = Field(description="Of the next page; null on the last one")
    clusters: list[Cluster]


class LibraryFacts(BaseModel):
    """A captioned library."""

    num_windows: int
    num_files: int


class FlowSettings(BaseModel):
    """Settings of a run's motion flow where nothing else is asked for."""

    steps: int
    guidance: float
    candidates: int


class TrainedOn(BaseModel):
    """The training clips of a run."""

    num_clips: int
    seconds: float
    movements: list[str] = Field(description="What is done in them, the commonest first")


class ModelFacts(BaseModel):
    """A served run."""

    name: str
    is_default: bool
    fps: float
    window: int
    stride: int
    metric: Literal["cosine", "euclidean"] = Field(description="Of the shared space")
    num_windows: int
    num_clips: int
    clusters: list[Cluster]
    sources: list[str] = Field(description="Allowed as `source` of a generation")
    default_source: str
    flow: FlowSettings | None = Field(description="Null where the run has no motion flow")
    max_frames: int
    library: LibraryFacts | None
    trained_on: TrainedOn


class LimitFacts(BaseModel):
    """What is refused beyond."""

    upload_bytes: int
    frames: int
    joints: int
    values: int = Field(description="Frames times joints")
    parse_seconds: float
    text_characters: int
    samples: int


class Formats(BaseModel):
    """Suffixes of files that can be read, and formats that motion is given in."""

    read: list[str]
    write: list[str] = Field(description="Without mp4 where the service has no ffmpeg")


class Models(BaseModel):
    """What is served."""

    version: str
    models: list[ModelFacts]
    limits: LimitFacts
    formats: Formats


class Status(BaseModel):
    """Whether the service is well."""

    status: Literal["ok"]
