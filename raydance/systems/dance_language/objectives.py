"""What sweeps and ablations of Dance-Language measure on the validation split, free of weights.

Where a measure needs words, only captions that a person wrote count: derived ones repeat the
clusters, and finding them again would flatter.

Dimensions: N windows, T frames, J joints, Z latent, U captions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch

from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.data.index import scores, unit
from raydance.errors import InputError
from raydance.metrics import clustering, retrieval
from raydance.metrics import motion as metrics
from raydance.motion import normalise
from raydance.motion.rows import to_network
from raydance.nn import losses
from raydance.stages import clusters as clustering_stage
from raydance.stages.contrastive import Contrastive
from raydance.stages.motion_vae import MotionVae
from raydance.stages.text_to_motion import TextToMotion
from raydance.systems.base import load_stage
from raydance.systems.dance_language.config import config_of
from raydance.systems.dance_language.stages import build_stage
from raydance.systems.dance_language.statistics_step import statistics_of
from raydance.systems.search import Objective
from raydance.training.caption_table import CaptionTable
from raydance.training.run_folder import Run, load_bundle

_BATCH = 256
_NUM_HALVES = 6


def motion_measures(run: Run) -> dict[str, float]:
    """Position error (cm) and velocity error (cm/s) of what the VAE rebuilds from the posterior's
    mean, and the KL in nats per latent dimension, whatever `kl_reduction` the loss has."""
    vae = load_stage(run, "motion_vae", build_stage)
    assert isinstance(vae, MotionVae)
    total = _Mean()
    for _, motion, mask, network in _motion_batches(run):
        with torch.inference_mode():
            mu_BZ, logvar_BZ = vae.encoder(network)
            rebuilt = vae.decoder(mu_BZ, network.shape[1]).numpy()
            kl = float(losses.kl_divergence(mu_BZ, logvar_BZ))
        found = _errors(run, rebuilt, motion, mask)
        total.add({"reconstruction_cm": found[0], "velocity_cm_s": found[1], "kl": kl}, len(motion))
    return total.value()


def generation_measures(run: Run) -> dict[str, float]:
    """Position error (cm) and velocity error (cm/s) of motion decoded from a caption alone.

    Against the very window that bears the caption, though others would fit it too: the figures
    compare trials, and their level says little.
    """
    stage = load_stage(run, "text_to_motion", build_stage)
    assert isinstance(stage, TextToMotion)
    table = CaptionTable.load([run.bundle("captions"), run.bundle("text_encoder_captions")])
    text_UZ = table.columns["text_latent"]
    ids = _written_ids(run)
    total = _Mean()
    for places, motion, mask, network in _motion_batches(run):
        own = [ids[i] for i in places]
        rows = [i for i, row in enumerate(own) if row]
        if not rows:
            continue
        with torch.inference_mode():
            text_BZ = text_UZ[[own[i][0] for i in rows]]
            made = stage.generate(text_BZ, torch.zeros_like(text_BZ), network.shape[1]).numpy()
        found = _errors(run, made, motion[rows], mask[rows])
        total.add(
            {"generated_cm": found[0], "generated_velocity_cm_s": found[1]},
            len(rows),
        )
    return total.value()


def cluster_measures(run: Run) -> dict[str, float]:
    """Silhouette of the validation windows under their assigned clusters, and stability.

    Stability is the mean adjusted Rand index between how clusters of different halves of the
    training recordings, found from different seeds, part the validation windows.
    """
    config = config_of(run)
    latents_NZ = _column(run, "val", "clusters", "cluster_point")
    # One cluster for all windows is no separation at all: the lowest value of a silhouette.
    silhouette = clustering.silhouette(
        latents_NZ,
        _column(run, "val", "clusters", "cluster"),
        max_points=config.clusters.silhouette_windows,
        seed=config.seed,
    )
    training_NZ = _column(run, "train", "clusters", "cluster_point").astype(np.float64)
    recording_N = np.array(_dataset_column(run, "train", "recording"))
    recordings = np.unique(recording_N)
    num_clusters = len(load_bundle(run.bundle("clusters"))[0]["centroids"])
    method = config.clusters.method
    if method == "seeded_kmeans" or method == "constrained_kmeans":
        raise InputError(f"clusters.method={method}: stability is of methods without labels")
    groupings = []
    for half in range(_NUM_HALVES):
        rng = np.random.default_rng([config.seed, 83, half])
        chosen = rng.choice(recordings, max(1, len(recordings) // 2), replace=False)
        rows = np.flatnonzero(np.isin(recording_N, chosen))
        if len(rows) > config.clusters.fit_windows:
            rows = rng.choice(rows, config.clusters.fit_windows, replace=False)
        if len(rows) <= num_clusters:
            raise InputError(f"half of the training recordings cannot make {num_clusters} clusters")
        own = clustering_stage.partition(
            method, training_NZ[rows], num_clusters, config.seed + half
        )
        centroids = np.stack([training_NZ[rows][own == c].mean(axis=0) for c in np.unique(own)])
        groupings.append(clustering_stage.assign(centroids, latents_NZ)[0])
    return {
        "silhouette": -1.0 if math.isnan(silhouette) else silhouette,
        "stability": clustering.mean_pairwise_ari(groupings),
    }


def text_measures(run: Run) -> dict[str, float]:
    """The two terms of eq. 12 over all pairs of a validation window and a caption of its own."""
    table = CaptionTable.load([run.bundle("captions"), run.bundle("text_encoder_captions")])
    latents_NZ = _column(run, "val", "motion_vae", "latent")
    pairs = [(row, i) for row, ids in enumerate(_written_ids(run)) for i in ids]
    rows, ids = (list(part) for part in zip(*pairs))
    text_PZ, motion_PZ = table.columns["text_latent"].numpy()[ids], latents_NZ[rows]
    cosine_P = 1.0 - (unit(text_PZ) * unit(motion_PZ)).sum(axis=1)
    return {
        "text_cosine": float(cosine_P.mean()),
        "text_squared": float(np.square(text_PZ - motion_PZ).mean(axis=1).mean()),
    }


def retrieval_measures(run: Run) -> dict[str, float]:
    """Mean reciprocal rank of the first right window, for every caption of the validation split.

    All validation windows are ranked; right are those that bear the very caption. The balance is
    the spread of the modality that fills less of the space, as a share of the other's: 0 where one
    of them has collapsed.
    """
    stage = load_stage(run, "contrastive", build_stage)
    assert isinstance(stage, Contrastive)
    table = CaptionTable.load([run.bundle("contrastive_captions")])
    text_UZ = table.columns["text_projection"]
    windows_NZ = torch.from_numpy(
        _column(run, "val", "contrastive", "motion_embedding").astype(np.float32)
    )
    asked, relevant_UN = _questions(run)
    similarity_UN = stage.similarity(windows_NZ, text_UZ[asked]).T.numpy()
    spreads = [float(losses.embedding_spread(points)) for points in (windows_NZ, text_UZ[asked])]
    return {
        "mrr": retrieval.mean_reciprocal_rank(similarity_UN, relevant_UN),
        "balance": min(spreads) / max(*spreads, 1e-12),
    }


def latent_retrieval_measures(run: Run) -> dict[str, float]:
    """`retrieval_measures` in the VAE's own space, where eq. 12 puts captions beside motions."""
    table = CaptionTable.load([run.bundle("captions"), run.bundle("text_encoder_captions")])
    latents_NZ = _column(run, "val", "motion_vae", "latent").astype(np.float32)
    asked, relevant_UN = _questions(run)
    text_UZ = table.columns["text_latent"].numpy()[asked]
    similarity_UN = scores(text_UZ, latents_NZ, "cosine")
    return {"latent_mrr": retrieval.mean_reciprocal_rank(similarity_UN, relevant_UN)}


