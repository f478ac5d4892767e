"""Files of motion from which the fuzzer starts, all made here."""

from __future__ import annotations

import base64
import functools
import io
import json
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import scene_files
from fuzz_mutations import glb

from raydance.motion import synthetic
from raydance.motion.clip import Clip
from raydance.motion.export import write_clip

Files = tuple[bytes, ...]
Seeds = Iterator[Files]

_ASF = b"""# a body
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name lfemur
    direction 0.34 -0.93 0
    length 7.2
    axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
  end
  begin
    id 2
    name rfemur
    direction -0.34 -0.93 0
    length 7.2
    axis 0 0 -20 XYZ
    dof rx
  end
:hierarchy
  begin
    root lfemur rfemur
  end
"""
_AMC = b""":FULLY-SPECIFIED
:DEGREES
:SAMPLES-PER-SECOND 60
1
root 9.3 17.8 -17.3 -2.0 -7.2 -1.6
lfemur 1 2 3
rfemur 3.5
2
root 9.3 17.8 -17.2 -2.0 -7.2 -1.6
lfemur 1 2 4
rfemur 3.6
"""


@functools.cache
def short_clip(num_joints: int = 50) -> Clip:
    """Three frames of the procedural dancer."""
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    assert clip.rotations is not None and clip.offsets is not None
    return Clip(
        clip_id="seed",
        source="seed",
        fps=20.0,
        joint_names=clip.joint_names[:num_joints],
        parents=clip.parents[:num_joints],
        positions=clip.positions[:3, :num_joints],
        rotations=clip.rotations[:3, :num_joints],
        offsets=clip.offsets[:num_joints],
    )


def written(suffix: str) -> bytes:
    """The short clip in a format that is written."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"seed{suffix}"
        write_clip(path, short_clip())
        return path.read_bytes()


def npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _bvh() -> Seeds:
    yield (written(".bvh"),)


def _amc() -> Seeds:
    yield _AMC, _ASF


def _npy() -> Seeds:
    rng = np.random.default_rng(0)
    for shape in ((3, 22, 3), (3, 263), (3, 21, 3), (3, 251), (3, 315), (3, 319), (3, 50, 3)):
        yield (npy(rng.normal(size=shape).astype("f4")),)


def _npz() -> Seeds:
    rng = np.random.default_rng(0)
    yield (written(".npz"),)
    yield (npz(poses=rng.normal(size=(2, 156)), trans=np.zeros((2, 3)), mocap_framerate=60.0),)
    places = short_clip().positions[:, :22].astype("f2")
    yield (npz(joints=places, fps=np.int64(30), up=np.array("z")),)
    names = np.array([f"j{i}" for i in range(3)])
    yield (npz(motion=np.ones((2, 3, 3)), fps=25.0, joint_names=names, parents=[-1, 0, 1]),)


def _pkl() -> Seeds:
    poses = {"smpl_poses": np.zeros((2, 72)), "smpl_trans": np.zeros((2, 3))}
    points = {"keypoints3d": np.ones((2, 17, 3)), "keypoints3d_optim": np.zeros((2, 17, 3))}
    for content in (poses | {"smpl_scaling": np.array([93.0])}, points):
        for protocol in (0, 2, 4, 5):
            yield (pickle.dumps(content, protocol),)


def _scenes(suffix: str) -> Seeds:
    numbers = np.array([0, 1, *np.eye(4)[3], *np.eye(4)[0]], "<f4").tobytes()
    for way in ("LINEAR", "STEP"):
        scene = _scene(numbers, way)
        if suffix == ".glb":
            scene["buffers"] = [{}]
        text = json.dumps(scene).encode()
        yield (glb(text, numbers) if suffix == ".glb" else text,)


def _scene(numbers: bytes, way: str) -> dict[str, object]:
    """A glTF scene of two nodes, the first one turned."""
    sampler = {"input": 0, "output": 1, "interpolation": way}
    channel = {"sampler": 0, "target": {"node": 0, "path": "rotation"}}
    return {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": "data:x;base64," + base64.b64encode(numbers).decode()}],
        "bufferViews": [
            {"buffer": 0, "byteLength": 8},
            {"buffer": 0, "byteOffset": 8, "byteLength": 32, "byteStride": 16},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5126, "count": 2, "type": "VEC4"},
        ],
        "nodes": [{"children": [1], "matrix": np.eye(4).ravel().tolist()}, {"scale": [1, 1, 1]}],
        "skins": [{"joints": [0, 1]}],
        "animations": [{"samplers": [sampler], "channels": [channel]}],
    }


def _markers() -> dict[str, np.ndarray]:
    """Markers of the Plug-in Gait set around the short clip's joints, millimetres, z up."""
    clip = short_clip()
    near = {"LASI": "left_hip", "RASI": "right_hip", "LPSI": "left_hip", "RPSI": "right_hip"}
    near |= {"LKNE": "left_knee", "RKNE": "right_knee", "LANK": "left_ankle"}
    near |= {"RANK": "right_ankle", "C7": "neck", "LSHO": "left_shoulder", "LFHD": "head"}
    places = {
        marker: 1000 * clip.positions[:, clip.joint_names.index(joint)][:, [0, 2, 1]]
        for marker, joint in near.items()
    }
    places["LANK"] = places["LANK"].copy()
    places["LANK"][1] = np.nan
    return places


