"""The service of runs of every system: every task is a route, made from its declaration.

Uploaded files are read in processes of their own, as motion is in the other service, with whose
limits, keys, errors and backends. (Runs of Dance-Language alone have a service with routes of their
own: `raydance.serving.app`.)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData

from raydance.data.signals import SIGNALS
from raydance.errors import InputError
from raydance.motion.formats import SUFFIXES as MOTION_SUFFIXES
from raydance.serving import bounds, progress, replies
from raydance.serving.application import Settings, assemble
from raydance.serving.backend import Backend, InProcess
from raydance.serving.context import ClipId, Context, ModelName, context_of, json_body, refused
from raydance.serving.docs import json_or_form
from raydance.serving.form import READING, fields_of, values_of
from raydance.serving.problems import Changed, Problem
from raydance.serving.request_schema import FileChanges
from raydance.serving.runs import Entry, RunCache, named_run
from raydance.serving.task_part import Tasks, check_values
from raydance.serving.uploads import Uploads
from raydance.systems.tasks import Answer, MotionAnswer, TableAnswer, TracksAnswer
from raydance.tracks.formats import SUFFIXES as TRACKS_SUFFIXES
from raydance.tracks.pictures import SUFFIXES as PICTURE_SUFFIXES
from raydance.version import VERSION

FORMATS: Final[Mapping[str, Mapping[str, str]]] = {
    "motion": {name: kind for name, kind in replies.FORMATS.items() if name != "json"},
    "tracks": {
        "npz": "application/octet-stream",
        "svg": "image/svg+xml",
        "gif": "image/gif",
        "mp4": "video/mp4",
    },
    "table": {},
}
"""Output of a task -> formats of a file that it can be had in, with their media types."""

_LONGEST_TEXT: Final = 4000


class TaskBody(BaseModel):
    """A request without files."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(default=None, max_length=200, description="A served run")
    text: str | None = Field(default=None, max_length=_LONGEST_TEXT)
    box: list[float] | None = Field(
        default=None, min_length=4, max_length=4, description="Left, top, right, bottom, pixels"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="As /v1/models lists them")
    format: str = Field(default="json", max_length=10, description="json, or a file's format")
    file: FileChanges | None = Field(
        default=None, description="Of files of motion; JSON stays as it is"
    )
    sample: int = Field(default=0, ge=0, le=1000, description="Which sample a file holds")


_FIELDS: Final = fields_of(TaskBody, "model", "text", "format", "sample")
_TEXT: Final = {"type": "string", "maxLength": 4096}
_IN_JSON: Final = {
    "options": {**_TEXT, "default": "{}"},
    "file": {**_TEXT, "default": "null"},
    "box": {**_TEXT, "maxLength": 200},
}
"""Fields of a form whose texts are numbers or JSON."""

_READING: Final = {"fps": READING["fps"]}
_TEXTS: Final = {**_FIELDS, **_IN_JSON, **_READING}


@dataclass
class _Runs(Context):
    """The service behind the routes, and what its runs can do."""

    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def ready(self) -> None:
        """Load all runs."""
        await self.backend.ready()
        if not self.known:
            await self.facts()

    async def facts(self) -> dict[str, dict[str, Any]]:
        """See `Tasks.facts`."""
        self.known = await self.backend.ask(Tasks.facts)
        return self.known

    async def of(self, model: str | None) -> dict[str, Any]:
        """Facts of a run by the name that a caller gives.

        Raises:
            NotHere: no such run.
        """
        is_known = bool(self.known) if model is None else model in self.known
        return named_run(self.known if is_known else await self.facts(), model)


def create_task_app(
    entries: Sequence[Entry],
    settings: Settings,
    report: Callable[[str], None] = lambda line: None,
    backend: Callable[[], Backend] | None = None,
) -> FastAPI:
    """The application.

    Args:
        report: told what is being loaded.
        backend: makes what answers; in this process where None.
    """

    def in_process() -> Backend:
        cache = RunCache(entries, len(entries), Tasks.load)
        return InProcess(cache, {", ".join(cache.entries): Tasks}, report=report)

    def start(app: FastAPI, uploads: Uploads) -> Callable[[], Awaitable[None]]:
        app.state.context = _Runs((backend or in_process)(), uploads, settings.limits)
        ready: Callable[[], Awaitable[None]] = app.state.context.ready
        return ready

    return assemble([_router(settings)], settings, start, job_names=("tasks/",), bodies=(TaskBody,))


_Served = Annotated[_Runs, Depends(context_of)]


def _file_inputs() -> dict[str, tuple[str, ...]]:
    """Inputs of tasks that are files, each signal among them, and their suffixes."""
    return {
        "motion": tuple(MOTION_SUFFIXES),
        **{name: signal.suffixes for name, signal in SIGNALS.items()},
        "tracks": tuple(TRACKS_SUFFIXES),
        "mask": (".png",),
        "image": PICTURE_SUFFIXES,
        "overlay": PICTURE_SUFFIXES,
    }


