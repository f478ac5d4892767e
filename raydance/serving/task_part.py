"""The part of the service that does the tasks of runs of every system."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from raydance.errors import InputError
from raydance.motion import skeleton
from raydance.serving.parts import Part
from raydance.serving.problems import NotHere
from raydance.serving.runs import OpenRun
from raydance.systems import load_run, system_of_run
from raydance.systems.tasks import Answer, WithLibrary, task_of

_MOST_VALUES: Final = 4_000_000


class Tasks(Part):
    """Runs of every system, asked for their tasks."""

    load = staticmethod(load_run)

    def warm_up(self) -> None:
        """Load the runs, and learn what they can do."""
        self.facts()
        for name in reversed(self.run_cache.entries):  # the default stays where not all can
            self.run_cache.open(name)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Of each run its system, frames a second and tasks, both by name."""
        return self._facts

    @cached_property
    def _facts(self) -> dict[str, dict[str, Any]]:
        return {name: _facts_of(self.run_cache.open(name)) for name in self.run_cache.entries}

    def answer(
        self,
        model: str | None,
        name: str,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> tuple[str, Answer]:
        """What a task of a run answers, and the run's name.

        Raises:
            NotHere: no such run, or none that has such a task.
            InputError: an input or option that is not allowed, or too much to compute.
        """
        opened = self.run_cache.open(model)
        try:
            task = task_of(opened.system, name)
        except InputError as error:
            raise NotHere(str(error)) from None
        wanted = task.request(inputs, options)
        seconds = getattr(wanted.options, "seconds", None)
        fps = getattr(opened.system, "fps", None)
        if fps is not None and seconds is not None:
            frames = round(seconds * fps) * getattr(wanted.options, "samples", 1)
            check_values(frames * skeleton.NUM_JOINTS)
        (answer,) = task.answer([wanted])
        return opened.entry.name, answer

    def stored(self, model: str | None, clip: str) -> tuple[str, Answer]:
        """What a row of a search is of, and the run's name.

        Raises:
            NotHere: no such run or clip, or a run without a library.
        """
        opened = self.run_cache.open(model)
        name, system = opened.entry.name, opened.system
        if not isinstance(system, WithLibrary):
            raise NotHere(f"{name} has no library whose clips can be shown")
        try:
            return name, system.stored(clip)
        except InputError as error:
            raise NotHere(str(error)) from None


def _facts_of(opened: OpenRun) -> dict[str, Any]:
    system = opened.system
    return {
        "system": system_of_run(opened.entry.run).name,
        "fps": float(getattr(system, "fps", 20.0)),
        "tasks": {task.name: task.describe() for task in system.tasks.values()},
    }


def check_values(values: int) -> None:
    """Refuse what would take long to compute or to write.

    Raises:
        InputError: says what is allowed.
    """
    if values > _MOST_VALUES:
        raise InputError(
            f"{values} joints or points in all frames and samples; allowed: {_MOST_VALUES}"
        )