def _questions(run: Run) -> tuple[list[int], np.ndarray]:
    """Ids of the captions that the validation split has, and the windows that bear each one:
    `[U, N]`, true where right."""
    ids = _written_ids(run)
    asked = sorted({i for row in ids for i in row})
    return asked, np.array([[u in row for row in ids] for u in asked])


class _Mean:
    """Mean of figures over windows that come in batches."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, figures: dict[str, float], num_windows: int) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * num_windows
        self.count += num_windows

    def value(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self.sums.items()}


def _dataset(run: Run) -> Dataset:
    return Dataset.open(run.facts["dataset"]["path"])


def _motion_batches(
    run: Run,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, torch.Tensor]]:
    """Validation windows that their clips fill, in order: their numbers in the split `[B]`, metres
    as far as the representation keeps them `[B, T, 50, 3]`, joint masks `[B, 50]`, and what
    networks read."""
    dataset, kind, statistics = _dataset(run), config_of(run).representation, statistics_of(run)
    first = 0
    for shard in dataset.shards("val"):
        rows = dataset.read_shard(shard, columns=["motion", "joint_mask", "length"])
        full = np.flatnonzero(rows["length"] == dataset.frames)
        for start in range(0, len(full), _BATCH):
            keep = full[start : start + _BATCH]
            motion, mask = rows["motion"][keep], rows["joint_mask"][keep]
            network = torch.from_numpy(to_network(motion, mask, statistics, kind))
            kept = normalise.from_features(normalise.to_features(motion, mask, kind), kind)
            yield first + keep, kept, mask, network
        first += shard.num_windows


def _errors(
    run: Run, network: np.ndarray, motion: np.ndarray, mask: np.ndarray
) -> tuple[float, float]:
    """Position error in cm and velocity error in cm/s of what networks wrote."""
    if not np.isfinite(network).all():
        return math.nan, math.nan
    features = statistics_of(run).invert(network)
    made = normalise.from_features(features, config_of(run).representation)
    fps = float(run.facts["dataset"]["fps"])
    return (
        metrics.mpjpe(made, motion, joint_mask=mask),
        100.0 * metrics.velocity_error(made, motion, fps=fps, joint_mask=mask),
    )


def _column(run: Run, split: str, step: str, name: str) -> np.ndarray:
    folder = run.columns(step)
    parts = [
        np.asarray(read_columns(folder / f"{shard.name}.parquet", [name])[name])
        for shard in _dataset(run).shards(split)
    ]
    return np.concatenate(parts)


def _dataset_column(run: Run, split: str, name: str) -> list[Any]:
    dataset = _dataset(run)
    return [
        value
        for shard in dataset.shards(split)
        for value in dataset.read_shard(shard, columns=[name])[name]
    ]


def _written_ids(run: Run) -> list[list[int]]:
    """Ids of the captions that a person wrote, for every validation window.

    Raises:
        InputError: there are none.
    """
    derived = set(load_bundle(run.bundle("captions"))[1]["derived"])
    out = []
    for shard in _dataset(run).shards("val"):
        path = run.columns("captions") / f"{shard.name}.parquet"
        for ids in read_columns(path, ["caption_ids"])["caption_ids"]:
            out.append([int(i) for i in ids if int(i) not in derived])
    if not any(out):
        raise InputError(
            f"{run.facts['dataset']['path']}: no validation window has a written caption, so "
            "nothing about words can be measured; ingest with --captions"
        )
    return out


OBJECTIVES: Final[dict[str, Objective]] = {
    objective.name: objective
    for objective in (
        Objective(
            name="reconstruction_cm",
            title="reconstruction error, cm",
            direction="minimize",
            measure=motion_measures,
        ),
        Objective(
            name="velocity_cm_s",
            title="velocity error, cm/s",
            direction="minimize",
            measure=motion_measures,
        ),
        Objective(
            name="kl",
            title="KL, nats per latent dimension",
            direction="minimize",
            measure=motion_measures,
        ),
        Objective(
            name="silhouette",
            title="silhouette",
            direction="maximize",
            measure=cluster_measures,
        ),
        Objective(
            name="stability",
            title="stability over halves of the data, ARI",
            direction="maximize",
            measure=cluster_measures,
        ),
        Objective(
            name="text_cosine",
            title="text to latent, 1 - cosine",
            direction="minimize",
            measure=text_measures,
        ),
        Objective(
            name="text_squared",
            title="text to latent, squared error",
            direction="minimize",
            measure=text_measures,
        ),
        Objective(
            name="mrr",
            title="mean reciprocal rank, text to motion",
            direction="maximize",
            measure=retrieval_measures,
        ),
        Objective(
            name="balance",
            title="spread of the lesser modality to the other's",
            direction="maximize",
            measure=retrieval_measures,
        ),
        Objective(
            name="latent_mrr",
            title="mean reciprocal rank, text to VAE latents",
            direction="maximize",
            measure=latent_retrieval_measures,
        ),
        Objective(
            name="generated_cm",
            title="error of motion from text, cm",
            direction="minimize",
            measure=generation_measures,
        ),
        Objective(
            name="generated_velocity_cm_s",
            title="velocity error of motion from text, cm/s",
            direction="minimize",
            measure=generation_measures,
        ),
    )
}
"""Every objective by name."""
