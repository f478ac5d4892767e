"""What benchmarks work on, and the memory that they watch."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path


def write_library(folder: Path, num_clips: int, seconds: float = 20.0) -> Path:
    """BVH files of the procedural dancer, several of its clips in a row at 60 fps."""
    import numpy as np

    from raydance.motion import synthetic, windows
    from raydance.motion.clip import Clip
    from raydance.motion.export import bvh

    folder.mkdir(parents=True)
    clips = [synthetic.make_clip(m, i) for i in range(2) for m in synthetic.MOVEMENTS]
    for number in range(num_clips):
        own = clips[number % len(clips)]
        repeats = int(seconds / own.duration_s) + 1
        positions = np.tile(windows.resample(own.positions, own.fps, 60.0), (repeats, 1, 1))
        clip = Clip(
            clip_id=f"clip_{number:04d}",
            source="benchmark",
            fps=60.0,
            joint_names=own.joint_names,
            parents=own.parents,
            positions=positions,
        )
        bvh.write(folder / f"clip_{number:04d}.bvh", clip)
    return folder


class PeakMemory:
    """Peak of the private memory of this process and all that it started, in MiB."""

    def __enter__(self) -> PeakMemory:
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            self.peak = max(self.peak, sum(map(_private_mib, _family(os.getpid()))))


def _family(root: int) -> list[int]:
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    parents = dict(tuple(map(int, row.split())) for row in listing.stdout.splitlines()[1:])
    family, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return sorted(family)


def _private_mib(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    rows = (line.split() for line in text.splitlines())
    return sum(int(row[1]) for row in rows if row[0].startswith("Private_")) / 1024
