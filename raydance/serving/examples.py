"""An example of each answer, for the API's document; a test checks each against its schema."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from raydance.serving.problems import TYPES

_MOTION: Final = {
    "fps": 20.0,
    "num_frames": 2,
    "joints": ["pelvis", "left_hip"],
    "parents": [-1, 0],
    "positions": [
        [[0.0, 0.92, 0.0], [0.09, 0.85, 0.0]],
        [[0.0, 0.93, 0.01], [0.09, 0.86, 0.01]],
    ],
}
_SAMPLE: Final = _MOTION | {"skate_before": 0.021, "skate_after": 0.0}
_UNDERSTOOD: Final = {
    "caption": "a slow turn to the left",
    "similarity": 0.91,
    "understanding": 0.97,
    "unknown_words": [],
    "notice": "",
}
_GENERATED: Final = {
    "model": "mine",
    "text": "a dancer turns slowly",
    "seed": 0,
    "notices": [],
    "made": {"source": "flow", "steps": 8, "guidance": 1.5, "candidates": 1},
    "understood_as": _UNDERSTOOD,
    "samples": [_SAMPLE],
    "timings_ms": {"text": 12.0, "motion": 20.0, "finish": 8.0, "total": 41.0},
}
_CLUSTER: Final = {"id": 0, "description": "slow turns", "num_windows": 120}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "Status": {"status": "ok"},
    "Motion": _MOTION,
    "Converted": _MOTION
    | {"notices": ["the body is 3.4 m tall, judged by its legs; people are 0.6 to 2.6 m"]},
    "ClipMotion": _MOTION
    | {"clip_id": "takes/turn", "start_s": 0.0, "captions": ["a slow turn to the left"]},
    "Generated": _GENERATED,
    "GeneratedMany": {"model": "mine", "generations": [_GENERATED]},
    "Interpolated": {"model": "mine", "samples": [_SAMPLE | {"share": 0.5}]},
    "Described": {
        "model": "mine",
        "file": "take",
        "seconds": 2.5,
        "notices": [],
        "segments": [
            {
                "start_s": 0.0,
                "end_s": 2.5,
                "cluster": 0,
                "captions": [
                    {
                        "text": "a slow turn to the left",
                        "score": 0.88,
                        "cluster_verified": True,
                        "derived": False,
                    }
                ],
                "confidence": 0.81,
                "is_unlike_training": False,
            }
        ],
    },
    "Found": {
        "model": "mine",
        "notices": [],
        "understood_as": _UNDERSTOOD,
        "hits": [
            {
                "clip_id": "takes/turn",
                "start_s": 0.0,
                "end_s": 2.5,
                "score": 0.93,
                "captions": ["a slow turn to the left"],
                "derived": [False],
                "labels": {"style": "lyrical"},
                "split": "train",
                "has_motion": True,
                "motion_url": "/v1/clips/takes/turn?start_s=0.0&end_s=2.5&model=mine",
                "thumbnail_url": "/v1/thumbnails/takes/turn?start_s=0.0&end_s=2.5&model=mine",
            }
        ],
        "next_cursor": "NS45YzFkMGE3ZTQyYjM",
    },
    "Embedded": {
        "model": "mine",
        "metric": "cosine",
        "width": 3,
        "notices": [],
        "vectors": [[0.36, 0.48, 0.8]],
        "start_s": None,
    },
    "Map": {
        "model": "mine",
        "method": "pca",
        "explained": [0.41, 0.2],
        "points": [
            {
                "clip_id": "takes/turn",
                "start_s": 0.0,
                "end_s": 2.5,
                "cluster": 0,
                "x": 0.4,
                "y": -1.2,
                "caption": "a slow turn to the left",
            }
        ],
        "num_windows": 1,
        "next_cursor": None,
        "clusters": [_CLUSTER],
    },
    "Models": {
        "version": "0.1.0",
        "models": [
            {
                "name": "mine",
                "is_default": True,
                "fps": 20.0,
                "window": 50,
                "stride": 20,
                "metric": "cosine",
                "num_windows": 120,
                "num_clips": 30,
                "clusters": [_CLUSTER],
                "sources": ["flow", "prior", "cluster", "nearest"],
                "default_source": "flow",
                "flow": {"steps": 8, "guidance": 1.5, "candidates": 1},
                "max_frames": 1200,
                "library": None,
                "trained_on": {
                    "num_clips": 302,
                    "seconds": 2416.0,
                    "movements": ["slow turn", "kick"],
                },
            }
        ],
        "limits": {
            "upload_bytes": 67108864,
            "frames": 36000,
            "joints": 500,
            "values": 4000000,
            "parse_seconds": 20.0,
            "text_characters": 2000,
            "samples": 8,
        },
        "formats": {"read": [".bvh", ".npz"], "write": ["json", "npz", "bvh", "glb", "gif"]},
    },
    "JobState": {
        "id": "mJ4o2Qw3bYk0nq1x0gq8Dg",
        "route": "generate",
        "state": "running",
        "progress": 0.5,
        "doing": "writing it",
        "created": 1767225600.0,
        "expires": None,
        "url": "/v1/jobs/mJ4o2Qw3bYk0nq1x0gq8Dg",
        "result_url": "/v1/jobs/mJ4o2Qw3bYk0nq1x0gq8Dg/result",
        "media_type": None,
        "bytes": 0,
        "problem": None,
    },
}
"""Name of the schema -> an answer of it."""

_DETAILS: Final = {
    400: "body: not JSON (EOF while parsing an object)",
    401: "an API key is needed: send it as `X-API-Key` or as `Authorization: Bearer`",
    404: "model 'other' is not served; served: mine",
    405: "Method Not Allowed",
    408: "the request's body was not here within 60 s",
    409: "the job is running; ask /v1/jobs/mJ4o2Qw3bYk0nq1x0gq8Dg when",
    413: "the request is larger than 1048576 bytes",
    415: "content type: application/json is needed",
    422: "seconds: 100; allowed: up to 60",
    500: "a fault of the service; its log has more",
    503: "64 requests are being answered; try again soon",
}


def problem(status: int) -> dict[str, Any]:
    """An error of a status."""
    body: dict[str, Any] = {
        "type": f"urn:raydance:{TYPES[status]}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _DETAILS[status],
    }
    if status == 422:
        mistake = {"where": "body.seconds", "type": "less_than_equal"}
        body["errors"] = [mistake | {"message": "100; allowed: up to 60"}]
    return body
