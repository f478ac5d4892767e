"""The evaluation of one run: reads the test split, asks the system, measures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raydance.artifacts import load_bundle
from raydance.evaluation import grouping, retrieval
from raydance.evaluation import reconstruction as rebuilding
from raydance.evaluation.from_text import MAX_GENERATED, generation_measures
from raydance.evaluation.generation import naturalness
from raydance.evaluation.trust import trust_measures
from raydance.evaluation.view import Ground, View
from raydance.evaluation.windows import MAX_TEST
from raydance.evaluation.writing import writing_measures
from raydance.measure import Measure, losses_against_baseline
from raydance.systems.dance_language_run import load
from raydance.systems.labels import label_key


def evaluate(
    run_path: str | Path,
    dataset_path: str | Path | None = None,
    *,
    num_generated: int = MAX_GENERATED,
    seed: int = 0,
    max_windows: int = MAX_TEST,
    ground: Ground | None = None,
) -> dict[str, Any]:
    """Measure a run on the test split.

    Args:
        dataset_path: the run's own dataset by default.
        num_generated: test windows whose captions motion is generated from; at most
            `from_text.MAX_OTHER` with sources that are not the run's own.
        max_windows: a larger test split is sampled.
        ground: the dataset already read, for several runs on it.

    Returns:
        Plain data: counts, `measures` (see `Measure`), `losses`, `eq12`, `calibration`
        (of the reliability diagram), `silhouette`, `stability`, `examples`, `notes`.

    Raises:
        InputError: a dataset without test windows, of another rate or window, with recordings in
            two splits, or with test clips that the run was trained on.
    """
    started = time.monotonic()
    system = load(run_path)
    if ground is None:
        path = dataset_path or system.run.facts["dataset"]["path"]
        ground = Ground.read(path, max_windows=max_windows, seed=seed)
    view = View(system, ground)
    measures = [
        *_retrieval(view, seed),
        *_reconstruction(view),
        *_clusters(view, seed),
    ]
    eq12, text_measures = _text_encoder(view, seed)
    measures += text_measures
    measures += generation_measures(view, num_generated, seed)
    if "caption_writer" in system.run.facts["steps"]:
        measures += writing_measures(view)
    calibration, trust = trust_measures(view)
    measures += trust
    facts = ground.test.facts
    report = load_bundle(system.run.bundle("clusters"))[1]["report"]
    groups = list(dict.fromkeys(m.group for m in measures))
    plain = [m.as_dict() for m in sorted(measures, key=lambda m: groups.index(m.group))]
    return {
        "run": str(run_path),
        "dataset": str(ground.dataset.path),
        "split": "test",
        "windows": len(facts),
        "windows_in_split": ground.test.total,
        "clips": len(set(facts.clip_id)),
        "recordings": len(set(facts.recording)),
        "training_windows": ground.training.total,
        "training_recordings": len(set(ground.training.facts.recording)),
        "label": label_key(facts.labels),
        "num_labels": len(set(facts.names) - {""}),
        "is_synthetic": is_synthetic(facts.labels),
        "metric": system.metric,
        "source": system.config.text_to_motion.source,
        "num_clusters": len(system.centroids),
        "silhouette": report["silhouette"],
        "stability": report["stability"],
        "eq12": eq12,
        "calibration": calibration,
        "measures": plain,
        "losses": losses_against_baseline(plain),
        "examples": view.examples(seed),
        "notes": view.notes,
        "seconds": time.monotonic() - started,
    }


def is_synthetic(labels: Sequence[dict[str, str]]) -> bool:
    """Whether any of the clips is the procedural dancer's."""
    return any(row.get("origin") == "synthetic" for row in labels)


