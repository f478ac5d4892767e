"""What can be swept and ablated in Everything2Motion; measured on the validation split."""

from __future__ import annotations

from typing import Final

from raydance.systems.everything2motion.system import SYSTEM
from raydance.systems.search import (
    Claim,
    Figure,
    Objective,
    Range,
    Search,
    Space,
    Whole,
    validation_figures,
)
from raydance.training.run_folder import Run

MEASURED: Final = {
    "recognised": "recognised by an independent judge",
    "frechet": "Frechet distance to test motion over that of training motion",
    "beats": "beat alignment",
}


def figures_of(run: Run) -> dict[str, float]:
    """Its figures from words and from music, as far as the validation split has either."""
    return validation_figures(SYSTEM, run, MEASURED)


RECOGNISED: Final = Objective(
    name="recognised", title="recognised, %", direction="maximize", measure=figures_of
)
FRECHET: Final = Objective(
    name="frechet",
    title="Frechet distance over that of training motion",
    direction="minimize",
    measure=figures_of,
)
BEATS: Final = Objective(
    name="beats", title="beat alignment", direction="maximize", measure=figures_of
)

_SHARED: Final = ("genres", "patch_basis", "texts")

_FLOW: Final = {
    "sequence_flow.train.lr": Range(2e-4, 4e-3, log=True),
    "sequence_flow.dropout": Range(0.0, 0.3),
    "sequence_flow.guidance": Range(1.0, 4.0),
}

SPACES: Final = {
    "text": Space(
        name="text",
        meaning="the flow from words: learning rate, dropouts, guidance",
        parameters={**_FLOW, "sequence_flow.text_dropout": Range(0.05, 0.4)},
        shared_steps=_SHARED,
        steps=("sequence_flow",),
        goals=(RECOGNISED, FRECHET),
    ),
    "music": Space(
        name="music",
        meaning="the flow from songs: learning rate, dropouts, guidance, patches to go on from",
        parameters={
            **_FLOW,
            "sequence_flow.music_dropout": Range(0.05, 0.4),
            "sequence_flow.most_before": Whole(1, 4),
        },
        shared_steps=_SHARED,
        steps=("sequence_flow",),
        goals=(BEATS,),
    ),
}
"""Every space by name."""

_BY_WORDS: Final = (Figure(objective=RECOGNISED), Figure(objective=FRECHET))

CLAIMS: Final = {
    "head": Claim(
        name="head",
        text="a flow makes motion that is recognised more often than the paper's regression does",
        common={"patch_basis.clock": "frames"},
        variants={
            "flow": {"head": "flow"},
            "regression": {"head": "regression", "motion_prior.enabled": True},
        },
        shared_steps=("genres", "texts"),
        steps=("patch_basis", "motion_prior", "sequence_flow", "sequence_regression"),
        measures=_BY_WORDS,
    ),
    "prior": Claim(
        name="prior",
        text="a flow over the patch basis does better than over latents of the motion prior",
        common={"head": "flow", "motion_prior.enabled": True},
        variants={
            "basis": {"sequence_flow.prior": "basis"},
            "MP-VAE": {"sequence_flow.prior": "mp_vae"},
            "both": {"sequence_flow.prior": "both"},
        },
        shared_steps=_SHARED,
        steps=("motion_prior", "sequence_flow"),
        measures=_BY_WORDS,
    ),
    "conditioning": Claim(
        name="conditioning",
        text="latents of a sentence's tokens tell a flow more than the pooled sentence alone",
        common={"head": "flow"},
        variants={
            "tokens": {"sequence_flow.told_by": "tokens"},
            "pooled": {"sequence_flow.told_by": "pooled"},
        },
        shared_steps=_SHARED,
        steps=("sequence_flow",),
        measures=_BY_WORDS,
    ),
}
"""Every claim by name."""

SEARCH: Final = Search(spaces=SPACES, claims=CLAIMS)
