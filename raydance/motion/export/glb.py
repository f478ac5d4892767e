"""Clips to binary glTF 2.0 (GLB) files: a skeleton, a skin of capsules and an animation.

Metres, seconds, y up, as glTF has them (Khronos, glTF 2.0 specification, section 3.4). Joints are
nodes whose rest is the rest pose (a T-pose for canonical joints) standing on the floor; they
rotate, the root also moves, and so do joints without a bone of constant length. The scene's
`extras` hold caption, fps and source.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from raydance.files import replacing
from raydance.motion import units
from raydance.motion.clip import Clip
from raydance.motion.export.body_mesh import Mesh, body_mesh
from raydance.motion.export.joint_naming import named
from raydance.motion.export.pose import Pose, pose_of
from raydance.motion.export.written_file import WrittenFile
from raydance.motion.render import COLOURS

if TYPE_CHECKING:
    from pygltflib import GLTF2

# Codes of the specification, sections 5.1.3 and 5.11.5.
_COMPONENT: Final = {"uint8": 5121, "uint16": 5123, "uint32": 5125, "float32": 5126}
_TYPE: Final = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_VERTICES, _INDICES = 34962, 34963


def write(
    path: str | Path,
    clip: Clip,
    *,
    names: str = "own",
    limits: bool = True,
    joint_mask: Sequence[bool] | np.ndarray | None = None,
) -> WrittenFile:
    """Write a clip as a GLB file, whole or not at all.

    Args:
        path: the file; replaced where it exists.
        clip: with rotations and offsets, or with positions alone.
        names: of joints, see `joint_naming.NAMINGS`.
        limits, joint_mask: see `pose_of`.

    Raises:
        InputError: a clip that `pose_of` refuses.
    """
    pose = pose_of(clip, limits=limits, joint_mask=joint_mask)
    document = _document(pose, clip, named(pose.joint_names, names))
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(document)
    return pose.written()


def _document(pose: Pose, clip: Clip, names: Sequence[str]) -> bytes:
    import pygltflib as gl  # here, for it takes a moment that other formats need not wait for

    gltf = gl.GLTF2(asset=gl.Asset(version="2.0", generator="raydance"))
    data = _Data(gltf)
    rest = units.rest_positions(pose.offsets, pose.parents)
    floor = np.array([0.0, rest[:, 1].min(), 0.0])
    offsets = pose.offsets.copy()
    offsets[0] -= floor
    rest = rest - floor
    for joint, name in enumerate(names):
        children = [i for i, parent in enumerate(pose.parents) if parent == joint]
        gltf.nodes.append(
            gl.Node(name=name, translation=_plain(offsets[joint]), children=children or None)
        )
    num_joints = len(gltf.nodes)
    has_no_bone = pose.moves & ~pose.stretches
    _add_skin(gltf, data, body_mesh(pose.joint_names, pose.parents, rest, has_no_bone))
    inverse = np.tile(np.eye(4, dtype=np.float32), (num_joints, 1, 1))
    inverse[:, 3, :3] = -rest  # stored column by column
    gltf.skins.append(
        gl.Skin(joints=list(range(num_joints)), skeleton=0, inverseBindMatrices=data.add(inverse))
    )
    # The skin's own node stands beside the skeleton: by the specification its place is ignored.
    gltf.nodes.append(gl.Node(name="body", mesh=0, skin=0))
    _add_animation(gltf, data, pose, clip)
    facts = {"captions": list(clip.captions), "fps": clip.fps, "source": clip.source}
    facts |= {"caption": clip.captions[0]} if clip.captions else {}
    gltf.scenes.append(gl.Scene(name=clip.clip_id, nodes=[0, num_joints], extras=facts))
    gltf.scene = 0
    gltf.buffers.append(gl.Buffer(byteLength=len(data.bytes)))
    gltf.set_binary_blob(bytes(data.bytes))
    return b"".join(gltf.save_to_bytes())


def _add_skin(gltf: GLTF2, data: _Data, mesh: Mesh) -> None:
    """The mesh with one material and one list of triangles for each side."""
    import pygltflib as gl

    kind = np.uint8 if len(gltf.nodes) <= 256 else np.uint16
    joints = np.zeros((len(mesh.points), 4), kind)
    joints[:, 0] = mesh.joints
    weights = np.zeros((len(mesh.points), 4), np.uint8)
    weights[:, 0] = 255
    shared = {
        "POSITION": data.add(mesh.points, target=_VERTICES, with_range=True),
        "NORMAL": data.add(mesh.normals, target=_VERTICES),
        "JOINTS_0": data.add(joints, target=_VERTICES),
        "WEIGHTS_0": data.add(weights, target=_VERTICES, normalized=True),
    }
    primitives = []
    for side, triangles in mesh.triangles.items():
        small = len(mesh.points) < 65535
        index = triangles.reshape(-1).astype(np.uint16 if small else np.uint32)
        primitives.append(
            gl.Primitive(
                attributes=gl.Attributes(**shared),
                indices=data.add(index, target=_INDICES),
                material=len(gltf.materials),
            )
        )
        gltf.materials.append(
            gl.Material(
                name=side,
                pbrMetallicRoughness=gl.PbrMetallicRoughness(
                    baseColorFactor=[*_plain(_linear(COLOURS[side])), 1.0],
                    metallicFactor=0.0,
                    roughnessFactor=0.7,
                ),
                alphaCutoff=None,
            )
        )
    gltf.meshes.append(gl.Mesh(name="body", primitives=primitives))


def _add_animation(gltf: GLTF2, data: _Data, pose: Pose, clip: Clip) -> None:
    """A rotation of each joint that turns, a translation of each that moves."""
    import pygltflib as gl

    times = (np.arange(clip.num_frames) / clip.fps).astype(np.float32)
    when = data.add(times, with_range=True)
    animation = gl.Animation(name=clip.captions[0] if clip.captions else clip.clip_id)

    def add(joint: int, what: str, values: np.ndarray) -> None:
        animation.channels.append(
            gl.AnimationChannel(
                sampler=len(animation.samplers),
                target=gl.AnimationChannelTarget(node=joint, path=what),
            )
        )
        output = data.add(np.ascontiguousarray(values, dtype=np.float32))
        animation.samplers.append(
            gl.AnimationSampler(input=when, output=output, interpolation="LINEAR")
        )

    turns = np.abs(pose.rotations[..., 1:]).max(axis=(0, 2)) > 1e-7
    for joint in range(len(pose.joint_names)):
        if turns[joint]:
            add(joint, "rotation", pose.rotations[:, joint][:, [1, 2, 3, 0]])
        if pose.moves[joint]:
            add(joint, "translation", pose.places[:, joint])
    gltf.animations.append(animation)


class _Data:
    """The binary part, to which arrays are added one behind the other."""

    def __init__(self, gltf: GLTF2) -> None:
        self.gltf = gltf
        self.bytes = bytearray()

    def add(
        self,
        array: np.ndarray,
        *,
        target: int | None = None,
        with_range: bool = False,
        normalized: bool = False,
    ) -> int:
        """The index of a new accessor for `[N, ...]`; `target` says what a GPU buffer it is."""
        import pygltflib as gl

        view = gl.BufferView(
            buffer=0, byteOffset=len(self.bytes), byteLength=array.nbytes, target=target
        )
        self.bytes += array.tobytes()
        self.bytes += bytes(-len(self.bytes) % 4)  # every part starts at a multiple of four
        self.gltf.bufferViews.append(view)
        columns = array.reshape(len(array), -1)
        self.gltf.accessors.append(
            gl.Accessor(
                bufferView=len(self.gltf.bufferViews) - 1,
                componentType=_COMPONENT[array.dtype.name],
                count=len(array),
                type=_TYPE[array.shape[1:]],
                normalized=normalized or None,
                min=_plain(columns.min(axis=0)) if with_range else None,
                max=_plain(columns.max(axis=0)) if with_range else None,
            )
        )
        return len(self.gltf.accessors) - 1


def _plain(values: np.ndarray) -> list[Any]:
    return [float(value) for value in values]


def _linear(colour: Sequence[int]) -> np.ndarray:
    """An sRGB colour (0 to 255) as the linear one (0 to 1) of glTF; IEC 61966-2-1."""
    value = np.asarray(colour) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
