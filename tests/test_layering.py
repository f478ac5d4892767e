"""The house's rules of import, read off the source: which file may know which.

Imports point downward only, to a lower layer or to a neighbour that does not look back.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "config",
        "files",
        "version",
        "plain_text",
        "validation_messages",
        "data.schema",
        "training.kept_epoch",
    ),
    ("nn", "metrics", "motion", "music", "tracks", "data.index"),
    ("text",),
    ("data.layouts", "data.file_search", "data.sources", "data.dataset", "data.storage"),
    ("data.columns", "data.chunks"),
    ("data", "web"),
    ("stages",),
    ("training.run_folder", "training"),
    ("systems.engine", "systems.step", "systems.base"),
    ("systems.tasks",),
    (
        "systems.shared_steps",
        "systems.text_step",
        "systems.constraints",
        "systems.search",
        "systems.variants",
        "systems.steering",
        "systems.steering_plan",
    ),
    (
        "systems.dance_language",
        "systems.evaluator",
        "systems.everything2motion",
        "systems.lang2motion",
    ),
    ("systems",),
    ("evaluation", "report", "library"),
    ("serving", "client"),
    ("cluster",),
    (
        "",
        "__main__",
        "cli",
        "commands",
        "progress",
        "quickstart",
        "quickstart_music",
        "jobs",
        "tuning",
        "termination",
    ),
)
"""Packages and modules of `raydance` from the bottom up; `""` is `raydance/__init__.py`, which
offers the whole and imports lazily. A module that is not named belongs to its package's layer."""

HEIGHT = {unit: height for height, layer in enumerate(LAYERS) for unit in layer}
WITHOUT_TORCH = {"motion", "music", "metrics", "tracks", "config", "errors", "files", "plain_text"}
WITHOUT_TORCH |= {unit for unit in HEIGHT if unit.split(".")[0] == "data"} | {"training.kept_epoch"}
WITH_RAY = {"cluster", "jobs", "tuning"}


def modules() -> dict[str, Path]:
    """Dotted name -> file, of everything that ships or is submitted as a job."""
    found = {}
    for top in ("raydance", "jobs", "tuning"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def unit_of(module: str) -> str:
    """The longest name in LAYERS that a module lies in.

    `raydance.motion.clip` -> `motion`; `raydance.data.schema` -> `data.schema`; `raydance` -> `""`;
    `jobs.train` -> `jobs`. A module without a layer is given back as it is.
    """
    top, _, rest = module.partition(".")
    parts = rest.split(".") if top == "raydance" else [top]
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((name for name in names if name in HEIGHT), names[0])


@cache
def imports_of(module: str) -> tuple[tuple[int, str], ...]:
    """(line, dotted name) of every import, also inside functions and for types alone."""
    path = MODULES[module]
    return tuple(
        found_imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")
    )


def found_imports(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + is_package]
                base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                # `from raydance import losses` names a module, `from raydance.nn.blocks import MLP`
                # not.
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in MODULES else base


def internal(name: str) -> bool:
    return name.split(".")[0] in ("raydance", "jobs", "tuning") and name in MODULES


def lines(condition) -> list[str]:
    """Every import for which `condition(module, imported)` holds, as `module:line imports name`."""
    return [
        f"{module}:{line} imports {name}"
        for module in MODULES
        for line, name in imports_of(module)
        if condition(module, name)
    ]


def test_every_file_has_its_layer():
    homeless = sorted({unit_of(module) for module in MODULES} - set(HEIGHT))
    assert not homeless, f"give {homeless} a place in LAYERS"


def test_imports_point_downward():
    assert not lines(
        lambda module, name: (
            internal(name) and HEIGHT.get(unit_of(name), 0) > HEIGHT.get(unit_of(module), 99)
        )
    )


def test_neighbours_do_not_import_each_other_in_a_circle():
    uses: dict[str, set[str]] = {}
    for module in MODULES:
        targets = {unit_of(name) for _, name in imports_of(module) if internal(name)}
        uses.setdefault(unit_of(module), set()).update(targets - {unit_of(module)})
    assert circle(uses) is None


def circle(uses: dict[str, set[str]]) -> list[str] | None:
    """A circle among units, as a path that ends where it began."""

    def follow(path: list[str]) -> list[str] | None:
        for target in sorted(uses.get(path[-1], ())):
            if target in path:
                return [*path[path.index(target) :], target]
            found = follow([*path, target]) if target not in done else None
            if found:
                return found
        done.add(path[-1])
        return None

    done: set[str] = set()
    return next((found for unit in sorted(uses) if (found := follow([unit]))), None)


def test_ray_only_in_its_places():
    assert not lines(
        lambda module, name: name.split(".")[0] == "ray" and unit_of(module) not in WITH_RAY
    )


def test_no_torch_in_what_reads_and_measures_motion():
    assert not lines(
        lambda module, name: name.split(".")[0] == "torch" and unit_of(module) in WITHOUT_TORCH
    )


def test_no_torch_through_the_back_door():
    """Nor by way of a neighbour that imports it."""
    for module in MODULES:
        if unit_of(module) not in WITHOUT_TORCH:
            continue
        reached, open_ends = {module}, [module]
        while open_ends:
            for _, name in imports_of(open_ends.pop()):
                if internal(name) and unit_of(name) and name not in reached:
                    reached.add(name)
                    open_ends.append(name)
        torch = [m for m in reached if any(n.split(".")[0] == "torch" for _, n in imports_of(m))]
        assert not torch, f"{module} reaches torch through {torch}"


def test_metrics_know_no_model():
    allowed = {"metrics", "motion", "errors", "config", "data.schema"}
    assert not lines(
        lambda module, name: (
            unit_of(module) == "metrics" and internal(name) and unit_of(name) not in allowed
        )
    )


def test_stages_do_not_import_each_other():
    def forbidden(module: str, name: str) -> bool:
        both = unit_of(module) == unit_of(name) == "stages" and internal(name)
        return both and name not in (module, "raydance.stages", "raydance.stages.base")

    found = lines(lambda module, name: forbidden(module, name) and module != "raydance.stages")
    assert not found


def test_every_module_says_what_it_is():
    bare = [
        str(path.relative_to(ROOT))
        for path in MODULES.values()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not bare, f"without a module docstring: {bare}"


@pytest.mark.parametrize(
    ("source", "module", "is_package", "expected"),
    [
        ("import ray.data", "raydance.cli", False, ["ray.data"]),
        ("def f():\n    from torch import nn", "raydance.cli", False, ["torch"]),
        ("from raydance import config", "raydance.cli", False, ["raydance.config"]),
        ("from raydance.config import load", "raydance.cli", False, ["raydance.config"]),
        ("from . import clip", "raydance.motion.skeleton", False, ["raydance.motion.clip"]),
        ("from ..config import load", "raydance.motion.clip", False, ["raydance.config"]),
        ("from .clip import Clip", "raydance.motion", True, ["raydance.motion.clip"]),
    ],
)
def test_imports_are_found_in_every_form(source, module, is_package, expected):
    assert [name for _, name in found_imports(source, module, is_package)] == expected


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
