"""Evaluation of runs on the test split: learned system, chance and baseline.

The paper reports losses and silhouettes only, and its retrieval section breaks off; the figures
here are this project's. No figure is about windows whose recording was trained on.
"""

from __future__ import annotations

from raydance.evaluation.comparison import as_text, compare, side_by_side
from raydance.evaluation.general import evaluate_runs, evaluate_system
from raydance.evaluation.protocol import evaluate
from raydance.evaluation.several_runs import mean_of

__all__ = [
    "as_text",
    "compare",
    "evaluate",
    "evaluate_runs",
    "evaluate_system",
    "mean_of",
    "side_by_side",
]
