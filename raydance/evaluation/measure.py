"""One measured figure beside what it must be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["higher", "lower", "target"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One line of the table.

    Attributes:
        group: what is evaluated, such as `text to motion`.
        name: what is measured.
        unit: `%`, `cm`, `x` (a ratio), `rank` or empty.
        better: `higher`, `lower`, or `target`: the nearer to what real motion shows.
        value: of the learned system.
        chance: of drawing at random.
        baseline: of the baseline that learns nothing; None where it has no such figure.
        target: of real motion: a ceiling, or the value to come near to.
        is_main: shown in the short table.
        interval: half the width of the value's 95 % confidence interval over replications.
    """

    group: str
    name: str
    value: float
    unit: str = "%"
    better: Better = "higher"
    chance: float | None = None
    baseline: float | None = None
    target: float | None = None
    is_main: bool = True
    interval: float | None = None

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the learned system is better than the baseline; None without one."""
        if self.baseline is None or not math.isfinite(self.baseline):
            return None
        if not math.isfinite(self.value):
            return False
        if self.better == "higher":
            return self.value > self.baseline
        if self.better == "lower":
            return self.value < self.baseline
        assert self.target is not None
        return abs(self.value - self.target) < abs(self.baseline - self.target)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, NaN as None."""
        plain = asdict(self) | {"beats_baseline": self.beats_baseline}
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in plain.items()
        }


def losses_against_baseline(measures: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence for each figure at which the learned system does not beat the baseline."""
    return [
        f"{m['group']}, {m['name']}: {show(m['value'], m['unit'])} does not beat the baseline's "
        f"{show(m['baseline'], m['unit'])}"
        for m in measures
        if m["beats_baseline"] is False
    ]


def show(value: float | None, unit: str, interval: float | None = None) -> str:
    """A figure as tables print it, with half the width of its interval where it has one."""
    if value is None:
        return "-"
    if interval is not None:
        number, _, sign = show(value, unit).partition(" ")
        return f"{number} ± {show(interval, unit).partition(' ')[0]} {sign}".strip()
    if unit == "%":
        return f"{value:.1f} %"
    if unit == "cm":
        return f"{value:.1f} cm"
    if unit == "rank":
        return f"{value:.4g}"
    if unit == "x":
        return f"{value:.2f} x"
    return f"{value:.3f}"
