"""What a run says of a unit's windows and clips, and the tables that this becomes.

Dimensions: N windows, K clusters, Z shared space, D sentence embedding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from raydance.data import index
from raydance.library.segments import merge_windows
from raydance.library.units import Unit
from raydance.systems.dance_language.answer_judge import Judgement
from raydance.systems.dance_language.run import DanceLanguage

BATCH = 256

_CAPTION_FIELDS = [
    ("captions", pa.list_(pa.string())),
    ("scores", pa.list_(pa.float32())),
    ("derived", pa.list_(pa.bool_())),
    ("cluster", pa.int64()),
    ("cluster_confidence", pa.float32()),
    ("confidence", pa.float32()),
    ("is_unlike_training", pa.bool_()),
]
"""`confidence` is the probability that the first caption is right, as in `answers.Segment`;
`cluster_confidence` says how clearly the motion belongs to its cluster."""

_SEGMENT = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64()), *_CAPTION_FIELDS])
CLIP_SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("item", pa.string()),
        ("source", pa.string()),
        ("fps", pa.float64()),
        ("start_frame", pa.int64()),
        ("duration_s", pa.float64()),
        ("num_windows", pa.int64()),
        *_CAPTION_FIELDS,
        ("segments", pa.list_(_SEGMENT)),
    ]
)
"""A row per clip: what is said of the whole, and its timed segments."""


def window_schema(width: int) -> pa.Schema:
    """A row per window; `embedding` is its point in the run's shared space of `width` values."""
    return pa.schema(
        [
            ("clip_id", pa.string()),
            ("item", pa.string()),
            ("source", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            *_CAPTION_FIELDS,
            ("embedding", pa.list_(pa.float32(), width)),
        ]
    )


class Describer:
    """Describes units with a run.

    Args:
        k: captions of each window, clip and segment.
    """

    def __init__(self, system: DanceLanguage, k: int) -> None:
        self.system = system
        self.k = k

    def __call__(self, unit: Unit) -> tuple[pa.Table, pa.Table]:
        """The tables of windows and of clips of a unit."""
        found = self._encode(unit)
        return self._windows(unit, found), self._clips(unit, found)

    def _encode(self, unit: Unit) -> dict[str, np.ndarray]:
        parts = [
            self.system.encode_motion(
                unit.motion[first : first + BATCH], unit.joint_mask[first : first + BATCH]
            )
            for first in range(0, len(unit.motion), BATCH)
        ]
        if not parts:
            return {}
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        least_s = (self.system.window - 0.5) / self.system.fps
        found["is_padded"] = np.array([end - start < least_s for _, start, end in unit.windows])
        found["in_cluster"] = cluster_confidence(self.system.centroids, found["cluster_point"])
        ids, scores = self.system.caption_base.rank(found["text"], found["cluster"], self.k)
        unlike = self.system.judge.unlike(found["motion_embedding"])
        return found | {"ids": ids, "scores": scores} | ({} if unlike is None else {"far": unlike})

    def _caption_columns(
        self,
        ids: np.ndarray,
        scores: np.ndarray,
        cluster: np.ndarray,
        in_cluster: np.ndarray,
        judged: Judgement,
        is_padded: np.ndarray,
    ) -> dict[str, list[Any]]:
        texts, derived = self.system.captions.texts, self.system.derived_captions
        return {
            "captions": [[texts[i] for i in row] for row in ids],
            "scores": scores.tolist(),
            "derived": [[int(i) in derived for i in row] for row in ids],
            "cluster": cluster.tolist(),
            "cluster_confidence": in_cluster.tolist(),
            # As in `describe`, padded motion has no confidence.
            "confidence": [
                None if padded else value for padded, value in zip(is_padded, judged.confidence)
            ],
            "is_unlike_training": judged.is_unlike_training,
        }

    def _windows(self, unit: Unit, found: dict[str, np.ndarray]) -> pa.Table:
        schema = window_schema(self.system.width)
        if not found:
            return schema.empty_table()
        clips = [unit.clips[clip] for clip, _, _ in unit.windows]
        columns: dict[str, Any] = {
            name: [clip[name] for clip in clips] for name in ("clip_id", "item", "source")
        }
        columns["start_s"] = [start for _, start, _ in unit.windows]
        columns["end_s"] = [end for _, _, end in unit.windows]
        judged = self.system.judge.judge(found["text"], found["cluster"], found.get("far"))
        columns |= self._caption_columns(
            found["ids"],
            found["scores"],
            found["cluster"],
            found["in_cluster"],
            judged,
            found["is_padded"],
        )
        arrays = [pa.array(columns[field.name], field.type) for field in list(schema)[:-1]]
        flat = pa.array(np.ascontiguousarray(found["motion_embedding"]).reshape(-1), pa.float32())
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, self.system.width))
        return pa.table(arrays, schema=schema)

    def _clips(self, unit: Unit, found: dict[str, np.ndarray]) -> pa.Table:
        rows = []
        of_window = np.array([clip for clip, _, _ in unit.windows], dtype=np.int64)
        for number, clip in enumerate(unit.clips):
            here = np.flatnonzero(of_window == number)
            row = dict(clip) | {"num_windows": len(here)}
            if len(here):
                row |= self._said(found, here) | {"segments": self._segments(unit, found, here)}
            rows.append(row)
        return pa.Table.from_pylist(rows, schema=CLIP_SCHEMA)

    def _segments(
        self, unit: Unit, found: dict[str, np.ndarray], here: np.ndarray
    ) -> list[dict[str, Any]]:
        order = here[np.argsort([unit.windows[i][1] for i in here], kind="stable")]
        stretches = merge_windows(
            found["ids"][order, 0].tolist(),
            [unit.windows[i][1] for i in order],
            [unit.windows[i][2] for i in order],
        )
        return [
            {"start_s": part.start_s, "end_s": part.end_s}
            | self._said(found, order[part.first : part.end])
            for part in stretches
        ]

    def _said(self, found: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, Any]:
        """What is said of several windows together, as of a whole clip in `describe`."""
        whole_D = index.unit(found["text"][rows]).mean(axis=0)
        clusters = found["cluster"][rows]
        main = np.array([np.bincount(clusters).argmax()])
        # Windows of other clusters speak against the main one.
        in_cluster = np.array([found["in_cluster"][rows][clusters == main[0]].sum() / len(rows)])
        ids, scores = self.system.caption_base.rank(whole_D[None], main, self.k)
        far = np.array([found["far"][rows].mean() > 0.5]) if "far" in found else None
        judged = self.system.judge.judge(whole_D[None], main, far)
        is_padded = found["is_padded"][rows].all(keepdims=True)
        columns = self._caption_columns(ids, scores, main, in_cluster, judged, is_padded)
        return {name: values[0] for name, values in columns.items()}


def cluster_confidence(centroids_KZ: np.ndarray, latents_NZ: np.ndarray) -> np.ndarray:
    """The simplified silhouette `[N]` in [0, 1]: 1 at a centroid, 0 half-way to the next one."""
    distance = np.sqrt(
        np.maximum(
            np.square(latents_NZ).sum(1)[:, None]
            + np.square(centroids_KZ).sum(1)[None]
            - 2.0 * latents_NZ @ centroids_KZ.T,
            0.0,
        )
    )
    nearest = np.partition(distance, 1, axis=1)[:, :2]
    return ((nearest[:, 1] - nearest[:, 0]) / np.maximum(nearest[:, 1], 1e-12)).astype(np.float32)