def _router(settings: Settings) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["tasks"])
    files = _file_inputs()

    @router.get("/models")
    async def models(runs: _Served) -> dict[str, Any]:
        """What is served: the tasks of each run, their inputs and options as JSON schemas."""
        found = []
        for name, run in (await runs.facts()).items():
            tasks = [
                task | {"formats": ["json", *FORMATS[task["output"]]]}
                for task in run["tasks"].values()
            ]
            found.append({"name": name, "system": run["system"], "tasks": tasks})
        limits = asdict(settings.limits) | {"text_characters": _LONGEST_TEXT}
        return {"version": VERSION, "models": found, "files": files, "limits": limits}

    @router.post("/tasks/{name}", openapi_extra=json_or_form(TaskBody, _TEXTS, files))
    async def task(name: str, request: Request, runs: _Served) -> Response:
        """Do a task: JSON (`TaskBody`), or a form with the same fields and files."""
        if not bounds.is_form(request.headers):
            body = await json_body(request, TaskBody)
            inputs = {"text": body.text, "box": tuple(body.box) if body.box else None}
            return await _answer(runs, name, body, inputs)
        uploads = runs.uploads
        async with uploads.form_of(request, tuple(files), tuple(_TEXTS)) as form:
            body = _body_of(form)
            run = await runs.of(body.model)
            inputs = {"text": body.text, "box": tuple(body.box) if body.box else None}
            options = values_of(form, _READING)
            for kind, suffixes in files.items():
                reading = options | {"run_fps": run["fps"]}
                inputs[kind] = await uploads.read(form, kind, suffixes, kind, reading)
            sound = None
            if body.format == "mp4" and inputs["music"] is not None:
                sound = await uploads.read(form, "music", files["music"], "sound", reading)
        return await _answer(runs, name, body, inputs, sound)

    @router.get("/clips/{name:path}")
    async def clip(name: ClipId, runs: _Served, model: ModelName = None) -> Response:
        """What a row of a search is of, by its `id`, as tasks answer it."""
        model, answer = await runs.backend.ask(Tasks.stored, model, name)
        return await replies.prepare(replies.json_response, {"model": model, **answer.to_dict()})

    return router


def _body_of(form: FormData) -> TaskBody:
    """The texts of a form as a request.

    Raises:
        Problem: options or `file` that are no JSON objects, or a box that is no four numbers.
        RequestValidationError: values in them that are not allowed.
    """
    try:
        texts = values_of(form, _IN_JSON)
        options, changes = json.loads(texts["options"]), json.loads(texts["file"])
        values = [float(part) for part in texts["box"].split(",")] if texts["box"] else None
    except (ValueError, RecursionError):
        raise Problem(422, "options: a JSON object; box: left,top,right,bottom") from None
    if not isinstance(options, dict) or (values is not None and len(values) != 4):
        raise Problem(422, "options: a JSON object; box: left,top,right,bottom")
    try:
        return TaskBody(box=values, options=options, file=changes, **values_of(form, _FIELDS))
    except ValidationError as error:
        raise refused(error, TaskBody) from None


async def _answer(
    runs: _Runs,
    name: str,
    body: TaskBody,
    inputs: Mapping[str, Any],
    sound: np.ndarray | None = None,
) -> Response:
    """Do a task.

    Args:
        sound: of the music in the inputs, for a film.
    """
    run = await runs.of(body.model)
    if name in run["tasks"]:  # else the run says what it can do
        await _check_format(body, name, run["tasks"][name]["output"])
    progress.report(0, f"computing {name}")
    model, answer = await runs.backend.ask(Tasks.answer, body.model, name, inputs, body.options)
    if body.format not in ("json", *FORMATS[answer.kind]):
        # Another version of the run came since its facts were asked for.
        runs.known = {}
        raise Changed(f"{model}: its task {name} has changed; ask again")
    _check_size(answer, body.format)
    progress.report(0.5, "writing it")
    if body.format == "json":
        plain = {"model": model, "task": name, **answer.to_dict()}
        return await replies.prepare(replies.json_response, plain)
    assert isinstance(answer, MotionAnswer | TracksAnswer), name
    if body.sample >= answer.num_samples:
        raise InputError(f"sample: {body.sample}; allowed: 0 to {answer.num_samples - 1}")
    if isinstance(answer, MotionAnswer):
        clip = answer.as_clip(body.sample, name, body.text or "")
        return await replies.file_response(
            clip, body.format, name, answer.notices, changes=body.file, sound=sound
        )
    content = await replies.prepare(_file_of, name, answer, body)
    return Response(content, media_type=FORMATS[answer.kind][body.format])


async def _check_format(body: TaskBody, name: str, output: str) -> None:
    """Say before any work what cannot be written.

    Raises:
        InputError: says what is allowed.
    """
    allowed = ("json", *FORMATS[output])
    if body.format not in allowed:
        raise InputError(f"format: {body.format!r}; allowed: {', '.join(allowed)}")
    if body.file is not None and output != "motion":
        raise InputError(f"file: {name} makes no motion; leave it out")
    if output == "motion":
        await replies.check_format(body.format)


def _check_size(answer: Answer, format: str) -> None:
    """Refuse answers that would take long to write.

    Raises:
        InputError: says what is allowed.
    """
    if isinstance(answer, TableAnswer):
        return
    shape = answer.motion.shape if isinstance(answer, MotionAnswer) else answer.visible.shape
    check_values(int(np.prod(shape[:3])))
    frames = answer.num_frames
    if format in ("gif", "mp4") and frames > replies.MAX_PICTURE_FRAMES:
        raise InputError(f"{format} of {frames} frames; allowed: {replies.MAX_PICTURE_FRAMES}")


def _file_of(name: str, answer: TracksAnswer, body: TaskBody) -> bytes:
    """One sample as the bytes of a file."""
    with tempfile.TemporaryDirectory(prefix="raydance-answer-") as folder:
        path = Path(folder) / f"{name}.{body.format}"
        answer.write(body.sample, path, body.text or "")
        return path.read_bytes()
