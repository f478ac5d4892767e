"""Motion as it leaves the service: JSON of positions, or a file that animation tools open."""

from __future__ import annotations

import asyncio
import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import orjson
from fastapi.responses import Response

from raydance.errors import InputError
from raydance.motion import skeleton
from raydance.motion.clip import Clip
from raydance.motion.export import check_suffix, is_writable, write_clip
from raydance.motion.export.edits import Edits, edited
from raydance.motion.export.video import add_sound
from raydance.motion.export.written_file import WrittenFile
from raydance.music.audio import write_wav
from raydance.serving import progress
from raydance.serving.parts import Answer
from raydance.serving.reader import SOUND_RATE
from raydance.serving.request_schema import FileChanges
from raydance.serving.uploads import safe_stem

FORMATS: Final[dict[str, str]] = {
    "json": "application/json",
    "npz": "application/octet-stream",
    "bvh": "text/plain; charset=utf-8",
    "glb": "model/gltf-binary",
    "gif": "image/gif",
    "mp4": "video/mp4",
}
"""Format -> media type."""

ZIP: Final = "application/zip"
NPZ: Final = "application/octet-stream"
_LONGEST_NOTE: Final = 1000
_DECIMALS: Final = 4  # a tenth of a millimetre
_PICTURES: Final = ("gif", "mp4")
_SECOND_HALF: Final = (0.5, 1.0)
MAX_PICTURE_FRAMES: Final = 2000
MAX_FILE_VALUES: Final = 1_000_000
"""Frames times joints of one answer: about ten seconds of work for a file."""

_workers = ThreadPoolExecutor(2, thread_name_prefix="raydance-answer")


async def prepare(work: Callable[..., Answer], *arguments: Any) -> Answer:
    """Do what takes a while beside the loop: two at once, and nothing for those who have gone."""
    return await asyncio.get_running_loop().run_in_executor(_workers, work, *arguments)


def writable() -> list[str]:
    """The formats that motion can be given in here."""
    return [format for format in FORMATS if format == "json" or is_writable(f".{format}")]


async def check_format(format: str) -> None:
    """Say before any work that a format cannot be written here.

    Raises:
        InputError: it needs a program that is not installed; says how to get it.
    """
    # In a thread: where ffmpeg is missing, it is looked for each time.
    if format != "json" and not await asyncio.to_thread(is_writable, f".{format}"):
        raise InputError(
            f"format: {format} needs ffmpeg, which is missing where the service runs (pip install "
            f"'raydance[video]' there); written here: {', '.join(writable())}"
        )


def json_response(body: Any) -> Response:
    """A JSON response in which arrays are written as lists."""
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json")


def npz_response(name: str, **arrays: np.ndarray) -> Response:
    """Named arrays as an `.npz`, which NumPy reads without pickle."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    headers = {"Content-Disposition": f'attachment; filename="{safe_stem(name)}.npz"'}
    return Response(content.getvalue(), media_type=NPZ, headers=headers)


def motion_facts(motion: np.ndarray, joint_mask: np.ndarray, fps: float) -> dict[str, Any]:
    """Motion `[T, 50, 3]` as the schema's `Motion`, with the joints that are there."""
    kept = np.flatnonzero(joint_mask)
    return {
        "fps": fps,
        "num_frames": len(motion),
        "joints": [skeleton.JOINTS[joint] for joint in kept],
        "parents": list(skeleton.parents_among(kept.tolist())),
        "positions": _rounded(motion[:, kept]),
    }


def _rounded(positions: np.ndarray) -> np.ndarray:
    return np.round(np.ascontiguousarray(positions, dtype=np.float64), _DECIMALS)


def check_size(num_frames: int, num_joints: int, what: str) -> None:
    """Bound what one answer takes.

    Raises:
        InputError: more than `MAX_FILE_VALUES`.
    """
    if num_frames * num_joints > MAX_FILE_VALUES:
        raise InputError(
            f"{num_frames} frames of {num_joints} joints; {what} holds {MAX_FILE_VALUES} of them "
            "(ask for a part)"
        )


async def file_response(
    clip: Clip,
    format: str,
    name: str,
    notices: Sequence[str] = (),
    facts: Mapping[str, str] = MappingProxyType({}),
    changes: FileChanges | None = None,
    sound: np.ndarray | None = None,
) -> Response:
    """A clip as a file to download; notices go into the header `X-Raydance-Note`, and how far its
    joints are off into `X-Raydance-Residual-Cm`.

    Args:
        facts: further headers and their texts.
        changes: how the motion is changed before it is written.
        sound: of an MP4, `[N]` at `SOUND_RATE`, from the motion's first frame on.

    Raises:
        InputError: a format that is not here, or motion too long for pictures.
    """
    content, written = await _changed_file(clip, format, changes, sound)
    note = "; ".join([*notices, *_told(written)])
    headers = {"Content-Disposition": f'attachment; filename="{safe_stem(name)}.{format}"'}
    headers |= {header: _header_text(text) for header, text in facts.items()}
    if note:
        headers["X-Raydance-Note"] = _header_text(note)
    if written.residual is not None:
        headers["X-Raydance-Residual-Cm"] = f"{100 * written.residual.max_m:.1f}"
    return Response(content, media_type=FORMATS[format], headers=headers)


