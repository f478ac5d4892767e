"""glTF, FBX and C3D in: by hand, against what was written, and damaged."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import public_sets
import pytest
import scene_files

from raydance.errors import FormatError, InputError
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.export import write_clip
from raydance.motion.formats import markers, native, read_clip
from raydance.motion.mapping import map_to_canonical

needs_ufbx = pytest.mark.skipif(importlib.util.find_spec("ufbx") is None, reason="no ufbx")
needs_ezc3d = pytest.mark.skipif(importlib.util.find_spec("ezc3d") is None, reason="no ezc3d")


@pytest.fixture(scope="module")
def clip() -> Clip:
    """One second of the procedural dancer, body without fingers, with rotations."""
    whole = public_sets.dancer(3)
    assert whole.rotations is not None and whole.offsets is not None
    return Clip(
        clip_id="dancer",
        source="made",
        fps=25.0,
        joint_names=whole.joint_names[:22],
        parents=whole.parents[:22],
        positions=whole.positions[:25, :22],
        rotations=whole.rotations[:25, :22],
        offsets=whole.offsets[:22],
    )


def same_motion(found: Clip, expected: Clip, atol: float = 1e-4) -> None:
    """The same joints move alike, and rotations over bones give the positions."""
    order = [found.joint_names.index(name) for name in expected.joint_names]
    np.testing.assert_allclose(found.positions[:, order], expected.positions, atol=atol)
    assert found.fps == expected.fps and found.rotations is not None and found.offsets is not None
    bones = np.broadcast_to(found.offsets, found.positions.shape).astype(np.float64).copy()
    bones[:, 0] = found.positions[:, 0]
    walked = rot.forward_kinematics(found.rotations, bones, found.parents)
    np.testing.assert_allclose(walked, found.positions, atol=atol)


# glTF


def test_glb_comes_back_as_it_was_written(clip: Clip, tmp_path: Path):
    write_clip(tmp_path / "a.glb", clip)
    found = read_clip(tmp_path / "a.glb")
    same_motion(found, clip)
    assert map_to_canonical(found).joint_mask[:22].all()


def scene(**changes: Any) -> tuple[dict[str, Any], bytes]:
    """Two nodes, the upper one turned a quarter about z within a second, and the file's numbers."""
    half = np.sqrt(0.5)
    times, turns = [0.0, 1.0], [[0.0, 0, 0, 1], [0, 0, half, half]]
    binary = np.array(times, "<f4").tobytes() + np.array(turns, "<f4").tobytes()
    content: dict[str, Any] = {
        "nodes": [
            {"name": "Hips", "children": [1], "scale": [2, 2, 2]},
            {"name": "Spine", "translation": [0, 1, 0]},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 8},
            {"buffer": 0, "byteOffset": 8, "byteLength": 32},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5126, "count": 2, "type": "VEC4"},
        ],
        "animations": [
            {
                "samplers": [{"input": 0, "output": 1}],
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
            }
        ],
    }
    return content | changes, binary


