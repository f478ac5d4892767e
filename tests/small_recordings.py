"""Small files of a rigid body that glides, and what is written about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data.sources import FileJob, find_jobs
from raydance.motion.skeleton import JOINTS, NUM_JOINTS, PARENTS

BODY = np.zeros((NUM_JOINTS, 3), np.float32)
BODY[:, 1] = np.linspace(0.0, 1.7, NUM_JOINTS)
BODY[:, 0] = [{"l": 0.2, "r": -0.2}.get(name[0], 0.0) for name in JOINTS]


def walk(num_frames: int, speed_m_s: float = 1.0, fps: float = 20.0) -> np.ndarray:
    """A rigid body that glides forward: `[T, 50, 3]`."""
    motion = np.repeat(BODY[None], num_frames, axis=0)
    motion[:, :, 2] += (np.arange(num_frames) * speed_m_s / fps)[:, None]
    return motion


def write_npz(path: Path, positions: np.ndarray, fps: float = 20.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        positions=positions.astype(np.float32),
        joint_names=np.array(JOINTS),
        parents=np.array(PARENTS),
        fps=np.array(fps),
    )
    return path


def write_captions(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps({"captions": ["walks"], **row}) + "\n" for row in rows))
    return path


def only_job(path: Path, *rows: dict[str, Any]) -> FileJob:
    captions = [write_captions(path.parent / "c.jsonl", *rows)] if rows else []
    (job,) = find_jobs([path], captions)
    return job
