"""The configuration of Dance-Language, and the presets that change it.

A run is a preset, a file and single values laid over each other; `resolve` does that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from raydance import config as configs
from raydance.errors import ConfigError
from raydance.motion.augment import Augment
from raydance.motion.normalise import Representation
from raydance.stages.caption_writer import CaptionWriterConfig
from raydance.stages.clusters import ClustersConfig
from raydance.stages.contrastive import ContrastiveConfig
from raydance.stages.motion_flow import MotionFlowConfig
from raydance.stages.motion_to_text import MotionToTextConfig
from raydance.stages.motion_vae import MotionVaeConfig
from raydance.stages.text_encoder import TextEncoderConfig
from raydance.stages.text_to_motion import TextToMotionConfig
from raydance.systems.dance_language.basis_step import MotionBasisConfig
from raydance.systems.dance_language.caption_step import CaptionsConfig
from raydance.text.encoder import TextConfig
from raydance.training.run_folder import Run

TRAINED: Final = (
    "motion_vae",
    "text_encoder",
    "contrastive",
    "motion_to_text",
    "motion_flow",
    "text_to_motion",
    "caption_writer",
)
"""The stages that have a `train` section: those that learn by gradient descent."""


@dataclass(frozen=True, kw_only=True)
class DanceLanguageConfig:
    """Everything that a run depends on besides its data.

    Attributes:
        representation: what networks read: `root_channel` keeps the root's path apart from the
            pose; `per_frame` removes root position and heading from every frame, as the paper
            says, which loses locomotion.
        normalisation: eq. 1 over all frames and joints (`global`, paper), or per `axis`/`feature`.
    """

    seed: int = 0
    representation: Representation = "root_channel"
    normalisation: Literal["global", "axis", "feature"] = "global"
    augment: Augment = field(default_factory=Augment)
    text: TextConfig = field(default_factory=TextConfig)
    captions: CaptionsConfig = field(default_factory=CaptionsConfig)
    motion_basis: MotionBasisConfig = field(default_factory=MotionBasisConfig)
    motion_vae: MotionVaeConfig = field(default_factory=MotionVaeConfig)
    clusters: ClustersConfig = field(default_factory=ClustersConfig)
    text_encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    motion_to_text: MotionToTextConfig = field(default_factory=MotionToTextConfig)
    motion_flow: MotionFlowConfig = field(default_factory=MotionFlowConfig)
    text_to_motion: TextToMotionConfig = field(default_factory=TextToMotionConfig)
    caption_writer: CaptionWriterConfig = field(default_factory=CaptionWriterConfig)

    def __post_init__(self) -> None:
        if self.text_encoder.latent != self.motion_vae.latent:
            raise ConfigError(
                f"text_encoder.latent {self.text_encoder.latent}, motion_vae.latent "
                f"{self.motion_vae.latent}: text is encoded into the motion latents, so they must "
                "be equal"
            )
        if self.text_to_motion.source == "flow" and not self.motion_flow.enabled:
            raise ConfigError(
                "text_to_motion.source=flow needs motion_flow.enabled=true; without it: prior, "
                "cluster, nearest or clip"
            )
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed: {self.seed}; allowed: 0 to {2**31 - 1}")


PAPER_CHOICES: dict[str, Any] = {
    "text": {"side_features": False},
    "clusters": {"num_clusters": 3, "space": "latent"},
    "contrastive": {
        "loss": "triplet",
        "motion_input": "latent",
        "text_input": "latent",
        "train": {
            "epochs": 250,
            "optimizer": "sgd",
            "lr": 1e-3,
            "schedule": "step",
            "period": 50,
            "factor": 0.5,
            "clip_norm": 0.1,
            "patience": 0,
        },
    },
    "motion_to_text": {"ranking": "sentences", "motion_input": "latent"},
    "motion_flow": {"enabled": False},
    "text_to_motion": {"source": "prior", "fusion": "linear"},
}
"""What the paper does otherwise than the stages' own defaults: a hardest-pair triplet over frozen
latents, which motion to text reads too and ranks captions by, three clusters of latents, no side
features, no flow, latents from the prior.

The last ReLU of eq. 11, eq. 18-19 as they stand and 1000 epochs of a motion VAE without a basis
are defaults of the stages, which the presets `default` and `quick` change. Left out are BERT,
the root removed from every frame, and captions of clusters alone.
"""

_QUICK: dict[str, Any] = {
    "motion_vae": {
        "hidden": 128,
        "basis": True,
        "beta_start": 0.0,
        "beta_end": 0.002,
        "train": {"epochs": 4, "lr": 1e-3, "batch_size": 32, "patience": 0},
    },
    "clusters": {"num_clusters": 3, "num_seeds": 3},
    "text_encoder": {"final_relu": False, "train": {"batch_size": 16, "epochs": 20, "patience": 0}},
    "contrastive": {"train": {"epochs": 40, "batch_size": 64, "patience": 0}},
    "motion_to_text": {"train": {"epochs": 8, "patience": 0}},
    "motion_flow": {"width": 256, "train": {"epochs": 220}},
    "text_to_motion": {
        "fusion": "residual",
        "train": {"epochs": 4, "batch_size": 32, "patience": 0},
    },
}

_DEFAULT: dict[str, Any] = {
    "motion_vae": {**_QUICK["motion_vae"], "train": {**_QUICK["motion_vae"]["train"], "epochs": 6}},
    "text_encoder": _QUICK["text_encoder"],
    "contrastive": {
        "train": {"epochs": 20, "min_steps": 1000, "batch_size": 64, "patience": 0},
    },
    "motion_to_text": _QUICK["motion_to_text"],
    "motion_flow": {"train": {"epochs": 60, "min_steps": 2800}},
    "text_to_motion": _QUICK["text_to_motion"],
}
"""As `quick`, with a flow of twice the width, more seeds of clusters, and fewer epochs where there
are thousands of windows: 5,000 train in a quarter of an hour on two processors."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": _DEFAULT,
    "paper": PAPER_CHOICES,
    "quick": _QUICK,
}
"""Named changes to the configuration's defaults."""


def config_of(run: Run) -> DanceLanguageConfig:
    """The configuration that a run was made with."""
    return configs.from_dict(DanceLanguageConfig, run.config)
