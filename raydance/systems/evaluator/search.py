"""What can be swept of an evaluator; measured on the validation split."""

from __future__ import annotations

from typing import Final

from raydance.systems.evaluator.system import SYSTEM
from raydance.systems.search import Objective, Range, Search, Space, validation_figures
from raydance.training.run_folder import Run

MEASURED: Final = {"recall": "sentence to motion of its caption, R@5"}


def figures_of(run: Run) -> dict[str, float]:
    """How well it finds real pairs."""
    return validation_figures(SYSTEM, run, MEASURED)


RECALL: Final = Objective(
    name="recall", title="sentence to motion, R@5, %", direction="maximize", measure=figures_of
)

SPACES: Final = {
    "pairs": Space(
        name="pairs",
        meaning="learning rate, temperature and dropout",
        parameters={
            "text_motion_evaluator.train.lr": Range(2e-4, 4e-3, log=True),
            "text_motion_evaluator.temperature": Range(0.02, 1.0, log=True),
            "text_motion_evaluator.dropout": Range(0.0, 0.5),
        },
        shared_steps=("frame_statistics", "texts"),
        steps=("text_motion_evaluator",),
        goals=(RECALL,),
    ),
}
"""Every space by name."""

SEARCH: Final = Search(spaces=SPACES)
"""`raydance sweep`."""
