"""Any text from outside becomes text that files, terminals and models take."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from raydance.plain_text import existing_path, one_line, sentence, well_formed

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