def test_gltf_by_hand(tmp_path: Path):
    found = read_clip(scene_files.write_gltf(tmp_path / "a.gltf", *scene()), units=1.0)
    assert (found.fps, found.num_frames) == (30.0, 31)  # two keys are poses, no frames
    middle = 2 * np.array([-np.sqrt(0.5), np.sqrt(0.5), 0.0])  # after an eighth of a turn
    np.testing.assert_allclose(
        found.positions[[0, 15, 30], 1], [[0, 2, 0], middle, [-2, 0, 0]], atol=1e-5
    )
    np.testing.assert_allclose(found.offsets, [[0, 0, 0], [0, 2, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("way", "at_a_quarter"), [("STEP", 0.0), ("LINEAR", 0.5), ("CUBICSPLINE", 0.3125)]
)
def test_gltf_interpolations_by_hand(tmp_path: Path, way: str, at_a_quarter: float):
    """A node that moves by 2 along x; splines with tangents of zero are 3 s^2 - 2 s^3."""
    keys = [[0.0, 0, 0], [2, 0, 0]]
    if way == "CUBICSPLINE":
        keys = [row for key in keys for row in ([0.0, 0, 0], key, [0.0, 0, 0])]
    binary = np.array([0.0, 1.0], "<f4").tobytes() + np.array(keys, "<f4").tobytes()
    content, _ = scene()
    content["bufferViews"][1]["byteLength"] = 12 * len(keys)
    content["accessors"][1] |= {"count": len(keys), "type": "VEC3"}
    sampler = {"input": 0, "output": 1, "interpolation": way}
    channel = {"sampler": 0, "target": {"node": 1, "path": "translation"}}
    content["animations"] = [{"samplers": [sampler], "channels": [channel]}]
    content["nodes"][0] = {"name": "Hips", "children": [1]}
    path = scene_files.write_gltf(tmp_path / "a.gltf", content, binary)
    found = read_clip(path, units=1.0, fps=40.0)
    x = found.positions[:, found.joint_names.index("Spine"), 0]
    assert np.interp(0.25 * (len(x) - 1), np.arange(len(x)), x) == pytest.approx(
        at_a_quarter, abs=0.02
    )
    assert x[-1] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"animations": []}, "no animation"),
        ({"nodes": [{"children": [1]}, {"children": [0]}]}, "their own ancestors"),
        ({"nodes": [{"children": [1]}, {}, {"children": [1]}]}, "several parents"),
        ({"nodes": [{"children": [7]}]}, "found 7, 1 are there"),
        (
            {
                "accessors": [
                    {"bufferView": 0, "componentType": 5126, "count": 9, "type": "SCALAR"}
                ]
                * 2
            },
            "rows of",
        ),
        (
            {"accessors": [{"bufferView": 0, "componentType": 1, "count": 2, "type": "SCALAR"}]},
            "component type 1",
        ),
        ({"accessors": [{"sparse": {}}]}, "sparse"),
        ({"accessors": []}, "0 are there"),
        ({"bufferViews": [{"buffer": 0, "byteOffset": 30, "byteLength": 99}]}, "the buffer has 40"),
        ({"buffers": [{"uri": "../secret.bin"}]}, "not in the folder"),
        ({"buffers": [{"uri": "/etc/hostname"}]}, "not in the folder"),
        ({"buffers": [{"uri": "http://x/y"}]}, "not in the folder"),
        ({"buffers": [{"uri": "gone.bin"}]}, "cannot be read"),
        ({"buffers": [{"uri": "\ud83d.bin"}]}, "the uri is not text"),
        ({"buffers": [{}]}, "no binary chunk"),
        ({"asset": {"version": "1.0"}}, "glTF version 1.0"),
        ({"nodes": "x"}, "a list of objects"),
        ({"animations": [{"channels": [{"target": {"node": 0, "path": {}}}]}]}, "no animation"),
        ({"nodes": [{"translation": [1e300, 0, 0]}, {"scale": [1, "x", 1]}]}, "3 numbers"),
    ],
)
def test_gltf_files_that_make_no_sense_are_refused(tmp_path: Path, changes: dict, message: str):
    content, binary = scene()
    path = scene_files.write_gltf(tmp_path / "a.gltf", content | changes, binary)
    with pytest.raises(FormatError, match=message):
        read_clip(path)


def test_glb_files_that_end_too_early_are_refused(clip: Clip, tmp_path: Path):
    write_clip(tmp_path / "a.glb", clip)
    data = (tmp_path / "a.glb").read_bytes()
    for cut in (3, 12, 19, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "b.glb").write_bytes(data[:cut])
        with pytest.raises(FormatError):
            read_clip(tmp_path / "b.glb")
    (tmp_path / "b.glb").write_bytes(data[:12] + struct.pack("<I", 2**31) + data[16:])
    with pytest.raises(FormatError, match="beyond the file"):
        read_clip(tmp_path / "b.glb")


def test_the_longest_of_several_animations_is_read(tmp_path: Path):
    content, binary = scene()
    first = content["animations"][0] | {"name": "wave"}
    still = {
        "samplers": first["samplers"],
        "channels": [{"sampler": 0, "target": {"path": "weights"}}],
    }
    content["animations"] = [still, first, first | {"name": "bow"}]
    path = scene_files.write_gltf(tmp_path / "a.gltf", content, binary)
    with pytest.warns(UserWarning, match="2 animations; wave is read, the longest, and not bow"):
        read_clip(path, units=1.0)


# FBX


