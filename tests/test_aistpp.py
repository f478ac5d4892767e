"""AIST++ pickles, and the unpickler that executes nothing."""

from __future__ import annotations

import io
import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import FormatError
from raydance.motion.formats import aistpp, read_clip, safe_pickle
from raydance.motion.mapping import map_to_canonical


def _keypoints(num_frames: int = 6) -> np.ndarray:
    """A standing COCO body, centimetres, y up, facing +z."""
    body = {
        "hip": (9, 90, 0),
        "knee": (9, 50, 2),
        "ankle": (9, 8, 0),
        "shoulder": (18, 140, 0),
        "elbow": (30, 115, 0),
        "wrist": (32, 90, 5),
        "ear": (7, 160, 0),
        "eye": (3, 163, 8),
    }
    points = np.zeros((num_frames, 17, 3))
    for i, name in enumerate(aistpp.COCO_JOINTS):
        side, _, part = name.partition("_")
        x, y, z = body.get(part, (0, 158, 10))
        points[:, i] = (-x if side == "right" else x, y, z)
    points[:, :, 2] += np.arange(num_frames)[:, None]
    return points


def _write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_are_read(protocol: int) -> None:
    content = {
        "a": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "big_endian": np.array([1, 2], dtype=">i4"),
        "scalar": np.float64(3.5),
        "list": [1, "x", None, (True, 2.5)],
        "empty": np.zeros((0, 3)),
    }
    read = safe_pickle.loads(pickle.dumps(content, protocol=protocol))
    assert read.keys() == content.keys()
    for key in ("a", "fortran", "big_endian", "empty"):
        np.testing.assert_array_equal(read[key], content[key])
        assert read[key].dtype == content[key].dtype  # type: ignore[union-attr]
    assert read["scalar"] == 3.5 and read["list"] == [1, "x", None, (True, 2.5)]


@pytest.mark.parametrize("old", [True, False])
def test_both_module_names_of_numpy_are_known(old: bool) -> None:
    data = pickle.dumps({"a": np.arange(3)}, protocol=0)
    data = data.replace(b"numpy._core", b"numpy.core")
    if not old:
        data = data.replace(b"numpy.core", b"numpy._core")
    np.testing.assert_array_equal(safe_pickle.loads(data)["a"], np.arange(3))


