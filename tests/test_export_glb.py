"""GLB files: read back with pygltflib and evaluated here, by Khronos' validator, and by Blender."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib as gl
import pytest

from raydance.errors import InputError
from raydance.motion import skeleton, synthetic
from raydance.motion.clip import Clip
from raydance.motion.export import glb
from raydance.motion.formats import read_clip

ROOT = Path(__file__).parents[1]
VALIDATOR = ROOT / "raydance" / "web" / "node_modules" / "gltf-validator"
KICK = synthetic.make_clip(
    next(m for m in synthetic.MOVEMENTS if m.name == "high_kick"), 0, fps=30.0
)
BARE = replace(KICK, rotations=None, offsets=None)
DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def array(gltf: gl.GLTF2, accessor: int) -> np.ndarray:
    """An accessor's values `[N, width]`, by the specification alone."""
    a = gltf.accessors[accessor]
    view = gltf.bufferViews[a.bufferView]
    width = WIDTHS[a.type]
    values = np.frombuffer(
        gltf.binary_blob(), DTYPES[a.componentType], a.count * width, view.byteOffset
    )
    return values.reshape(a.count, width)


def matrix(quaternion_xyzw: np.ndarray) -> np.ndarray:
    """`[3, 3]`, by Rodrigues' formula rather than the package's own."""
    x, y, z, w = quaternion_xyzw
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * k + 2 * k @ k


def worlds(gltf: gl.GLTF2, key: int) -> dict[int, np.ndarray]:
    """World matrices `[4, 4]` of every node at one key of the animation."""
    local = {}
    for i, node in enumerate(gltf.nodes):
        local[i] = np.eye(4)
        local[i][:3, 3] = node.translation or [0, 0, 0]
    animation = gltf.animations[0]
    for channel in animation.channels:
        values = array(gltf, animation.samplers[channel.sampler].output)[key].astype(float)
        if channel.target.path == "rotation":
            local[channel.target.node][:3, :3] = matrix(values)
        else:
            local[channel.target.node][:3, 3] = values
    found = {}

    def walk(node: int, above: np.ndarray) -> None:
        found[node] = above @ local[node]
        for child in gltf.nodes[node].children or []:
            walk(child, found[node])

    for root in gltf.scenes[gltf.scene].nodes:
        walk(root, np.eye(4))
    return found


def load(path: Path) -> gl.GLTF2:
    gltf = gl.GLTF2().load_binary(path)
    assert gltf is not None
    return gltf


@pytest.mark.parametrize("clip", [KICK, BARE], ids=["rotations", "positions"])
def test_animation_puts_joints_where_the_clip_has_them(tmp_path: Path, clip: Clip) -> None:
    written = glb.write(tmp_path / "a.glb", clip)
    gltf = load(tmp_path / "a.glb")
    assert [gltf.nodes[i].name for i in gltf.skins[0].joints] == list(clip.joint_names)
    for key in (0, 31, clip.num_frames - 1):
        world = worlds(gltf, key)
        places = np.array([world[node][:3, 3] for node in gltf.skins[0].joints])
        np.testing.assert_allclose(places, clip.positions[key], atol=1e-4)
    assert written.residual is not None and written.residual.max_m < 1e-4
    assert bool(written.notes) is (clip is BARE)
    times = array(gltf, gltf.animations[0].samplers[0].input)[:, 0]
    np.testing.assert_allclose(times, np.arange(clip.num_frames) / 30.0, rtol=1e-6)
    assert gltf.scenes[0].extras["fps"] == 30.0
    assert gltf.scenes[0].extras["caption"] == clip.captions[0]
    assert gltf.scenes[0].extras["source"] == "synthetic"
    assert (tmp_path / "a.glb").stat().st_size < 300_000


def test_rotations_are_kept_and_not_fitted(tmp_path: Path) -> None:
    glb.write(tmp_path / "a.glb", KICK)
    gltf = load(tmp_path / "a.glb")
    animation = gltf.animations[0]
    assert KICK.rotations is not None
    for channel in animation.channels:
        if channel.target.path == "rotation":
            values = array(gltf, animation.samplers[channel.sampler].output)
            kept = KICK.rotations[:, channel.target.node][:, [1, 2, 3, 0]]
            assert np.abs(np.sum(values * kept, axis=-1)).min() > 1 - 1e-5
    moved = [c.target.node for c in animation.channels if c.target.path == "translation"]
    assert moved == [0]  # bones do not stretch


@pytest.mark.parametrize("name", ["cmu_bvh/bvh/49_08", "bandai_bvh/data/dataset-1_run_old_001"])
def test_recordings_of_any_skeleton(shared_data: Path, tmp_path: Path, name: str) -> None:
    clip = read_clip(shared_data / f"{name}.bvh")
    glb.write(tmp_path / "a.glb", clip)
    gltf = load(tmp_path / "a.glb")
    key = clip.num_frames // 2
    world = worlds(gltf, key)
    places = np.array([world[node][:3, 3] for node in gltf.skins[0].joints])
    np.testing.assert_allclose(places, clip.positions[key], atol=1e-4)
    sides = {gltf.materials[p.material].name for p in gltf.meshes[0].primitives}
    assert sides == {"left", "right", "middle"}


