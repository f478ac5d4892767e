"""Text from outside, made fit for files, terminals and models.

Names of files are bytes and JSON may hold any code point, so text from outside can have lone
surrogates, which no UTF-8 file takes, and control characters, which a terminal obeys.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # with what ends a line
_ESCAPED_BYTE: Final = re.compile(rb"\\x([89a-f][0-9a-f])")


def well_formed(text: str) -> str:
    """Text that any UTF-8 file takes: lone surrogates become escapes such as `\\xed`.

    Python stands surrogates for the bytes of a file's name that are not UTF-8; these bytes are
    what the escapes show.
    """
    return _SURROGATE.sub(_escape, text)


def one_line(text: str) -> str:
    """Text that changes nothing on a terminal but one line: control characters become escapes."""
    return _CONTROL.sub(_escape, well_formed(text))


def repaired(text: str) -> str:
    """Text that any tokenizer takes: lone surrogates become U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def sentence(text: str) -> str:
    """Words as they are read: `repaired`, with spaces for control characters."""
    return _CONTROL.sub(" ", repaired(text)).strip()


def existing_path(text: str) -> Path:
    """The path that `well_formed` was given, if there is such a file; else the text as a path."""
    path = Path(text)
    if "\\x" in text and not os.path.exists(path):
        raw = _ESCAPED_BYTE.sub(lambda match: bytes.fromhex(match[1].decode()), os.fsencode(path))
        if os.path.exists(raw):
            return Path(os.fsdecode(raw))
    return path


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
