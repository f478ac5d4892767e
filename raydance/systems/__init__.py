"""One file for each system: which stages it has, in which order.

`SYSTEMS` names them all. Modules are named by path and imported when they are needed, so that a
command for one system does not load another.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raydance.errors import ArtifactError, InputError


@dataclass(frozen=True, kw_only=True)
class System:
    """Where a system is written.

    Attributes:
        training: module with `PRESETS`, `STEPS`, `steps_of(config)`, `config_of(run)`,
            `resolve(preset, overrides, file)` and
            `train(out, dataset, config, runner, only=, say=, saved=)`.
        run: module with `load(path)`, which puts a finished run to work.
    """

    training: str
    run: str


SYSTEMS: Final[dict[str, System]] = {
    "dance-language": System(
        training="raydance.systems.dance_language",
        run="raydance.systems.dance_language_run",
    ),
}
"""Every system by the name that commands and run folders use."""


def training_module(name: str) -> Any:
    """The module that trains a system.

    Raises:
        InputError: no such system.
    """
    if name not in SYSTEMS:
        raise InputError(f"system {name!r}; known: {', '.join(SYSTEMS)}")
    return importlib.import_module(SYSTEMS[name].training)


def load_run(path: str | Path) -> Any:
    """The trained system of a run folder.

    Raises:
        ArtifactError: not a run folder, damaged, not finished, or of an unknown system.
    """
    from raydance.artifacts import Run

    name = Run.open(path).facts.get("system")
    if name not in SYSTEMS:
        raise ArtifactError(f"{path}: a run of {name!r}; known systems: {', '.join(SYSTEMS)}")
    return importlib.import_module(SYSTEMS[name].run).load(path)
