"""Tracks as arrays with all their facts: .npz and .json, which `formats.own` reads again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.files import replacing
from raydance.tracks.track import Track

FORMAT: Final = "raydance.track"
VERSION: Final = 1


def facts(track: Track) -> dict[str, Any]:
    """All of a track but its arrays, as JSON has it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "track_id": track.track_id,
        "source": track.source,
        "frame_size": list(track.frame_size),
        "fps": track.fps,
        "captions": list(track.captions),
        "labels": dict(track.labels),
        "video": track.video,
        "object_id": track.object_id,
        "start_frame": track.start_frame,
        "split": track.split,
    }


def to_json(track: Track) -> dict[str, Any]:
    """A track as JSON: `facts`, `points` `[T][N][2]` in pixels and `visible` `[T][N]`."""
    return {
        **facts(track),
        "unit": "pixels",
        "points": np.round(track.points.astype(float), 3).tolist(),
        "visible": track.visible.tolist(),
    }


def write_npz(path: str | Path, track: Track) -> None:
    """Write `points`, `visible` and `facts` (JSON text)."""
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            points=track.points,
            visible=track.visible,
            facts=np.array(json.dumps(facts(track))),
        )


def write_json(path: str | Path, track: Track) -> None:
    """Write `to_json`."""
    text = json.dumps(to_json(track), separators=(",", ":"), allow_nan=False)
    with replacing(Path(path)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
