"""Losses of every stage of a small run, which a change of structure must not move.

Renew the file only in a commit that says why: `python -m pytest tests/test_golden_losses.py` with
`RAYDANCE_RENEW_GOLDEN=1` writes it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from raydance.training.run_folder import Run, read_metrics

FILE = Path(__file__).parent / "golden" / "losses.json"


def losses_of(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Stage -> the training and validation losses of each epoch."""
    return {
        path.stem: [{part: line[part] for part in ("train", "validation")} for line in lines]
        for path in sorted((run.path / "metrics").glob("*.jsonl"))
        if (lines := read_metrics(path))
    }


def test_losses_are_those_of_the_stored_run(tiny_run: Path) -> None:
    found = losses_of(Run.open(tiny_run))
    if os.environ.get("RAYDANCE_RENEW_GOLDEN"):
        FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    assert set(found) == set(stored)
    for stage, epochs in stored.items():
        assert len(found[stage]) == len(epochs), stage
        for number, parts in enumerate(epochs):
            for part, terms in parts.items():
                # Exact on one machine; other processors round sums otherwise.
                assert found[stage][number][part] == pytest.approx(terms, rel=1e-4), stage