class _Call:
    def __init__(self, function: object, *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (os.system, "touch {}", "system"),
        (eval, "open({!r}, 'w')", "eval"),
        (exec, "open({!r}, 'w')", "exec"),
        (np.load, "{}", "numpy"),
        (np.fromfile, "{}", "fromfile"),
        (np.save, "{}", "save"),
        (getattr, "{}", "getattr"),
        (bytearray, 1 << 40, "bytearray"),
        (np.zeros, 1 << 40, "zeros"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_other_names_are_refused_and_not_called(
    tmp_path: Path, function: object, argument: object, named: str, protocol: int
) -> None:
    witness = tmp_path / "executed"
    if isinstance(argument, str):
        argument = argument.format(str(witness))
    path = _write(tmp_path / "bad.pkl", {"keypoints3d": _Call(function, argument)}, protocol)
    with pytest.raises(FormatError, match=named):
        read_clip(path)
    assert not witness.exists()


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


_DTYPE = _global("numpy", "dtype") + b"(X\x02\x00\x00\x00f8I00\nI01\ntR"
_SIZE = struct.pack("<q", 1 << 40)


@pytest.mark.parametrize(
    "attack",
    [
        # an array of 8 TiB asked for by the shape that `_reconstruct` gets
        _global("numpy.core.multiarray", "_reconstruct")
        + b"("
        + _global("numpy", "ndarray")
        + b"(I1099511627776\ntX\x02\x00\x00\x00f8tR.",
        # ndarray called directly
        _global("numpy", "ndarray") + b"(I1099511627776\ntR.",
        # a state whose shape needs more bytes than it brings
        _global("numpy.core.multiarray", "_reconstruct")
        + b"("
        + _global("numpy", "ndarray")
        + b"(I0\ntX\x01\x00\x00\x00btR(I1\n(I1099511627776\nt"
        + _DTYPE
        + b"I00\nC\x04abcdtb.",
        # bytes and bytearrays that announce more than the file holds
        b"\x80\x05\x96" + _SIZE + b"abc.",
        b"\x80\x05\x8e" + _SIZE + b"abc.",
        # a huge memo index, a persistent id, an extension, a second way of making an object
        b"\x80\x02]r\xff\xff\xff\x7f0.",
        b"Pfile\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02" + _global("numpy", "ndarray") + b")\x81.",
        # attributes of a function or class of ours
        _global("_codecs", "encode") + b"(N}X\x0c\x00\x00\x00__defaults__)stb.",
        _global("numpy", "ndarray") + b"(N}X\x05\x00\x00\x00value)stb.",
        # objects in an array
        _global("numpy", "dtype") + b"(X\x02\x00\x00\x00O8I00\nI01\ntR.",
        # a codec of the file's choice
        _global("_codecs", "encode") + b"(X\x01\x00\x00\x00aX\x03\x00\x00\x00bz2tR.",
        b"]" * 2_000_000 + b".",
        b"",
        b"\x80\x04",
        b"garbage that is no pickle",
    ],
    ids=lambda attack: repr(attack[:24]),
)
def test_hostile_pickles_cost_little_and_are_refused(attack: bytes) -> None:
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(FormatError):
            value = safe_pickle.loads(attack, "bad.pkl")
            pytest.fail(f"read as {type(value)}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20 and time.perf_counter() - start < 5


def test_short_files_that_unfold_are_refused() -> None:
    nested: list[object] = [1] * 50
    for _ in range(3):
        nested = [nested] * 300
    with pytest.raises(FormatError, match="more than"):
        safe_pickle.loads(pickle.dumps(nested))

    key: tuple[object, ...] = ()
    for _ in range(60):  # hashing this takes 2^60 steps
        key = (key, key)
    buffer = io.BytesIO()
    buffer.write(b"}" + pickle.dumps(key, protocol=1)[:-1] + b"Ns.")
    with pytest.raises(FormatError, match="key"):
        safe_pickle.loads(buffer.getvalue())

    block = np.arange(100_000, dtype=np.float64)  # one block of bytes, built into many arrays
    raw = block.tobytes()
    make = _global("numpy.core.multiarray", "_reconstruct") + b"(" + _global("numpy", "ndarray")
    make += b"(I0\ntX\x01\x00\x00\x00btR(I1\n(I100000\nt" + _DTYPE + b"I00\ng1\ntba"
    head = b"\x80\x04B" + struct.pack("<I", len(raw)) + raw + b"q\x010]"
    with pytest.raises(FormatError, match="more memory"):
        safe_pickle.loads(head + make * 200 + b".")


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "large.pkl", np.zeros(1000))
    with pytest.raises(FormatError, match="at most 100 "):
        safe_pickle.load(path, max_bytes=100)


def test_keypoints_become_metres_with_derived_joints(tmp_path: Path) -> None:
    points = _keypoints()
    path = _write(tmp_path / "a.pkl", {"keypoints3d": points * 2, "keypoints3d_optim": points})
    clip = read_clip(path)
    assert clip.fps == 60.0 and clip.num_frames == 6
    np.testing.assert_allclose(clip.positions, points / 100, atol=1e-6)
    mapped = map_to_canonical(clip)
    assert mapped.convention == "COCO (AIST++)" and mapped.num_body_joints == 15
    np.testing.assert_allclose(mapped.positions[0, 0], [0, 0.9, 0], atol=1e-6)
    assert mapped.matched["pelvis"] == "left_hip + right_hip"
    assert mapped.matched["neck"] == "left_shoulder + right_shoulder"


def test_short_gaps_are_filled_and_long_ones_refused(tmp_path: Path) -> None:
    points = _keypoints(100)
    truth = points.copy()
    points[10:14, 3] = np.nan
    points[0, 5] = np.nan
    truth[0, 5] = truth[1, 5]  # before the first good frame its value is held
    clip = read_clip(_write(tmp_path / "a.pkl", {"keypoints3d": points}))
    np.testing.assert_allclose(clip.positions, truth / 100, atol=1e-6)
    points[20:80, 3] = np.nan
    with pytest.raises(FormatError, match="frame 20, joint 3"):
        read_clip(_write(tmp_path / "b.pkl", {"keypoints3d": points}))


def test_motion_is_turned_into_positions_of_an_upright_body(tmp_path: Path) -> None:
    poses = np.zeros((3, 72))
    poses[:, 1] = np.pi / 2  # facing +x
    translation = np.tile([93.0, 93.0 * 0.9, 0.0], (3, 1))
    content = {"smpl_poses": poses, "smpl_trans": translation, "smpl_scaling": np.array([93.0])}
    clip = read_clip(_write(tmp_path / "m.pkl", content))
    mapped = map_to_canonical(clip)
    assert mapped.num_body_joints == 22 and clip.rotations is not None
    positions = dict(zip(clip.joint_names, clip.positions[0]))
    np.testing.assert_allclose(positions["pelvis"], [1.0, 0.9, 0.0], atol=1e-6)
    assert positions["head"][1] > 1.3 and positions["left_ankle"][1] < 0.1
    assert positions["left_hip"][2] < -0.05  # the left side of someone who faces +x
    assert positions["left_foot"][0] > positions["left_ankle"][0] + 0.1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "list"),
        ({"other": np.zeros(3)}, "keys other"),
        ({"keypoints3d": 3.0}, "keypoints3d: found float"),
        ({"keypoints3d": np.zeros((4, 16, 3))}, r"\[T, 17, 3\]"),
        ({"smpl_poses": np.zeros((4, 71)), "smpl_trans": np.zeros((4, 3))}, r"poses \[4, 71\]"),
        ({"smpl_poses": np.zeros((4, 72)), "smpl_trans": np.zeros((3, 3))}, r"\[4, 3\] is needed"),
        ({"smpl_poses": np.zeros((4, 72))}, "smpl_trans: found NoneType"),
        (
            {
                "smpl_poses": np.zeros((4, 72)),
                "smpl_trans": np.zeros((4, 3)),
                "smpl_scaling": np.zeros(1),
            },
            "smpl_scaling",
        ),
        ({"keypoints3d": np.zeros((0, 17, 3))}, "0 frames"),
        ({1 << 20_000: 1}, "keys nothing"),  # more digits than Python prints
        ({"\ud800": 1}, r"keys .ud800"),
        (
            {
                "smpl_poses": np.zeros((4, 72)),
                "smpl_trans": np.zeros((4, 3)),
                "smpl_scaling": [[1.0], [1.0, 2.0]],
            },
            "smpl_scaling: found list",
        ),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_clip(_write(tmp_path / "x.pkl", content))
