"""Text from outside, made fit for files, terminals and models.

Names of files are bytes and JSON may hold any code point, so text from outside can have lone
surrogates, which no UTF-8 file takes, and control characters, which a terminal obeys.
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # with what ends a line
_KANA: Final = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_MARKS: Final = {  # UTF-32's begins like UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
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


def is_file_name(text: str) -> bool:
    """Whether a file could have the name: most surrogates stand for no byte of one."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def sentence(text: str) -> str:
    """Words as they are read: `repaired`, with spaces for control characters."""
    return _CONTROL.sub(" ", repaired(text)).strip()


def decoded(data: bytes) -> tuple[str, str]:
    """Text of any encoding, and the encoding's name; nothing is lost and nothing fails.

    Marked UTF-16 and UTF-32 and all UTF-8 are certain. Other bytes are Shift-JIS where that gives
    kana, as names of joints in Japanese do, and otherwise Windows-1252, whose gaps are Latin-1's.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, "replace"), encoding
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("shift_jis")
        if _KANA.search(text):
            return text, "shift_jis"
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


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
