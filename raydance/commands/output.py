"""Results on standard output, as text or as JSON, whatever they hold and whatever it can show."""

from __future__ import annotations

import codecs
import dataclasses
import io
import json
import re
import sys
from typing import Any, Final

from raydance.plain_text import one_line

# JSON has escapes for all of them, and they stand in its strings alone.
_UNFIT_FOR_TERMINALS: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def accept_any_text() -> None:
    """Let standard output and error show what their encoding lacks as escapes instead of failing.

    What they are decides the environment: `LC_ALL`, `PYTHONIOENCODING`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_lines(*lines: str) -> None:
    """Print lines on standard output; what a terminal would obey in them is shown as escapes."""
    print("\n".join(map(one_line, lines)))


def print_json(data: Any) -> None:
    """Print data, dataclasses and paths included, as indented JSON on standard output."""
    coding = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name
    text = json.dumps(data, indent=1, ensure_ascii=not coding.startswith("utf"), default=_plain)
    print(_UNFIT_FOR_TERMINALS.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
