"""`raydance example` writes what `raydance ingest` reads."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from small_dataset import ingest_here

from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.data.signals.in_step import signal_counts
from raydance.data.track_ingest import TrackSettings


@pytest.mark.parametrize("name", ["corpus", "dances", "scenes"])
def test_examples_are_read_as_users_files_are(name: str, tmp_path: Path, call: Any) -> None:
    out = tmp_path / name
    code, printed, _ = call("example", name, "--out", out, "--number", 8, "--json")
    found = json.loads(printed)
    assert code == 0 and found["files"] >= 8 and str(out) in found["read_by"]
    settings = {
        "corpus": Settings(),
        "dances": Settings(whole_clips=True, window=300, music=str(out)),
        "scenes": TrackSettings(),
    }[name]
    captions = [] if name == "scenes" else [out / "captions.jsonl"]
    made = Dataset.open(ingest_here([out], captions, tmp_path / "set", settings))
    assert all(file["status"] == "read" for file in made.manifest["files"])
    assert sum(count["windows"] for count in made.manifest["counts"].values()) >= 8
    counts = signal_counts(made.manifest["files"])
    assert set(counts) == ({"music"} if name == "dances" else set())
    assert all(found["in_step"] == found["clips"] == 8 for found in counts.values())


@pytest.mark.parametrize("name", ["corpus", "dances", "scenes"])
def test_a_full_disk_is_a_line_and_leaves_no_broken_file(
    name: str, tmp_path: Path, refused: Any
) -> None:
    """Files that may not grow stand for a disk without room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        line = refused("example", name, "--out", tmp_path, "--number", 2, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path) in line and "could not be written" in line
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_refused(tmp_path: Path, refused: Any) -> None:
    (tmp_path / "a.txt").write_text("kept")
    assert "not an empty folder" in refused("example", "scenes", "--out", tmp_path)
    assert "corpus, dances, scenes" in refused("example", "songs", "--out", tmp_path / "new")
