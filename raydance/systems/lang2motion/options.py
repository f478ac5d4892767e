"""Options of what a Lang2Motion run can do."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from raydance.systems.lang2motion.given import Place
from raydance.systems.tasks import TaskOptions

DEFAULT_SIZE: Final = (256, 256)
DEFAULT_SECONDS: Final = 3.0
MAX_SAMPLES: Final = 64


class FrameOptions(TaskOptions):
    """Where and how long tracks are."""

    seconds: float = Field(default=DEFAULT_SECONDS, gt=0.0, le=600.0)
    width: int = Field(default=DEFAULT_SIZE[0], ge=2, le=16_384, description="Frame, pixels")
    height: int = Field(default=DEFAULT_SIZE[1], ge=2, le=16_384, description="Frame, pixels")


class GenerateOptions(FrameOptions):
    """How tracks are made."""

    samples: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    spread: bool = Field(
        default=True, description="Several samples stand for many draws; else the first ones"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Another seed, another track")
    kind: Literal["sample", "expected", "alternatives"] = Field(
        default="sample",
        description="Draws, the expected path, or few paths of which one is near, likely first",
    )
    guidance: float | None = Field(default=None, ge=0.0, le=10.0)
    emphasis: float | None = Field(
        default=None, ge=0.0, le=10.0, description="How far left and right are taken at their word"
    )
    steps: int | None = Field(default=None, ge=1, le=100)
    go_on: int = Field(
        default=0, ge=0, le=1000, description="So many first frames of the tracks are kept"
    )
    through: list[Place] = Field(
        default_factory=list,
        max_length=20,
        description="Places of the centre: [seconds, x, y], in pixels",
    )

    @model_validator(mode="after")
    def _check_kind(self) -> GenerateOptions:
        """Refuse options that only drawn samples have a use for."""
        if self.kind != "sample":
            # A seed does no harm, and the page counts it on.
            given = self.model_dump(exclude={"kind", "seed", *FrameOptions.model_fields})
            usual = GenerateOptions().model_dump()
            unused = [name for name, value in given.items() if value != usual[name]]
            if unused:
                raise ValueError(
                    f"{', '.join(unused)}: for drawn samples alone, not for kind={self.kind}"
                )
        return self


class SearchOptions(TaskOptions):
    """What is looked for among the tracks of the run."""

    k: int = Field(default=5, ge=1, le=1000)


class ClassifyOptions(TaskOptions):
    """Names that a track is compared with."""

    labels: list[str] = Field(min_length=2, max_length=1000)
    prompt: str = Field(default="a person {}", description="{} stands for the label")
    k: int = Field(default=5, ge=1, le=1000)
