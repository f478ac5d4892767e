"""What figures of several seeds say about a claim, and the tables that show it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from scipy import stats

from raydance.systems.search import Claim, EpochsToLoss, Measure

HOLDS, FAILS, NOISE, UNKNOWN = "holds", "does not hold", "within noise", "not measured"

_CONFIDENCE: Final = 0.95

Values = Mapping[str, Sequence[float | None]]
"""Variant -> its figure for each seed; None where the training failed."""


def gains(own: Sequence[float], other: Sequence[float], direction: str) -> list[float]:
    """How much better the first is, seed by seed, as a share of the other's figure."""
    sign = 1.0 if direction == "maximize" else -1.0
    return [sign * (a - b) / max(abs(b), 1e-12) for a, b in zip(own, other, strict=True)]


def verdict(found: Sequence[float], at_least: float = 0.0) -> str:
    """Whether gains, paired by seed, are above what is claimed.

    By Student's t, one-sided at 95 %: above (or below) with the mean's error taken off. One seed
    tells nothing.
    """
    over = np.asarray(found, dtype=float) - at_least
    if len(over) < 2:
        return NOISE
    quantile = float(stats.t.ppf(_CONFIDENCE, len(over) - 1))
    error = quantile * float(over.std(ddof=1)) / math.sqrt(len(over))
    if over.mean() > error:
        return HOLDS
    return FAILS if over.mean() < -error else NOISE


def together(verdicts: Sequence[str]) -> str:
    """A claim holds if all of its comparisons do, and fails if any does."""
    for worst in (FAILS, UNKNOWN, NOISE):
        if worst in verdicts:
            return worst
    return HOLDS


def epochs_to_common_loss(curves: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Variant -> epochs to the lowest loss that all variants reach.

    Args:
        curves: validation loss after each epoch of each variant.
    """
    # A training that diverges in the end has still been where it was.
    bests = {name: np.fmin.accumulate(np.asarray(c, dtype=float)) for name, c in curves.items()}
    target = max(float(best[-1]) for best in bests.values())
    return {name: float(np.argmax(best <= target) + 1) for name, best in bests.items()}


def summarise(claim: Claim, figures: Sequence[Values]) -> dict[str, Any]:
    """A claim's table and verdicts, as plain data.

    Args:
        figures: for each measure of the claim, its values.
    """
    tables = [_table(measure, values) for measure, values in zip(claim.measures, figures)]
    verdicts = [row["verdict"] for table in tables for row in table["against"]]
    return {
        "claim": claim.name,
        "text": claim.text,
        "verdict": together(verdicts),
        "measures": tables,
    }


def _table(measure: Measure, values: Values) -> dict[str, Any]:
    first, *others = values
    rows = []
    for name, own in values.items():
        there = [v for v in own if v is not None]
        rows.append(
            {
                "variant": name,
                "values": list(own),
                "mean": float(np.mean(there)) if there else None,
                "spread": float(np.std(there, ddof=1)) if len(there) > 1 else None,
            }
        )
    against = []
    for name in others:
        pairs = [
            (a, b) for a, b in zip(values[first], values[name]) if a is not None and b is not None
        ]
        found = gains([a for a, _ in pairs], [b for _, b in pairs], measure.direction)
        against.append(
            {
                "variant": name,
                "gains": found,
                "mean": float(np.mean(found)) if found else None,
                "verdict": verdict(found, measure.at_least) if found else UNKNOWN,
            }
        )
    return {
        "title": measure.title,
        "direction": measure.direction,
        "at_least": measure.at_least,
        "is_to_common_loss": isinstance(measure, EpochsToLoss),
        "rows": rows,
        "against": against,
    }


def as_markdown(summary: Mapping[str, Any]) -> str:
    """One claim: a table for each measure, then the verdict."""
    seeds = summary["seeds"]
    lines = [f"## {summary['claim']}: {summary['verdict']}", "", f"Claim: {summary['text']}.", ""]
    for table in summary["measures"]:
        better = "less" if table["direction"] == "minimize" else "more"
        lines.append(f"{table['title']} ({better} is better)")
        lines += ["", f"| variant | {' | '.join(f'seed {s}' for s in seeds)} | mean | spread |"]
        lines.append("|---" * (len(seeds) + 3) + "|")
        for row in table["rows"]:
            cells = [row["variant"], *row["values"], row["mean"], row["spread"]]
            lines.append(f"| {' | '.join(_shown(cell) for cell in cells)} |")
        lines.append("")
        wanted = f" ({_in_words(table['at_least'])} is claimed)" if table["at_least"] else ""
        for row in table["against"]:
            gain = "no figure" if row["mean"] is None else _in_words(row["mean"])
            lines.append(
                f"- {table['rows'][0]['variant']} against {row['variant']}: {gain}{wanted}: "
                f"**{row['verdict']}**"
            )
        lines.append("")
    for line in summary["failed"]:
        lines.append(f"Failed: {line}")
    lines.append(summary["made_with"])
    return "\n".join(lines) + "\n"


def as_line(summary: Mapping[str, Any]) -> str:
    """One claim in one line."""
    parts = [
        f"{_in_words(row['mean'])} than {row['variant']}"
        for table in summary["measures"]
        for row in table["against"]
        if row["mean"] is not None
    ]
    return f"{summary['claim']}: {summary['verdict']} ({', '.join(parts) or 'no figures'})"


def _in_words(gain: float) -> str:
    return f"{100 * abs(gain):.1f} % {'better' if gain >= 0 else 'worse'}"


def _shown(cell: str | float | None) -> str:
    if cell is None:
        return "-"
    return cell if isinstance(cell, str) else f"{cell:.4g}"
