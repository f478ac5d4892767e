"""Public data sets in miniature: files, captions, parts, labels, splits, and what is missing."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import public_sets
import pytest
from public_sets import AIST_NAMES

from raydance.data import layouts
from raydance.data.file_search import FoundFile
from raydance.data.ingest import FileResult, Settings, read_job
from raydance.data.layouts.base import PublicSet
from raydance.data.sources import find_jobs
from raydance.errors import InputError
from raydance.motion.formats import read_clip
from raydance.motion.formats.smpl_body import BODY_JOINTS

WRITERS: dict[str, Callable[[Path], Path]] = {
    "humanml3d": public_sets.guo,
    "kit": public_sets.kit,
    "aist++": public_sets.aistpp,
    "finedance": public_sets.finedance,
    "babel": public_sets.babel,
    "amass": public_sets.amass,
    "100style": public_sets.style100,
    "lafan1": public_sets.lafan1,
    "bandai": public_sets.bandai,
}


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every data set once; not to be changed."""
    folder = tmp_path_factory.mktemp("sets")
    return {name: write(folder / name) for name, write in WRITERS.items()}


def by_stem(found: PublicSet) -> dict[str, FoundFile]:
    return {file.path.stem: file for file in found.files}


def results(folder: Path, layout: str) -> dict[str, FileResult]:
    """Every file of a data set as an ingestion reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jobs = find_jobs([folder], layout=layout)
    return {Path(job.path).stem: read_job(job, Settings()) for job in jobs}


def test_every_layout_has_a_miniature():
    assert list(WRITERS) == list(layouts.LAYOUTS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_layout_is_recognised(miniatures: dict[str, Path], name: str):
    assert layouts.recognise(layouts.Tree([miniatures[name]])) == name
    assert layouts.read([miniatures[name]], "auto").title == layouts.LAYOUTS[name].title


@pytest.mark.parametrize("name", WRITERS)
def test_every_motion_of_a_layout_is_read(miniatures: dict[str, Path], name: str):
    for stem, result in results(miniatures[name], name).items():
        assert result.record["status"] in ("read", "short"), (stem, result.record)


@pytest.mark.parametrize("name", WRITERS)
def test_another_layout_is_not_seen_in_it(miniatures: dict[str, Path], name: str, tmp_path: Path):
    other = "bandai" if name != "bandai" else "kit"
    with pytest.raises(InputError, match="no motion of"):
        layouts.read([miniatures[name]], other)
    (tmp_path / "a.bvh").write_text("HIERARCHY")
    with pytest.raises(InputError, match="not a known layout"):
        layouts.read([tmp_path], "auto")


def test_a_layout_that_does_not_exist_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="layout mocap; allowed: auto, humanml3d, kit"):
        layouts.read([tmp_path], "mocap")


# HumanML3D


def test_humanml3d_pairs_motions_with_captions_parts_and_splits(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["humanml3d"]], "humanml3d")
    files = by_stem(found)
    # 000009 is in no split file; the features of the others hold the same motion.
    assert sorted(files) == ["000001", "000002", "000003", "M000001"]
    assert all(file.path.parent.name == "new_joints" for file in found.files)
    assert [(row.captions, row.span_s) for row in files["000001"].rows] == [
        (("turns left", "spins"), None),
        (("first part",), (0.5, 2.0)),
    ]
    assert files["000003"].rows == ()
    notes = "\n".join(found.notes)
    assert "1 recordings are in no split file and left out (the first: 000009)" in notes
    assert "1 motions have no caption (the first: 000003)" in notes
    assert "000001.txt line 5: 'no times'" in notes


def test_mirrored_motions_stay_with_their_source(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["humanml3d"]], "humanml3d")
    files = by_stem(found)
    assert files["M000001"].split == files["000001"].split == "train"  # its list says test
    assert files["M000001"].recording == files["000001"].recording
    assert {name: file.split for name, file in files.items() if "1" not in name} == {
        "000002": "val",
        "000003": "train",
    }
    assert any("moved to the split of their source (the first: M000001)" in n for n in found.notes)


def test_parts_of_a_motion_become_clips(miniatures: dict[str, Path]):
    clips = results(miniatures["humanml3d"], "humanml3d")["000001"].clips
    assert [(clip["start_frame"], clip["captions"]) for clip in clips] == [
        (0, ["turns left", "spins"]),
        (10, ["first part"]),
    ]
    assert clips[1]["frames"] == 30 and clips[1]["split"] == "train"


def test_missing_parts_of_humanml3d_are_named(miniatures: dict[str, Path], tmp_path: Path):
    folder = tmp_path / "set"
    shutil.copytree(miniatures["humanml3d"], folder)
    shutil.rmtree(folder / "new_joints")
    shutil.rmtree(folder / "texts")
    (folder / "texts.zip").write_bytes(b"PK")
    (folder / "train.txt").unlink()
    found = layouts.read([folder], "auto")
    assert all(file.path.parent.name == "new_joint_vecs" for file in found.files)
    assert len(found.files) == 5  # without all lists, nothing is left out
    # Of what the lists did not put elsewhere, train_val is for training.
    assert by_stem(found)["000001"].split == "train" and by_stem(found)["000009"].split is None
    notes = "\n".join(found.notes)
    assert "missing: texts/*.txt (texts.zip is not unpacked)" in notes
    assert "missing: train.txt" in notes and "missing: new_joints/*.npy" in notes


def test_joints_and_features_are_the_same_motion(miniatures: dict[str, Path]):
    folder = miniatures["kit"]
    joints, recovered = (
        read_clip(folder / kind / "000001.npy") for kind in ("new_joints", "new_joint_vecs")
    )
    root = joints.positions[:, :1] * [1, 0, 1]
    np.testing.assert_allclose(recovered.positions, joints.positions - root, atol=1e-4)


# KIT-ML


def test_kit_finds_unit_rate_and_sides(miniatures: dict[str, Path], tmp_path: Path):
    clip = read_clip(miniatures["kit"] / "new_joints/000002.npy")
    expected = public_sets.joints(public_sets.KIT_JOINTS, 1)
    assert clip.fps == 12.5
    np.testing.assert_allclose(clip.positions, expected, atol=1e-4)  # millimetres in the file
    at = clip.joint_names.index
    # The same body with its sides exchanged in the file is the same body.
    order = [public_sets.KIT_JOINTS.index(_other_side(n)) for n in public_sets.KIT_JOINTS]
    np.save(tmp_path / "swapped.npy", expected[:, order])
    swapped = read_clip(tmp_path / "swapped.npy")
    for joint in ("left_knee", "right_wrist"):
        np.testing.assert_allclose(
            swapped.positions[:, swapped.joint_names.index(joint)],
            clip.positions[:, at(joint)],
            atol=1e-4,
        )


def _other_side(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    side, _, rest = name.partition("_")
    return f"{sides[side]}_{rest}" if side in sides else name


# AIST++ and FineDance


def test_aistpp_pairs_names_splits_and_music(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["aist++"]], "aist++")
    files = by_stem(found)
    assert {name: (f.path.parent.name, f.split) for name, f in files.items()} == {
        AIST_NAMES[0]: ("motions", "train"),
        AIST_NAMES[3]: ("keypoints3d", "test"),
    }
    assert files[AIST_NAMES[0]].labels == {
        "genre": "break",
        "situation": "basic",
        "dancer": "04",
        "music": "mBR0",
        "choreography": "01",
    }
    assert found.music.keys() == {"mBR0"}
    notes = "\n".join(found.notes)
    assert f"1 sequences of ignore_list.txt are left out (the first: {AIST_NAMES[1]})" in notes
    assert f"in no split file and left out (the first: {AIST_NAMES[2]})" in notes
    assert "have no file of their music (the first: mBR2)" in notes


def test_finedance_pairs_labels_and_music(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["finedance"]], "finedance")
    files = by_stem(found)
    assert files["001"].labels == {
        "name": "a song",
        "style1": "Modern",
        "style2": "Jazz",
        "genre": "Jazz",
        "music": "001",
    }
    assert files["002"].labels == {"music": "002"} and found.music.keys() == {"001"}
    assert "1 dances have no labels (the first: 002)" in found.notes
    result = results(miniatures["finedance"], "finedance")["001"]
    assert json.loads(result.clips[0]["labels"])["style2"] == "Jazz"
    assert result.clips[0]["fps"] == 30.0


def test_finedance_rotations_are_rows_of_matrices(tmp_path: Path):
    """A quarter turn about y, by hand: its matrix has the rows (0, 0, 1) and (0, 1, 0)."""
    rows = np.tile([1.0, 0, 0, 0, 1, 0], (2, 52, 1))
    rows[1, 0] = [0, 0, 1, 0, 1, 0]
    columns = np.concatenate((np.tile([0.0, 0.9, 0.0], (2, 1)), rows.reshape(2, -1)), axis=1)
    np.save(tmp_path / "d.npy", columns.astype(np.float32))
    positions = read_clip(tmp_path / "d.npy").positions
    left = BODY_JOINTS.index("left_shoulder")
    x, y, z = positions[0, left]
    np.testing.assert_allclose(positions[1, left], [z, y, -x], atol=1e-5)


# AMASS and BABEL


def test_amass_knows_a_recording_in_both_editions(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["amass"]], "amass")
    files = by_stem(found)
    assert len(files) == 3  # bodies are no motion
    both = [file for name, file in files.items() if name.startswith("HDM")]
    assert {file.recording for file in both} == {"hdm05/bk/hdm_bk_01_-_walk"}
    assert all(file.labels == {"corpus": "HDM05", "subject": "bk"} for file in both)
    rates = {
        stem: result.clips[0]["fps"]
        for stem, result in results(miniatures["amass"], "amass").items()
    }
    assert sorted(rates.values()) == [60.0, 60.0, 120.0]


def test_babel_gives_segments_of_amass_words(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["babel"]], "babel")
    files = by_stem(found)
    assert {file.split for name, file in files.items() if name.startswith("HDM")} == {"train"}
    assert files["86_08_stageii"].split == "val"
    assert [row.captions for row in files["86_08_stageii"].rows] == [("punch",)]
    notes = "\n".join(found.notes)
    assert "missing: extra_train.json, extra_val.json, test.json" in notes
    assert "1 annotated recordings are not below these folders (the first: kit/3/gone)" in notes
    read = results(miniatures["babel"], "babel")
    for stem, fps in (("HDM_bk_01 - walk_poses", 120), ("HDM_bk_01_-_walk_stageii", 60)):
        clips = read[stem].clips
        ends = [(c["start_frame"], c["start_frame"] + c["frames"]) for c in clips]
        assert ends == [(0, 3 * fps), (round(3.5 * fps), 600)]  # by the rate of each edition
        assert clips[0]["captions"] == ["walks around", "walk"]
        assert json.loads(clips[1]["labels"])["action"] == "stand, wait"


def test_babel_without_amass_is_told(miniatures: dict[str, Path], tmp_path: Path):
    shutil.copytree(miniatures["babel"] / "babel_v1.0_release", tmp_path / "babel")
    with pytest.raises(InputError, match="missing: the recordings of AMASS"):
        layouts.read([tmp_path / "babel"], "babel")
    found = layouts.read([tmp_path / "babel", miniatures["amass"]], "auto")
    assert found.title == "BABEL" and len(found.files) == 3


# BVH libraries


def test_100style_cuts_and_describes(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["100style"]], "100style")
    files = by_stem(found)
    (row,) = files["Aeroplane_FW"].rows
    assert row.span_s == (0.5, 3.5)
    assert row.captions == ("walk forwards, aeroplane", "walk forwards, Arms held out, as wings")
    assert files["OldMan_TR1"].labels == {
        "style": "old man",
        "content": "change between movements",
    }
    assert "2 recordings have no cut and are read whole (the first: Aeroplane_ID)" in found.notes
    clips = results(miniatures["100style"], "100style")["Aeroplane_FW"].clips
    whole = read_clip(files["Aeroplane_FW"].path).num_frames
    assert [(c["start_frame"], c["frames"]) for c in clips] == [(30, min(210, whole) - 30)]


def test_100style_names_missing_tables(miniatures: dict[str, Path], tmp_path: Path):
    folder = tmp_path / "set"
    shutil.copytree(miniatures["100style"], folder)
    (folder / "Frame_Cuts.csv").unlink()
    notes = layouts.read([folder], "auto").notes
    assert "missing: Frame_Cuts.csv; recordings are read whole, with their T-poses" in notes


def test_lafan1_tests_on_subject_5(miniatures: dict[str, Path]):
    found = layouts.read([miniatures["lafan1"]], "lafan1")
    files = by_stem(found)
    assert sorted(files) == [f"fallAndGetUp1_subject{n}" for n in (1, 2, 5)]
    assert files["fallAndGetUp1_subject5"].split == "test"
    assert files["fallAndGetUp1_subject1"].split in ("train", "val")
    recordings = [files[f"fallAndGetUp1_subject{n}"].recording for n in (1, 2, 5)]
    assert recordings[0] == recordings[1] != recordings[2]
    assert files["fallAndGetUp1_subject2"].labels["content"] == "fall and get up"
    assert any("notes.bvh" in note for note in found.notes)


def test_bandai_names_win_over_label_numbers(miniatures: dict[str, Path]):
    result = results(miniatures["bandai"], "bandai")["dataset-1_walk-left_not-confident_001"]
    assert json.loads(result.clips[0]["labels"]) == {
        "content": "walk left",
        "style": "not confident",
    }
    assert result.clips[0]["captions"] == ["walk left, not confident"]


# Damage


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_text_costs_lines_and_not_the_set(
    miniatures: dict[str, Path], name: str, tmp_path: Path
):
    folder = tmp_path / "set"
    shutil.copytree(miniatures[name], folder)
    small = [p for p in folder.rglob("*") if p.suffix in (".txt", ".json", ".csv")]
    for number, path in enumerate(sorted(small)):
        damage = (b"\xff\xfe\x00bad", b"[" * 5000, b'{"a": [1, {}], "b": "c#d#e"}', b'a,b\n"')
        path.write_bytes(damage[number % len(damage)])
    try:
        found = layouts.read([folder], name)
    except InputError:
        return  # no split has a recording any more, and it says so
    assert all(file.path.is_file() for file in found.files)


def test_names_of_a_set_may_be_any_bytes(miniatures: dict[str, Path], tmp_path: Path):
    shutil.copytree(miniatures["finedance"], tmp_path / "set")
    (tmp_path / "set/motion/001.npy").rename(tmp_path / "set/motion/h\udced.npy")
    jobs = find_jobs([tmp_path / "set"], layout="finedance")
    assert {(job.recording, job.labels["music"]) for job in jobs} == {
        ("set/h\\xed", "h\\xed"),
        ("set/002", "002"),
    }


# Real samples


def test_the_sample_of_humanml3d_is_read(shared_data: Path, tmp_path: Path):
    source = shared_data / "humanml3d"
    if not source.is_dir():
        pytest.skip(f"no sample of HumanML3D at {source}")
    for kind in ("new_joints", "new_joint_vecs"):
        (tmp_path / kind).mkdir()
        shutil.copy(source / f"012314_{kind}.npy", tmp_path / kind / "012314.npy")
    public_sets.save(tmp_path / "texts/012314.txt", "a person moves#move/VERB#0.0#0.0\n")
    public_sets.save(tmp_path / "train.txt", "012314\n")
    found = layouts.read([tmp_path], "auto")
    assert found.title == "HumanML3D" and len(found.files) == 1
    (result,) = results(tmp_path, "auto").values()
    assert result.record["status"] == "read" and result.clips[0]["split"] == "train"
    assert result.clips[0]["captions"] == ["a person moves"] and result.clips[0]["fps"] == 20.0


@pytest.mark.parametrize("folder", ["bandai_bvh", "bandai2_bvh"])
def test_the_samples_of_bandai_are_read(shared_data: Path, folder: str):
    source = shared_data / folder
    if not source.is_dir():
        pytest.skip(f"no recordings of Bandai-Namco at {source}")
    found = layouts.read([source], "auto")
    assert found.title.startswith("Bandai-Namco")
    assert len(found.files) == len(list(source.rglob("*.bvh")))
    assert {len(file.labels) for file in found.files} == {2}
    assert len({file.labels["content"] for file in found.files}) >= 10