def _retrieval(view: View, seed: int) -> list[Measure]:
    system, ground, rows = view.system, view.ground, view.rows
    cluster_N = view.motion["cluster"][rows]
    means, _ = view.caption_means()
    described = means(view.text["text_embedding"])
    measures = retrieval.text_to_motion(
        (view.text["text_projection"], view.motion["motion_embedding"][rows], system.metric),
        (described, ground.test.features[rows]),
        view.captions,
        view.names,
        cluster_N,
        seed=seed,
    )
    found = [[view.caption_names[d.text] for d in view.found_captions(row)] for row in rows]
    neighbours = ground.training.neighbours
    base = [
        [str(neighbours.labels[i]) for i in nearest]
        for nearest in neighbours.nearest(ground.test.features[rows], 3)
    ]
    texts = system.captions.texts
    captions = system.caption_base
    gallery = [view.caption_names[texts[i]] for i in captions.ids]
    first, _ = captions.rank(view.motion["text"][rows], cluster_N, 1, by_words_alone=True)
    return [
        *measures,
        *retrieval.motion_to_text(found, base, view.names, gallery),
        retrieval.caption_cluster(first[:, 0], cluster_N, captions.clusters_UK, captions.ids),
    ]


def _reconstruction(view: View) -> list[Measure]:
    test, training = view.ground.test, view.ground.training
    nearest = [row[0] for row in training.neighbours.nearest(test.features, 1)]
    rebuilt = view.rebuild(view.motion["latent"])
    true = view.as_read(test.motion, test.joint_mask)
    copied = view.as_read(training.motion_of(nearest), test.joint_mask)
    measures = rebuilding.reconstruction(
        rebuilt,
        true,
        test.joint_mask,
        mean_pose=training.mean_pose,
        nearest=copied,
        fps=view.fps,
    )
    real = naturalness(true, view.fps, test.joint_mask).jitter
    ratio = naturalness(rebuilt, view.fps, test.joint_mask).jitter / max(real, 1e-9)
    judge, mask = view.ground.classifier, test.joint_mask
    named = [i for i, name in enumerate(test.facts.names) if name]
    names = [test.facts.names[i] for i in named]
    return [
        *measures,
        Measure(
            group="reconstruction",
            name="the movement is still recognised by an independent judge",
            value=judge.accuracy(rebuilt[named], mask[named], names),
            target=judge.accuracy(true[named], mask[named], names),
            is_main=False,
        ),
        Measure(
            group="reconstruction",
            name="jitter against real motion",
            unit="x",
            better="target",
            value=ratio,
            target=1.0,
        ),
    ]


def _clusters(view: View, seed: int) -> list[Measure]:
    facts = view.ground.test.facts
    quality = [row.get("quality", "") for row in facts.labels]
    what, names = "the quality", quality
    if sum(map(bool, quality)) < 0.5 * len(quality):
        what, names = "the movement", facts.names
    rows = [i for i, name in enumerate(names) if name]
    if len({names[i] for i in rows}) < 2:
        view.notes.append("no two kinds of movement to compare the clusters with")
        return []
    return grouping.agreement(
        view.motion["cluster"][rows],
        view.ground.training.features,
        view.ground.test.features[rows],
        [names[i] for i in rows],
        what,
        seed=seed,
    )


def _text_encoder(view: View, seed: int) -> tuple[dict[str, Any], list[Measure]]:
    alpha = view.system.config.text_encoder.alpha
    text, latent = view.text["text_latent"], view.motion["latent"][view.rows]
    on_test = rebuilding.alignment(text, latent, alpha)
    shuffled = np.random.default_rng([seed, 61]).permutation(len(text))
    by_chance = rebuilding.alignment(text[shuffled], latent, alpha)
    library = view.system.library
    floor = rebuilding.alignment_floor(library.latent[view.library_rows], view.library_ids, alpha)
    measures = [
        Measure(
            group="text encoder",
            name="eq. 12 on test pairs (bound: spread within captions)",
            unit="",
            better="lower",
            value=on_test["total"],
            chance=by_chance["total"],
            target=floor["total"],
            is_main=False,
        ),
        Measure(
            group="text encoder",
            name="length of text against motion latents",
            unit="x",
            better="target",
            value=on_test["norm_ratio"],
            target=1.0,
            is_main=False,
        ),
    ]
    return {"test": on_test, "training_floor": floor}, measures
