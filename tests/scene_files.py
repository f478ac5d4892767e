"""FBX, glTF and C3D files of a body, written by hand or by the libraries that own the format."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion.clip import Clip

TICKS = 46_186_158_000
"""FBX's time units in a second."""


def write_fbx(path: Path, clip: Clip, *, stacks: int = 1) -> Path:
    """An ASCII FBX 7.4 file in centimetres with a clip's rotations as curves of Euler angles."""
    assert clip.rotations is not None and clip.offsets is not None
    objects: list[str] = []
    links: list[str] = []
    times = ",".join(str(round(t * TICKS / clip.fps)) for t in range(clip.num_frames))
    angles = rot.to_euler(clip.rotations, "zyx", degrees=True)[
        ..., ::-1
    ]  # x, y, z: turned by z last
    root = clip.positions[:, 0] * 100.0
    for joint, name in enumerate(clip.joint_names):
        place = root[0] if joint == 0 else clip.offsets[joint] * 100.0
        objects += [
            f'Model: {1000 + joint}, "Model::{name}", "LimbNode" {{',
            "Properties70: {",
            'P: "RotationActive", "bool", "", "",1',
            f'P: "Lcl Translation", "Lcl Translation", "", "A",{_row(place)}',
            "}",
            "}",
            f'NodeAttribute: {2000 + joint}, "NodeAttribute::{name}", "LimbNode" {{',
            'TypeFlags: "Skeleton"',
            "}",
        ]
        above = 0 if joint == 0 else 1000 + clip.parents[joint]
        links += [f'C: "OO",{1000 + joint},{above}', f'C: "OO",{2000 + joint},{1000 + joint}']
    number = 10_000
    for stack in range(stacks):
        objects += [f'AnimationStack: {number}, "AnimStack::take{stack}", "" {{', "}"]
        objects += [f'AnimationLayer: {number + 1}, "AnimLayer::layer", "" {{', "}"]
        links.append(f'C: "OO",{number + 1},{number}')
        layer, number = number + 1, number + 2
        for joint in range(len(clip.joint_names)):
            curves = [("Lcl Rotation", angles[:, joint])]
            if joint == 0:
                curves.append(("Lcl Translation", root))
            for what, values in curves:
                objects += [f'AnimationCurveNode: {number}, "AnimCurveNode::x", "" {{', "}"]
                links += [f'C: "OO",{number},{layer}']
                links += [f'C: "OP",{number},{1000 + joint}, "{what}"']
                node, number = number, number + 1
                for axis, letter in enumerate("XYZ"):
                    keys = values[: len(values) if stack == 0 else 2, axis]
                    objects += _curve(number, times, keys)
                    links.append(f'C: "OP",{number},{node}, "d|{letter}"')
                    number += 1
    head = (
        "; FBX 7.4.0 project file\nFBXHeaderExtension: {\nFBXVersion: 7400\n}\n"
        "GlobalSettings: {\nProperties70: {\n"
        'P: "UpAxis", "int", "Integer", "",1\nP: "UpAxisSign", "int", "Integer", "",1\n'
        'P: "FrontAxis", "int", "Integer", "",2\nP: "FrontAxisSign", "int", "Integer", "",1\n'
        'P: "CoordAxis", "int", "Integer", "",0\nP: "CoordAxisSign", "int", "Integer", "",1\n'
        'P: "UnitScaleFactor", "double", "Number", "",1\nP: "TimeMode", "enum", "", "",14\n'
        f'P: "CustomFrameRate", "double", "Number", "",{clip.fps}\n}}\n}}\n'
    )
    body = "Objects: {\n" + "\n".join(objects) + "\n}\nConnections: {\n" + "\n".join(links)
    path.write_text(head + body + "\n}\n")
    return path


def _row(values: Any) -> str:
    return ",".join(f"{float(value):.8g}" for value in values)


def _curve(number: int, times: str, values: np.ndarray) -> list[str]:
    count = len(values)
    return [
        f'AnimationCurve: {number}, "AnimCurve::", "" {{',
        "Default: 0\nKeyVer: 4008",
        f"KeyTime: *{count} {{\na: {','.join(times.split(',')[:count])}\n}}",
        f"KeyValueFloat: *{count} {{\na: {_row(values)}\n}}",
        "KeyAttrFlags: *1 {\na: 4\n}",
        "KeyAttrDataFloat: *4 {\na: 0,0,0,0\n}",
        f"KeyAttrRefCount: *1 {{\na: {count}\n}}",
        "}",
    ]


def write_c3d(
    path: Path, markers: dict[str, np.ndarray], *, rate: float = 100.0, unit: str = "mm"
) -> Path:
    """Markers `[T, 3]` in the unit; NaN where one is not seen.

    In a process of its own: ezc3d fails where faiss is loaded.
    """
    np.savez(path.with_suffix(".npz"), **markers)
    command = [sys.executable, __file__, path.with_suffix(".npz"), path, str(rate), unit]
    subprocess.run(command, check=True)
    return path


def _write_c3d(arrays: str, path: str, rate: str, unit: str) -> None:
    import ezc3d

    markers = dict(np.load(arrays))
    file = ezc3d.c3d()
    points = np.ones((4, len(markers), len(next(iter(markers.values())))))
    points[:3] = np.stack(list(markers.values()), axis=1).transpose(2, 1, 0)
    file["parameters"]["POINT"]["RATE"]["value"] = [float(rate)]
    file["parameters"]["POINT"]["LABELS"]["value"] = tuple(markers)
    file.add_parameter("POINT", "UNITS", [unit])
    file["data"]["points"] = points
    file.write(path)


def write_gltf(path: Path, content: dict[str, Any], binary: bytes) -> Path:
    """A .gltf file with its buffer in a file beside it."""
    path.with_suffix(".bin").write_bytes(binary)
    buffers = [{"uri": path.with_suffix(".bin").name, "byteLength": len(binary)}]
    path.write_text(json.dumps({"asset": {"version": "2.0"}, "buffers": buffers, **content}))
    return path


if __name__ == "__main__":
    _write_c3d(*sys.argv[1:])