class Archive:
    """Motion files of one format, gathered into a zip.

    Args:
        format: of `FORMATS`, without JSON.
        changes: how motion is changed before it is written.
    """

    def __init__(self, format: str, changes: FileChanges | None = None) -> None:
        self.num_files = 0
        self._format, self._changes = format, changes
        self._bytes = io.BytesIO()
        # Stored as they are: pictures and numbers hardly shrink, and the text of BVH leaves
        # compressed where the caller can read that.
        self._zip = zipfile.ZipFile(self._bytes, "w", zipfile.ZIP_STORED)

    async def add(self, clip: Clip, name: str, span: tuple[float, float]) -> dict[str, Any]:
        """Write a clip.

        Args:
            clip: the motion.
            name: of its file, without the format.
            span: the share of the answer that is done before and after it.

        Returns:
            `file`, `notes`, and `residual_cm`, how far its joints are off at most, or None.

        Raises:
            InputError: motion that is too long for the format.
        """
        content, written = await _changed_file(clip, self._format, self._changes, span=span)
        file = f"{safe_stem(name)}.{self._format}"
        self._zip.writestr(file, content)
        self.num_files += 1
        residual = None if written.residual is None else round(100 * written.residual.max_m, 1)
        return {"file": file, "notes": _told(written), "residual_cm": residual}

    async def response(self, record: Mapping[str, Any], name: str) -> Response:
        """The zip, with `generation.json` that holds a record."""
        self._zip.writestr(
            "generation.json", orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)
        )
        self._zip.close()
        headers = {"Content-Disposition": f'attachment; filename="{safe_stem(name)}.zip"'}
        return Response(self._bytes.getvalue(), media_type=ZIP, headers=headers)


async def _changed_file(
    clip: Clip,
    format: str,
    changes: FileChanges | None,
    sound: np.ndarray | None = None,
    span: tuple[float, float] = _SECOND_HALF,
) -> tuple[bytes, WrittenFile]:
    """A clip in a format, changed as wanted.

    Args:
        span: the share of the answer that is done before and after it.

    Raises:
        InputError: a change that the format does not know, or motion that is too long.
    """
    suffix = f".{format}"
    options: dict[str, Any] = {}
    if changes is not None:
        if changes.names != "own":
            options["names"] = changes.names
            check_suffix(f"motion{suffix}", **options)
        # The largest first: a rate multiplies the frames.
        check_size(_num_frames(clip, changes), len(clip.joint_names), "a file")
        clip = await prepare(edited, clip, Edits(**changes.model_dump(exclude={"names"})))
        if sound is not None:
            sound = sound[round((changes.start_s or 0.0) * SOUND_RATE) :]
    _check_clip(clip, format)
    if format in _PICTURES:
        doing = f"drawing the {format}"
        progress.report(span[0], doing)
        options["follow"] = progress.part(*span, doing)
    return await prepare(_write, clip, suffix, options, sound)


def _check_clip(clip: Clip, format: str) -> None:
    """Bound what one file takes.

    Raises:
        InputError: motion that is too long.
    """
    if format in _PICTURES and clip.num_frames > MAX_PICTURE_FRAMES:
        raise InputError(
            f"{format}: {clip.num_frames} frames; allowed: {MAX_PICTURE_FRAMES} (ask for a part)"
        )
    check_size(clip.num_frames, len(clip.joint_names), "a file")


def _header_text(note: str) -> str:
    """Text that may come from a file, as a header can hold it."""
    return " ".join(note.encode("ascii", "replace").decode().split())[:_LONGEST_NOTE]


def _num_frames(clip: Clip, changes: FileChanges) -> int:
    return round(clip.num_frames * (changes.fps or clip.fps) / clip.fps)


def _write(
    clip: Clip, suffix: str, options: dict[str, Any], sound: np.ndarray | None
) -> tuple[bytes, WrittenFile]:
    with tempfile.TemporaryDirectory(prefix="raydance-file-") as folder:
        path = Path(folder) / f"motion{suffix}"
        written = write_clip(path, clip, **options)
        if sound is not None and len(sound):
            write_wav(path.with_suffix(".wav"), sound, SOUND_RATE)
            add_sound(path, path.with_suffix(".wav"))
        return path.read_bytes(), written


def _told(written: WrittenFile) -> list[str]:
    notes = [*written.notes]
    if written.residual is not None and str(written.residual) not in "; ".join(notes):
        notes.append(f"joints are off by {written.residual}")
    return notes
