"""Uploaded motion files, read in a process of their own that can be stopped.

Whoever sends a file may have made it to hurt: the process that reads it has bounded memory and
time, sees nothing of the service, and is started anew when it is killed. It talks in lines of JSON
over its pipes; positions come back as an `.npz` of plain arrays.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError, InputError, RaydanceError

_MEMORY_BYTES: Final = 2 << 30
_LINE_BYTES: Final = 1 << 20
SOUND_RATE: Final = 44_100


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large an upload may be.

    Attributes:
        upload_bytes: of a file, and of a form with all its files.
        frames, joints: of the motion.
        values: frames times joints.
        parse_seconds: until the process that reads it is stopped.
    """

    upload_bytes: int = 64 << 20
    frames: int = 36_000
    joints: int = 500
    values: int = 4_000_000
    parse_seconds: float = 20.0


@dataclass
class Reader:
    """One process that reads files, one after the other; started when it is first needed."""

    limits: Limits
    _process: asyncio.subprocess.Process | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, path: Path, options: dict[str, Any], kind: str = "clip") -> Any:
        """Read a file.

        Args:
            path: the file, alone with its skeleton in a folder that is not told to the caller; its
                positions are put beside it and removed again.
            options: of a clip, arguments of `read_clip`, `skeleton` as text; of inputs of tasks
                `fps`, the file's, and `run_fps`, at which values of signals are wanted.
            kind: `clip`; or an input of tasks: `motion`, `tracks`, `mask`, `image`, `overlay`, or
                the name of a signal; or `sound`, of music.

        Returns:
            A `Clip`, `MusicFeatures`, values `[T, F]` of another signal, the first `Track`, a mask
            `[H, W]` bool, a picture `[H, W, 3]` or pictures `[S, H, W, 3]` uint8, or one channel
            `[N]` float32 at `SOUND_RATE`.

        Raises:
            InputError: it cannot be read, or is larger or slower to read than allowed; or `kind`
                is unknown.
        """
        from raydance.data.signals import SIGNALS

        if kind not in (allowed := {**_LOADERS, **SIGNALS}):
            raise InputError(f"kind {kind}; allowed: {', '.join(allowed)}")
        async with self._lock:
            out = path.with_name("motion.npz")
            order = {"path": str(path), "out": str(out), "options": options, "kind": kind}
            order["limits"] = asdict(self.limits)
            answer = await self._ask(json.dumps(order).encode() + b"\n")
        if "error" in answer:
            raise InputError(answer["error"].replace(f"{path.parent}{os.sep}", ""))
        return await asyncio.to_thread(_LOADERS.get(kind, _values_from), out, answer)

    async def _ask(self, order: bytes) -> dict[str, Any]:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "raydance.serving.reader",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
                env=_bare_environment(),
                start_new_session=True,  # Ctrl-C is for us; the end of its input ends it
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(order)
            await process.stdin.drain()
            line = await asyncio.wait_for(process.stdout.readline(), self.limits.parse_seconds)
        except TimeoutError:
            await self.close()
            raise InputError(
                f"the file took longer than {self.limits.parse_seconds:g} s to read; send a part"
            ) from None
        except ValueError:  # of a line longer than the limit
            await self.close()
            raise InputError("the file's names are too long") from None
        except BaseException:  # a caller that went away must not leave its answer to the next
            await self.close()
            raise
        if not line:
            await self.close()
            raise InputError("the file needs more memory to read than is allowed")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _bare_environment() -> dict[str, str]:
    """What the process may know of ours: where Python is, and no key, token or address."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return found | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


def _arrays_from(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    path.unlink()
    return found


def _music_from(path: Path, answer: dict[str, Any]) -> Any:
    from raydance.music.features import MusicFeatures

    found = _arrays_from(path)
    return MusicFeatures(values=found["values"], beats_s=found["beats_s"], **answer)


def _track_from(path: Path, answer: dict[str, Any]) -> Any:
    from raydance.tracks.track import Track

    found, size = _arrays_from(path), answer.pop("frame_size")
    return Track(
        points=found["points"],
        visible=found["visible"],
        frame_size=(int(size[0]), int(size[1])),
        **answer,
    )


def _pixels_from(path: Path, answer: dict[str, Any]) -> Any:
    return _arrays_from(path)["pixels"]


def _values_from(path: Path, answer: dict[str, Any]) -> Any:
    return _arrays_from(path)["values"]


def _sound_from(path: Path, answer: dict[str, Any]) -> Any:
    return _arrays_from(path)["samples"]


def _clip_from(path: Path, answer: dict[str, Any]) -> Any:
    from raydance.motion.clip import Clip

    found = _arrays_from(path)
    return Clip(
        clip_id=answer["clip_id"],
        source="upload",
        fps=answer["fps"],
        joint_names=tuple(answer["joint_names"]),
        parents=tuple(answer["parents"]),
        positions=found["positions"],
        rotations=found.get("rotations"),
        offsets=found.get("offsets"),
    )


_LOADERS: Final = {
    "clip": _clip_from,
    "motion": _clip_from,
    "music": _music_from,
    "tracks": _track_from,
    "mask": _pixels_from,
    "image": _pixels_from,
    "overlay": _pixels_from,
    "sound": _sound_from,
}
"""Kind -> what makes of the arrays and facts of a process what callers work with; signals but music
are values alone."""


# In the process


def _serve() -> None:
    """Answer orders until there are no more."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers, sys.stdout = sys.stdout, sys.stderr  # nothing that a reader prints is an answer
    for line in sys.stdin:
        try:
            answer = _carry_out(json.loads(line))
        except FormatError as error:
            place = f"line {error.line}: " if error.line else ""
            answer = {"error": f"{Path(error.path).name}: {place}{error.reason}"}
        except RaydanceError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": "the file needs more memory to read than is allowed"}
        except Exception as error:  # a damaged file, in a way that no reader foresaw
            answer = {"error": f"not a file that can be read ({type(error).__name__})"}
        print(json.dumps(answer), file=answers, flush=True)