def test_skin_follows_the_bones(tmp_path: Path) -> None:
    glb.write(tmp_path / "a.glb", BARE)
    gltf = load(tmp_path / "a.glb")
    skin = gltf.skins[0]
    inverse = array(gltf, skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    rest = {}
    for node in skin.joints:
        parent = next((i for i in skin.joints if node in (gltf.nodes[i].children or [])), None)
        above = rest[parent] if parent is not None else np.zeros(3)
        rest[node] = above + np.array(gltf.nodes[node].translation)
    for joint, node in enumerate(skin.joints):
        np.testing.assert_allclose(inverse[joint][:3, 3], -rest[node], atol=1e-6)
    index = skeleton.INDEX  # the T-pose stands on the floor and faces +z
    assert min(place[1] for place in rest.values()) == pytest.approx(0.0, abs=1e-6)
    assert rest[index["left_wrist"]][0] > 0.5 and rest[index["left_foot"]][2] > 0.05
    # In any frame a point of a shin is as far from the knee as its capsule is thick.
    primitive = next(p for p in gltf.meshes[0].primitives)
    points = array(gltf, primitive.attributes.POSITION)
    joints = array(gltf, primitive.attributes.JOINTS_0)[:, 0]
    weights = array(gltf, primitive.attributes.WEIGHTS_0)
    assert (weights == [255, 0, 0, 0]).all()
    world = worlds(gltf, 40)
    knee, ankle = index["left_knee"], index["left_ankle"]
    mine = np.flatnonzero(joints == knee)
    here = (world[knee] @ inverse[knee] @ np.c_[points[mine], np.ones(len(mine))].T)[:3].T
    a, b = BARE.positions[40, knee], BARE.positions[40, ankle]
    along = np.clip((here - a) @ (b - a) / np.sum((b - a) ** 2), 0, 1)
    away = np.linalg.norm(here - a - along[:, None] * (b - a), axis=-1)
    assert len(mine) > 20 and 0.03 < away.min() and away.max() < 0.06


def test_triangles_face_outwards_and_sides_are_apart(tmp_path: Path) -> None:
    glb.write(tmp_path / "a.glb", BARE)
    gltf = load(tmp_path / "a.glb")
    for primitive in gltf.meshes[0].primitives:
        points = array(gltf, primitive.attributes.POSITION)
        normals = array(gltf, primitive.attributes.NORMAL)
        corners = array(gltf, primitive.indices).reshape(-1, 3)
        a, b, c = (points[corners[:, i]] for i in range(3))
        facing = np.sum(np.cross(b - a, c - a) * normals[corners].mean(axis=1), axis=-1)
        assert (facing > 0).all()
        side = gltf.materials[primitive.material].name
        joints = array(gltf, primitive.attributes.JOINTS_0)[corners.ravel(), 0]
        if side != "middle":
            other = {"left": "right", "right": "left"}[side]
            assert not any(skeleton.JOINTS[j].startswith(other) for j in set(joints.tolist()))


def test_joints_that_slide_get_translations(tmp_path: Path) -> None:
    stretched = BARE.positions.copy()
    moved = skeleton.INDEX["left_hip"]
    leg = [skeleton.INDEX[f"left_{part}"] for part in ("hip", "knee", "ankle", "foot")]
    stretched[:, leg, 0] += np.linspace(0, 0.4, len(stretched))[:, None]
    glb.write(tmp_path / "a.glb", replace(BARE, positions=stretched), limits=False)
    gltf = load(tmp_path / "a.glb")
    channels = gltf.animations[0].channels
    assert {c.target.node for c in channels if c.target.path == "translation"} == {0, moved}
    np.testing.assert_allclose(worlds(gltf, 60)[moved][:3, 3], stretched[60, moved], atol=1e-4)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    broken = BARE.positions.copy()
    broken[3, 4, 0] = np.inf
    with pytest.raises(InputError, match="finite"):
        glb.write(tmp_path / "a.glb", replace(BARE, positions=broken))
    with pytest.raises(InputError, match="no frames"):
        glb.write(tmp_path / "a.glb", replace(BARE, positions=broken[:0]))
    assert not list(tmp_path.iterdir())


VALIDATE = """
const validator = require(process.argv[1]), fs = require("fs");
const bytes = new Uint8Array(fs.readFileSync(process.argv[2]));
validator.validateBytes(bytes).then(report => console.log(JSON.stringify(report)));
"""


@pytest.mark.parametrize("num_joints", [1, 22, 50])
def test_khronos_validator_finds_nothing(tmp_path: Path, num_joints: int) -> None:
    node = shutil.which("node")
    if node is None or not VALIDATOR.is_dir():
        pytest.skip("needs node, and `npm install` in raydance/web (gltf-validator)")
    path = tmp_path / "a.glb"
    clip = replace(
        BARE,
        joint_names=BARE.joint_names[:num_joints],
        parents=BARE.parents[:num_joints],
        positions=BARE.positions[:, :num_joints],
    )
    glb.write(path, clip)
    done = subprocess.run(
        [node, "-e", VALIDATE, VALIDATOR, path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["issues"]["messages"] == []
    assert report["info"]["animationCount"] == 1 and report["info"]["hasSkins"]


def test_blender_imports_it(tmp_path: Path) -> None:
    bpy = pytest.importorskip("bpy", reason="Blender as a module is not installed (bpy)")
    path = tmp_path / "a.glb"
    glb.write(path, KICK)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = 30
    bpy.ops.import_scene.gltf(filepath=str(path))
    rig = next(thing for thing in scene.objects if thing.type == "ARMATURE")
    assert len(rig.data.bones) == 50
    last = KICK.num_frames - 1
    assert tuple(rig.animation_data.action.frame_range) == pytest.approx((0, last), abs=1e-3)
    for frame in (0, 40, last):
        scene.frame_set(frame)
        posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for bone in posed.pose.bones:
            x, y, z = (posed.matrix_world @ bone.matrix).to_translation()
            ours = KICK.positions[frame, skeleton.INDEX[bone.name]]  # Blender's z is up
            np.testing.assert_allclose((x, z, -y), ours, atol=1e-4)