@needs_ufbx
def test_fbx_comes_back_as_it_was_written(clip: Clip, tmp_path: Path):
    found = read_clip(scene_files.write_fbx(tmp_path / "a.fbx", clip))
    same_motion(found, clip, atol=1e-3)
    assert found.joint_names[0] == "pelvis"


@needs_ufbx
def test_the_longest_fbx_animation_is_read(clip: Clip, tmp_path: Path):
    path = scene_files.write_fbx(tmp_path / "a.fbx", clip, stacks=2)
    with pytest.warns(UserWarning, match="2 animations; take0 is read, the longest, and not take1"):
        assert read_clip(path).num_frames == clip.num_frames


@needs_ufbx
@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"; FBX 7.4.0\nObjects: {\n", b"Kaydara FBX Binary  \x00\x1a\x00"]
)
def test_damaged_fbx_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.fbx").write_bytes(content)
    with pytest.raises(FormatError):
        read_clip(tmp_path / "a.fbx")


# C3D


def plug_in_gait(clip: Clip) -> dict[str, np.ndarray]:
    """Markers around a body's joints, millimetres, z up; the pelvis' by Bell's proportions."""
    at = {name: clip.positions[:, i].astype(np.float64) for i, name in enumerate(clip.joint_names)}
    aside = at["left_hip"] - at["right_hip"]
    width = np.linalg.norm(aside, axis=-1, keepdims=True) / 2 / 0.36
    aside /= np.linalg.norm(aside, axis=-1, keepdims=True)
    forward = np.cross(aside, [0.0, 1.0, 0.0])
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    up = np.cross(forward, aside)
    front = (at["left_hip"] + at["right_hip"]) / 2 + width * (0.19 * forward + 0.30 * up)
    found = {
        "LASI": front + width / 2 * aside,
        "RASI": front - width / 2 * aside,
        "SACR": front - 0.15 * forward,
        "C7": at["neck"] - 0.05 * forward,
        "CLAV": at["neck"] + 0.05 * forward,
        "T10": at["spine3"] - 0.1 * forward,
        "STRN": at["spine3"] + 0.1 * forward,
    }
    for label, way in {"LFHD": 1, "RFHD": 1, "LBHD": -1, "RBHD": -1}.items():
        sign = 1 if label[0] == "L" else -1
        found[label] = at["head"] + 0.08 * sign * aside + 0.09 * way * forward
    for letter, side in (("L", "left"), ("R", "right")):
        for label, joint in (
            ("SHO", "shoulder"),
            ("ELB", "elbow"),
            ("KNE", "knee"),
            ("ANK", "ankle"),
            ("TOE", "foot"),
        ):
            found[letter + label] = at[f"{side}_{joint}"]
        for label, way in (("WRA", 0.03), ("WRB", -0.03)):
            found[letter + label] = at[f"{side}_wrist"] + [way, 0, 0]
    turn = rot.from_euler(np.array([90.0]), "x", degrees=True)
    return {f"Anna:{label}": rot.rotate(turn, places) * 1000.0 for label, places in found.items()}


@needs_ezc3d
def test_markers_become_the_joints_between_them(clip: Clip, tmp_path: Path):
    path = scene_files.write_c3d(tmp_path / "a.c3d", plug_in_gait(clip), rate=25.0)
    found = read_clip(path)
    assert found.fps == 25.0 and found.num_frames == clip.num_frames
    for name in ("left_hip", "right_hip", "left_knee", "right_wrist", "head", "neck", "spine3"):
        np.testing.assert_allclose(
            found.positions[:, found.joint_names.index(name)],
            clip.positions[:, clip.joint_names.index(name)],
            atol=1e-4,
            err_msg=name,
        )
    assert "left_elbow" in map_to_canonical(found).matched


@needs_ezc3d
def test_short_gaps_are_filled_and_long_ones_cost_the_marker(clip: Clip, tmp_path: Path):
    places = plug_in_gait(clip)
    expected = places["Anna:LKNE"].copy()
    places["Anna:LKNE"][5:10] = np.nan
    places["Anna:LELB"][2:20] = np.nan
    path = scene_files.write_c3d(tmp_path / "a.c3d", places, rate=25.0)
    with pytest.warns(UserWarning, match="1 points are missing for more than 0.5 s .*Anna:LELB"):
        found = read_clip(path)
    assert "left_elbow" not in found.joint_names
    assert found.parents[found.joint_names.index("left_wrist")] == found.joint_names.index(
        "left_shoulder"
    )
    knee = found.positions[7, found.joint_names.index("left_knee")]
    line = expected[4] + (expected[10] - expected[4]) / 2
    np.testing.assert_allclose(knee, [line[0] / 1000, line[2] / 1000, -line[1] / 1000], atol=1e-3)


