"""`raydance info FOLDER`: what a library holds, and what would be skipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import public_sets
import pytest
from small_recordings import walk, write_npz

from raydance.data.survey import survey
from raydance.errors import InputError


def test_a_public_set_is_named_with_its_facts(call, tmp_path: Path):
    folder = public_sets.bandai(tmp_path / "set")
    (folder / "data/dataset-1_bow_sad_001.bvh").write_text("HIERARCHY\nnonsense\n")
    facts = json.loads(call("info", folder, "--json")[1])
    assert (facts["layout"], facts["files"], facts["read"]) == ("bandai", 3, 3)
    assert facts["captioned"] == facts["captions"] == 3 and facts["labels"] == ["content", "style"]
    frames = 2 * public_sets.dancer(3).num_frames
    assert facts["hours"] == pytest.approx(frames / 20.0 / 3600.0, rel=0.02)
    assert facts["rates"] == {"20": 2} and list(facts["skeletons"].values()) == [2]
    assert [Path(row["file"]).name for row in facts["skipped"]] == ["dataset-1_bow_sad_001.bvh"]
    code, out, err = call("info", folder)
    assert (code, err) == (0, "")
    assert "`raydance ingest --layout bandai`" in out and "1 files would be skipped" in out
    assert "line 2" in out


def test_any_folder_of_motion_is_described(call, tmp_path: Path):
    write_npz(tmp_path / "lib/a.npz", walk(120))
    write_npz(tmp_path / "lib/b.npz", walk(30))
    write_npz(tmp_path / "lib/c.npz", walk(9))
    out = call("info", tmp_path / "lib")[1]
    assert "no layout of a public data set" in out
    assert "3 files (.npz: 3)" in out and "1 files are too short" in out
    assert "1 windows are of shorter clips and hold their last frame" in out
    assert "0 files would be skipped" in out


def test_hours_are_estimated_from_what_fits_into_the_time(tmp_path: Path):
    for number in range(20):
        write_npz(tmp_path / f"lib/{number}.npz", walk(120))
    everything = survey([tmp_path / "lib"], seconds=None)
    some = survey([tmp_path / "lib"], seconds=0.0)
    assert (everything["read"], some["read"]) == (20, 1)
    assert some["files"] == 20 and some["hours"] == pytest.approx(everything["hours"], rel=0.02)


def test_a_folder_without_motion_is_refused(call, tmp_path: Path):
    with pytest.raises(InputError, match="no motion files"):
        survey([tmp_path])
    code, _, err = call("info", tmp_path)
    assert code != 0 and err.count("\n") == 1
    code, _, err = call("ingest", tmp_path, "--out", tmp_path / "d", "--layout", "mocap")
    assert code == 2 and "layout mocap; allowed: auto, humanml3d" in err


def test_a_folder_of_tracks_is_told_from_one_of_motion(call, tmp_path: Path):
    points = np.random.default_rng(0).uniform(0, 40, (5, 6, 2)).astype(np.float32)
    (tmp_path / "lib/inner").mkdir(parents=True)
    np.savez(tmp_path / "lib/inner/a.npz", pred_tracks=points, frame_size=[64, 48])
    code, out, _ = call("info", tmp_path / "lib")
    assert code == 0 and "1 files would be skipped" in out
    assert "it holds 2-D tracks; `raydance ingest --modality tracks` reads them" in out
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes/groundtruth.txt").write_text("0,0,10,10\n2,0,10,10\n")
    (tmp_path / "boxes/nlp.txt").write_text("a cat walks\n")
    code, _, err = call("info", tmp_path / "boxes")
    assert code == 2 and "it holds 2-D tracks" in err
    write_npz(tmp_path / "lib/b.npz", walk(120))
    assert "it holds 2-D tracks" not in call("info", tmp_path / "lib")[1]
