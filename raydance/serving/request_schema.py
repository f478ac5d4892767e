"""What the API takes as JSON, typed, and how much of it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from raydance.errors import InputError
from raydance.serving.paging import MAX_CURSOR
from raydance.systems.dance_language.long_motion import MAX_SECONDS
from raydance.systems.dance_language.tasks import Candidates, Guidance, Seed, Steps
from raydance.systems.steering_plan import SteeringPlan

MAX_TEXT: Final = 2000
"""Characters of a sentence."""

MAX_SAMPLES: Final = 8
MAX_PROMPTS: Final = 16
MAX_MOTIONS: Final = 32
"""Sentences times samples of one request."""

MAX_HITS: Final = 100
MAX_TEXTS: Final = 64
MAX_CAPTIONS: Final = 20
MAX_STEPS: Final = 9
MAX_POINTS: Final = 5000

Format = Literal["json", "npz", "bvh", "glb", "gif", "mp4"]
"""What motion can be answered as."""

ArrayFormat = Literal["json", "npz"]
"""What points can be answered as."""

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
    """A sentence to be danced, or several."""

    text: Text | None = Field(
        default=None, description="Or give `texts`", examples=["a dancer turns slowly"]
    )
    texts: list[Text] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_PROMPTS,
        description=f"Several sentences, worked on together; with samples at most {MAX_MOTIONS} "
        "motions",
    )
    frames: int | None = Field(
        default=None,
        ge=2,
        description="Length, at most the model's `max_frames`; or give `seconds`",
    )
    seconds: float | None = Field(default=None, gt=0, le=MAX_SECONDS, allow_inf_nan=False)
    seed: Seed = 0
    num_samples: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    source: Literal["flow", "prior", "cluster", "nearest"] | None = Field(
        default=None,
        description="Where motion comes from, one of the model's `sources`; its default if absent",
    )
    steps: Steps = None
    guidance: Guidance = None
    candidates: Candidates = None
    format: Format = Field(
        default="json", description="Several samples or `texts` in another format are a zip"
    )
    file: FileChanges | None = Field(default=None, description="Of files; JSON stays as it is")
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
        return self.model_dump(exclude={"text", "texts", "format", "file", "clean_feet", "model"})

    def prompts(self) -> list[str]:
        """The sentences.

        Raises:
            InputError: none, both kinds, or too many motions.
        """
        if (self.text is None) == (self.texts is None):
            raise InputError("text or texts: one of them is needed")
        prompts = [self.text] if self.text is not None else list(self.texts or ())
        if len(prompts) * self.num_samples > MAX_MOTIONS:
            raise InputError(
                f"texts: {len(prompts)} of {self.num_samples} samples are "
                f"{len(prompts) * self.num_samples} motions; allowed: up to {MAX_MOTIONS}"
            )
        return prompts


class Search(_Strict):
    """A sentence to search with."""

    text: Text = Field(examples=["sharp kicks"])
    limit: int = Field(default=5, ge=1, le=MAX_HITS, description="Most hits of one page")
    cursor: str | None = Field(
        default=None, max_length=MAX_CURSOR, description="`next_cursor` of the page before"
    )
    library: bool | None = Field(
        default=None, description="Search the captioned library; by default where there is one"
    )
    model: Model


class Embed(_Strict):
    """Sentences to be placed in the shared space."""

    texts: list[Text] = Field(min_length=1, max_length=MAX_TEXTS)
    format: ArrayFormat = Field(default="json", description="npz: `vectors` as float32")
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
