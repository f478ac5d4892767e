"""The README: short, with the commands that `.ci/run` calls, and figures that LOG.md has."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES = 200
MAX_PICTURE_BYTES = 1_500_000


def test_the_readme_stays_short():
    assert len(README.splitlines()) <= MAX_LINES
    (picture,) = re.findall(r"!\[.*\]\((.+)\)", README)
    assert (ROOT / picture).stat().st_size <= MAX_PICTURE_BYTES


def test_ci_finds_the_commands_that_it_takes_from_the_readme():
    lines = README.splitlines()
    (tests,) = [line for line in lines if line.endswith("-m pytest")]
    (docs,) = [line for line in lines if line.endswith("mkdocs build --strict")]
    assert tests.startswith("python3 -m venv .venv && ") and ".[dev]" in tests
    assert ".[docs]" in docs
    assert len(re.findall(r"`[^`]* -m pytest tests/cluster`", README)) == 1
    patterns = re.findall(r"grep -m 1 (?:-o )?-- '([^']+)' README", (ROOT / ".ci/run").read_text())
    assert len(patterns) == 3
    for pattern in patterns:
        assert any(re.search(pattern, line) for line in lines), pattern


def test_the_figures_of_the_readme_are_in_the_log():
    table = README.split("## Figures")[1].split("## Documentation")[0]
    log = (ROOT / "LOG.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|")][2:]
    figures = [cell.split()[0] for row in rows for cell in row[3:5]]
    assert len(figures) >= 20
    assert [figure for figure in figures if not re.search(rf"(?<![\d.]){figure}\b", log)] == []
