"""Runs of one system that differ in a few values, as the tables of a paper need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raydance import config as configs
from raydance.systems.base import Runner
from raydance.systems.engine import System
from raydance.systems.search import nested
from raydance.systems.shared_steps import copy_steps


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a run differs from the others.

    Attributes:
        preset: that it starts from.
        changes: key of the configuration -> value.
        datasets: by role, where they are not those of the other runs.
    """

    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    datasets: Mapping[str, Path] | None = None

    def config(self, system: System, changes: Iterable[str] = ()) -> Any:
        """Its configuration; its own changes come after `changes`.

        Raises:
            ConfigError: an unknown preset, key or value.
        """
        return configs.merge(system.resolve(self.preset, list(changes)), nested(self.changes))


def train_variants(
    system: System,
    variants: Mapping[str, Variant],
    out: Path,
    datasets: Mapping[str, str | Path],
    runner: Runner,
    *,
    changes: Iterable[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Path]:
    """Train the runs that are not there yet, sharing steps that are alike.

    Args:
        variants: by name, in the order of training.
        out: the folder of the runs.
        changes: `a.b=value`, to all of them.

    Returns:
        Name -> run folder.

    Raises:
        ConfigError: an unknown preset, key or value.
        InputError: datasets that the system refuses.
    """
    changes = list(changes)
    runs: dict[str, Path] = {}
    for name, variant in variants.items():
        say(f"run: {name}")
        config = variant.config(system, changes)
        folder = out / name.replace(" ", "_")
        if variant.datasets is None:
            for earlier, path in runs.items():
                if variants[earlier].datasets is None:
                    copy_steps(system, path, folder, config, system.steps_of(config))
        system.train(folder, variant.datasets or datasets, config, runner, say=say)
        runs[name] = folder
    return runs