def _carry_out(order: dict[str, Any]) -> dict[str, Any]:
    kind, options = order.get("kind", "clip"), order["options"]
    if kind == "clip":
        return _read_clip(order)
    path, out, limits = order["path"], order["out"], order["limits"]
    if kind == "motion":
        fps = {"fps": options["fps"]} if options.get("fps") else {}
        return _read_clip({**order, "options": fps})
    if kind == "music":
        return _read_music(path, out, options["run_fps"], limits["frames"])
    if kind == "tracks":
        return _read_tracks(path, out, options.get("fps"), limits["values"])
    if kind == "sound":
        return _read_sound(path, out, limits["frames"] / options["run_fps"])
    if kind in ("mask", "image", "overlay"):
        return _read_pixels(path, out, kind)
    return _read_signal(path, out, kind, options["run_fps"], limits["frames"])


def _read_signal(path: str, out: str, name: str, fps: float, most_frames: int) -> dict[str, Any]:
    from raydance.data.signals.reading import read_signal

    values = read_signal(name, path, fps)
    if len(values) > most_frames:
        raise InputError(
            f"{len(values)} frames at {fps:g} fps; allowed: {most_frames} (send a part)"
        )
    np.savez(out, values=values)
    return {}


def _read_music(path: str, out: str, fps: float, most_frames: int) -> dict[str, Any]:
    from raydance.music.features import read_features

    found = read_features(path, fps=fps, max_duration_s=most_frames / fps)
    np.savez(out, values=found.values, beats_s=found.beats_s)
    return {"fps": fps, "tempo_bpm": found.tempo_bpm, "duration_s": found.duration_s}


def _read_sound(path: str, out: str, most_s: float) -> dict[str, Any]:
    from raydance.music.audio import read_audio

    samples, _ = read_audio(path, SOUND_RATE, max_duration_s=most_s)
    np.savez(out, samples=samples)
    return {}


def _read_tracks(path: str, out: str, fps: float | None, most_values: int) -> dict[str, Any]:
    from raydance.tracks.formats import ReadOptions, read_tracks

    found = read_tracks(path, ReadOptions(fps=fps))
    if not found.tracks:
        why = f" ({found.skipped[0].reason})" if found.skipped else ""
        raise InputError(f"no track in the file{why}")
    track = found.tracks[0]
    if track.visible.size > most_values:
        raise InputError(f"{track.visible.size} points in all; allowed: {most_values}")
    np.savez(out, points=track.points, visible=track.visible)
    size = [int(side) for side in track.frame_size]
    return {"track_id": "upload", "source": "upload", "frame_size": size, "fps": float(track.fps)}


def _read_pixels(path: str, out: str, kind: str) -> dict[str, Any]:
    from raydance.tracks.pictures import READERS

    np.savez(out, pixels=READERS[kind](path))
    return {}


def _read_clip(order: dict[str, Any]) -> dict[str, Any]:
    from raydance.motion.formats import read_clip

    limits = order["limits"]
    clip = read_clip(order["path"], max_frames=limits["frames"], **order["options"])
    if len(clip.joint_names) > limits["joints"]:
        raise InputError(f"{len(clip.joint_names)} joints; allowed: {limits['joints']}")
    values = clip.num_frames * len(clip.joint_names)
    if values > limits["values"]:
        raise InputError(
            f"{clip.num_frames} frames of {len(clip.joint_names)} joints are {values}; allowed: "
            f"{limits['values']} (send a part)"
        )
    arrays = {"positions": clip.positions, "rotations": clip.rotations, "offsets": clip.offsets}
    kept: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
    np.savez(order["out"], **kept)
    return {
        "clip_id": clip.clip_id,
        "fps": float(clip.fps),
        "joint_names": list(clip.joint_names),
        "parents": [int(parent) for parent in clip.parents],
    }


if __name__ == "__main__":
    _serve()
