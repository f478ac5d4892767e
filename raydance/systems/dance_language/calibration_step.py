"""Fits how a run judges its own answers, from the validation windows of its library.

What comes out are JSON numbers among the facts of the library's bundle. No test window is read.

Dimensions: N windows, U captions, Z shared space.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from raydance.data.index import Metric
from raydance.motion.augment import mirror_caption
from raydance.systems.base import load_stage
from raydance.systems.dance_language import calibration, understanding
from raydance.systems.dance_language.caption_base import CaptionBase
from raydance.systems.dance_language.config import DanceLanguageConfig, config_of
from raydance.systems.dance_language.labels import caption_labels, label_of
from raydance.systems.dance_language.library_step import Library
from raydance.systems.dance_language.stages import build_stage
from raydance.text.encoder import load_text_encoder
from raydance.text.words import side_vector
from raydance.training.caption_table import CaptionTable
from raydance.training.run_folder import Run, load_bundle


def caption_base_of(
    run: Run, config: DanceLanguageConfig, table: CaptionTable, clusters_UK: np.ndarray
) -> CaptionBase:
    """The captions of a run that may describe new motion."""
    return CaptionBase(
        table,
        load_bundle(run.bundle("captions"))[1],
        clusters_UK,
        config.motion_to_text.cluster_verification,
        "text_projection" if config.motion_to_text.ranking == "shared" else "text_embedding",
    )


def names_of_captions(run: Run, library: Library, texts: tuple[str, ...]) -> list[str]:
    """What each caption of a run stands for: what most of its training windows are called, and
    the side that it names; empty where no training window has it.

    A caption of mirrored training windows alone names what they show, mirrored.
    """
    rows = library.rows("train")
    ids = [library.windows["caption_ids"][i] for i in rows]
    called = [_label(library, i, texts) for i in rows]
    by_caption = caption_labels(ids, called, len(texts))
    mirror = load_bundle(run.bundle("captions"))[1]["mirror"]
    names = [
        name or mirror_caption(by_caption[partner]) for name, partner in zip(by_caption, mirror)
    ]
    return [name_with_side(name, text) for name, text in zip(names, texts)]


def names_of_windows(
    library: Library, rows: np.ndarray, texts: tuple[str, ...], least_s: float
) -> list[str]:
    """What windows of the library show, and the sides that their first captions name.

    Args:
        least_s: of shorter ones, which do not fill their window, nothing is said: their captions
            have no confidence.
    """
    found = []
    for row in rows:
        start_s, end_s, ids = (library.windows[k][row] for k in ("start_s", "end_s", "caption_ids"))
        name = _label(library, row, texts) if end_s - start_s >= least_s else ""
        found.append(name_with_side(name, texts[ids[0]] if ids else ""))
    return found


def _label(library: Library, row: int, texts: tuple[str, ...]) -> str:
    captions = [texts[i] for i in library.windows["caption_ids"][row]]
    return label_of(library.windows["labels"][row], captions)


def name_with_side(name: str, caption: str) -> str:
    """A caption of the other side is wrong, though the movement is the same."""
    side = float(side_vector(caption).sum())
    return name and name + (", left" if side > 0 else ", right" if side < 0 else "")


def calibrate(run: Run, library: Library, clusters_UK: np.ndarray) -> dict[str, Any]:
    """What `AnswerJudge` works with, as JSON data: from training and validation windows.

    Args:
        clusters_UK: whether a caption occurs in a cluster, bool.
    """
    config = config_of(run)
    parts = ("captions", "text_encoder_captions", "contrastive_captions")
    table = CaptionTable.load([run.bundle(name) for name in parts])
    base = caption_base_of(run, config, table, clusters_UK)
    train, held_out = library.rows("train"), library.rows("val")
    texts = table.texts
    names = names_of_captions(run, library, texts)
    metric = metric_of(run)
    full_s = (run.facts["dataset"]["window"] - 0.5) / run.facts["dataset"]["fps"]
    confidence = calibration.fit(
        base,
        [names[i] for i in base.ids],
        _in_caption_space(run, config, library, held_out),
        library.cluster[held_out],
        names_of_windows(library, held_out, texts, full_s),
        calibration.distances(library.embedding[held_out], library.embedding[train], metric),
    )
    captions = [texts[c] for i in held_out for c in library.windows["caption_ids"][i]]
    words = None
    if captions and len(base.ids):
        known = [texts[i] for i in base.ids]
        embedding_UD = table.columns["text_embedding"].numpy()[base.ids]
        encode = load_text_encoder(config.text).encode
        found = understanding.examples(captions, known, embedding_UD, encode)
        words = understanding.fit(known, found)
    return {
        "confidence": confidence.as_data(),
        "understanding": words.as_data() if words is not None else None,
    }


def metric_of(run: Run) -> Metric:
    """How points of a run's shared space compare."""
    stage: Any = load_stage(run, "contrastive", build_stage)
    metric: Metric = stage.metric
    return metric


def _in_caption_space(
    run: Run, config: DanceLanguageConfig, library: Library, rows: np.ndarray
) -> np.ndarray:
    if config.motion_to_text.ranking == "shared":
        return library.embedding[rows]
    stage: Any = load_stage(run, "motion_to_text", build_stage)
    columns = {"latent": library.latent, "motion_embedding": library.embedding}
    points = columns[config.motion_to_text.motion_input][rows]
    with torch.inference_mode():
        projected: np.ndarray = stage.project(torch.from_numpy(points.copy())).numpy()
    return projected
