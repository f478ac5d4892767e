"""The BVH reader: a file by hand, spellings of it, and files that real life breaks."""

from __future__ import annotations

import pickle
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from raydance.errors import FormatError, InputError
from raydance.motion import rotations as rot
from raydance.motion.formats import bvh

# A small man in centimetres: hips at 90 cm, head at 160 cm, feet on the floor.
HEADER = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Head
  {
    OFFSET 0 60 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 20 0
    }
  }
  JOINT LeftFoot
  {
    OFFSET 10 -90 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 0 20
    }
  }
  JOINT RightFoot
  {
    OFFSET -10 -90 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 0 20
    }
  }
}
"""
ROWS = (
    "0 90 0 0 0 0 0 0 0 0 0 0 0 0 0",
    "1 90 5 0 0 90 0 0 0 0 0 0 0 0 0",
    "2 90 9.5 90 0 0 0 0 0 0 0 0 0 30 0",
)
MOTION = "MOTION\nFrames: 3\nFrame Time: 0.0333\n" + "\n".join(ROWS) + "\n"
TINY = HEADER + MOTION


def _write(folder: Path, text: str | bytes, name: str = "walk.bvh") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _refusal(folder: Path, text: str | bytes, **arguments: float) -> FormatError:
    path = _write(folder, text)
    with pytest.raises(FormatError) as caught:
        bvh.read(path, **arguments)
    assert str(caught.value).startswith(str(path))
    return caught.value


def test_tiny_file_by_hand(tmp_path: Path) -> None:
    clip, scale = bvh.read_with_scale(_write(tmp_path, TINY))
    assert clip.joint_names == (
        "Hips",
        "Head",
        "Head_end",
        "LeftFoot",
        "LeftFoot_end",
        "RightFoot",
        "RightFoot_end",
    )
    assert clip.parents == (-1, 0, 1, 0, 3, 0, 5)
    assert (clip.fps, clip.clip_id, scale.unit, scale.up) == (30.0, "walk", "cm", "y")
    assert np.allclose(clip.positions[0, 2], [0, 1.7, 0], atol=1e-6)
    # A quarter turn about y brings the toes, which point along z, along x.
    assert np.allclose(clip.positions[1, 4], [0.01 + 0.2, 0.0, 0.05 - 0.1], atol=1e-6)
    # A quarter turn about z lays the head along -x and the left foot (10, -90) to (90, 10).
    assert np.allclose(clip.positions[2, 1], [0.02 - 0.6, 0.9, 0.095], atol=1e-6)
    assert np.allclose(clip.positions[2, 3], [0.02 + 0.9, 1.0, 0.095], atol=1e-6)
    assert clip.rotations is not None and clip.offsets is not None
    assert np.allclose(clip.offsets[3], [0.1, -0.9, 0.0])
    assert np.allclose(clip.rotations[2, 0], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-6)
    again = rot.forward_kinematics(
        clip.rotations,
        np.where(np.arange(7)[:, None] == 0, clip.positions[:, :1], clip.offsets),
        clip.parents,
    )
    assert np.allclose(again, clip.positions, atol=1e-5)


@pytest.mark.parametrize(
    "variant",
    [
        TINY.replace("\n", "\r\n"),
        TINY.replace("\n", "\r"),
        "\ufeff" + TINY,
        TINY.replace("  ", "\t").replace(" ", "\t\t").replace("End\t\tSite", "End Site"),
        TINY.replace("\n{", " {"),
        TINY.replace("ROOT", "root").replace("OFFSET", "Offset").replace("Frames:", "frames :"),
        TINY.replace("9.5", "9,5").replace("0.0333", "0,0333"),
        TINY + "\n  \n\n",
        TINY.rstrip("\n"),
        TINY.replace("OFFSET 0 60 0", "OFFSET 0 6.0e1 -0.0"),
    ],
    ids="crlf cr bom tabs brace case comma blank-end no-end exponent".split(),
)
def test_spellings_of_the_same_file(tmp_path: Path, variant: str) -> None:
    expected = bvh.read(_write(tmp_path, TINY))
    clip = bvh.read(_write(tmp_path, variant))
    assert clip.joint_names == expected.joint_names
    assert clip.fps == 30.0
    assert np.array_equal(clip.positions, expected.positions)


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
@pytest.mark.parametrize("positions_last", [False, True])
def test_any_channel_order(tmp_path: Path, order: str, positions_last: bool) -> None:
    turns = " ".join(f"{letter}rotation" for letter in order)
    moves = "Zposition Xposition Yposition"
    channels = f"6 {turns} {moves}" if positions_last else f"6 {moves} {turns}"
    header = HEADER.replace(
        "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation", channels
    )
    row = "10 20 30 5 1 90" if positions_last else "5 1 90 10 20 30"
    text = f"{header}MOTION\nFrames: 1\nFrame Time: 0.01\n{row} {' '.join(['0'] * 9)}\n"
    clip = bvh.read(_write(tmp_path, text), units=0.01, up="y")
    turn = Rotation.from_euler(order, [10, 20, 30], degrees=True).as_matrix()
    expected = np.array([1, 90, 5]) + turn @ np.array([10, -90, 0])
    assert np.allclose(clip.positions[0, 3], 0.01 * expected, atol=1e-5)


def test_position_channels_replace_the_offset(tmp_path: Path) -> None:
    six = "6 Yposition Xposition Zposition Zrotation Xrotation Yrotation"
    header = HEADER.replace("3 Zrotation Xrotation Yrotation", six, 1)
    row = "0 90 0 0 0 90  70 1 2 0 0 0  0 0 0 0 0 0"
    text = f"{header}MOTION\nFrames: 1\nFrame Time: 0.01\n{row}\n"
    clip = bvh.read(_write(tmp_path, text), units=0.01, up="y")
    # (1, 70, 2) instead of (0, 60, 0), in the hips' frame, which is turned about y.
    assert np.allclose(clip.positions[0, 1], [0.02, 1.6, -0.01], atol=1e-6)


@pytest.mark.parametrize("noise", ["0", "1e-6", "-0.0004"])
def test_position_channels_of_zeros_keep_the_offset(tmp_path: Path, noise: str) -> None:
    six = "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    header = HEADER.replace("3 Zrotation Xrotation Yrotation", six)
    places, angles = f"{noise} " * 3, "0 0 0 "
    row = f"0 90 0 {angles}" + 3 * (places + angles)
    text = f"{header}MOTION\nFrames: 1\nFrame Time: 0.01\n{row}\n"
    clip = bvh.read(_write(tmp_path, text))
    assert np.allclose(clip.positions[0, 1], [0, 1.5, 0], atol=1e-6)


def test_noise_in_one_joint_s_position_channels_moves_no_joint(tmp_path: Path) -> None:
    six = "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    header = HEADER.replace("3 Zrotation Xrotation Yrotation", six)
    row = "0 90 0 0 0 0  1 70 2 0 0 0  1e-6 -1e-6 1e-6 0 0 0  0 0 0 0 0 0"
    text = f"{header}MOTION\nFrames: 1\nFrame Time: 0.01\n{row}\n"
    clip = bvh.read(_write(tmp_path, text), units=0.01, up="y")
    assert np.allclose(clip.positions[0, 1], [0.01, 1.6, 0.02], atol=1e-6)  # used: replaced
    assert clip.offsets is not None
    for joint in (i for i, name in enumerate(clip.joint_names) if i > 1 and "_end" not in name):
        apart = clip.positions[0, joint] - clip.positions[0, clip.parents[joint]]
        assert np.allclose(apart, clip.offsets[joint], atol=1e-6), clip.joint_names[joint]


def test_z_up_files_are_turned(tmp_path: Path) -> None:
    header = HEADER.replace("OFFSET 0 60 0", "OFFSET 0 0 60")
    header = header.replace("OFFSET 0 0 20", "OFFSET 0 -20 0")  # toes ahead: -y
    header = header.replace("OFFSET 0 20 0", "OFFSET 0 0 20")
    header = re.sub(r"OFFSET (-?10) -90 0", r"OFFSET \1 0 -90", header)
    rows = ["0 0 90 0 0 0 " + "0 " * 9, "1 -5 90 90 0 0 " + "0 " * 9]
    text = f"{header}MOTION\nFrames: 2\nFrame Time: 0.01\n" + "\n".join(rows)
    clip, scale = bvh.read_with_scale(_write(tmp_path, text))
    assert scale.up == "z"
    # The same body as the tiny file's: its second frame turns about the vertical axis.
    expected = bvh.read(_write(tmp_path, TINY))
    assert np.allclose(clip.positions[:2], expected.positions[:2], atol=1e-6)
    assert clip.rotations is not None and expected.rotations is not None
    assert np.allclose(clip.rotations[:2], expected.rotations[:2], atol=1e-6)
    assert clip.offsets is not None and np.allclose(clip.offsets, expected.offsets, atol=1e-6)


def test_given_facts_override_detection(tmp_path: Path) -> None:
    path = _write(tmp_path, TINY.replace("0.0333", "0"))
    clip, scale = bvh.read_with_scale(path, fps=60, units=1.0, up="z")
    assert (clip.fps, scale.unit, scale.up) == (60.0, "given", "z")
    assert np.allclose(clip.positions[0, 2], [0, 0, -170], atol=1e-4)
    for arguments in ({"fps": 0}, {"fps": float("nan")}, {"units": -1.0}, {"up": "w"}):
        with pytest.raises(InputError):
            bvh.read(_write(tmp_path, TINY), **arguments)  # type: ignore[arg-type]


def test_a_sidecar_gives_unit_and_axis_but_not_the_rate(tmp_path: Path) -> None:
    path = _write(tmp_path, TINY)
    (tmp_path / "walk.json").write_text('{"metres_per_unit": 0.02, "up": "z", "fps": 7}')
    clip, scale = bvh.read_with_scale(path)
    assert (scale.metres_per_unit, scale.up, clip.fps) == (0.02, "z", 30.0)
    _, scale = bvh.read_with_scale(path, units=0.01, up="y")  # the caller's win
    assert (scale.metres_per_unit, scale.up) == (0.01, "y")


@pytest.mark.parametrize(
    ("frame_time", "fps"),
    [
        (".0083333", 120),
        ("0.008333", 120),
        ("0.0333333", 30),
        ("0.033333", 30),
        ("0.0333", 30),
        ("0.0166667", 60),
        ("0.01666", 60),
        ("0.04", 25),
        ("0.05", 20),
        ("0.0333667", 29.97),
        ("8.3333e-3", 120),
    ],
)
def test_frame_time_is_read_as_it_was_meant(tmp_path: Path, frame_time: str, fps: float) -> None:
    clip = bvh.read(_write(tmp_path, TINY.replace("0.0333", frame_time)))
    assert clip.fps == pytest.approx(fps, rel=1e-6 if fps == int(fps) else 1e-4)


def test_two_end_sites_and_their_names(tmp_path: Path) -> None:
    end = "End Site\n{\nOFFSET 0 1 0\n}\n"
    header = HEADER.replace("End Site", end + "End Site", 1).replace("RightFoot", "LeftFoot_end")
    clip = bvh.read(_write(tmp_path, header + MOTION))
    assert clip.joint_names[1:4] == ("Head", "Head_end", "Head_end2")
    assert clip.joint_names[4:] == (
        "LeftFoot",
        "LeftFoot_end2",
        "LeftFoot_end",
        "LeftFoot_end_end",
    )


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("cp1252", "T\u00eate"), ("utf-16", "T\u00eate"), ("shift_jis", "\u5de6\u3072\u3056")],
)
def test_names_of_other_encodings_are_read_with_a_warning(
    tmp_path: Path, encoding: str, name: str
) -> None:
    path = tmp_path / "other.bvh"
    path.write_bytes(TINY.replace("Head", name).encode(encoding))
    with pytest.warns(UserWarning, match="other.bvh: not UTF-8 text; read as"):
        clip = bvh.read(path)
    assert name in clip.joint_names


BROKEN = {
    "empty": ("", None, "empty"),
    "blank": (" \n\n", None, "empty"),
    "no-text": (bytes(range(1, 256)), 1, "HIERARCHY"),
    "zero-byte": (TINY.replace("Head", "He\0d"), 6, "zero byte"),
    "other-format": ("# obj\nv 1 2 3\n", 1, "HIERARCHY"),
    "no-motion": (HEADER, 34, "MOTION"),
    "cut-in-header": (HEADER[: HEADER.index("LeftFoot")], 15, "cut off"),
    "two-roots": (
        TINY.replace("MOTION", "ROOT Prop\n{\nOFFSET 0 0 0\nCHANNELS 0\n}\nMOTION"),
        34,
        "several roots",
    ),
    "duplicate-name": (TINY.replace("RightFoot", "LeftFoot"), 24, "line 15"),
    "no-name": (TINY.replace("JOINT Head", "JOINT"), 6, "name"),
    "no-offset": (TINY.replace("    OFFSET 0 60 0\n", ""), 6, "OFFSET"),
    "short-offset": (TINY.replace("OFFSET 0 60 0", "OFFSET 0 60"), 9, "CHANNELS"),
    "channel-name": (TINY.replace("3 Zrotation", "3 Wrotation", 1), 9, "wrotation"),
    "channel-count": (TINY.replace("CHANNELS 3", "CHANNELS 4", 1), 10, "end"),
    "channel-twice": (TINY.replace("3 Zrotation", "3 Xrotation", 1), 9, "twice"),
    "channel-number": (TINY.replace("CHANNELS 3", "CHANNELS ²", 1), 9, "0 to 6"),
    "no-channels": (re.sub("CHANNELS [36].*", "CHANNELS 0", TINY), 33, "CHANNELS"),
    "fewer-frames": (TINY.replace("Frames: 3", "Frames: 5"), 39, "3 frames, fewer than the 5"),
    "more-frames": (TINY.replace("Frames: 3", "Frames: 2"), 39, "3 frames, more than the 2"),
    "no-frames": (HEADER + "MOTION\nFrames: 0\nFrame Time: 0.1\n", 35, "no frames"),
    "frames-word": (TINY.replace("Frames: 3", "Frames: many"), 35, "whole number"),
    "negative-frames": (TINY.replace("Frames: 3", "Frames: -3"), 35, "whole number"),
    "huge-frames": (TINY.replace("Frames: 3", "Frames: 99999999999"), None, "at most"),
    "frame-time-zero": (TINY.replace("0.0333", "0"), 36, "Frame Time"),
    "frame-time-huge": (TINY.replace("0.0333", "1e9"), 36, "Frame Time"),
    "frame-time-nan": (TINY.replace("0.0333", "nan"), 36, "finite"),
    "no-frame-time": (TINY.replace("Frame Time: 0.0333\n", ""), 36, "Frame Time"),
    "short-row": (TINY.replace(ROWS[1], ROWS[1][:-2]), 38, "14 values, the skeleton has 15"),
    "long-row": (TINY.replace(ROWS[1], ROWS[1] + " 0"), 38, "16 values, the skeleton has 15"),
    "word": (TINY.replace("9.5", "nine"), 39, "'nine'"),
    "nan": (TINY.replace("9.5", "nan"), 39, "finite"),
    "inf": (TINY.replace("9.5", "-inf"), 39, "finite"),
    "overflow": (TINY.replace("9.5", "1e300"), 39, "at most"),
    "nan-offset": (TINY.replace("0 60 0", "0 nan 0"), 8, "finite"),
    "commas-between": (TINY.replace(ROWS[0], ROWS[0].replace(" ", ",")), 37, "spaces or tabs"),
    "commas-and-points": (TINY.replace("1 90 5", "1,5 90 5"), 38, "commas and points"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused_with_the_line(tmp_path: Path, case: str) -> None:
    text, line, words = BROKEN[case]
    error = _refusal(tmp_path, text)
    assert (error.line, words in str(error)) == (line, True), str(error)
    assert pickle.loads(pickle.dumps(error)).line == line


def test_message_reads_as_a_sentence(tmp_path: Path) -> None:
    error = _refusal(tmp_path, TINY.replace(ROWS[1], ROWS[1][:-2]))
    assert str(error).endswith("walk.bvh line 38: 14 values, the skeleton has 15 channels")


def test_absurd_sizes_are_refused(tmp_path: Path) -> None:
    depth = 5000
    joint = "JOINT j{}\n{{\nOFFSET 0 1 0\nCHANNELS 3 Xrotation Yrotation Zrotation\n"
    deep = "".join(joint.format(i) for i in range(depth)) + "}\n" * depth
    text = HEADER.replace("  JOINT Head", deep + "  JOINT Head")
    assert "too many joints" in str(_refusal(tmp_path, text + MOTION))
    wide = "".join(joint.format(i) + "}\n" for i in range(1200))
    text = HEADER.replace("  JOINT Head", wide + "  JOINT Head")
    assert "too many joints" in str(_refusal(tmp_path, text + MOTION))
    name = TINY.replace("Head", "H" * 10_000)
    assert "characters" in str(_refusal(tmp_path, name))
    assert "at most 2" in str(_refusal(tmp_path, TINY, max_frames=2))
    sparse = tmp_path / "sparse.bvh"
    with open(sparse, "wb") as file:
        file.truncate(2**32)
    with pytest.raises(FormatError, match="larger than the 128 MiB"):
        bvh.read(sparse)


def test_few_values_do_not_make_gigabytes(tmp_path: Path) -> None:
    joints = "".join(f"JOINT j{i} {{ OFFSET 1 0 0 }}\n" for i in range(500))
    head = f"HIERARCHY\nROOT a\n{{ OFFSET 0 0 0 CHANNELS 1 Xposition\n{joints}}}\nMOTION\n"
    error = _refusal(tmp_path, f"{head}Frames: 4000\nFrame Time: .01\n" + "0\n" * 4000)
    assert "4000 frames of 501 joints with 1 values each; above 2000000" in str(error)
    few = _write(tmp_path, f"{head}Frames: 3\nFrame Time: .01\n" + "0\n" * 3)
    assert bvh.read(few, units=0.01, up="y").num_frames == 3


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.bvh", tmp_path):
        with pytest.raises(FormatError, match="cannot be opened"):
            bvh.read(path)


def test_mutated_files_raise_nothing_but_format_errors(tmp_path: Path, shared_data: Path) -> None:
    real = (shared_data / "cmu_bvh" / "bvh" / "05_02.bvh").read_bytes()
    short = b"\n".join(real.replace(b"Frames: 1124", b"Frames: 6").split(b"\n")[:193]) + b"\n"
    bvh.read(_write(tmp_path, short))  # the seed itself is good
    rng = random.Random(0)
    pieces = [b"{", b"}", b"nan", b"1e999", b"-", b"\x00", b"\xff", b"\n", b",", b"ROOT x\n{\n"]
    pieces += [b"CHANNELS 3", b"End Site", b"MOTION\n", b"Frames: 7", b"0x10", b"1_0", b"\t"]
    read = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mutated body may have a doubtful unit
        for i in range(400):
            text = bytearray(TINY.encode() if i % 4 else short)
            if i % 3 == 0:
                del text[rng.randrange(len(text)) :]
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(text) + 1)
                if rng.random() < 0.5:
                    text[at:at] = rng.choice(pieces)
                else:
                    del text[at : at + rng.randrange(1, 12)]
            path = _write(tmp_path, bytes(text))
            try:
                clip = bvh.read(path)
            except FormatError:
                continue
            read += 1
            assert np.isfinite(clip.positions).all()
    assert 0 < read < 300  # some mutations are harmless, most are not
