"""The runs that the paper's tables are made of: both presets, and the paper's ablations.

The paper's preset without its prior (Table 4: "w/o PMD"), with a text encoder that was never
trained (Table 4: "w/o Clip"), and with other shapes of the latent query (Table 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from raydance.systems.base import Runner
from raydance.systems.everything2motion.system import SYSTEM
from raydance.systems.shared_steps import copy_steps

OWN: Final = "own"
PAPER: Final = "paper"
WITHOUT_PMD: Final = "without PMD"
WITHOUT_CLIP: Final = "without a trained text encoder"
LATENTS: Final[tuple[tuple[int, int], ...]] = ((64, 128), (128, 64), (128, 256), (256, 256))
"""Codes and width of Table 5 beside the preset's 128 x 128."""


def latent_name(codes: int, width: int) -> str:
    """The name of a variant of Table 5."""
    return f"{codes} x {width}"


VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
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
"""Variant -> changes to the preset `paper`."""


def train_variants(
    names: Sequence[str],
    out: Path,
    datasets: Mapping[str, str | Path],
    runner: Runner,
    *,
    preset: str = "default",
    changes: Iterable[str] = (),
    say: Any = lambda line: None,
) -> dict[str, Path]:
    """Train the runs that are not there yet, sharing steps that are alike.

    Args:
        names: `OWN` and names of `VARIANTS`.
        out: the folder of the runs.
        preset: of the run `OWN`.
        changes: `a.b=value`, to all of them; a variant's own changes come last.

    Returns:
        Name -> run folder.

    Raises:
        ConfigError: an unknown preset, key or value.
        InputError: datasets that the system refuses.
    """
    runs: dict[str, Path] = {}
    for name in names:
        say(f"run: {name}")
        own = [] if name == OWN else [f"{k}={str(v).lower()}" for k, v in VARIANTS[name].items()]
        config = SYSTEM.resolve(preset if name == OWN else "paper", [*changes, *own])
        folder = out / name.replace(" ", "_")
        for earlier in runs.values():
            copy_steps(SYSTEM, earlier, folder, config, SYSTEM.steps_of(config))
        SYSTEM.train(folder, datasets, config, runner, say=say)
        runs[name] = folder
    return runs
