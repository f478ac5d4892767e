"""The tasks of a run, declared: describe, generate, search; and how people read their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from raydance.motion.contacts import Report, clean_samples
from raydance.stages.motion_flow import MAX_GUIDANCE, MAX_STEPS
from raydance.systems.dance_language.answers import Segment
from raydance.systems.dance_language.generation import MAX_CANDIDATES, MAX_SAMPLES, GenerationResult
from raydance.systems.dance_language.writer_step import WrittenSegment
from raydance.systems.steering_plan import OpenPlan
from raydance.systems.tasks import (
    Answer,
    Input,
    MotionAnswer,
    TableAnswer,
    Task,
    TaskOptions,
    TaskRequest,
)

if TYPE_CHECKING:
    from raydance.systems.dance_language.run import DanceLanguage

NOT_CALIBRATED = (
    "the run was trained before runs knew how sure their answers are; train it again to have that "
    "said"
)


Seed = Annotated[int, Field(ge=0, le=2**31 - 1, description="Another seed, another motion")]
Steps = Annotated[int | None, Field(ge=1, le=MAX_STEPS, description="Of the flow's sampler")]
Guidance = Annotated[
    float | None,
    Field(
        ge=0,
        le=MAX_GUIDANCE,
        allow_inf_nan=False,
        description="How much the flow stresses the sentence: 1 as it was trained, above 1 more",
    ),
]
Candidates = Annotated[
    int | None,
    Field(
        ge=1,
        le=MAX_CANDIDATES,
        description="Motions that the flow makes for each sample; the one that fits best is kept",
    ),
]


class DescribeOptions(TaskOptions):
    """How motion is put into words."""

    k: int = Field(default=3, ge=1, le=1000, description="Captions for each part")
    written: bool = Field(
        default=False, description="New sentences by the run's caption writer, if it has one"
    )


class GenerateOptions(TaskOptions):
    """How motion is made; see `DanceLanguage.make`."""

    frames: int | None = Field(default=None, description="Length; a window by default")
    seed: Seed = 0
    samples: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    source: str | None = Field(
        default=None, max_length=100, description="flow, prior, cluster, nearest or clip"
    )
    steps: Steps = None
    guidance: Guidance = None
    candidates: Candidates = None
    clean_feet: bool = Field(
        default=True, description="Keep feet that stand from sliding, and bones at one length"
    )


class SearchOptions(TaskOptions):
    """What is looked for among the clips of the run."""

    k: int = Field(default=5, ge=1, le=1000)


def tasks_of(system: DanceLanguage) -> dict[str, Task]:
    """What a run can do, by name."""

    def each(answer: Callable[[DanceLanguage, TaskRequest], Answer]) -> Any:
        return lambda requests: [answer(system, request) for request in requests]

    text = Input(kind="text", help="a sentence about movement")
    motion = Input(kind="motion", help="a motion file")
    steering = Input(kind="steering", help="what the motion keeps to", is_optional=True)
    tasks = (
        Task(
            name="describe",
            help="Captions of a motion and of its windows",
            inputs={"motion": motion},
            output="table",
            Options=DescribeOptions,
            answer=each(_describe),
        ),
        Task(
            name="generate",
            help="Motion from a sentence; of a motion to start from, too",
            inputs={"text": text, "motion": _optional(motion), "steering": steering},
            output="motion",
            Options=GenerateOptions,
            answer=each(_generate),
        ),
        Task(
            name="search",
            help="The run's clips nearest to a sentence or to a motion",
            inputs={"text": _optional(text), "motion": _optional(motion)},
            output="table",
            Options=SearchOptions,
            answer=each(_search),
        ),
    )
    return {task.name: task for task in tasks}


def _optional(given: Input) -> Input:
    """An input that may be left out."""
    return replace(given, is_optional=True)


def _describe(system: DanceLanguage, request: TaskRequest) -> TableAnswer:
    clip, k = request.inputs["motion"], request.options.k
    facts = {"seconds": clip.duration_s}
    if request.options.written:
        written = system.write(clip, k)
        rows = [asdict(part) for part in written]
        return TableAnswer(rows=rows, facts=facts, lines=list(_written_lines(written)))
    segments = system.describe(clip, k)
    notices = system.notices(clip)
    lines = [f"{clip.source}: {clip.duration_s:.1f} s, {len(segments) - 1} windows", *notices]
    lines += _described_lines(system, segments)
    if not system.judge.is_calibrated:
        notices.append(NOT_CALIBRATED)
        lines.append(NOT_CALIBRATED)
    rows = [asdict(part) for part in segments]
    return TableAnswer(rows=rows, facts=facts, notices=notices, lines=lines)


def _written_lines(segments: Sequence[WrittenSegment]) -> Iterator[str]:
    for i, part in enumerate(segments):
        yield "the whole" if i == 0 else f"{part.start_s:.1f}-{part.end_s:.1f} s"
        for sentence in part.sentences:
            note = sentence.origin if sentence.novel else f"{sentence.origin}; a training caption"
            yield f"  {sentence.log_probability:6.2f}  {sentence.text}  [{note}]"


def _described_lines(system: DanceLanguage, segments: Sequence[Segment]) -> Iterator[str]:
    for i, part in enumerate(segments):
        what = "the whole" if i == 0 else f"{part.start_s:.1f}-{part.end_s:.1f} s"
        name = system.cluster_names.get(part.cluster)
        about = [f"cluster {part.cluster}{f', {name}' if name else ''}"]
        if part.is_unlike_training:
            about.append("unlike the training data: its captions say little")
        elif part.confidence is not None:
            about.append(f"the first caption is right with {part.confidence:.0%}")
        yield f"{what} ({'; '.join(about)})"
        for caption in part.captions:
            yield f"  {caption.text}{'  [derived from kinematics]' if caption.derived else ''}"


def _generate(system: DanceLanguage, request: TaskRequest) -> MotionAnswer:
    given = request.options.model_dump()
    samples, cleans = given.pop("samples"), given.pop("clean_feet")
    plan = request.inputs.get("steering") or OpenPlan()
    made = system.make(
        request.inputs["text"],
        num_samples=samples,
        clip=request.inputs.get("motion"),
        steering=plan.steering,
        timeline=plan.sentences,
        **given,
    )
    motion, reports = made.motion, list[Report]()
    if cleans and "constraints" not in made.facts:  # steered: clean already
        motion, reports = clean_samples(motion, system.fps, system.joint_mask)
    understood = asdict(made.understood) if made.understood is not None else None
    return MotionAnswer(
        motion=motion,
        joint_mask=system.joint_mask,
        fps=system.fps,
        facts={
            "made": made.facts,
            "understood_as": understood,
            "feet": [asdict(report) for report in reports],
        },
        notices=made.notices,
        lines=list(_made_lines(made, reports)),
    )


def _made_lines(made: GenerationResult, feet: Sequence[Report]) -> Iterator[str]:
    facts = made.facts
    told_notice = ""
    if made.understood is not None:
        yield f"  {made.understood.line}"
        told_notice = made.understood.notice
    yield from (f"  {notice}" for notice in made.notices if notice != told_notice)
    told = ("source", "constraints")
    settings = [f"{name} {value:g}" for name, value in facts.items() if name not in told]
    yield f"  made by: {', '.join([facts['source'], *settings])}"
    for constraint in facts.get("constraints", ()):
        yield f"  {_kept(constraint)}"
    yield from (f"  {report.line}" for report in feet if report.line)


def _kept(constraint: Mapping[str, Any]) -> str:
    """How well the motion keeps to a constraint, in words."""
    what = constraint["kind"]
    if "joint" in constraint:
        what += f" of {constraint['joint']}"
    if "time_s" in constraint:
        what += f" at {constraint['time_s']:g} s"
    said = f"{what}: {constraint['residual_cm']:.1f} cm off"
    if constraint.get("settled_cm", 0.0) >= 1.0:
        said += f", after a correction of {constraint['settled_cm']:.0f} cm"
    return said


def _search(system: DanceLanguage, request: TaskRequest) -> TableAnswer:
    hits = system.nearest(system.point_of(request.inputs), request.options.k)
    understood = None
    lines = [hit.line for hit in hits]
    if "text" in request.inputs:
        (understood,) = system.understand([request.inputs["text"]])
        lines.insert(0, understood.line)
    return TableAnswer(
        rows=[asdict(hit) for hit in hits],
        facts={"understood_as": asdict(understood) if understood else None},
        notices=[understood.notice] if understood and understood.notice else [],
        lines=lines,
    )
