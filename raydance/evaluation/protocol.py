"""The evaluation of one run: reads the test split, asks the system, measures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raydance.errors import InputError
from raydance.evaluation import grouping, retrieval
from raydance.evaluation import reconstruction as rebuilding
from raydance.evaluation.data import EvaluationData, RunOutputs
from raydance.evaluation.from_text import MAX_GENERATED, generation_measures
from raydance.evaluation.generation import naturalness
from raydance.evaluation.measure import Measure, losses_against_baseline
from raydance.evaluation.trust import trust_measures
from raydance.evaluation.windows import MAX_TEST
from raydance.evaluation.writing import writing_measures
from raydance.systems.dance_language.labels import label_key
from raydance.systems.dance_language.run import load
from raydance.training.run_folder import load_bundle


def evaluate(
    run_path: str | Path,
    dataset_path: str | Path | None = None,
    *,
    num_generated: int = MAX_GENERATED,
    seed: int = 0,
    max_windows: int = MAX_TEST,
    data: EvaluationData | None = None,
) -> dict[str, Any]:
    """Measure a run on the test split.

    Args:
        dataset_path: the run's own dataset by default.
        num_generated: test windows whose captions motion is generated from; at most
            `from_text.MAX_OTHER` with sources that are not the run's own.
        max_windows: a larger test split is sampled.
        data: the dataset already read, for several runs on it.

    Returns:
        Plain data: counts, `measures` (see `Measure`), `losses`, `eq12`, `calibration`
        (of the reliability diagram), `silhouette`, `stability`, `examples`, `notes`.

    Raises:
        InputError: a dataset without test windows, of another rate or window, with recordings in
            two splits, or with test clips that the run was trained on.
    """
    started = time.monotonic()
    system = load(run_path)
    if data is None:
        path = dataset_path or system.run.facts["dataset"]["path"]
        data = EvaluationData.read(path, max_windows=max_windows, seed=seed)
    outputs = full = RunOutputs(system, data)
    if data.full is not data:
        num_full = len(data.full.test.facts)
        if num_full < 2:
            raise InputError(
                f"{data.dataset.path}: {num_full} test windows are filled by their clips; at least "
                "2 are needed: ingest with a smaller --window"
            )
        full = RunOutputs(system, data.full)
        full.notes = outputs.notes
        num_short = len(data.test.facts) - num_full
        outputs.notes.append(
            f"{num_short} test windows are of shorter clips: they count for words, and not for "
            "reconstruction, generation and the confidence of captions"
        )
    measures = [
        *_retrieval(outputs, seed),
        *_reconstruction(full),
        *_clusters(outputs, seed),
    ]
    eq12, text_measures = _text_encoder(outputs, seed)
    measures += text_measures
    measures += generation_measures(full, num_generated, seed)
    if "caption_writer" in system.run.facts["steps"]:
        measures += writing_measures(outputs)
    calibration, trust = trust_measures(outputs, full)
    measures += trust
    facts = data.test.facts
    report = load_bundle(system.run.bundle("clusters"))[1]["report"]
    groups = list(dict.fromkeys(m.group for m in measures))
    plain = [m.as_dict() for m in sorted(measures, key=lambda m: groups.index(m.group))]
    return {
        "run": str(run_path),
        "dataset": str(data.dataset.path),
        "split": "test",
        "windows": len(facts),
        "windows_in_split": data.test.total,
        "clips": len(set(facts.clip_id)),
        "recordings": len(set(facts.recording)),
        "training_windows": data.training.total,
        "training_recordings": len(set(data.training.facts.recording)),
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
        "examples": outputs.examples(seed),
        "notes": outputs.notes,
        "seconds": time.monotonic() - started,
    }


def is_synthetic(labels: Sequence[dict[str, str]]) -> bool:
    """Whether any of the clips is the procedural dancer's."""
    return any(row.get("origin") == "synthetic" for row in labels)


def _retrieval(outputs: RunOutputs, seed: int) -> list[Measure]:
    system, data, rows = outputs.system, outputs.data, outputs.rows
    cluster_N = outputs.motion["cluster"][rows]
    means, _ = outputs.caption_means()
    described = means(outputs.text["text_embedding"])
    measures = retrieval.text_to_motion(
        (outputs.text["text_projection"], outputs.motion["motion_embedding"][rows], system.metric),
        (described, data.test.features[rows]),
        outputs.captions,
        outputs.names,
        cluster_N,
        seed=seed,
    )
    found = [[outputs.caption_names[d.text] for d in outputs.found_captions(row)] for row in rows]
    neighbours = data.training.neighbours
    base = [
        [str(neighbours.labels[i]) for i in nearest]
        for nearest in neighbours.nearest(data.test.features[rows], 3)
    ]
    texts = system.captions.texts
    captions = system.caption_base
    gallery = [outputs.caption_names[texts[i]] for i in captions.ids]
    first, _ = captions.rank(outputs.motion["text"][rows], cluster_N, 1, by_words_alone=True)
    return [
        *measures,
        *retrieval.motion_to_text(found, base, outputs.names, gallery),
        retrieval.caption_cluster(first[:, 0], cluster_N, captions.clusters_UK, captions.ids),
    ]


def _reconstruction(outputs: RunOutputs) -> list[Measure]:
    test, training = outputs.data.test, outputs.data.training
    nearest = [row[0] for row in training.neighbours.nearest(test.features, 1)]
    rebuilt = outputs.rebuild(outputs.motion["latent"])
    true = outputs.as_read(test.motion, test.joint_mask)
    copied = outputs.as_read(training.motion_of(nearest), test.joint_mask)
    measures = rebuilding.reconstruction(
        rebuilt,
        true,
        test.joint_mask,
        mean_pose=training.mean_pose,
        nearest=copied,
        fps=outputs.fps,
    )
    real = naturalness(true, outputs.fps, test.joint_mask).jitter
    ratio = naturalness(rebuilt, outputs.fps, test.joint_mask).jitter / max(real, 1e-9)
    judge, mask = outputs.data.classifier, test.joint_mask
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


def _clusters(outputs: RunOutputs, seed: int) -> list[Measure]:
    facts = outputs.data.test.facts
    quality = [row.get("quality", "") for row in facts.labels]
    what, names = "the quality", quality
    if sum(map(bool, quality)) < 0.5 * len(quality):
        what, names = "the movement", facts.names
    rows = [i for i, name in enumerate(names) if name]
    if len({names[i] for i in rows}) < 2:
        outputs.notes.append("no two kinds of movement to compare the clusters with")
        return []
    return grouping.agreement(
        outputs.motion["cluster"][rows],
        outputs.data.training.features,
        outputs.data.test.features[rows],
        [names[i] for i in rows],
        what,
        seed=seed,
    )


def _text_encoder(outputs: RunOutputs, seed: int) -> tuple[dict[str, Any], list[Measure]]:
    alpha = outputs.system.config.text_encoder.alpha
    text, latent = outputs.text["text_latent"], outputs.motion["latent"][outputs.rows]
    on_test = rebuilding.alignment(text, latent, alpha)
    shuffled = np.random.default_rng([seed, 61]).permutation(len(text))
    by_chance = rebuilding.alignment(text[shuffled], latent, alpha)
    library = outputs.system.library
    floor = rebuilding.alignment_floor(
        library.latent[outputs.library_rows], outputs.library_ids, alpha
    )
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
