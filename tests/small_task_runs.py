"""Runs of the systems that declare tasks, trained in seconds; they have learned nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_dataset import ingest_here

from raydance.data.ingest import Settings as IngestSettings
from raydance.data.track_ingest import TrackSettings
from raydance.music.dance_corpus import write_dances
from raydance.systems.base import LocalRunner
from raydance.systems.everything2motion.system import SYSTEM as EVERYTHING
from raydance.systems.lang2motion.system import SYSTEM as LANG
from raydance.tracks.export import write_track
from raydance.tracks.synthetic import make_scenes

FLOW = ("width=32", "num_blocks=1", "train.epochs=1")


@pytest.fixture(scope="session")
def task_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `dance` (of sentences and music) and `tracks`, and in `dances` and
    `scenes` what they were trained on. Do not change it: copy it."""
    folder = tmp_path_factory.mktemp("tasks")
    write_task_runs(folder)
    return folder


def write_task_runs(folder: Path) -> None:
    """What `task_runs` holds."""
    write_dances(folder / "dances", 8, 8.0)
    rows = (folder / "dances" / "captions.jsonl").read_text().splitlines()
    splits = ["train"] * 6 + ["val", "test"]
    told = [json.loads(row) | {"split": split} for row, split in zip(rows, splits)]
    (folder / "dances" / "captions.jsonl").write_text("\n".join(map(json.dumps, told)))
    settings = IngestSettings(whole_clips=True, window=160, music=str(folder / "dances"))
    dances = ingest_here(
        [folder / "dances"], [folder / "dances" / "captions.jsonl"], folder / "d", settings
    )
    config = EVERYTHING.resolve(
        "quick", [*(f"sequence_flow.{c}" for c in FLOW), "patch_basis.most=16", "texts.tokens=8"]
    )
    EVERYTHING.train(folder / "dance", dances, config, LocalRunner())
    (folder / "scenes").mkdir()
    for number, scene in enumerate(make_scenes(24, seed=1)):
        track = scene.track(6)
        track = replace(track, captions=track.captions[:1])
        write_track(folder / "scenes" / f"s{number:02d}.npz", track)
    tracks = ingest_here([folder / "scenes"], [], folder / "t", TrackSettings())
    changes = [
        *(f"track_flow.{change}" for change in (*FLOW, "num_components=8")),
        "track_text_space.train.epochs=1",
        "track_path.train.epochs=1",
        "texts.tokens=8",
    ]
    LANG.train(folder / "tracks", tracks, LANG.resolve("quick", changes), LocalRunner())
