"""One line for each stage in training: epoch, losses, windows per second, time left.

Ingestion has one too: files read, windows, files skipped, time left.

On a terminal the line is rewritten in place; elsewhere (a log, a job) a line appears about every
tenth of the epochs or 15 seconds. A stage ends with a line that sums it up.
"""

from __future__ import annotations

import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TextIO

from raydance.plain_text import one_line
from raydance.training.kept_epoch import kept_line

_EVERY_S: Final = 15.0
_EVERY_SHARE: Final = 0.1
_SMOOTHING: Final = 0.3  # weight of the newest epoch in the time of one


@dataclass
class _Line:
    """A line that changes while something goes on."""

    name: str
    text: str = ""
    end: str = ""
    tenth: int = 0
    written_at: float = -math.inf
    is_written: bool = True


@dataclass
class _Stage(_Line):
    """What has been told of the stage in training."""

    kept: dict[str, Any] | None = None
    spent_s: float = 0.0
    epoch_s: float = 0.0


class Progress:
    """Told the metrics of every epoch by a runner; writes lines.

    Args:
        stream: where to; standard error by default, so that results have standard output alone.
        quiet: warnings only.
        clock: seconds; replaced in tests.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._quiet = quiet
        self._clock = clock
        self._in_place = self._stream.isatty()
        self._line: _Line | None = None
        self._lock = threading.Lock()  # a runner may report from a thread of its own

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._end_line(finished=exc[0] is None)

    def __call__(self, metrics: Mapping[str, Any]) -> None:
        """Take one epoch's metrics, as `raydance.training.loop.fit` reports them."""
        with self._lock:
            name = metrics["stage"]
            stage = self._line
            if not isinstance(stage, _Stage) or stage.name != name:
                self._end_line()
                stage = self._line = _Stage(name=name)
            _take(stage, metrics)
            for warning in metrics.get("warnings", ()):
                self._clear()
                told = one_line(str(warning))
                self._write(f"{name}: epoch {metrics['epoch'] + 1}: warning: {told}\n")
            self._show(stage, (metrics["epoch"] + 1) / metrics["epochs"])

    def files(self, state: Mapping[str, Any], name: str = "ingest") -> None:
        """Take the state of work on files, as `raydance.cluster.data.ingest` tells it."""
        with self._lock:
            line = self._line
            if line is None or line.name != name:
                self._end_line()
                line = self._line = _Line(name=name)
            num, of, seconds = state["files"], state["of"], state["seconds"]
            counts = f"{state['windows']} windows, {state['skipped']} skipped"
            left = _time(seconds / max(num, 1) * (of - num))
            line.text = f"{name}: {num}/{of} files, {counts}  {left} left"
            line.end = f"{name}: {num} files, {counts}, {_time(seconds)}"
            self._show(line, num / of)

    def say(self, line: str) -> None:
        """Write a line between stages."""
        with self._lock:
            self._end_line()
            if not self._quiet:
                self._write("".join(f"{one_line(part)}\n" for part in line.split("\n")))

    def warn(self, line: str) -> None:
        """Write a warning, also when quiet; the stage goes on."""
        with self._lock:
            self._clear()
            self._write(f"warning: {one_line(line)}\n")

    def _show(self, line: _Line, share: float) -> None:
        if self._quiet:
            return
        if self._in_place:
            columns = shutil.get_terminal_size((100, 24)).columns
            self._write(f"\r\x1b[K{line.text[: max(20, columns - 1)]}")
            return
        now = self._clock()
        tenth = int(share / _EVERY_SHARE + 1e-9)
        line.is_written = tenth > line.tenth or now - line.written_at >= _EVERY_S
        if line.is_written:
            line.tenth, line.written_at = max(tenth, line.tenth), now
            self._write(f"{line.text}\n")

    def _end_line(self, finished: bool = True) -> None:
        line, self._line = self._line, None
        if line is None or self._quiet:
            return
        if finished:
            self._clear()
            self._write(f"{line.end}\n")
        elif self._in_place:  # leave the last line to be read above the error
            self._write("\n")
        elif not line.is_written:
            self._write(f"{line.text}\n")

    def _clear(self) -> None:
        if self._in_place and not self._quiet:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _take(stage: _Stage, metrics: Mapping[str, Any]) -> None:
    epoch, num_epochs, seconds = metrics["epoch"], metrics["epochs"], metrics["seconds"]
    validation, train = metrics["validation"], metrics["train"]
    total = validation["total"]
    stage.spent_s += seconds
    share = _SMOOTHING if stage.epoch_s else 1.0
    stage.epoch_s += share * (seconds - stage.epoch_s)
    earlier = [stage.kept] if stage.kept else []
    stage.kept = kept_line([*earlier, dict(metrics)])
    left = _time(stage.epoch_s * (num_epochs - epoch - 1))
    terms = ", ".join(f"{k} {_number(v)}" for k, v in validation.items() if k != "total")
    stage.text = (
        f"{stage.name}: epoch {epoch + 1}/{num_epochs}"
        f"  train {_number(train.get('total', math.nan))}  val {_number(total)}"
        f"  {metrics['windows_per_s']:,.0f} windows/s  {left} left"
        + (f"  ({terms})" if terms else "")
    )
    best = "no finite validation loss"
    if stage.kept:
        lowest = _number(stage.kept["validation"]["total"])
        best = f"best {lowest} at epoch {stage.kept['epoch'] + 1}"
    stage.end = f"{stage.name}: {epoch + 1} epochs, {best}, {_time(stage.spent_s)}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _time(seconds: float) -> str:
    """`1:05` for 65 seconds, `2:03:04` for hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
