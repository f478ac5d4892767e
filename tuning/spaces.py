"""What can be swept: for each space its parameters, the steps to train and what is measured.

Losses are never an objective: their weights are what is swept, so that totals of two trials do not
compare. Objectives are weight-free, and several of them (a Pareto front) where one alone is won by
giving up another. All are measured on the validation split; the test split is for the winner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from optuna.trial import Trial

from tuning.objectives import OBJECTIVES, Objective


@dataclass(frozen=True)
class Range:
    """Any number from `low` to `high`, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, key: str) -> float:
        return trial.suggest_float(key, self.low, self.high, log=self.log)

    def allows(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True)
class Whole:
    """Any integer from `low` to `high`, both included."""

    low: int
    high: int

    def suggest(self, trial: Trial, key: str) -> int:
        return trial.suggest_int(key, self.low, self.high)

    def allows(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[str | bool, ...]

    def suggest(self, trial: Trial, key: str) -> str | bool:
        chosen = trial.suggest_categorical(key, self.values)
        assert isinstance(chosen, (str, bool))
        return chosen

    def allows(self, value: Any) -> bool:
        return value in self.values


@dataclass(frozen=True)
class When:
    """A parameter that matters only where another, earlier one has one of these values."""

    key: str
    values: tuple[str | bool, ...]
    then: Range | Whole | Choice


Parameter = Range | Whole | Choice | When


@dataclass(frozen=True, kw_only=True)
class Space:
    """One thing to sweep.

    Attributes:
        meaning: one line.
        parameters: key of the configuration -> its values, in the order of asking.
        shared_steps: trained once; every trial builds on them.
        steps: trained in every trial.
        objectives: names in `OBJECTIVES`.
        pruned_by: stage and term of its validation metrics that tell early what a trial will come
            to; weight-free like the objective, and better in the same direction.
    """

    name: str
    meaning: str
    parameters: Mapping[str, Parameter]
    shared_steps: tuple[str, ...]
    steps: tuple[str, ...]
    objectives: tuple[str, ...]
    pruned_by: tuple[str, str] | None = None

    def goals(self) -> list[Objective]:
        """The objectives themselves."""
        return [OBJECTIVES[name] for name in self.objectives]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Configuration key -> value, for the parameters that matter in this trial."""
        chosen: dict[str, Any] = {}
        for key, kind in self.parameters.items():
            values = _active(kind, chosen)
            if values is not None:
                chosen[key] = values.suggest(trial, key)
        return chosen

    def point_of(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """The point at which a configuration (as plain data) lies; None if outside the space."""
        chosen: dict[str, Any] = {}
        for key, kind in self.parameters.items():
            values = _active(kind, chosen)
            if values is not None:
                value: Any = config
                for part in key.split("."):
                    value = value[part]
                if not values.allows(value):
                    return None
                chosen[key] = value
        return chosen


def _active(kind: Parameter, chosen: Mapping[str, Any]) -> Range | Whole | Choice | None:
    if isinstance(kind, When):
        return kind.then if chosen.get(kind.key) in kind.values else None
    return kind


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
    objectives=("reconstruction_cm", "kl"),
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
    objectives=("reconstruction_cm", "velocity_cm_s"),
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
    objectives=("text_cosine", "text_squared"),
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
    objectives=("mrr",),
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
    objectives=("generated_cm", "generated_velocity_cm_s"),
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
    objectives=("silhouette", "stability"),
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
    objectives=("reconstruction_cm", "kl", "mrr"),
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


def key_set_by(assignment: str, keys: Iterable[str]) -> str | None:
    """The first of these keys that a change `a.b=value`, or one of the whole of `a`, would set."""
    path = assignment.partition("=")[0].strip()
    return next((key for key in keys if key == path or key.startswith(f"{path}.")), None)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        node = out
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return out
