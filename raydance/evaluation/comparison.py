"""Several runs side by side, and the table that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raydance.evaluation.data import EvaluationData
from raydance.evaluation.from_text import MAX_GENERATED
from raydance.evaluation.measure import losses_against_baseline, show
from raydance.evaluation.protocol import evaluate
from raydance.evaluation.windows import MAX_TEST
from raydance.systems.dance_language.run import load

_SHOWN = ("value", "interval")


def compare(
    runs: Mapping[str, str | Path],
    dataset_path: str | Path | None = None,
    *,
    num_generated: int = MAX_GENERATED,
    seed: int = 0,
    max_windows: int = MAX_TEST,
) -> dict[str, Any]:
    """Evaluate runs on one dataset; the last one is "this run", chance and baseline are its own.

    Args:
        runs: title of the column -> run folder.

    Raises:
        InputError: as for `evaluate`, or no run.
    """
    assert runs, "no run to compare"
    path = dataset_path or load(list(runs.values())[-1]).run.facts["dataset"]["path"]
    data = EvaluationData.read(path, max_windows=max_windows, seed=seed)
    return side_by_side(
        {
            title: evaluate(run, num_generated=num_generated, seed=seed, data=data)
            for title, run in runs.items()
        }
    )


def side_by_side(evaluations: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What `compare` returns, of evaluations made before.

    Returns:
        `columns`, `rows` (of the last evaluation, each with `values` and `intervals` by column),
        `evaluations`.
    """
    last = list(evaluations)[-1]
    found = {
        title: {(m["group"], m["name"]): m for m in evaluation["measures"]}
        for title, evaluation in evaluations.items()
    }
    rows = []
    for measure in evaluations[last]["measures"]:
        key = (measure["group"], measure["name"])
        own = {title: by_key.get(key, {}) for title, by_key in found.items()}
        rows.append(
            measure
            | {f"{what}s": {title: m.get(what) for title, m in own.items()} for what in _SHOWN}
        )
    return {
        "columns": list(evaluations),
        "rows": rows,
        "losses": losses_against_baseline(rows),
        "evaluations": dict(evaluations),
    }


def as_text(result: Mapping[str, Any], *, everything: bool = False) -> str:
    """An aligned table of what `evaluate` or `compare` returned.

    Args:
        everything: also the lines that are not of the short table.
    """
    if "rows" not in result:
        own = f"{len(result['runs'])} runs" if "runs" in result else "this run"
        result = side_by_side({own: dict(result)})
    columns: Sequence[str] = result["columns"]
    about = result["evaluations"][columns[-1]]
    titles = ["", "chance", "baseline", *columns, "real / bound"]
    lines: list[list[str]] = []
    group = ""
    for row in result["rows"]:
        if not (row["is_main"] or everything):
            continue
        if row["group"] != group:
            group = row["group"]
            lines.append([group])
        arrow = {"higher": "", "lower": " (lower is better)", "target": " (near real is better)"}
        lines.append(
            [
                f"  {row['name']}{arrow[row['better']]}",
                show(row["chance"], row["unit"]),
                show(row["baseline"], row["unit"]),
                *(
                    show(row["values"][title], row["unit"], row["intervals"][title])
                    for title in columns
                ),
                show(row["target"], row["unit"]),
            ]
        )
    widths = [
        max(len(line[i]) for line in [titles, *lines] if len(line) > 1) for i in range(len(titles))
    ]
    table = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in [titles, *lines]
    ]
    head = [
        f"test split: {about['windows']} rows of {about['recordings']} recordings, none of "
        f"which is among the {about['training_recordings']} trained on",
    ]
    if "num_clusters" in about:
        head.append(
            f"{about['num_labels']} names of movements (by {about['label']}), "
            f"{about['num_clusters']} clusters"
        )
    if about["is_synthetic"]:
        head.append("the data are a procedural dancer's, not recordings of people")
    shown = [row for row in result["rows"] if row["is_main"] or everything]
    lost = losses_against_baseline(shown)
    tail = [f"not better than the baseline: {line}" for line in lost]
    if len(result["losses"]) > len(lost):
        tail.append(f"and so are {len(result['losses']) - len(lost)} figures not shown here")
    tail = tail or ["every figure that has a baseline is better than it"]
    return "\n".join([*head, "", *table, "", *tail, *(f"note: {n}" for n in about["notes"])])
