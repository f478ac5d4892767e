"""The part of the service that takes motion into words and points."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from raydance.motion.clip import Clip
from raydance.serving.parts import ClipPoints, Part


class Describer(Part):
    """Motion into words and points."""

    def warm_up(self) -> None:
        _ = self.run_cache.open(None).system.derived_captions

    def describe(self, model: str | None, clip: Clip, k: int) -> dict[str, Any]:
        """Captions of the whole clip and of each of its windows.

        Raises:
            InputError: much shorter than one window, or a skeleton that cannot be mapped.
        """
        opened = self.run_cache.open(model)
        segments = opened.system.describe(clip, k)
        return {
            "model": opened.entry.name,
            "seconds": clip.duration_s,
            "notices": opened.system.notices(clip),
            "segments": [asdict(segment) for segment in segments],
        }

    def embed(self, model: str | None, clip: Clip) -> ClipPoints:
        """A clip's windows as points of the shared space.

        Raises:
            InputError: as for `describe`.
        """
        opened = self.run_cache.open(model)
        motion, mask, starts = opened.system.windows(clip, pads_short=True)
        points = opened.system.encode_motion(motion, mask)["motion_embedding"]
        return ClipPoints(
            entry=opened.entry,
            metric=opened.system.metric,
            points=points,
            start_s=starts,
            notices=tuple(opened.system.notices(clip)),
        )
