"""What the API takes and gives, typed: the source of its OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from raydance.stages.motion_flow import MAX_GUIDANCE
from raydance.stages.motion_flow import MAX_STEPS as MAX_FLOW_STEPS
from raydance.systems.dance_language.generation import MAX_CANDIDATES
from raydance.systems.dance_language.steering_plan import SteeringPlan

MAX_TEXT: Final = 2000
"""Characters of a sentence."""

MAX_SAMPLES: Final = 8
MAX_HITS: Final = 100
MAX_TEXTS: Final = 64
MAX_CAPTIONS: Final = 20
MAX_STEPS: Final = 9
MAX_POINTS: Final = 5000
MAX_SEED: Final = 2**31 - 1

Format = Literal["json", "npz", "bvh", "glb", "gif", "mp4"]
"""What motion can be answered as."""

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
Model = Annotated[
    str | None, Field(default=None, max_length=200, description="A served run; the first if absent")
]


class _Strict(BaseModel):
    """Unknown keys are refused by name, and so is text where a number is needed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FileChanges(_Strict):
    """How motion is changed when it is written into a file; `names` is for bvh and glb."""

    start_s: Seconds | None = Field(default=None, description="The part that is kept")
    end_s: Seconds | None = None
    in_place: bool = Field(default=False, description="Stay on one spot of the floor")
    fps: float | None = Field(default=None, ge=1, le=240, allow_inf_nan=False)
    loop: bool = Field(default=False, description="Bring the last frame to the pose of the first")
    names: Literal["own", "mixamo"] = Field(default="own", description="Of joints")


class Generate(_Strict):
    """A sentence to be danced."""

    text: Text = Field(examples=["a dancer turns slowly"])
    frames: int | None = Field(default=None, ge=2, description="Length; or give `seconds`")
    seconds: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="Another seed, another motion")
    num_samples: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    source: Literal["flow", "prior", "cluster", "nearest"] | None = Field(
        default=None,
        description="Where motion comes from, one of the model's `sources`; its default if absent",
    )
    steps: int | None = Field(
        default=None, ge=1, le=MAX_FLOW_STEPS, description="Of the flow's sampler"
    )
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=MAX_GUIDANCE,
        allow_inf_nan=False,
        description="How much the flow stresses the sentence: 1 as it was trained, above 1 more",
    )
    candidates: int | None = Field(
        default=None,
        ge=1,
        le=MAX_CANDIDATES,
        description="Motions that the flow makes for each sample; the one that fits best is kept",
    )
    format: Format = Field(default="json", description="Files hold one sample")
    file: FileChanges | None = Field(default=None, description="Of a file; JSON stays as it is")
    clean_feet: bool = Field(
        default=True,
        description="Keep feet that stand from sliding; steered motion always does",
    )
    steering: SteeringPlan | None = Field(
        default=None,
        description="What the flow keeps to: keyframes, paths, a loop, clips, a timeline of "
        "sentences. Clips are motion as this route answers it",
    )
    model: Model

    def options(self) -> dict[str, Any]:
        """What the generator takes beside the sentence."""
        return self.model_dump(exclude={"text", "format", "file", "clean_feet", "model"})


class Search(_Strict):
    """A sentence to search with."""

    text: Text = Field(examples=["sharp kicks"])
    k: int = Field(default=5, ge=1, le=MAX_HITS)
    library: bool | None = Field(
        default=None, description="Search the captioned library; by default where there is one"
    )
    model: Model


class Embed(_Strict):
    """Sentences to be placed in the shared space."""

    texts: list[Text] = Field(min_length=1, max_length=MAX_TEXTS)
    model: Model


class Place(_Strict):
    """A window of a clip of the run's own library."""

    clip_id: str = Field(min_length=1, max_length=1000)
    start_s: Seconds = 0.0


class Interpolate(_Strict):
    """Two windows, and what lies between them in the latent space."""

    start: Place
    end: Place
    share: float | None = Field(
        default=None, ge=0, le=1, allow_inf_nan=False, description="0 the start, 1 the end"
    )
    steps: int | None = Field(default=None, ge=2, le=MAX_STEPS, description="Evenly spaced shares")
    clean_feet: bool = Field(default=True, description="Keep feet that stand from sliding")
    model: Model


class Motion(BaseModel):
    """Joint positions over time: metres, y up; facing +z, the dancer's left is +x."""

    fps: float
    num_frames: int
    joints: list[str] = Field(description="Names of the J joints, of the canonical fifty")
    parents: list[int] = Field(description="Index of each joint's parent, -1 for the root")
    positions: list[list[list[float]]] = Field(description="[frames, joints, 3]")


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
    notice: str = Field(description="What was not understood; empty where the sentence was")


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
    points: list[Point]
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
