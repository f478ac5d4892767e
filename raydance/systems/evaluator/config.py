"""The configuration of an evaluator, and the presets that change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from raydance.errors import ConfigError
from raydance.stages.text_motion_evaluator import TextMotionEvaluatorConfig
from raydance.systems.text_step import TextsConfig


@dataclass(frozen=True, kw_only=True)
class EvaluatorConfig:
    """Everything that a run depends on besides its data.

    Attributes:
        mirror: probability that a training clip is mirrored, in words too.
    """

    seed: int = 0
    mirror: float = 0.5
    texts: TextsConfig = field(default_factory=TextsConfig)
    text_motion_evaluator: TextMotionEvaluatorConfig = field(
        default_factory=TextMotionEvaluatorConfig
    )

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed: {self.seed}; allowed: 0 to {2**31 - 1}")
        if not 0.0 <= self.mirror <= 1.0:
            raise ConfigError(f"mirror: {self.mirror}; allowed: 0 to 1")


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "quick": {"text_motion_evaluator": {"channels": 48, "train": {"epochs": 30}}},
}
"""Named changes to the configuration's defaults."""
