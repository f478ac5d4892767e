"""Fixtures and helpers of the tests that call commands: run one, and what it is run on.

`conftest.py` names this file as a plugin, so its fixtures are there for every test.
"""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from raydance import cli
from raydance.motion.synthetic import MOVEMENTS, make_clip

NAMES = [command.__name__ for command in cli.COMMANDS]


@pytest.fixture
def call(capsys):
    """Runs a command as the shell would: `(exit code, standard output, standard error)`."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    return run


@pytest.fixture
def refused(call):
    """Runs a command that must be refused in one line, without a traceback; returns the line."""

    def run(*arguments: object, code: int = 2) -> str:
        found, out, err = call(*arguments)
        assert found == code, err
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("raydance: ")
        return line

    return run


@pytest.fixture(scope="module")
def npz(tmp_path_factory) -> Path:
    """Three seconds of the procedural dancer, with the thumbs left out."""
    path = tmp_path_factory.mktemp("motion") / "dancer.npz"
    clip = make_clip(MOVEMENTS[1], 0)
    mask = np.array(["thumb" not in name for name in clip.joint_names])
    np.savez(
        path,
        positions=clip.positions[:60] * 100,
        joint_names=np.array(clip.joint_names),
        parents=np.array(clip.parents),
        joint_mask=mask,
        fps=20.0,
    )
    return path


@cache
def parser() -> Any:
    """The parser of the command line."""
    return typer.main.get_command(cli.app)


def understand(line: str) -> None:
    """Parse a command line without running it; raises for what the command does not know."""
    words = shlex.split(line)
    group = parser()
    with group.make_context("raydance", words) as context:
        name, command, rest = group.resolve_command(context, words)
        command.make_context(name, rest)
