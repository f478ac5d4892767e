"""The part of the service that finds clips, and knows what the runs and their libraries hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from raydance.serving.motions import ClipPart
from raydance.serving.parts import EncodedText
from raydance.serving.runs import Entry, OpenRun, RunCache
from raydance.serving.sentence_encoder import TextPart
from raydance.systems.dance_language.training_summary import summarise

_GOLDEN: Final = 0.5 * (5.0**0.5 - 1.0)


class Retriever(TextPart):
    """Sentences, or points, into clips, and clips into their motion."""

    def __init__(self, run_cache: RunCache, *, encodes: bool = True) -> None:
        super().__init__(run_cache, encodes=encodes)
        self._known: dict[str, dict[str, Any]] = {}

    def warm_up(self) -> None:
        super().warm_up()
        opened = self.run_cache.open(None)
        _ = opened.system.library, opened.finder, opened.own_motions

    def models(self) -> list[dict[str, Any]]:
        """Facts of every run that is served; each is loaded for them once."""
        for name in self.run_cache.entries:
            if name not in self._known:
                self._known[name] = self._facts(name)
        return list(self._known.values())

    def _facts(self, name: str) -> dict[str, Any]:
        opened = self.run_cache.open(name)
        system, store = opened.system, opened.store
        counts = store.counts() if store is not None else {}
        return {
            "name": name,
            "is_default": name == self.run_cache.default,
            "fps": system.fps,
            "window": system.window,
            "stride": system.stride,
            "metric": system.metric,
            "num_windows": len(system.library.cluster),
            "num_clips": len(set(system.library.windows["clip_id"])),
            "clusters": _clusters(opened),
            "sources": opened.sources,
            "default_source": opened.default_source,
            "flow": _flow_settings(opened),
            "max_frames": system.max_frames,
            "library": {"num_windows": counts["windows"], "num_files": counts["read"]}
            if counts
            else None,
            "trained_on": asdict(summarise(system.library, system.captions.texts)),
        }

    def answer(self, asked: Sequence[tuple[EncodedText, int, bool | None]]) -> list[dict[str, Any]]:
        """For (sentence, k, in_library) the k clips nearest to it, as `search` has them."""
        return [
            self.search(one.entry, one.words["text_projection"], k, in_library)
            for one, k, in_library in asked
        ]

    def search(
        self, entry: Entry, point_Z: np.ndarray, k: int, in_library: bool | None
    ) -> dict[str, Any]:
        """The k clips nearest to a point, and which library they are of.

        Args:
            entry: the run whose point it is.

        Raises:
            NotHere: there is no captioned library, and one was asked for.
        """
        opened = self.run_cache.open(entry)
        if in_library is None:
            in_library = opened.finder is not None
        motions = opened.motions(in_library)
        finder = opened.finder
        if in_library and finder is not None:
            hits = finder.search(point_Z, k)
        else:
            hits = opened.system.nearest(point_Z, k)
        found = []
        for hit in hits:
            row = asdict(hit)
            del row["source"]  # where files lie is not the caller's to know
            row["labels"] = {str(key): str(value) for key, value in hit.labels.items()}
            found.append(row | {"has_motion": motions.has(hit.clip_id)})
        return {"in_library": in_library, "hits": found}

    def part_of(
        self, model: str | None, clip_id: str, span: tuple[float, float], in_library: bool
    ) -> ClipPart:
        """The motion of a clip between two times, in seconds.

        Raises:
            NotHere: no such clip or time, or its motion is not on this machine.
        """
        return self.run_cache.open(model).motions(in_library).part(clip_id, *span)

    def map(self, model: str | None, limit: int, offset: int = 0) -> dict[str, Any]:
        """Windows of the run's library on the two main axes of the latent space (PCA).

        Args:
            limit: most windows to give; spread evenly over the library.
            offset: windows that earlier pages gave; pages have none in common.
        """
        opened = self.run_cache.open(model)
        library = opened.system.library
        centred = library.latent - library.latent.mean(axis=0)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        axes = vectors[:, ::-1][:, :2]
        # The sign of an axis is arbitrary: its largest entry is positive, so maps stay as they are.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
        # Rows with a small fractional part of a golden multiple lie evenly among all rows.
        order = np.argsort((np.arange(len(centred)) * _GOLDEN) % 1.0, kind="stable")
        rows = np.sort(order[offset : offset + limit])
        flat = centred[rows] @ axes
        windows, texts = library.windows, opened.system.captions.texts
        points = []
        for i, (x, y) in zip(rows.tolist(), flat.tolist()):
            ids = windows["caption_ids"][i]
            points.append(
                {
                    "clip_id": windows["clip_id"][i],
                    "start_s": windows["start_s"][i],
                    "end_s": windows["end_s"][i],
                    "cluster": int(library.cluster[i]),
                    "x": x,
                    "y": y,
                    "caption": texts[ids[0]] if ids else "",
                }
            )
        total = max(float(values.sum()), 1e-12)
        return {
            "model": opened.entry.name,
            "method": "pca",
            "explained": [float(value) / total for value in values[::-1][:2]],
            "points": points,
            "num_windows": len(centred),
            "clusters": _clusters(opened),
        }


def _flow_settings(opened: OpenRun) -> dict[str, Any] | None:
    """The settings of a run's flow where nothing else is asked for."""
    if "flow" not in opened.sources:
        return None
    config = opened.system.config.motion_flow
    return {
        "steps": config.steps,
        "guidance": config.guidance,
        "candidates": config.candidates,
    }


def _clusters(opened: OpenRun) -> list[dict[str, Any]]:
    count = np.bincount(opened.system.library.cluster, minlength=len(opened.system.centroids))
    return [
        {"id": i, "description": opened.cluster_words.get(i, ""), "num_windows": int(number)}
        for i, number in enumerate(count)
    ]
