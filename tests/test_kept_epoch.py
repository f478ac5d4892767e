"""The epoch that is told to be kept is the one that the training loop kept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from line_training import QUICK, Memory, line, scripted

from raydance.config import to_dict
from raydance.systems.dance_language.system import SYSTEM
from raydance.training import loop as training
from raydance.training.kept_epoch import checks_of, kept_line
from raydance.training.loop import Context, fit

# Of six epochs the fourth has the lowest loss; a check in every third one misses it.
TOLD = [9.0, 8.0, 3.0, 1.0, 4.0, 2.0]


def lines_of(totals: list[float]) -> list[dict[str, Any]]:
    """Lines without a mark, as runs had them before."""
    return [
        {"epoch": i, "epochs": len(totals), "validation": {"total": total}}
        for i, total in enumerate(totals)
    ]


@pytest.mark.parametrize(("check_every", "epoch"), [(1, 3), (3, 5), (4, 3), (10, 5)])
@pytest.mark.parametrize("is_marked", [True, False])
def test_it_is_the_epoch_that_training_kept(
    monkeypatch: pytest.MonkeyPatch, check_every: int, epoch: int, is_marked: bool
) -> None:
    monkeypatch.setattr(training, "validate", scripted(TOLD))
    seen: list[dict[str, Any]] = []
    config = replace(QUICK, check_every=check_every)
    result = fit(line(), config, Memory(), seed=0, context=Context(report=seen.append))
    if not is_marked:
        for metrics in seen:
            del metrics["checked"]
    found = kept_line(seen, check_every)
    assert found is not None and found["epoch"] == result.best_epoch == epoch


def test_a_mark_counts_more_than_the_configuration() -> None:
    marked = [row | {"checked": row["epoch"] >= 4} for row in lines_of(TOLD)]
    assert kept_line(marked, 1) == marked[5]


def test_nothing_is_kept_before_the_first_check_nor_where_no_loss_is_finite() -> None:
    assert kept_line(lines_of(TOLD)[:2], 3) is None
    assert kept_line(lines_of([math.nan, math.inf])) is None


def test_checks_are_those_of_the_configuration() -> None:
    checks = checks_of(to_dict(SYSTEM.resolve("quick", ["contrastive.train.check_every=4"])))
    assert (checks["text_encoder"], checks["contrastive"], checks["motion_vae"]) == (10, 4, 1)
    assert "clusters" not in checks and "text" not in checks
