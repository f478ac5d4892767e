"""What can be swept in Dance-Language.

Losses are never an objective: their weights are what is swept, so that totals of two trials do not
compare. Objectives are weight-free, and several of them (a Pareto front) where one alone is won by
giving up another. All are measured on the validation split; the test split is for the winner.
"""

from __future__ import annotations

from typing import Final

from raydance.systems.dance_language.claims import CLAIMS
from raydance.systems.dance_language.objectives import OBJECTIVES
from raydance.systems.search import Choice, Parameter, Range, Search, Space, When, Whole

_MOTION: Final = ("statistics", "motion_basis", "motion_vae")
_WORDS: Final = (*_MOTION, "clusters", "captions", "text_encoder")

_BETA = Space(
    name="beta",
    meaning="schedule of the motion VAE's KL weight: start, end, warm-up and shape",
    parameters={
        "motion_vae.beta_shape": Choice(("linear", "cosine", "cyclical")),
        "motion_vae.beta_start": Range(0.0, 0.01),
        "motion_vae.beta_end": Range(0.0005, 0.5, log=True),
        "motion_vae.beta_warmup": Range(0.1, 1.0),
        "motion_vae.beta_cycles": When("motion_vae.beta_shape", ("cyclical",), Whole(2, 6)),
    },
    shared_steps=("statistics", "motion_basis"),
    steps=("motion_vae",),
    goals=(
        OBJECTIVES["reconstruction_cm"],
        OBJECTIVES["kl"],
    ),
)

_VAE_WEIGHTS: Final[dict[str, Parameter]] = {
    "motion_vae.mse_weight": Range(0.0, 1.0),
    "motion_vae.velocity_weight": Range(0.05, 5.0, log=True),
}

_VAE_LOSSES = Space(
    name="vae-losses",
    meaning="weights of the motion VAE's loss: MSE against L1, and velocity",
    parameters=_VAE_WEIGHTS,
    shared_steps=("statistics", "motion_basis"),
    steps=("motion_vae",),
    goals=(
        OBJECTIVES["reconstruction_cm"],
        OBJECTIVES["velocity_cm_s"],
    ),
)

_TEXT_ENCODER = Space(
    name="text-encoder",
    meaning="the text encoder's hybrid loss: alpha, its last ReLU and the curriculum",
    parameters={
        "text_encoder.alpha": Range(0.0, 1.0),
        "text_encoder.final_relu": Choice((True, False)),
        "text_encoder.curriculum": Choice((True, False)),
        "text_encoder.curriculum_start": When(
            "text_encoder.curriculum", (True,), Range(0.05, 0.95)
        ),
    },
    shared_steps=(*_MOTION, "clusters", "captions"),
    steps=("text_encoder",),
    goals=(
        OBJECTIVES["text_cosine"],
        OBJECTIVES["text_squared"],
    ),
)

_SOFTMAX: Final = ("infonce", "supcon")

_CONTRASTIVE_LOSS: Final[dict[str, Parameter]] = {
    "contrastive.loss": Choice(("infonce", "triplet", "supcon")),
    "contrastive.temperature": When("contrastive.loss", _SOFTMAX, Range(0.02, 0.3, log=True)),
    "contrastive.margin": When("contrastive.loss", ("triplet",), Range(0.1, 2.0)),
}

_CONTRASTIVE = Space(
    name="contrastive",
    meaning="the contrastive space: loss, temperature, or the triplet's margin and mining",
    parameters={
        **_CONTRASTIVE_LOSS,
        "contrastive.tau": When("contrastive.loss", ("triplet",), Range(0.0, 1.0)),
        "contrastive.distance": When(
            "contrastive.loss", ("triplet",), Choice(("euclidean", "cosine"))
        ),
    },
    shared_steps=_WORDS,
    steps=("contrastive",),
    goals=(OBJECTIVES["mrr"],),
    pruned_by=("contrastive", "top1"),
)

_GENERATION = Space(
    name="generation",
    meaning="text to motion: weight of the velocity, and how often the true latent is withheld",
    parameters={
        "text_to_motion.velocity_weight": Range(0.05, 5.0, log=True),
        "text_to_motion.latent_dropout": Range(0.0, 0.9),
    },
    shared_steps=_WORDS,
    steps=("text_to_motion",),
    goals=(
        OBJECTIVES["generated_cm"],
        OBJECTIVES["generated_velocity_cm_s"],
    ),
)

_CLUSTERS = Space(
    name="clusters",
    meaning="number of clusters and how they are found",
    parameters={
        "clusters.method": Choice(("kmeans", "gmm", "hierarchical")),
        "clusters.num_clusters": Whole(2, 10),
    },
    shared_steps=_MOTION,
    steps=("clusters",),
    goals=(
        OBJECTIVES["silhouette"],
        OBJECTIVES["stability"],
    ),
)

# The representation is left out: `per_frame` drops the path from what reconstruction is measured
# against. What only generation sees has its own space, because no objective here depends on it.
_PIPELINE = Space(
    name="pipeline",
    meaning="a few of everything from motion to the space that is searched",
    parameters={
        "motion_vae.beta_end": Range(0.0005, 0.5, log=True),
        **_VAE_WEIGHTS,
        **_CONTRASTIVE_LOSS,
        "clusters.num_clusters": When("contrastive.loss", ("triplet", "supcon"), Whole(2, 8)),
        "contrastive.text_input": Choice(("embedding", "latent")),
        "text_encoder.alpha": When("contrastive.text_input", ("latent",), Range(0.0, 1.0)),
    },
    shared_steps=("statistics", "motion_basis"),
    steps=("motion_vae", "clusters", "captions", "text_encoder", "contrastive"),
    goals=(
        OBJECTIVES["reconstruction_cm"],
        OBJECTIVES["kl"],
        OBJECTIVES["mrr"],
    ),
)

SPACES: Final[dict[str, Space]] = {
    "beta": _BETA,
    "vae-losses": _VAE_LOSSES,
    "text-encoder": _TEXT_ENCODER,
    "contrastive": _CONTRASTIVE,
    "generation": _GENERATION,
    "clusters": _CLUSTERS,
    "pipeline": _PIPELINE,
}
"""Every space by the name that `raydance sweep` takes."""

SEARCH: Final = Search(spaces=SPACES, claims=CLAIMS)
