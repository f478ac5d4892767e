"""What can be swept and ablated in Lang2Motion; measured on the validation split."""

from __future__ import annotations

from typing import Any, Final

from raydance.systems.lang2motion.system import SYSTEM
from raydance.systems.search import (
    Choice,
    Claim,
    Figure,
    Objective,
    Range,
    Search,
    Space,
    validation_figures,
)
from raydance.training.run_folder import Run

MEASURED: Final = {
    "recall": "text to track, R@10",
    "recall_back": "track to text, R@10",
    "expected": "ADE of the expected path",
    "one_sample": "ADE of one draw",
    "best_of_ten": "ADE of the best of ten draws",
}


def figures_of(run: Run) -> dict[str, float]:
    """Its figures of search and of generation."""
    return validation_figures(SYSTEM, run, MEASURED)


RECALL: Final = Objective(
    name="recall", title="text to track, R@10, %", direction="maximize", measure=figures_of
)
RECALL_BACK: Final = Objective(
    name="recall_back", title="track to text, R@10, %", direction="maximize", measure=figures_of
)
EXPECTED: Final = Objective(
    name="expected",
    title="ADE of the expected path, px at 256",
    direction="minimize",
    measure=figures_of,
)
ONE_SAMPLE: Final = Objective(
    name="one_sample",
    title="ADE of one sample, px at 256",
    direction="minimize",
    measure=figures_of,
)
BEST_OF_TEN: Final = Objective(
    name="best_of_ten",
    title="ADE of the best of ten, px at 256",
    direction="minimize",
    measure=figures_of,
)

_ALL: Final = ("texts", "track_basis", "track_text_space", "track_path", "track_flow")


def _others(step: str) -> tuple[str, ...]:
    """The steps that are shared where one is varied: a run is measured whole."""
    return tuple(name for name in _ALL if name != step)


SPACES: Final = {
    "search": Space(
        name="search",
        meaning="the space of tracks and sentences: temperature, dropout, features of tokens",
        parameters={
            "track_text_space.temperature": Range(0.03, 0.3, log=True),
            "track_text_space.dropout": Range(0.0, 0.5),
            "track_text_space.text_dropout": Range(0.0, 0.5),
            "track_text_space.token_features": Choice((True, False)),
        },
        shared_steps=_others("track_text_space"),
        steps=("track_text_space",),
        goals=(RECALL, RECALL_BACK),
    ),
    "path": Space(
        name="path",
        meaning="the expected path: learning rate, dropout, noise on sentences",
        parameters={
            "track_path.train.lr": Range(2e-4, 4e-3, log=True),
            "track_path.dropout": Range(0.0, 0.6),
            "track_path.text_noise": Range(0.0, 0.5),
        },
        shared_steps=_others("track_path"),
        steps=("track_path",),
        goals=(EXPECTED,),
    ),
    "flow": Space(
        name="flow",
        meaning="the flow over tracks: learning rate, dropout, guidance",
        parameters={
            "track_flow.train.lr": Range(2e-4, 4e-3, log=True),
            "track_flow.dropout": Range(0.0, 0.4),
            "track_flow.text_noise": Range(0.0, 0.4),
            "track_flow.guidance": Range(1.0, 3.0),
        },
        shared_steps=_others("track_flow"),
        steps=("track_flow",),
        goals=(BEST_OF_TEN,),
    ),
}
"""Every space by name."""

_OFFLINE: Final = {"head": "autoencoder", "small_clip.enabled": True, "overlays.size": 64}
_HEADS: Final[dict[str, dict[str, Any]]] = {
    "path and flow": {"head": "flow"},
    "autoregressive": {**_OFFLINE, "track_autoencoder.decoder": "autoregressive"},
    "direct": {**_OFFLINE, "track_autoencoder.decoder": "direct"},
}
"""What makes tracks: an expected path and a flow beside a space of their own, or the paper's
autoencoder in a small CLIP's space, frame by frame or all at once."""


def _claim_of_heads(name: str, text: str, *goals: Objective) -> Claim:
    return Claim(
        name=name,
        text=text,
        common={},
        variants=_HEADS,
        shared_steps=("texts", "track_basis"),
        steps=(
            "track_text_space",
            "track_path",
            "track_flow",
            "small_clip",
            "clip_texts",
            "overlays",
            "track_autoencoder",
        ),
        measures=tuple(Figure(objective=goal) for goal in goals),
    )


CLAIMS: Final = {
    "head": _claim_of_heads(
        "head",
        "a space of its own finds more tracks than the paper's autoencoder in a CLIP's",
        RECALL,
        RECALL_BACK,
    ),
    "paths": _claim_of_heads(
        "paths",
        "an expected path and samples of a flow come nearer than what the paper's decoders make, "
        "frame by frame or all at once",
        EXPECTED,
        ONE_SAMPLE,
        BEST_OF_TEN,
    ),
    "guidance": Claim(
        name="guidance",
        text="without guidance the best of ten samples come nearer than with guidance 2",
        common={},
        variants={"none": {"track_flow.guidance": 1.0}, "2": {"track_flow.guidance": 2.0}},
        shared_steps=_others("track_flow"),
        steps=("track_flow",),
        measures=(Figure(objective=BEST_OF_TEN),),
    ),
    "tokens": Claim(
        name="tokens",
        text="features of a sentence's tokens find more than its pooled embedding alone",
        common={},
        variants={
            "tokens": {"track_text_space.token_features": True},
            "pooled": {"track_text_space.token_features": False},
        },
        shared_steps=_others("track_text_space"),
        steps=("track_text_space",),
        measures=(Figure(objective=RECALL), Figure(objective=RECALL_BACK)),
    ),
}
"""Every claim by name."""

SEARCH: Final = Search(spaces=SPACES, claims=CLAIMS)
