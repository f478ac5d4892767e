"""The systems: each a list of steps, and what a finished run can do.

`SYSTEMS` names them all. Modules are named by path and imported when they are needed, so that a
command for one system does not load another.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from raydance.errors import ArtifactError, InputError

if TYPE_CHECKING:
    from raydance.systems.engine import System

SYSTEMS: Final[dict[str, str]] = {
    "dance-language": "raydance.systems.dance_language.system",
    "evaluator": "raydance.systems.evaluator.system",
    "everything2motion": "raydance.systems.everything2motion.system",
    "lang2motion": "raydance.systems.lang2motion.system",
}
"""The module of every system, which holds its `SYSTEM`, by the name that commands use."""


def system_of(name: str) -> System:
    """A system by name.

    Raises:
        InputError: no such system.
    """
    if name not in SYSTEMS:
        raise InputError(f"system {name!r}; known: {', '.join(SYSTEMS)}")
    system: System = importlib.import_module(SYSTEMS[name]).SYSTEM
    return system


def system_of_run(path: str | Path) -> System:
    """The system that a run folder is of.

    Raises:
        ArtifactError: not a run folder, damaged, or of an unknown system.
    """
    from raydance.training.run_folder import Run

    name = Run.open(path).facts.get("system")
    if name not in SYSTEMS:
        raise ArtifactError(f"{path}: a run of {name!r}; known systems: {', '.join(SYSTEMS)}")
    return system_of(name)


def load_run(path: str | Path) -> Any:
    """A finished run, ready for work.

    Raises:
        ArtifactError: not a run folder, damaged, not finished, or of an unknown system.
    """
    return system_of_run(path).load(path)
