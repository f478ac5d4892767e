"""The runs that the paper's tables are made of: both presets, and the paper's ablations.

The paper's preset without its prior (Table 4: "w/o PMD"), with a text encoder that was never
trained (Table 4: "w/o Clip"), and with other shapes of the latent query (Table 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raydance.systems.variants import Variant

OWN: Final = "own"
PAPER: Final = "paper"
WITHOUT_PMD: Final = "without PMD"
WITHOUT_CLIP: Final = "without a trained text encoder"
LATENTS: Final[tuple[tuple[int, int], ...]] = ((64, 128), (128, 64), (128, 256), (256, 256))
"""Codes and width of Table 5 beside the preset's 128 x 128."""


def latent_name(codes: int, width: int) -> str:
    """The name of a variant of Table 5."""
    return f"{codes} x {width}"


def variants_of(preset: str) -> Mapping[str, Variant]:
    """All of them by name; `OWN` is of a preset, the others change the preset `paper`."""
    changed: dict[str, dict[str, Any]] = {
        PAPER: {},
        WITHOUT_PMD: {"motion_prior.enabled": False, "sequence_regression.use_prior": False},
        WITHOUT_CLIP: {"texts.encoder.pretrained": False},
        **{
            latent_name(codes, width): {
                "sequence_regression.conditioning.text.latents": codes,
                "sequence_regression.conditioning.text.latent_width": width,
            }
            for codes, width in LATENTS
        },
    }
    return {
        OWN: Variant(preset=preset),
        **{name: Variant(preset="paper", changes=values) for name, values in changed.items()},
    }
