"""Routes that answer motion: convert, and the clips of a library and their pictures.

Motion leaves through `orjson` instead of FastAPI's response models, which only describe it in the
OpenAPI document: checking thirty thousand numbers one by one takes longer than making them.
"""

from __future__ import annotations

import io
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from raydance.errors import InputError
from raydance.motion import skeleton
from raydance.motion.body_check import clip_doubts, doubts
from raydance.motion.clip import Clip, generated_clip
from raydance.motion.mapping import map_to_canonical
from raydance.motion.render import strip
from raydance.motion.windows import num_rest_frames
from raydance.serving import replies, schema
from raydance.serving.context import (
    LONGEST_S,
    ClipId,
    EndS,
    InLibrary,
    ModelName,
    Service,
    StartS,
)
from raydance.serving.docs import motion_content, multipart
from raydance.serving.form import MODEL, fields_of, values_of
from raydance.serving.motions import ClipPart
from raydance.serving.request_schema import FileChanges, Format
from raydance.serving.retriever import Retriever

router = APIRouter(prefix="/v1", tags=["motion"])

_POSES: Final = 4
_THUMBNAIL: Final = (144, 176)  # sharp also on screens of two pixels for one
_CHANGES: Final = {
    "out_fps" if name == "fps" else name: field  # `fps` is that of the file which is sent
    for name, field in fields_of(
        FileChanges, "start_s", "end_s", "fps", "in_place", "loop", "names"
    ).items()
}
_CONVERT: Final[dict[str, Any]] = {
    "format": {"type": "string", "enum": list(replies.FORMATS), "default": "json"},
    "model": {**MODEL["model"], "description": "Of no use: no run is asked"},
    **_CHANGES,
}

FormatQuery = Annotated[Format, Query(description="JSON of positions, or a file")]


@router.post(
    "/convert",
    responses=motion_content(schema.Converted),
    openapi_extra=multipart(**_CONVERT),
)
async def convert(request: Request, service: Service) -> Response:
    """A motion file of any readable format into another, or into JSON to be shown.

    In JSON a T-pose that a converter put before the motion is left out.
    """
    async with service.uploads.form(request, *_CONVERT) as form:
        asked = values_of(form, _CONVERT)
        format = asked["format"]
        await replies.check_format(format)
        clip = await service.uploads.clip(request, form)
    if format == "json":
        return await replies.prepare(_as_json, clip)
    given = {name: asked[name] for name in _CHANGES}
    changes = FileChanges(fps=given.pop("out_fps"), **given)
    notices = await replies.prepare(clip_doubts, clip)
    return await replies.file_response(
        clip,
        format,
        clip.clip_id,
        notices,
        changes=None if changes == FileChanges() else changes,
    )


def _as_json(clip: Clip) -> Response:
    mapped = map_to_canonical(clip)
    motion = mapped.positions[num_rest_frames(mapped.positions, mapped.joint_mask) :]
    facts = replies.motion_facts(motion, mapped.joint_mask, clip.fps)
    return replies.json_response(facts | {"notices": doubts(mapped)})


def _part_as_json(part: ClipPart) -> Response:
    body = replies.motion_facts(part.motion, part.joint_mask, part.fps)
    own = {"clip_id": part.clip_id, "start_s": part.start_s, "captions": list(part.captions)}
    return replies.json_response(body | own)


async def _part(
    clip_id: ClipId,
    service: Service,
    start_s: StartS = 0.0,
    end_s: EndS = LONGEST_S,
    model: ModelName = None,
    library: InLibrary = False,
) -> ClipPart:
    if end_s <= start_s:
        raise InputError(f"end_s: {end_s:g}; it must be above start_s, {start_s:g}")
    return await service.backend.ask(Retriever.part_of, model, clip_id, (start_s, end_s), library)


Part = Annotated[ClipPart, Depends(_part)]


@router.get("/clips/{clip_id:path}", responses=motion_content(schema.ClipMotion))
async def clip_motion(part: Part, format: FormatQuery = "json") -> Response:
    """The motion of a clip of a library, or of a part of it."""
    if format == "json":
        replies.check_size(len(part.motion), int(part.joint_mask.sum()), "JSON")
        return await replies.prepare(_part_as_json, part)
    await replies.check_format(format)
    clip = generated_clip(part.motion, part.joint_mask, part.fps, part.clip_id, *part.captions)
    return await replies.file_response(clip, format, part.clip_id)


@router.get(
    "/thumbnails/{clip_id:path}",
    response_class=Response,
    responses={200: {"description": "A strip of poses", "content": {"image/png": {}}}},
)
async def thumbnail(part: Part) -> Response:
    """A small picture of a clip: a few poses beside each other."""
    picture = await replies.prepare(_strip, part.motion, part.joint_mask)
    return Response(
        picture, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"}
    )


def _strip(motion: np.ndarray, joint_mask: np.ndarray) -> bytes:
    assert motion.shape[1] == skeleton.NUM_JOINTS
    picture = io.BytesIO()
    strip(motion, _POSES, joint_mask=joint_mask, size=_THUMBNAIL).save(picture, "PNG")
    return picture.getvalue()
