"""Routes that answer words, places and facts: describe, search, embed, the map, the models."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from raydance.motion.formats import SUFFIXES
from raydance.serving import bounds, paging, replies, schema
from raydance.serving.context import (
    ModelName,
    Service,
    clip_url,
    json_body,
)
from raydance.serving.describer import Describer
from raydance.serving.docs import multipart, or_multipart, points_content
from raydance.serving.form import MODEL, fields_of, values_of
from raydance.serving.parts import ClipPoints, EncodedText
from raydance.serving.request_schema import (
    MAX_CAPTIONS,
    MAX_POINTS,
    MAX_SAMPLES,
    MAX_TEXT,
    Embed,
    Search,
)
from raydance.serving.retriever import Retriever
from raydance.version import VERSION

router = APIRouter(prefix="/v1", tags=["words"])

_DESCRIBE: Final = {
    **MODEL,
    "k": {"type": "integer", "minimum": 1, "maximum": MAX_CAPTIONS, "default": 3},
}
_SEARCH: Final = {**MODEL, **fields_of(Search, "limit", "cursor", "library")}
_EMBED: Final = {**MODEL, **fields_of(Embed, "format")}


@router.get("/models", response_model=schema.Models)
async def models(service: Service) -> dict[str, Any]:
    """What is served, what is refused, and which files can be read and written."""
    limits = asdict(service.limits)
    written = await asyncio.to_thread(replies.writable)
    return {
        "version": VERSION,
        "models": await service.backend.ask(Retriever.models),
        "limits": limits | {"text_characters": MAX_TEXT, "samples": MAX_SAMPLES},
        "formats": {"read": list(SUFFIXES), "write": written},
    }


@router.post(
    "/describe",
    response_model=schema.Described,
    openapi_extra=multipart(**_DESCRIBE),
)
async def describe(request: Request, service: Service) -> Response:
    """A motion file into words: the whole clip first, then each of its windows."""
    async with service.uploads.form(request, *_DESCRIBE) as form:
        asked = values_of(form, _DESCRIBE)
        clip = await service.uploads.clip(request, form)
    found = await service.backend.ask(Describer.describe, asked["model"], clip, asked["k"])
    body = {"file": clip.clip_id, **found}
    return await replies.prepare(replies.json_response, body)


@router.post(
    "/search",
    response_model=schema.Found,
    openapi_extra=or_multipart(Search, **_SEARCH),
)
async def search(request: Request, service: Service) -> dict[str, Any]:
    """The clips nearest to a sentence (JSON) or to a motion file (a form)."""
    notices: list[str] = []
    understood: dict[str, Any] | None = None
    if bounds.is_form(request.headers):
        async with service.uploads.form(request, *_SEARCH) as form:
            asked = Search(text="motion", **values_of(form, _SEARCH))
            clip = await service.uploads.clip(request, form)
        page = _Page.of(asked)
        placed = await service.backend.ask(Describer.embed, asked.model, clip)
        notices = [*placed.notices]
        point = placed.points.mean(axis=0)
        found = await service.backend.ask(
            Retriever.search, placed.entry, point, page.num_found, asked.library
        )
        name = placed.entry.name
    else:
        asked = await json_body(request, Search)
        page = _Page.of(asked)
        encoded, found = await service.backend.find(
            asked.model, asked.text, page.num_found, asked.library
        )
        notices, name = encoded.notices, encoded.entry.name
        understood = asdict(encoded.understood)
    rows, next_cursor = page.cut(found["hits"])
    return {
        "model": name,
        "notices": notices,
        "understood_as": understood,
        "hits": [_with_addresses(hit, name, found["in_library"]) for hit in rows],
        "next_cursor": next_cursor,
    }


@dataclass(frozen=True)
class _Page:
    """A page of hits."""

    offset: int
    limit: int
    question: tuple[object, ...]

    @classmethod
    def of(cls, asked: Search) -> _Page:
        """The page that a caller asks for.

        Raises:
            InputError: a cursor of another question.
        """
        question = (asked.model, asked.library, asked.text)
        return cls(paging.offset_of(asked.cursor, *question), asked.limit, question)

    @property
    def num_found(self) -> int:
        """Hits to look for: of this page and those before, and one that tells of another."""
        return min(self.offset + self.limit + 1, paging.MAX_DEPTH)

    def cut(self, hits: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
        """The page's hits, and the cursor of the next page."""
        end = self.offset + self.limit
        is_last = len(hits) <= end or end >= paging.MAX_DEPTH
        cursor = None if is_last else paging.cursor_of(end, *self.question)
        return hits[self.offset : end], cursor


def _with_addresses(hit: dict[str, Any], model: str, in_library: bool) -> dict[str, Any]:
    query = {
        "start_s": hit["start_s"],
        "end_s": hit["end_s"],
        "model": model,
        "library": "true" if in_library else None,
    }
    return hit | {
        "motion_url": clip_url("clips", hit["clip_id"], **query),
        "thumbnail_url": clip_url("thumbnails", hit["clip_id"], **query),
    }


@router.post(
    "/embed",
    responses=points_content(schema.Embedded),
    openapi_extra=or_multipart(Embed, **_EMBED),
)
async def embed(request: Request, service: Service) -> Response:
    """Sentences (JSON), or the windows of a motion file (a form), in the shared space."""
    starts: list[float] | None = None
    notices: list[str] = []
    if bounds.is_form(request.headers):
        async with service.uploads.form(request, *_EMBED) as form:
            sent = values_of(form, _EMBED)
            clip = await service.uploads.clip(request, form)
        format = sent["format"]
        placed = await service.backend.ask(Describer.embed, sent["model"], clip)
        space: ClipPoints | EncodedText = placed
        rows, starts = list(placed.points), [float(start) for start in placed.start_s]
        notices = [*placed.notices]
    else:
        asked = await json_body(request, Embed)
        format = asked.format
        encoded = await service.backend.speak_all(asked.model, asked.texts)
        space = encoded[0]
        rows = [one.words["text_projection"] for one in encoded]
        notices = [f"text {i + 1}: {n}" for i, one in enumerate(encoded) for n in one.notices]
    if format == "npz":
        arrays = {"vectors": np.asarray(rows, np.float32)}
        if starts is not None:
            arrays["start_s"] = np.asarray(starts, np.float32)
        return replies.npz_response("points", **arrays)
    return replies.json_response(
        {
            "model": space.entry.name,
            "metric": space.metric,
            "width": len(rows[0]),
            "notices": notices,
            "vectors": rows,
            "start_s": starts,
        }
    )


@router.get("/map", response_model=schema.Map)
async def latent_map(
    service: Service,
    model: ModelName = None,
    limit: Annotated[
        int, Query(ge=1, le=MAX_POINTS, description="Most windows of one page")
    ] = 2000,
    cursor: Annotated[
        str | None,
        Query(max_length=paging.MAX_CURSOR, description="`next_cursor` of the page before"),
    ] = None,
) -> dict[str, Any]:
    """Windows of the run's library on the two main axes of the latent space."""
    offset = paging.offset_of(cursor, "map", model)
    found = await service.backend.ask(Retriever.map, model, limit, offset)
    end = offset + limit
    more = end < found["num_windows"]
    return found | {"next_cursor": paging.cursor_of(end, "map", model) if more else None}
