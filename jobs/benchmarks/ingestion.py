"""Ingestion against two processes that read the same files, and its memory."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import PeakMemory, write_library


def _plain_hierarchy(
    lines: list[str],
) -> tuple[list[int], list[np.ndarray], list[list[str]]]:
    """Parents, offsets and channels of the joints."""
    parents: list[int] = []
    offsets: list[np.ndarray] = []
    channels: list[list[str]] = []
    open_joints: list[int] = []
    for line in lines:
        words = line.split()
        if words[0] in ("ROOT", "JOINT", "End"):
            parents.append(open_joints[-1] if open_joints else -1)
            offsets.append(np.zeros(3))
            channels.append([])
        elif words[0] == "{":
            open_joints.append(len(parents) - 1)
        elif words[0] == "}":
            open_joints.pop()
        elif words[0] == "OFFSET":
            offsets[open_joints[-1]] = np.array(words[1:], dtype=float)
        elif words[0] == "CHANNELS":
            channels[open_joints[-1]] = words[2:]
    return parents, offsets, channels


def _plain_turn(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices `[T, 3, 3]` about one axis; `angle` in radians."""
    turn = np.zeros((len(angle), 3, 3))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1.0
    turn[:, one, one] = turn[:, two, two] = np.cos(angle)
    turn[:, two, one] = np.sin(angle)
    turn[:, one, two] = -turn[:, two, one]
    return turn


def _plain_positions(lines: list[str], values: np.ndarray) -> np.ndarray:
    """Positions `[T, J, 3]` of all joints, in the file's unit."""
    parents, offsets, channels = _plain_hierarchy(lines)
    positions = np.zeros((len(values), len(parents), 3))
    turns = np.zeros((len(values), len(parents), 3, 3))
    column = 0
    for joint, parent in enumerate(parents):
        place = np.tile(offsets[joint], (len(values), 1))
        turn = np.tile(np.eye(3), (len(values), 1, 1))
        for channel in channels[joint]:
            axis = "XYZ".index(channel[0])
            if channel.endswith("position"):
                place[:, axis] = values[:, column]
            else:
                turn = turn @ _plain_turn(axis, np.radians(values[:, column]))
            column += 1
        if parent >= 0:
            place = positions[:, parent] + np.einsum("tij,tj->ti", turns[:, parent], place)
            turn = turns[:, parent] @ turn
        positions[:, joint], turns[:, joint] = place, turn
    return positions


def plain_windows(path: str) -> int:
    """Windows of a BVH file by a plain NumPy script: no checks, no units, no mapping of joints."""
    lines = Path(path).read_text().split("\n")
    start = lines.index("MOTION")
    fps = 1.0 / float(lines[start + 2].split()[-1])
    values = np.array([[float(x) for x in row.split()] for row in lines[start + 3 :] if row])
    positions = _plain_positions(lines[:start], values)
    times = np.arange(0.0, (len(values) - 1) / fps, 1.0 / 20.0) * fps
    before = np.minimum(times.astype(int), len(values) - 2)
    share = (times - before)[:, None, None]
    slow = positions[before] * (1.0 - share) + positions[before + 1] * share
    starts = range(0, len(slow) - 49, 20)
    return len(np.stack([slow[s : s + 50] - slow[s, 0] for s in starts]).astype(np.float32))


def own_windows(path: str) -> int:
    """Windows of a motion file by raydance's own readers, without Ray."""
    from raydance.data.ingest import Settings, windows_of_clip
    from raydance.motion.formats import read_clip

    settings = Settings()
    clip = read_clip(path)
    found = windows_of_clip(clip, fps=settings.fps, length=settings.window, stride=settings.stride)
    return len(found[0])


def ingestion(folder: Path, num_windows: int) -> dict[str, Any]:
    """Windows per second from BVH to a dataset, against two processes that only read.

    `ratio` is to a plain NumPy script, `own_reader_ratio` to raydance's readers without Ray.
    """
    from raydance.cluster.data import ingest

    library = write_library(folder / "library", max(8, num_windows // 18))
    small = write_library(folder / "warm", 4, seconds=6.0)
    ingest([small], folder / "warm_dataset")  # Ray's own start is not what is measured
    started = time.perf_counter()
    result = ingest([library], folder / "dataset")
    through_ray = result["windows"] / (time.perf_counter() - started)

    files = sorted(map(str, library.glob("*.bvh")))
    bare = {}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for name, read in (("plain", plain_windows), ("own_reader", own_windows)):
            pool.map(read, files[:2], chunksize=1)
            started = time.perf_counter()
            total = sum(pool.imap_unordered(read, files, chunksize=2))
            bare[name] = total / (time.perf_counter() - started)
    return {
        "windows": result["windows"],
        "ray_windows_per_s": through_ray,
        "plain_windows_per_s": bare["plain"],
        "ratio": through_ray / bare["plain"],
        "own_reader_ratio": through_ray / bare["own_reader"],
        "target": 1.0,
    }


def memory(folder: Path, num_windows: int) -> dict[str, Any]:
    """Peak private memory of an ingestion, and of one ten times larger."""
    from raydance.cluster.data import ingest

    clips = max(4, num_windows // 180)
    peaks = []
    for factor in (1, 10):
        library = write_library(folder / f"library{factor}", clips * factor)
        with PeakMemory() as watch:
            ingest([library], folder / f"dataset{factor}")
        peaks.append(watch.peak)
    return {"mib": peaks[0], "mib_ten_times": peaks[1], "ratio": peaks[1] / peaks[0], "target": 1.2}
