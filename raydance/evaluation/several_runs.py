"""The mean of several runs' evaluations, such as of one configuration under several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from raydance.errors import InputError
from raydance.evaluation.measure import Measure, losses_against_baseline

_MEANS = ("value", "chance", "baseline", "target")
_OF_ALL = ("system", "dataset")


def mean_of(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One evaluation of several runs on the same data.

    Args:
        evaluations: at least two, as `evaluate` or `evaluate_system` return them.

    Returns:
        The same plain data: each figure is the mean over the runs, `interval` half the width of
        its 95 % confidence interval (Student's t over runs), `values` each run's; `runs` names
        the runs. Figures that a run lacks are left out.

    Raises:
        InputError: runs of several systems, or evaluated on several datasets.
    """
    for what in _OF_ALL:
        found = sorted({str(one.get(what)) for one in evaluations})
        if len(found) > 1:
            raise InputError(f"runs of several {what}s have no mean: {', '.join(found)}")
    by_key = [{(m["group"], m["name"]): m for m in one["measures"]} for one in evaluations]
    measures = []
    for key, first in by_key[0].items():
        own = [one[key] for one in by_key if key in one]
        if len(own) == len(by_key):
            measures.append(_mean(first, own))
    notes = dict.fromkeys(note for one in evaluations for note in one["notes"])
    return {
        **evaluations[0],
        "run": None,
        "runs": [one["run"] for one in evaluations],
        "measures": measures,
        "losses": losses_against_baseline(measures),
        "notes": [*notes, f"means of {len(evaluations)} runs, ± half a 95 % interval over them"],
        "seconds": sum(one["seconds"] for one in evaluations),
    }


def _mean(first: Mapping[str, Any], own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in _MEANS:
        values = [m[name] for m in own]
        means[name] = None if None in values else float(np.mean(values))
    values = [m["value"] for m in own]
    if means["value"] is None:
        means["value"] = float("nan")
    else:
        spread = float(np.std(values, ddof=1)) / len(values) ** 0.5
        means["interval"] = float(stats.t.ppf(0.975, len(values) - 1)) * spread
    kept = {name: first[name] for name in ("group", "name", "unit", "better", "is_main")}
    return Measure(**(kept | means)).as_dict() | {"values": values}
