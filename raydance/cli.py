"""The `raydance` command: what exists, and how a mistake is told.

The commands themselves are in `raydance.commands`, one file for each group. Neither torch nor Ray
is imported before a command needs it, so `--help` is quick.

Exit codes: 0 done, 1 failed, 2 the user's mistake (one line says which), 3 done but some files
could not be read (`caption --strict`), 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from raydance import __version__
from raydance.commands import (
    ablate,
    convert,
    data,
    example,
    info,
    judge,
    library,
    over_library,
    serve,
    sweep,
    tables,
    task,
    train,
    unseen,
    use,
)
from raydance.commands.output import accept_any_text
from raydance.errors import InputError, RaydanceError, UnreachableError
from raydance.plain_text import one_line, well_formed
from raydance.termination import sigterm_interrupts

app = typer.Typer(
    name="raydance",
    help="A shared space of dance and words, learnt from motion capture.",
    epilog="Start with: raydance quickstart --out runs/quickstart",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_STOPPED, _TERMINATED = 130, 143

COMMANDS = (
    train.quickstart,
    example.example,
    data.ingest,
    train.train,
    sweep.sweep,
    ablate.ablate,
    use.describe,
    use.generate,
    use.search,
    task.task,
    convert.convert,
    library.caption,
    over_library.dance,
    over_library.index,
    serve.serve,
    judge.evaluate,
    judge.report,
    judge.annotate,
    tables.tables,
    unseen.unseen,
    info.info,
)
"""Every command, in the order of `--help`."""

for _command in COMMANDS:
    app.command(_command.__name__)(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"raydance {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and stop."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="RAYDANCE_DEBUG", help="Show the traceback of every error."),
    ] = False,
) -> None:
    if debug:
        os.environ["RAYDANCE_DEBUG"] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code.

    Args:
        arguments: those of the command line by default.
    """
    logging.basicConfig(format="raydance: %(levelname)s: %(message)s", level=logging.WARNING)
    warnings.formatwarning = _one_line_warning
    accept_any_text()
    with sigterm_interrupts() as sigterm:
        code = _run(arguments)
        if code == _STOPPED:
            code = _tell("stopped", _TERMINATED if sigterm.came else _STOPPED)
            # An interrupt that left an `exec` of text, as imports have them, marks the interpreter:
            # `python -m` would end by SIGINT in place of the code. Another `exec` clears the mark.
            exec("")
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    """Run one command, say what went wrong, and return the exit code."""
    try:
        given = None if arguments is None else list(arguments)
        # Newer typer turns Ctrl-C into the code 130 without a word.
        code = app(args=given, prog_name="raydance", standalone_mode=False)
        sys.stdout.flush()  # a full disk is told here, not by Python when it ends
    except BrokenPipeError:  # the reader of a pipe has gone, as `| head` does
        _forget_output()
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        code = _STOPPED
    except Exception as error:
        told = _meaning(error)
        if told is None:  # a fault of ours: its traceback is the report
            raise
        if os.environ.get("RAYDANCE_DEBUG"):
            traceback.print_exc()
        code = _tell(*told)
        if isinstance(error, OSError):
            _forget_output()
        if isinstance(error, UnreachableError):
            sys.stderr.flush()
            os._exit(code)
    return code if isinstance(code, int) else 0


def _forget_output() -> None:
    """Drop what standard output still holds, if it cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(message: str, code: int) -> int:
    print(f"raydance: {one_line(' '.join(message.split()))}", file=sys.stderr)
    return code


def _meaning(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit code for an error that we know how to say, else None."""
    if hasattr(error, "format_message"):  # typer keeps click's own errors under private names
        command = getattr(getattr(error, "ctx", None), "command_path", "raydance")
        return f"{error.format_message()} (see {command} --help)", 2
    for cause in _causes(error):
        # Ray's wrapper is also an instance of what it wraps, but prints as a traceback.
        if isinstance(cause, RaydanceError) and not hasattr(cause, "cause"):
            return str(cause), 2 if isinstance(cause, InputError) else 1
        if isinstance(cause, UnicodeEncodeError) and cause.reason == "surrogates not allowed":
            return f"{well_formed(cause.object)}: not UTF-8; give it another name", 2
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{error.filename}: " if error.filename is not None else ""
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        return f"{place}{error.strerror}", 1 if is_full else 2
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from, through the wrappers of other processes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = getattr(error, "cause", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    return f"raydance: warning: {one_line(' '.join(str(message).split()))}\n"
