"""The configuration of Everything2Motion, and the presets that change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from raydance.errors import ConfigError
from raydance.stages.motion_prior import MotionPriorConfig
from raydance.stages.sequence_flow import SequenceFlowConfig
from raydance.stages.sequence_regression import SequenceRegressionConfig
from raydance.systems.text_step import TextsConfig

NUM_GENRES: Final = 10


@dataclass(frozen=True, kw_only=True)
class PatchBasisConfig:
    """How many components describe a patch of motion.

    Attributes:
        explained: share of the training patches' variance that is enough; patches of frames and of
            beats have bases of their own. most: at most so many components.
        sample_clips: training clips that the basis is fitted to, of all datasets together.
        clock: what patches of clips with music count: `beats`, so many samples in each, or
            `frames`, as clips without music.
        rotations: whether frames have 6-D rotations of joints beside their positions; all datasets
            need some (`ingest --rotations`).
    """

    explained: float = 0.995
    most: int = 192
    clock: Literal["beats", "frames"] = "beats"
    sample_clips: int = 4000
    rotations: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.explained <= 1.0:
            raise ConfigError(f"patch_basis.explained: {self.explained}; above 0, at most 1")
        if self.most < 4 or self.sample_clips < 1:
            raise ConfigError("patch_basis: most at least 4, sample_clips at least 1")


@dataclass(frozen=True, kw_only=True)
class Everything2MotionConfig:
    """Everything that a run depends on besides its data.

    Attributes:
        head: what makes motion: `flow` (by default) or the paper's `regression`.
        mirror: probability that a training clip is mirrored, in words too.
    """

    seed: int = 0
    head: Literal["flow", "regression"] = "flow"
    mirror: float = 0.5
    texts: TextsConfig = field(default_factory=TextsConfig)
    patch_basis: PatchBasisConfig = field(default_factory=PatchBasisConfig)
    motion_prior: MotionPriorConfig = field(default_factory=MotionPriorConfig)
    sequence_flow: SequenceFlowConfig = field(default_factory=SequenceFlowConfig)
    sequence_regression: SequenceRegressionConfig = field(default_factory=SequenceRegressionConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed: {self.seed}; allowed: 0 to {2**31 - 1}")
        if not 0.0 <= self.mirror <= 1.0:
            raise ConfigError(f"mirror: {self.mirror}; allowed: 0 to 1")
        uses_prior = self.sequence_regression.use_prior
        if self.head == "flow":
            uses_prior = self.sequence_flow.prior != "basis"
        if uses_prior and not self.motion_prior.enabled:
            raise ConfigError("the motion prior is used but off: set motion_prior.enabled=true")
        if self.head == "regression" and self.patch_basis.clock != "frames":
            raise ConfigError("head regression: works on frames; set patch_basis.clock=frames")


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {
        "sequence_flow": {
            "width": 256,
            "num_blocks": 4,
            "train": {"epochs": 200, "batch_size": 16},
        },
    },
    "paper": {
        "head": "regression",
        "patch_basis": {"clock": "frames", "rotations": True},
        "motion_prior": {"enabled": True},
        "texts": {"encoder": {"side_features": False}},
        "sequence_regression": {
            "enabled": True,
            "conditioning": {
                "text": {"latents": 128, "latent_width": 128, "self_layers": 4, "cross_layers": 2},
                "music": {"latents": 256, "latent_width": 128, "self_layers": 2},
                "stride": 1,
            },
            "train": {"epochs": 200, "lr": 1e-4, "batch_size": 64},
        },
    },
    "quick": {
        "sequence_flow": {
            "width": 256,
            "num_blocks": 4,
            "train": {"epochs": 75, "batch_size": 16, "lr": 1.5e-3},
        },
    },
}
"""Named changes to the configuration's defaults."""
