"""Timed segments as files for other tools: JSON lines for `raydance ingest`, WebVTT and SRT."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from raydance.files import replacing


def write_captions_jsonl(path: Path, clips: Iterable[Mapping[str, Any]]) -> int:
    """A line for each segment, as `raydance ingest --captions` reads them.

    `derived` says of each caption whether no person wrote it, `confidence` how likely the first
    one is right, `is_unlike_training` that little is known of the motion. Clips whose place in
    their file is not known are left out.

    Args:
        clips: rows of `CaptionStore.clips`.

    Returns:
        The number of lines.
    """
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for clip in clips:
            if clip["start_frame"] is None:
                continue
            for number, part in enumerate(clip["segments"] or ()):
                row = {
                    "file": clip["source"],
                    "clip": f"{clip['clip_id']}#{number}",
                    "start_frame": clip["start_frame"] + round(part["start_s"] * clip["fps"]),
                    "end_frame": clip["start_frame"] + round(part["end_s"] * clip["fps"]),
                    "fps": clip["fps"],
                    "captions": part["captions"],
                    "derived": part["derived"],
                    "confidence": part.get("confidence"),
                    "is_unlike_training": part.get("is_unlike_training"),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    return count


def as_vtt(clip: Mapping[str, Any]) -> str:
    """WebVTT of a clip's segments, each with its best caption."""
    cues = [
        f"{_time(part['start_s'], '.')} --> {_time(part['end_s'], '.')}\n{_vtt_text(part)}\n"
        for part in clip["segments"] or ()
    ]
    return "\n".join(["WEBVTT\n", *cues])


def as_srt(clip: Mapping[str, Any]) -> str:
    """SubRip of a clip's segments."""
    cues = [
        f"{number}\n{_time(part['start_s'], ',')} --> {_time(part['end_s'], ',')}\n{_line(part)}\n"
        for number, part in enumerate(clip["segments"] or (), start=1)
    ]
    return "\n".join(cues)


SUBTITLES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {"vtt": as_vtt, "srt": as_srt}
"""Kinds of subtitle file."""


def write_subtitles(folder: Path, kind: str, clips: Iterable[Mapping[str, Any]]) -> int:
    """A file of one kind for each clip that has segments, named by the clip: `/` makes folders.

    Returns:
        The number of files.
    """
    count = 0
    for clip in clips:
        if not clip["segments"]:
            continue  # too short
        parts = [_safe(part) for part in clip["clip_id"].split("/")]
        path = folder.joinpath(*parts[:-1], f"{parts[-1]}.{kind}")
        with replacing(path) as temporary:
            temporary.write_text(SUBTITLES[kind](clip), encoding="utf-8")
        count += 1
    return count


def _safe(part: str) -> str:
    """A name that stays inside its folder."""
    return re.sub(r"[\x00-\x1f\\:]", "_", part).lstrip(".") or "_"


def _line(part: Mapping[str, Any]) -> str:
    """A segment's best caption in one line, marked where no person wrote it."""
    if not part["captions"]:
        return ""
    words = " ".join(part["captions"][0].split())
    return f"{words} (derived)" if part["derived"][0] else words


def _vtt_text(part: Mapping[str, Any]) -> str:
    return _line(part).replace("&", "&amp;").replace("<", "&lt;").replace("-->", "--&gt;")


def _time(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
