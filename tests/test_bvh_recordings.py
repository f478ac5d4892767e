"""The BVH reader on real recordings: against readers that are not ours, and against the tree."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from raydance.motion.formats import bvh


def _independent_positions(path: Path, reader: str) -> tuple[list[str], np.ndarray]:
    """Joint names and positions in file units, from a reader that is not ours."""
    if reader == "pybvh":
        pybvh = pytest.importorskip("pybvh")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            motion = pybvh.read_bvh_file(path)
        return [node.name for node in motion.nodes], np.asarray(motion.node_positions())
    module = pytest.importorskip("pymotion.io.bvh")
    skeleton = pytest.importorskip("pymotion.ops.skeleton")
    motion = module.BVH()
    motion.load(str(path))
    rotations, places, parents, offsets, _, _ = motion.get_data()
    return motion.data["names"], skeleton.fk(rotations, places[:, 0], offsets, parents)[0]


@pytest.mark.parametrize("reader", ["pybvh", "pymotion"])
@pytest.mark.parametrize("name", ["02_03", "49_08", "16_21", "131_03"])
def test_independent_readers_agree_on_cmu(shared_data: Path, reader: str, name: str) -> None:
    path = shared_data / "cmu_bvh" / "bvh" / f"{name}.bvh"
    names, positions = _independent_positions(path, reader)
    clip, scale = bvh.read_with_scale(path)
    ours = [i for i, joint in enumerate(names) if joint in clip.joint_names]
    assert len(ours) == 31
    columns = [clip.joint_names.index(names[i]) for i in ours]
    error = np.abs(clip.positions[:, columns] - positions[:, ours] * scale.metres_per_unit)
    assert error.max() < 1e-5


def test_bandai_against_a_plain_walk_up_the_tree(shared_data: Path) -> None:
    # No independent reader serves here: pybvh refuses position channels below the root, and
    # pymotion ignores them, which leaves the body metres away from where it walks.
    path = shared_data / "bandai_bvh" / "data" / "dataset-1_walk_normal_001.bvh"
    lines = path.read_text().splitlines()
    names = [line.split()[1] for line in lines if line.split()[0] in ("ROOT", "JOINT")]
    chain = ["joint_Root", "Hips", "Spine", "Chest", "Shoulder_L", "UpperArm_L", "LowerArm_L"]
    chain.append("Hand_L")
    first = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    clip = bvh.read(path)
    for frame in (0, 100):
        row = np.array(lines[first + frame].split(), dtype=float).reshape(len(names), 6)
        point = np.zeros(3)
        for joint in reversed(chain):
            x, y, z, *angles = row[names.index(joint)]
            turn = Rotation.from_euler("ZXY", angles, degrees=True)
            point = turn.apply(point) + np.array([x, y, z])
        ours = clip.positions[frame, clip.joint_names.index("Hand_L")]
        assert np.allclose(ours, 0.01 * point, atol=1e-5)


def test_units_and_up_axis_of_every_real_file(shared_data: Path) -> None:
    # The height of the hips checks both at once, without the body sizes that detection uses.
    facts = {}
    with open(shared_data / "cmu_bvh" / "captions.jsonl") as file:
        for entry in map(json.loads, file):
            facts[Path(entry["file"]).name] = entry["metres_per_unit"]
    paths = sorted((shared_data / "cmu_bvh" / "bvh").glob("*.bvh"))[::8]
    paths += sorted((shared_data / "bandai_bvh" / "data").glob("*.bvh"))[::5]
    assert len(paths) > 20
    for path in paths:
        clip, scale = bvh.read_with_scale(path)
        assert scale.metres_per_unit == pytest.approx(facts.get(path.name, 0.01), rel=1e-4), path
        assert (scale.up, scale.doubts) == ("y", ()), path
        hips = clip.positions[:, clip.joint_names.index("Hips"), 1]
        assert 0.75 < np.median(hips) < 1.1, path
