"""Any text from outside becomes text that files, terminals and models take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydance.errors import FormatError, InputError
from raydance.plain_text import decoded, existing_path, one_line, sentence, well_formed

ANY = st.text(st.characters(exclude_categories=()))


def test_by_hand():
    assert well_formed("h\udcedp \ud800\n é😀") == "h\\xedp \\ud800\n é😀"
    assert one_line("a\x1b[2J\r\n\x9b\u2028é") == "a\\x1b[2J\\x0d\\x0a\\x9b\\u2028é"
    assert sentence(" a\ud83d\tslow\nturn\x00 ") == "a\ufffd slow turn"


@given(ANY)
def test_any_text_becomes_one_line_of_utf8(text: str):
    for made in (one_line(text), sentence(text)):
        made.encode()
        assert len(made.splitlines()) <= 1 and "\x1b" not in made
    assert one_line(one_line(text)) == one_line(text)


def test_files_are_found_again_by_what_was_stored_of_their_names(tmp_path: Path):
    for name in ("h\udcedp\udcff.bvh", "\\xed.bvh", "é.bvh"):
        path = tmp_path / name
        path.write_text("x")
        assert os.fsencode(existing_path(well_formed(str(path)))) == os.fsencode(path)
    gone = str(tmp_path / "gone\\xed.bvh")
    assert existing_path(gone) == Path(gone)


def test_errors_can_be_written_whatever_they_quote():
    for error in (InputError("key \udc80"), FormatError("h\udced.bvh", "key \udc80", 3)):
        str(error).encode()
        assert "\\x80" in str(error)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("sch\u00f6n", "utf-8"),
        ("sch\u00f6n", "utf-8-sig"),
        ("sch\u00f6n", "utf-16"),
        ("sch\u00f6n", "utf-32"),
        ("sch\u00f6n \u201cquoted\u201d", "cp1252"),
        ("\u5de6\u3072\u3056 \u30bb\u30f3\u30bf\u30fc", "shift_jis"),
    ],
)
def test_text_of_common_encodings_is_read(text: str, encoding: str):
    assert decoded(text.encode(encoding))[0] == text


@given(st.binary())
def test_any_bytes_are_text(data: bytes):
    text, encoding = decoded(data)
    if encoding == "utf-8":
        assert text.encode() == data.removeprefix(b"\xef\xbb\xbf")
    one_line(text).encode()
