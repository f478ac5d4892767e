"""The BVH writer: what it writes is what was given, and other tools read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posed_clips import posed_clip

from raydance.errors import InputError
from raydance.motion import rotations as rot
from raydance.motion import skeleton
from raydance.motion.clip import Clip
from raydance.motion.export import bvh as export
from raydance.motion.formats import bvh
from raydance.motion.units import LENGTHS

REAL = (
    "cmu_bvh/bvh/49_08",  # cartwheel
    "cmu_bvh/bvh/131_03",
    "bandai_bvh/data/dataset-1_run_old_001",
)


def _random_clip(num_frames: int = 7, seed: int = 0) -> Clip:
    """A body of 50 canonical joints in wild postures."""
    rng = np.random.default_rng(seed)
    offsets = rng.normal(size=(50, 3)) * 0.15
    offsets[0] = 0.0
    turns = rot.normalise(rng.normal(size=(num_frames, 50, 4)))
    return posed_clip(turns, offsets, rng.normal(size=(num_frames, 3)))


def _error(written: Clip, clip: Clip) -> float:
    columns = [written.joint_names.index(name) for name in clip.joint_names]
    return float(np.abs(written.positions[:, columns] - clip.positions).max())


@pytest.mark.parametrize("name", REAL)
def test_real_clips_survive_a_round_trip(shared_data: Path, tmp_path: Path, name: str) -> None:
    clip = bvh.read(shared_data / f"{name}.bvh")
    residual = export.write(tmp_path / "out.bvh", clip).residual
    written, scale = bvh.read_with_scale(tmp_path / "out.bvh")
    assert (scale.unit, scale.up, written.fps) == ("cm", "y", clip.fps)
    assert residual.mean_m <= residual.max_m < 1e-4
    assert _error(written, clip) < 1e-4
    assert written.joint_names == clip.joint_names and written.parents == clip.parents
    assert clip.rotations is not None and written.rotations is not None
    cosines = np.abs(np.sum(written.rotations * clip.rotations, axis=-1))
    assert cosines.min() > 1.0 - 1e-5


@pytest.mark.parametrize("name", REAL)
def test_positions_alone_get_fitted_rotations(shared_data: Path, tmp_path: Path, name: str) -> None:
    clip = bvh.read(shared_data / f"{name}.bvh")
    bare = replace(clip, rotations=None, offsets=None)
    residual = export.write(tmp_path / "out.bvh", bare).residual
    # Real bones are rigid, so nothing is lost but the twist, and thumbs of CMU's that flip between
    # two frames.
    assert residual.mean_m < 1e-3 and residual.max_m < 0.03
    assert _error(bvh.read(tmp_path / "out.bvh"), clip) < residual.max_m + 1e-3


def test_wild_rotations_survive(tmp_path: Path) -> None:
    clip = _random_clip()
    for unit, metres in LENGTHS.items():
        export.write(tmp_path / "out.bvh", clip, unit=unit)
        written = bvh.read(tmp_path / "out.bvh", units=metres, up="y")
        assert _error(written, clip) < 1e-4
        assert written.fps == 20.0


@pytest.mark.parametrize("name", REAL)
def test_z_up_and_metres_are_the_same_motion(shared_data: Path, tmp_path: Path, name: str) -> None:
    clip = bvh.read(shared_data / f"{name}.bvh")
    export.write(tmp_path / "out.bvh", clip, unit="m", up="z")
    written, scale = bvh.read_with_scale(tmp_path / "out.bvh", units=1.0)
    assert scale.up == "z"  # as the body itself shows
    assert _error(written, clip) < 1e-4
    assert clip.rotations is not None and written.rotations is not None
    assert np.abs(np.sum(written.rotations * clip.rotations, axis=-1)).min() > 1.0 - 1e-5
    as_it_is = bvh.read(tmp_path / "out.bvh", units=1.0, up="y")
    np.testing.assert_allclose(as_it_is.positions[..., 2], written.positions[..., 1], atol=1e-5)
    np.testing.assert_allclose(as_it_is.positions[..., 1], -written.positions[..., 2], atol=1e-5)


def test_soft_bones_report_their_residual(tmp_path: Path, shared_data: Path) -> None:
    joints = np.load(shared_data / "humanml3d" / "012314_new_joints.npy").astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.005, joints.shape).astype(np.float32)
    clip = Clip(
        clip_id="soft",
        source="test",
        fps=20.0,
        joint_names=skeleton.JOINTS[:22],
        parents=skeleton.PARENTS[:22],
        positions=joints + noise,
    )
    residual = export.write(tmp_path / "out.bvh", clip).residual
    assert 0.001 < residual.mean_m < 0.02
    written = bvh.read(tmp_path / "out.bvh")
    columns = [written.joint_names.index(name) for name in clip.joint_names]
    distance = np.linalg.norm(written.positions[:, columns] - clip.positions, axis=-1)
    assert distance.mean() == pytest.approx(residual.mean_m, rel=1e-3)
    assert distance.max() == pytest.approx(residual.max_m, rel=1e-3)
    # Every bone keeps one length: the median of the clip's.
    knee, hip = clip.joint_names.index("left_knee"), clip.joint_names.index("left_hip")
    lengths = np.linalg.norm(clip.positions[:, knee] - clip.positions[:, hip], axis=-1)
    bone = written.positions[:, columns[knee]] - written.positions[:, columns[hip]]
    assert np.allclose(np.linalg.norm(bone, axis=-1), np.median(lengths), atol=1e-5)


def test_bones_that_stretch_far_get_places_of_their_own(tmp_path: Path) -> None:
    clip = replace(_random_clip(), rotations=None, offsets=None)
    breath = 1.0 + 0.2 * np.sin(np.arange(clip.num_frames))[:, None, None]
    soft = replace(clip, positions=(clip.positions * breath).astype(np.float32))
    written = export.write(tmp_path / "out.bvh", soft)
    assert written.residual.max_m <= 0.025 + 1e-6
    assert "joints are moved off the ends of their bones" in written.notes[1]
    back = bvh.read(tmp_path / "out.bvh", units=0.01, up="y")
    columns = [back.joint_names.index(name) for name in soft.joint_names]
    off = np.linalg.norm(back.positions[:, columns] - soft.positions, axis=-1)
    assert off.max() < 0.026


def test_masked_joints_are_left_out(tmp_path: Path) -> None:
    clip = replace(_random_clip(), rotations=None, offsets=None)
    mask = np.ones(50, bool)
    mask[skeleton.INDEX["spine2"]] = False
    mask[22:] = False
    positions = clip.positions.copy()
    positions[:, ~mask] = np.nan
    export.write(tmp_path / "out.bvh", replace(clip, positions=positions), joint_mask=mask)
    written = bvh.read(tmp_path / "out.bvh", units=0.01, up="y")
    names = [name for name in written.joint_names if not name.endswith("_end")]
    assert sorted(names) == sorted(np.array(skeleton.JOINTS)[mask])
    parent = written.parents[written.joint_names.index("spine3")]
    assert written.joint_names[parent] == "spine1"


def test_independent_readers_open_it(tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh")
    path = tmp_path / "out.bvh"
    clip = _random_clip()
    export.write(path, clip)
    motion = pybvh.read_bvh_file(path, world_up="+y")
    names = [node.name for node in motion.nodes]
    positions = np.asarray(motion.node_positions())
    columns = [names.index(name) for name in clip.joint_names]
    assert np.abs(0.01 * positions[:, columns] - clip.positions).max() < 1e-4


def test_euler_angles_do_not_jump(tmp_path: Path) -> None:
    angles = np.linspace(0, 4 * np.pi, 60)
    turns = rot.from_axis_angle(np.array([0.0, 1.0, 0.0]), angles)[:, None]
    clip = Clip(
        clip_id="spin",
        source="test",
        fps=30.0,
        joint_names=("pelvis",),
        parents=(-1,),
        positions=np.zeros((60, 1, 3), np.float32),
        rotations=turns,
        offsets=np.zeros((1, 3)),
    )
    export.write(tmp_path / "out.bvh", clip)
    rows = (tmp_path / "out.bvh").read_text().split("Frame Time:")[1].splitlines()[1:]
    values = np.array([row.split() for row in rows], dtype=float)
    assert np.abs(np.diff(values, axis=0)).max() < 15.0
    assert values[-1].max() == pytest.approx(720.0, abs=1e-3)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.bvh"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        export.write(path, _random_clip())
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    clip = _random_clip()
    bare = replace(clip, rotations=None, offsets=None)
    broken = clip.positions.copy()
    broken[0, 0, 0] = np.nan
    cases = [
        (clip, {"unit": "feet"}, "allowed: m, cm"),
        (clip, {"up": "x"}, "allowed: y, z"),
        (replace(clip, fps=0.0), {}, "frames per second"),
        (replace(bare, positions=broken), {}, "finite"),
        (replace(bare, positions=clip.positions[:0]), {}, "no frames"),
        (replace(bare, parents=(-1, -1, *clip.parents[2:])), {}, "2 root joints"),
        (bare, {"joint_mask": [True]}, "1 values"),
        (clip, {"joint_mask": np.arange(50) < 22}, "has rotations"),
    ]
    for bad, kwargs, words in cases:
        with pytest.raises(InputError, match=words):
            export.write(tmp_path / "out.bvh", bad, **kwargs)
    assert not list(tmp_path.iterdir())