@needs_ezc3d
def test_points_of_unknown_labels_stay_points(tmp_path: Path):
    rng = np.random.default_rng(0)
    points = {f"M{i}": rng.normal(0, 300, 3) + np.zeros((10, 3)) for i in range(6)}
    found = read_clip(scene_files.write_c3d(tmp_path / "a.c3d", points))
    assert found.joint_names == tuple(points) and set(found.parents) == {-1}


@needs_ezc3d
def test_damaged_c3d_files_are_refused(clip: Clip, tmp_path: Path):
    data = scene_files.write_c3d(tmp_path / "a.c3d", plug_in_gait(clip)).read_bytes()
    for content in (b"", b"nonsense", data[:600], bytes(len(data)), b"\xff" * 2048):
        (tmp_path / "b.c3d").write_bytes(content)
        with pytest.raises(FormatError):
            read_clip(tmp_path / "b.c3d")


def test_hips_need_a_pelvis():
    assert markers.joints_of_markers({"LKNE": np.zeros((2, 3)), "RKNE": np.ones((2, 3))}) is None


# Libraries in processes of their own


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native, "_PACKAGES", {"fbx": "no_such_package", "c3d": "no_such_package"})
    for kind in ("fbx", "c3d"):
        (tmp_path / f"a.{kind}").write_bytes(b"x")
        with pytest.raises(
            InputError, match=rf"need the package .*pip install 'raydance\[{kind}\]'"
        ):
            read_clip(tmp_path / f"a.{kind}")


@needs_ufbx
def test_scenes_are_let_go_without_a_crash(clip: Clip, tmp_path: Path):
    """ufbx frees a scene with the first of its parts: which one that is, the memory decides."""
    path = scene_files.write_fbx(tmp_path / "a.fbx", clip)
    code = (
        "import scipy.signal, scipy.stats, PIL.Image, sys, os\n"
        "from raydance.motion.formats import native_child\n"
        "names = [len(native_child.read_fbx(sys.argv[1])['names']) for _ in range(3)]\n"
        "print(names, flush=True)\n"
        "os._exit(0)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"{[len(clip.joint_names) + 1] * 3}\n"), (
        done.stderr
    )


@needs_ufbx
def test_nothing_of_the_working_folder_is_imported(clip: Clip, tmp_path: Path, monkeypatch):
    path = scene_files.write_fbx(tmp_path / "a.fbx", clip)
    for name in ("raydance", "numpy", "ufbx"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert read_clip(path).num_frames == clip.num_frames


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.abort()", "crashed on it"),
        ("import time; time.sleep(60)", "took more than 1 s"),
        ("while True: pass", "too long for a file of this size"),
        ("bytearray(1 << 40)", "more memory than any recording"),
        ("raise SystemExit(7)", "failed on it"),
        ("raise ValueError('bad\\nheader')", "bad header"),
    ],
)
def test_what_a_library_does_costs_one_line(tmp_path: Path, monkeypatch, code: str, message: str):
    (tmp_path / "ufbx.py").write_text(f"def load_file(*a, **b):\n    {code}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(native, "SECONDS", 1.0 if "sleep" in code else 60.0)
    monkeypatch.setitem(native.PROCESSOR_S, "fbx", (0.5, 0.0) if "while" in code else (60.0, 0.0))
    (tmp_path / "a.fbx").write_bytes(b"x")
    with pytest.raises(FormatError, match=message):
        read_clip(tmp_path / "a.fbx")


def test_info_of_a_glb_file(clip: Clip, tmp_path: Path, call):
    write_clip(tmp_path / "a.glb", clip)
    facts = json.loads(call("info", tmp_path / "a.glb", "--json")[1])
    assert (facts["format"], facts["frames"], facts["up"]) == ("gltf", 25, "y")