def _c3d() -> Seeds:
    with tempfile.TemporaryDirectory() as place:
        for number, unit in enumerate(("mm", "m")):
            path = scene_files.write_c3d(Path(place) / f"{number}.c3d", _markers(), unit=unit)
            yield (path.read_bytes(),)


def _fbx() -> Seeds:
    with tempfile.TemporaryDirectory() as place:
        for stacks in (1, 2):
            path = Path(place) / f"{stacks}.fbx"
            yield (scene_files.write_fbx(path, short_clip(22), stacks=stacks).read_bytes(),)


def c3d_arrays() -> Seeds:
    markers = _markers()
    points = np.stack(list(markers.values()), axis=1)
    facts = {"rate": np.float64(100), "unit": np.array(["mm"], "U200")}
    yield (npz(points=points, labels=np.array(list(markers), "U200"), **facts),)
    few = {"labels": np.array(["a", "a"], "U200"), **facts}
    yield (npz(points=points[:, :2], **few),)


def fbx_arrays() -> Seeds:
    clip = short_clip(22)
    assert clip.rotations is not None and clip.offsets is not None
    values = np.ones((4, 22, 10))
    values[0, :, :3], values[0, :, 3:7] = clip.offsets, [1, 0, 0, 0]
    values[1:, :, :3] = clip.offsets
    values[1:, 0, :3] = clip.positions[:, 0]
    values[1:, :, 3:7] = clip.rotations
    yield (
        npz(
            names=np.array(clip.joint_names, "U200"),
            parents=np.array(clip.parents),
            is_bone=np.ones(22, bool),
            values=values,
            rate=np.float64(30.0),
            metres_per_unit=np.float64(0.01),
            up=np.array(["y"], "U200"),
            stacks=np.array(["take"], "U200"),
            stack=np.int64(0),
        ),
    )


def _sidecar() -> Seeds:
    clip = short_clip(22)
    facts = {
        "joint_names": list(clip.joint_names),
        "parents": list(clip.parents),
        "fps": 30,
        "metres_per_unit": 0.01,
        "up": "z",
        "style": "old",
        "content": 3,
    }
    yield npy(clip.positions), json.dumps(facts).encode()


MOTION: Final[Mapping[str, Callable[[], Seeds]]] = {
    ".bvh": _bvh,
    ".amc.asf": _amc,
    ".npy": _npy,
    ".npz": _npz,
    ".pkl": _pkl,
    ".glb": lambda: _scenes(".glb"),
    ".gltf": lambda: _scenes(".gltf"),
    ".c3d": _c3d,
    ".fbx": _fbx,
    ".npy.json": _sidecar,
}
