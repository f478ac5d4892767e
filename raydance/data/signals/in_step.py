"""Are motion and its signals in step: what ingestion keeps of each clip, and counts of them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from raydance.music.alignment import StepFinding

OUT_OF_STEP: Final = "out of step with its "
"""What a warning of a clip that is out of step begins with."""

_NUM_WORST: Final = 3


def note_findings(
    record: dict[str, Any],
    clip_id: str,
    found: Mapping[str, StepFinding],
    without: Iterable[str] = (),
) -> None:
    """Add what was found of a clip to its file's record; warns where it is out of step.

    Args:
        record: gets `signals`, a row for each clip and signal; `in_step` is None where not sure.
            Also `without`, from a signal to its number of clips that lack it.
        found: signal -> its finding.
        without: signals that could be checked, but the clip lacks them.
    """
    for signal in without:
        lacking = record.setdefault("without", {})
        lacking[signal] = lacking.get(signal, 0) + 1
    for signal, step in found.items():
        row = {
            "clip": clip_id,
            "signal": signal,
            "offset_s": round(step.offset_s, 3),
            "tempo_ratio": round(step.tempo_ratio, 4),
            "confidence": round(step.confidence, 3),
            "apart_s": round(step.apart_s, 3),
            "in_step": step.is_in_step if step.is_sure else None,
        }
        record.setdefault("signals", []).append(row)
        if row["in_step"] is False:
            warnings.warn(f"{OUT_OF_STEP}{signal}: {in_words(row)}", stacklevel=2)


def in_words(row: Mapping[str, Any]) -> str:
    """Such as `0.50 s late, tempo x 1.000, up to 0.50 s apart`, of the motion."""
    side = "late" if row["offset_s"] >= 0 else "early"
    offset = f"{abs(row['offset_s']):.2f} s {side}"
    return f"{offset}, tempo x {row['tempo_ratio']:.3f}, up to {row['apart_s']:.2f} s apart"


def signal_counts(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Signal -> `clips` that have it or are `without` it, how many could be `checked`, are
    `in_step` and `out_of_step`, and the `worst` of the last with their `file`.

    Args:
        records: of files; see `note_findings`.
    """
    records = list(records)
    rows = [
        {"file": record["file"], **row} for record in records for row in record.get("signals", ())
    ]
    lacking: Counter[str] = Counter()
    for record in records:
        lacking.update(record.get("without", {}))
    counts = {}
    for signal in sorted({row["signal"] for row in rows} | set(lacking)):
        of_signal = [row for row in rows if row["signal"] == signal]
        out = [row for row in of_signal if row["in_step"] is False]
        num_in_step = sum(row["in_step"] is True for row in of_signal)
        counts[signal] = {
            "clips": len(of_signal),
            "without": lacking[signal],
            "checked": num_in_step + len(out),
            "in_step": num_in_step,
            "out_of_step": len(out),
            "worst": sorted(out, key=lambda row: -row["apart_s"])[:_NUM_WORST],
        }
    return counts
