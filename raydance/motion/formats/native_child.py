"""The process in which a library reads a file for `native`: `KIND PATH OUT.npz SECONDS`.

SECONDS: of processor time, after which the system ends the process.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

REFUSED: Final = 3
"""Exit code: the last line of standard error says what is wrong with the file."""

MAX_BYTES: Final = 512 << 20
_PR_SET_PDEATHSIG: Final = 1
_MEMORY: Final = 4 << 30
_MAX_VALUES: Final = 100_000_000
_MAX_NAME: Final = 200
_MAX_SECONDS: Final = 4 * 3600.0

_KEPT: Final[list[object]] = []
"""Parts of a scene, which are never freed: in ufbx 0.0.5 the garbage collector frees a scene while
parts of it are in use, which crashes. So it is off, too; this process ends with its file."""

Arrays = dict[str, Any]


class Refused(Exception):
    """What is wrong with a file, in words."""


def read_c3d(path: str) -> Arrays:
    """Points `[T, M, 3]` with NaN where they were not seen, their labels, rate and unit."""
    import ezc3d

    found = ezc3d.c3d(path)
    parameters = found["parameters"]["POINT"]
    points = np.asarray(found["data"]["points"], dtype=np.float64)  # [4, M, T]
    if points.ndim != 3 or not points.shape[1] or not points.shape[2]:
        raise Refused("no points in the file")
    points = np.moveaxis(points[:3], 0, -1).swapaxes(0, 1).copy()
    residuals = found["data"].get("meta_points", {}).get("residuals")
    if residuals is not None and np.shape(residuals)[1:] == points.shape[1::-1]:
        points[np.asarray(residuals)[0].T < 0] = np.nan
    points[(points == 0).all(axis=-1)] = np.nan  # some programs write nothing as the origin
    labels: list[str] = []
    for number in range(1, 100):  # beyond 255 labels go on in LABELS2 and so on
        key = "LABELS" if number == 1 else f"LABELS{number}"
        if key not in parameters:
            break
        labels += map(str, parameters[key]["value"])
    labels = labels[: points.shape[1]]
    labels += [f"point{i}" for i in range(len(labels), points.shape[1])]
    units = parameters["UNITS"]["value"] if "UNITS" in parameters else []
    return {
        "points": points,
        "labels": _texts(labels),
        "rate": float(found["header"]["points"]["frame_rate"]),
        "unit": _texts([str(units[0]) if len(units) else ""]),
    }


def read_fbx(path: str) -> Arrays:
    """Local transforms of the nodes over the longest animation, the rest pose first."""
    import ufbx

    gc.disable()
    scene = ufbx.load_file(path, ignore_geometry=True, load_external_files=False)
    nodes = list(scene.nodes)
    stacks = list(scene.anim_stacks)
    settings = scene.settings
    _KEPT.extend((scene, nodes, stacks, settings))
    if not stacks:
        raise Refused("no animation in the file")
    spans = [_span(stack) for stack in stacks]
    best = max(range(len(stacks)), key=lambda i: spans[i][1] - spans[i][0])
    begin, end = spans[best]
    rate = float(settings.frames_per_second)
    if not 1.0 <= rate <= 2000.0 or not 0.0 <= end - begin <= _MAX_SECONDS:
        raise Refused(f"{rate:g} frames per second, from {begin:g} to {end:g} s")
    times = begin + np.arange(round((end - begin) * rate) + 1) / rate
    if len(times) * len(nodes) * 10 > _MAX_VALUES:
        raise Refused(f"{len(times)} frames of {len(nodes)} nodes are more than fit")
    anim = stacks[best].anim
    values = np.empty((len(times) + 1, len(nodes), 10))
    index = {node.typed_id: at for at, node in enumerate(nodes)}
    above = [node.parent for node in nodes]
    axes = settings.axes
    _KEPT.extend((anim, above, axes))
    for at, node in enumerate(nodes):
        values[0, at] = _transform(node.local_transform)
        for row, time in enumerate(times, start=1):
            values[row, at] = _transform(ufbx.evaluate_transform(anim, node, float(time)))
    return {
        "names": _texts([str(node.name) for node in nodes]),
        "parents": np.array([-1 if node is None else index[node.typed_id] for node in above]),
        "is_bone": np.array([node.bone is not None for node in nodes]),
        "values": values,
        "rate": rate,
        "metres_per_unit": float(settings.unit_meters),
        "up": _texts([{0: "x", 2: "y", 4: "z"}.get(int(axes.up), "")]),
        "stacks": _texts([str(stack.name) for stack in stacks]),
        "stack": best,
    }


def _span(stack: Any) -> tuple[float, float]:
    """First and last time of the keys of an animation, in seconds."""
    times = []
    for layer in list(stack.layers):
        for value in list(layer.anim_values):
            for curve in list(value.curves):
                keys = list(curve.keyframes) if curve is not None else []
                times += [key.time for key in (keys[:1] + keys[-1:])]
    return (min(times), max(times)) if times else (stack.time_begin, stack.time_end)


def _transform(transform: Any) -> list[float]:
    """Translation, rotation (w, x, y, z) and scale."""
    move, turn, scale = transform.translation, transform.rotation, transform.scale
    return [move.x, move.y, move.z, turn.w, turn.x, turn.y, turn.z, scale.x, scale.y, scale.z]


def _texts(texts: list[str]) -> np.ndarray:
    """Text as NumPy stores it in files that hold no objects."""
    shown = [text.encode("utf-8", "replace").decode()[:_MAX_NAME] for text in texts]
    return np.array(shown, dtype=f"U{_MAX_NAME}")


READERS: Final[dict[str, Callable[[str], Arrays]]] = {"c3d": read_c3d, "fbx": read_fbx}


def _end_with_parent() -> None:
    """Have the system kill this process when its parent is killed; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    kind, path, out, allowed_s = sys.argv[1:]
    _end_with_parent()
    seconds = int(_processor_s() + float(allowed_s)) + 1
    for what, limit, hard in (
        (resource.RLIMIT_AS, _MEMORY, _MEMORY),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, seconds, seconds + 1),  # at the hard one there is no SIGXCPU
    ):
        most = resource.getrlimit(what)[1]
        if most != resource.RLIM_INFINITY:
            limit, hard = min(limit, most), min(hard, most)
        resource.setrlimit(what, (limit, hard))
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise Refused(f"larger than {MAX_BYTES} bytes")
        np.savez(out, **READERS[kind](path))
    except MemoryError:
        print("it needs more memory than any recording", file=sys.stderr)
        return REFUSED
    except Exception as error:  # each library has errors of its own
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # nothing is freed, see `_KEPT`
