"""The runs that the paper's tables are made of: both presets, and the paper's ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from raydance.systems.lang2motion.clip_steps import CLIP_FOLDER
from raydance.systems.lang2motion.system import SYSTEM
from raydance.systems.step import MAIN
from raydance.systems.variants import Variant

OWN: Final = "own"
PAPER: Final = "paper"
MSE: Final = "MSE"
DIRECT: Final = "direct"
WITHOUT: Final[Mapping[str, Mapping[str, Any]]] = {
    "without text loss": {"track_autoencoder.text_weight": 0.0},
    "without image loss": {"track_autoencoder.image_weight": 0.0},
    "without text reconstruction": {"track_autoencoder.text_reconstruction_weight": 0.0},
    "without both CLIP losses": {
        "track_autoencoder.text_weight": 0.0,
        "track_autoencoder.image_weight": 0.0,
    },
}
"""Table 4."""

GRIDS: Final = (3, 4, 5, 8, 10)
"""Points per row of Table 6 beside the preset's 6."""

_COLOURS: Final = {
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
}
_OPACITIES: Final = (0.3, 0.7, 1.0)
DRAWN: Final[Mapping[str, Mapping[str, Any]]] = {
    **{name: {"overlays.colour": list(colour)} for name, colour in _COLOURS.items()},
    **{f"opacity {share:g}": {"overlays.opacity": share} for share in _OPACITIES},
}
"""Table 7 beside the preset's cyan of opacity .5."""


def grid_name(side: int) -> str:
    """The name of a variant of Table 6."""
    return f"{side} x {side}"


def variants_of(
    preset: str,
    paper_preset: str,
    out: Path,
    grids: Mapping[int, Path],
    changes: Sequence[str] = (),
) -> dict[str, Variant]:
    """All of them by name; `OWN` is of a preset, the others change the paper's.

    Args:
        out: the folder of the runs: other grids are drawn for the CLIP that was trained there.
        grids: datasets by points per row.
        changes: `a.b=value`, to all runs.
    """
    changed = {
        PAPER: {},
        **WITHOUT,
        MSE: {"track_autoencoder.reconstruction": "mse"},
        DIRECT: {"track_autoencoder.decoder": "direct"},
        **DRAWN,
    }
    paper = Variant(preset=paper_preset)
    frozen: dict[str, Any] = {}
    if paper.config(SYSTEM, changes).small_clip.enabled:
        folder = (out / PAPER / CLIP_FOLDER).resolve()
        frozen = {"small_clip.enabled": False, "clip.model": str(folder)}
    return {
        OWN: Variant(preset=preset),
        **{name: Variant(preset=paper_preset, changes=values) for name, values in changed.items()},
        **{
            grid_name(side): Variant(preset=paper_preset, changes=frozen, datasets={MAIN: place})
            for side, place in grids.items()
        },
    }
