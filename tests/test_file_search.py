"""Nothing below a folder is left out in silence: links, circles, and what cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raydance.data.file_search import find_files


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(*sources: Path) -> list[str]:
    return [file.name for file in find_files(sources) if file.problem is None]


def problems(*sources: Path) -> dict[str, str]:
    return {f.path.name: f.problem for f in find_files(sources) if f.problem is not None}


def test_links_are_followed_and_change_no_other_name(tmp_path: Path):
    touch(tmp_path / "lib/own/a.bvh", tmp_path / "store/session/b.bvh", tmp_path / "lib/notes.txt")
    (tmp_path / "lib/again").symlink_to("own")  # sorts before what it leads to
    (tmp_path / "lib/session1").symlink_to(tmp_path / "store/session")
    (tmp_path / "lib/c.npz").symlink_to(tmp_path / "store/session/b.bvh")
    assert names(tmp_path / "lib") == ["lib/c", "lib/own/a", "lib/session1/b"]
    # A source keeps its own name, though a link of an earlier one leads to it.
    assert names(tmp_path / "lib", tmp_path / "store") == [
        "lib/c",
        "lib/own/a",
        "store/session/b",
    ]
    assert not problems(tmp_path / "lib")


def test_links_may_go_in_circles(tmp_path: Path):
    touch(tmp_path / "lib/deep/a.bvh")
    (tmp_path / "lib/deep/up").symlink_to(tmp_path / "lib")
    (tmp_path / "lib/deep/self").symlink_to(".")
    for level in range(30):  # two ways on from every folder: a thousand million paths
        touch(tmp_path / f"maze/{level}/{level}.bvh")
        for side in "lr":
            (tmp_path / f"maze/{level}/{side}").symlink_to(tmp_path / f"maze/{level + 1}")
    (tmp_path / "maze/30").mkdir()
    (tmp_path / "lib/maze").symlink_to(tmp_path / "maze/0")
    assert names(tmp_path / "lib")[0] == "lib/deep/a"
    assert len(names(tmp_path / "lib")) == 31


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "lib/a.bvh", tmp_path / "lib/closed/b.bvh", tmp_path / "lib/.hidden/c.bvh")
    (tmp_path / "lib/gone").symlink_to(tmp_path / "disk/that/is/off")
    (tmp_path / "lib/gone.npz").symlink_to("nothing.npz")
    (tmp_path / "lib/round.bvh").symlink_to("round.bvh")
    (tmp_path / "lib/.#a.bvh").symlink_to("a lock of Emacs")
    os.mkfifo(tmp_path / "lib/pipe.bvh")
    listed = os.scandir

    def scandir(folder: Path):
        if Path(folder).name == "closed":  # permissions do not bind a superuser
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(tmp_path / "lib") == ["lib/a"]
    assert problems(tmp_path / "lib") == {
        "closed": "a folder that cannot be searched (Permission denied)",
        "gone": "a link that leads nowhere (No such file or directory)",
        "gone.npz": "a link that leads nowhere (No such file or directory)",
        "round.bvh": "a link that leads nowhere (Too many levels of symbolic links)",
        "pipe.bvh": "not a regular file",
    }


def test_names_are_text_whatever_their_bytes(tmp_path: Path):
    folder = tmp_path / "lib"
    touch(*(folder / name for name in ("h\udcedpfen.bvh", "a\x1b[31m\nb.bvh", "höpfen.bvh")))
    assert names(folder) == ["lib/a\\x1b[31m\\x0ab", "lib/höpfen", "lib/h\\xedpfen"]
