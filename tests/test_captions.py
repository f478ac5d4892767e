"""Caption files and side-cars."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import FormatError, InputError
from raydance.motion.captions import (
    CaptionRow,
    apply_row,
    labels_from_sidecar,
    load_label_names,
    read_captions,
)
from raydance.motion.clip import Clip


def _write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def _clip(num_frames: int = 10) -> Clip:
    positions = np.arange(num_frames * 3, dtype=np.float32).reshape(num_frames, 1, 3)
    return Clip(
        clip_id="walk",
        source="walk.bvh",
        fps=30,
        joint_names=("Hips",),
        parents=(-1,),
        positions=positions,
        rotations=np.tile(np.float32([1, 0, 0, 0]), (num_frames, 1, 1)),
        recording="lib/walk",
    )


def test_every_key_is_read(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "c.jsonl",
        "",
        {
            "file": "a/walk.amc",
            "captions": [" a person walks ", "walk"],
            "start_frame": 1,
            "end_frame": 344,
            "fps": 120,
            "skeleton": "a/02.asf",
            "clip": "CMU/02_01",
            "split": "val",
            "metres_per_unit": 0.056444,
            "caption_sources": ["x"],
        },
        {"file": "/abs/b.bvh", "captions": ["b"]},
    )
    first, second = read_captions(path)
    assert first == CaptionRow(
        file=tmp_path / "a/walk.amc",
        captions=("a person walks", "walk"),
        start_frame=1,
        end_frame=344,
        fps=120.0,
        skeleton=tmp_path / "a/02.asf",
        clip_id="CMU/02_01",
        split="val",
        metres_per_unit=0.056444,
        line=2,
    )
    assert second == CaptionRow(file=Path("/abs/b.bvh"), captions=("b",), line=3)


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    text = '\ufeff{"file": "a.bvh", "captions": ["tanzt für sich"]}\r\n\r\n'
    (tmp_path / "c.jsonl").write_bytes(text.encode())
    assert read_captions(tmp_path / "c.jsonl")[0].captions == ("tanzt für sich",)


@pytest.mark.parametrize("name", ["cmu_bvh", "cmu_amc"])
def test_real_caption_files_fit_their_recordings(shared_data: Path, name: str) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = read_captions(shared_data / name / "captions.jsonl")
    assert len(rows) == {"cmu_bvh": 107, "cmu_amc": 3}[name]
    assert all(row.file.is_file() and row.captions and row.fps for row in rows)
    assert all(row.skeleton is None or row.skeleton.is_file() for row in rows)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"captions": ["x"]}, "no `file`"),
        ({"file": "a"}, "no `captions`"),
        ({"file": 3, "captions": ["x"]}, "file: found 3"),
        ({"file": "", "captions": ["x"]}, "file: found ''"),
        ({"file": "a\ud800", "captions": ["x"]}, r"file: found 'a\\ud800'"),
        ({"file": "a", "captions": ["\x1b\n"]}, "captions: found"),
        ({"file": "a", "captions": "x"}, "captions: found 'x'; allowed: a list"),
        ({"file": "a", "captions": []}, r"captions: found \[\]"),
        ({"file": "a", "captions": ["x", " "]}, "captions"),
        ({"file": "a", "captions": [1]}, "captions"),
        ({"file": "a", "captions": ["x"], "start_frame": -1}, "start_frame: found -1"),
        ({"file": "a", "captions": ["x"], "start_frame": 1.0}, "start_frame: found 1.0"),
        ({"file": "a", "captions": ["x"], "start_frame": True}, "start_frame: found True"),
        ({"file": "a", "captions": ["x"], "start_frame": 5, "end_frame": 5}, "end_frame: found 5"),
        ({"file": "a", "captions": ["x"], "start_frame": "5", "end_frame": 9}, "start_frame"),
        ({"file": "a", "captions": ["x"], "fps": 0}, "fps: found 0; allowed: a number above 0"),
        ({"file": "a", "captions": ["x"], "fps": "120"}, "fps: found '120'"),
        ({"file": "a", "captions": ["x"], "fps": True}, "fps: found True"),
        ('{"file": "a", "captions": ["x"], "fps": NaN}', "fps: found nan"),
        ({"file": "a", "captions": ["x"], "split": "dev"}, "'dev'; allowed: train, val or test"),
        ({"file": "a", "captions": ["x"], "split": ["val"]}, "split"),
        ({"file": "a", "captions": ["x"], "metres_per_unit": None}, "metres_per_unit"),
        ({"file": "a", "captions": ["x"], "skeleton": 1}, "skeleton: found 1"),
        (
            {"file": "a", "captions": ["x"], "start_fram": 1},
            r"start_fram \(did you mean start_frame",
        ),
        (["a"], "an object with file"),
        ("{not json", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"file": "' + "a" * 2_000_000, "more than 1048576 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_rows_are_named_with_their_line(tmp_path: Path, row: object, message: str) -> None:
    path = _write(tmp_path / "c.jsonl", {"file": "ok.bvh", "captions": ["ok"]}, row)
    with pytest.raises(FormatError, match=message) as caught:
        read_captions(path)
    assert caught.value.line == 2 and "c.jsonl line 2" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_files_that_are_no_caption_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        read_captions(tmp_path / "none.jsonl")
    with pytest.raises(FormatError, match="no captions"):
        read_captions(_write(tmp_path / "empty.jsonl", ""))


def test_captions_of_another_encoding_are_read_with_a_warning(tmp_path: Path) -> None:
    line = '{"file": "a", "captions": ["tanzt schön"]}\n'
    (tmp_path / "latin.jsonl").write_bytes(line.encode() + 2 * line.encode("cp1252"))
    with pytest.warns(UserWarning, match="not UTF-8 text in line 2") as told:
        rows = read_captions(tmp_path / "latin.jsonl")
    assert len(told) == 1 and {row.captions for row in rows} == {("tanzt schön",)}


def test_numbers_too_large_for_a_float_are_refused(tmp_path: Path) -> None:
    row = {"file": "a", "captions": ["ok"], "fps": 10**400}
    with pytest.raises(FormatError, match="fps: found 1000"):
        read_captions(_write(tmp_path / "c.jsonl", row))


def test_unknown_keys_are_said_once(tmp_path: Path) -> None:
    rows = [{"file": f"{i}.bvh", "captions": ["x"], "mood": 1} for i in range(3)]
    with pytest.warns(UserWarning, match="mean nothing here: mood") as caught:
        read_captions(_write(tmp_path / "c.jsonl", *rows))
    assert len(caught) == 1


def test_parts_of_one_file_stay_one_recording(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "c.jsonl",
        {"file": "walk.bvh", "captions": ["a"], "end_frame": 4},
        {"file": "other.bvh", "captions": ["b"]},
        {"file": "walk.bvh", "captions": ["c"], "start_frame": 4, "clip": "turn"},
    )
    first, second = (apply_row(_clip(), row) for row in read_captions(path)[::2])
    assert (first.clip_id, second.clip_id) == ("walk@0-4", "turn")
    assert first.recording == second.recording == "lib/walk"
    assert (first.num_frames, second.num_frames) == (4, 6)
    assert first.captions == ("a",) and second.captions == ("c",)
    np.testing.assert_array_equal(second.positions, _clip().positions[4:])
    assert second.rotations is not None and second.rotations.shape[0] == 6


def test_a_recording_has_one_split(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "c.jsonl",
        {"file": "a.bvh", "captions": ["a"], "split": "train", "end_frame": 4},
        {"file": "a.bvh", "captions": ["c"], "split": "test", "start_frame": 4},
    )
    with pytest.raises(FormatError, match="line 2: split test, but line 1 says train"):
        read_captions(path)


def test_parts_beyond_the_end_are_refused() -> None:
    row = CaptionRow(file=Path("walk.bvh"), captions=("x",), start_frame=2, end_frame=11, line=7)
    with pytest.raises(InputError, match=r"frames 2 to 11 \(captions line 7\), the file has 10"):
        apply_row(_clip(), row)
    with pytest.raises(InputError, match="the file has 10"):
        apply_row(_clip(), CaptionRow(file=Path("walk.bvh"), captions=("x",), start_frame=10))
    whole = apply_row(_clip(), CaptionRow(file=Path("walk.bvh"), captions=("x",), split="test"))
    assert (whole.clip_id, whole.num_frames, whole.split) == ("walk", 10, "test")


def test_labels_from_a_sidecar(tmp_path: Path, shared_data: Path) -> None:
    motion = tmp_path / "walk.bvh"
    assert labels_from_sidecar(motion) == {}
    (tmp_path / "walk.json").write_text(
        json.dumps({"content": 1, "style": "sad", "fps": 30, "joint_names": ["a"]})
    )
    assert labels_from_sidecar(motion) == {"content": "1", "style": "sad"}
    wide = json.dumps({"style": "fröhlich", "mood": "\ud83d"}, ensure_ascii=False)
    (tmp_path / "wide.json").write_bytes(wide.encode("utf-16", "surrogatepass"))
    assert labels_from_sidecar(tmp_path / "wide.bvh") == {"style": "fröhlich", "mood": "\ufffd"}
    (tmp_path / "names.yaml").write_text("content: [bow, bye]\nstyle: {sad: sorrowful}\n")
    names = load_label_names(tmp_path / "names.yaml")
    assert labels_from_sidecar(motion, names) == {"content": "bye", "style": "sorrowful"}
    (tmp_path / "names.json").write_text('{"content": {"1": "bye"}}')
    names = load_label_names(tmp_path / "names.json")
    assert labels_from_sidecar(motion, names) == {"content": "bye", "style": "sad"}

    real = shared_data / "bandai_bvh/data/dataset-1_bye_active_001.bvh"
    assert labels_from_sidecar(real) == {"content": "7", "style": "11"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "found list"),
        ("{", "not readable as JSON"),
        ('{"a": [1]}', r"a: found \[1\]"),
        ('{"a": true}', "a: found True"),
        ('{"a": null}', "a: found None"),
        ("[" * 100_000, "not readable"),
        ("\udcff", "not readable"),
    ],
)
def test_wrong_sidecars_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "walk.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError, match=message) as caught:
        labels_from_sidecar(tmp_path / "walk.bvh")
    assert "walk.json" in str(caught.value)


@pytest.mark.parametrize("text", ["[1]", "a: 3", "a: {b: 3}", "a: [1]", "a: b: c", ""])
def test_wrong_label_names_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.yaml").write_text(text)
    with pytest.raises(InputError, match=r"names\.yaml"):
        load_label_names(tmp_path / "names.yaml")
