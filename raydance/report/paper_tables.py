"""The tables of a system's paper with this project's own runs: what `raydance tables` makes.

A system declares its tables (`System.tables`); what they need is trained, or found done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation.text_motion import Replications
from raydance.report.tables import Table
from raydance.systems import SYSTEMS, system_of
from raydance.systems.base import Runner
from raydance.systems.engine import System, named
from raydance.systems.step import MAIN

AS_PRINTED: Final = "as printed in the paper"
"""The mark of columns with the paper's numbers, which stand only where the quantity compares."""


@dataclass(frozen=True, kw_only=True)
class TablesRequest:
    """What is wanted, and where it is trained.

    Attributes:
        out: the folder of the runs.
        datasets: by role.
        runner: trains.
        wanted: numbers of tables.
        preset: of the run beside the paper's.
        paper_preset: of the paper's own run; the system's usual one where None.
        changes: `a.b=value`, in all runs.
        evaluator: a trained evaluator; where None, one is trained if a table needs it.
        evaluator_changes: in the evaluator.
        replications: of measures with the evaluator; the usual ones where None.
        actions: datasets whose labels are named.
        say: told one line for each step.
    """

    out: Path
    datasets: Mapping[str, Path]
    runner: Runner
    wanted: Sequence[str] = ()
    preset: str = "default"
    paper_preset: str | None = None
    changes: Sequence[str] = ()
    evaluator: Path | None = None
    evaluator_changes: Sequence[str] = ()
    replications: Replications | None = None
    actions: Sequence[Path] = ()
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True, kw_only=True)
class PaperTables:
    """What a system declares as its `tables`.

    Attributes:
        needed: table -> names of the runs that it is made of.
        make: from a request with `wanted` filled in to the tables.
        left_out: whether a table is not made by default, for a request.
        options: the fields of a request that not all tables use -> the tables that use them.
    """

    needed: Mapping[str, Sequence[str]]
    make: Callable[[TablesRequest], list[Table]]
    left_out: Callable[[str, TablesRequest], bool] = lambda table, request: False
    options: Mapping[str, Collection[str]] = field(default_factory=dict)


OPTIONS: Final = {
    "evaluator": "--evaluator",
    "evaluator_changes": "--set-evaluator",
    "replications": "--replications",
    "actions": "--actions",
    "preset": "--preset",
    "paper_preset": "--paper-preset",
}
"""Field of a request -> the option of the command, of those that not every table uses."""


def system_with_tables(dataset: Path) -> System:
    """The system whose paper's tables are made from such a dataset.

    Raises:
        InputError: none has tables of this kind of data.
    """
    kind = Dataset.open(dataset).modality.name
    for name in SYSTEMS:
        system = system_of(name)
        if system.tables is not None and system.datasets[MAIN] == kind:
            return system
    raise InputError(f"{dataset}: holds {kind}, of which no system makes its paper's tables")


def make_tables(system: System, request: TablesRequest, only: Sequence[str] = ()) -> list[Table]:
    """Train what the tables need, and make them, in order.

    Args:
        only: numbers of tables; all that the data allow by default.

    Raises:
        InputError: an unknown table, options that these tables do not use, or data that do not
            allow a table.
    """
    assert system.tables is not None, system.name
    tables: PaperTables = named(system.tables)
    if unknown := sorted(set(only) - set(tables.needed)):
        raise InputError(f"--only {unknown[0]}; allowed: {','.join(tables.needed)}")
    wanted = only or [table for table in tables.needed if not tables.left_out(table, request)]
    for name, option in OPTIONS.items():
        if getattr(request, name) and getattr(request, name) != getattr(TablesRequest, name):
            users = tables.options.get(name, ())
            if not users:
                raise InputError(f"{option}: the tables of {system.title} do not use it")
            if not set(users) & set(wanted):
                raise InputError(f"{option}: only for --only {','.join(users)}")
    if request.evaluator and request.evaluator_changes:
        raise InputError("--set-evaluator: for the evaluator that is trained here, not --evaluator")
    return tables.make(replace(request, wanted=tuple(sorted(set(wanted)))))


def runs_needed(tables: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> list[str]:
    """Names of the runs of some tables, each once."""
    return list(dict.fromkeys(run for table in wanted for run in tables[table]))


def as_markdown(table: Table) -> str:
    """A table for a terminal or a document."""
    lines = [f"Table {table.number}. {table.title}", ""]
    lines += ["| " + " | ".join(table.header) + " |", "|---" * len(table.header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join([*lines, "", table.note, ""])
