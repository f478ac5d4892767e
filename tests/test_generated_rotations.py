"""Rotations through Everything2Motion: from recordings to codes and back, and into written files.

The recordings show an arm that twists about its own bone, which no position tells.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posed_clips import posed_clip
from public_sets import save
from small_dataset import ingest_here

from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.motion import joint_rotations, skeleton, synthetic, windows
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.export import write_clip
from raydance.motion.forks import t_pose
from raydance.motion.formats import read_clip
from raydance.motion.local_frames import (
    NUM_PLACES,
    from_local,
    joints_known,
    rotations_from_local,
    to_local,
)
from raydance.motion.mapping import map_to_canonical
from raydance.motion.skeleton import INDEX
from raydance.systems import load_run
from raydance.systems.base import LocalRunner
from raydance.systems.everything2motion import patches
from raydance.systems.everything2motion.clip_rows import ClipRows, local_of
from raydance.systems.everything2motion.system import SYSTEM
from raydance.systems.tasks import MotionAnswer
from raydance.training.run_folder import Run

ELBOW = INDEX["left_elbow"]
LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
BODY = tuple(
    joint
    for joint in skeleton.JOINTS
    if joint in ("pelvis", "spine1", "neck") or joint.partition("_")[2] in LIMBS
)
TINY = (
    "sequence_flow.width=16",
    "sequence_flow.num_blocks=1",
    "sequence_flow.heads=2",
    "sequence_flow.train.epochs=1",
    "patch_basis.rotations=true",
    "patch_basis.most=40",
    "patch_basis.explained=0.9999",
    "texts.tokens=8",
)


def twists(number: int) -> np.ndarray:
    """`[64]` radians by which the left forearm of a clip turns about its bone."""
    return np.asarray(0.8 + 0.6 * np.sin(np.arange(64) * (0.05 + 0.02 * number) + number))


def turning_body(number: int) -> Clip:
    """A body in T-pose that turns about the vertical while its left forearm twists."""
    pose = t_pose(BODY)
    parents = skeleton.parents_among([INDEX[joint] for joint in BODY])
    offsets = pose - pose[np.maximum(parents, 0)]
    offsets[0] = 0.0
    turns = np.tile(rot.IDENTITY, (64, len(BODY), 1))
    turns[:, 0] = rot.from_axis_angle(np.array([0.0, 1.0, 0.0]), 0.03 * np.arange(64))
    turns[:, BODY.index("left_elbow")] = rot.from_axis_angle(
        np.array([1.0, 0.0, 0.0]), twists(number)
    )
    root = np.zeros((64, 3))
    root[:, 1] = 0.95 + 0.05 * np.sin(0.3 * np.arange(64) + number)
    return posed_clip(turns, offsets, root, BODY, parents)


def vectors(six: np.ndarray) -> np.ndarray:
    """Rotation vectors of rotations `[..., 6]`."""
    return rot.to_rotation_vector(rot.from_six(six))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("turning")
    told = []
    for number in range(9):
        save(folder / "clips" / f"turn_{number}.bvh", turning_body(number))
        split = {7: "val", 8: "test"}.get(number, "train")
        row = {"file": f"turn_{number}.bvh", "captions": ["a slow turn"], "split": split}
        told.append(json.dumps(row))
    captions = folder / "clips" / "captions.jsonl"
    captions.write_text("\n".join(told), encoding="utf-8")
    settings = Settings(whole_clips=True, window=64, rotations=True)
    data = ingest_here([folder / "clips"], [captions], folder / "data", settings)
    return SYSTEM.train(folder / "run", data, SYSTEM.resolve("quick", list(TINY)), LocalRunner())


@pytest.fixture(scope="module")
def answers(run: Run) -> dict[bool, MotionAnswer]:
    """Generated motion, with cleaned feet and without."""
    generate = load_run(run.path).tasks["generate"]
    options = [{"seconds": 2.0, "clean_feet": is_clean} for is_clean in (True, False)]
    made = generate.answer([generate.request({"text": "a slow turn"}, one) for one in options])
    return dict(zip((True, False), made))


def test_a_turn_that_no_position_tells_survives_the_codes(run: Run) -> None:
    data = Dataset.open(run.datasets["data"]["path"])
    bases = patches.bases_of(run)
    (shard, *_) = data.shards("train")
    rows = data.read_shard(shard)
    folder = run.columns(patches.column_folder(patches.STEP, "data"))
    stored = read_columns(folder / f"{shard.name}.parquet", list(patches.PATCH_CODES.stored_names))
    for is_mirrored, name in enumerate(patches.PATCH_CODES.stored_names):
        codes = np.asarray(stored[name])
        local = patches.decoded(bases, codes, np.zeros(len(codes), dtype=bool), 64)
        joint = INDEX["right_elbow"] if is_mirrored else ELBOW
        found = vectors(rotations_from_local(local)[:, :, joint])
        for vector_T3, clip_id in zip(found, rows["clip_id"]):
            wanted = np.zeros((64, 3))
            wanted[:, 0] = twists(int(str(clip_id).split("_")[-1].removesuffix(".bvh")))
            assert np.abs(wanted).max() > 0.8
            assert np.abs(vector_T3 - wanted).max() < 0.1
        pelvis = vectors(rotations_from_local(local)[:, :, 0])[..., 1]
        sign = -1.0 if is_mirrored else 1.0
        np.testing.assert_allclose(pelvis - sign * 0.03 * np.arange(64), 0.0, atol=0.05)


def test_values_of_frames_do_not_depend_on_the_heading() -> None:
    clip = synthetic.make_clip(synthetic.MOVEMENTS[4], 1)
    mapped = map_to_canonical(clip)
    six = joint_rotations.canonical_rotations(clip, mapped)
    assert six is not None
    motion, mask, angle = mapped.positions[None], mapped.joint_mask[None], np.array([[1.1]])
    local = to_local(motion, mask, six[None])
    turned = windows.rotate_y(motion, angle), mask, joint_rotations.turned(six[None], angle)
    np.testing.assert_allclose(to_local(*turned), local, atol=1e-4)
    assert np.array_equal(local[..., :NUM_PLACES], to_local(motion, mask))
    back = windows.normalise_window(motion, mask)
    np.testing.assert_allclose(from_local(local), back, atol=1e-4)
    faced = windows.heading(motion[:, 0], mask)
    wanted = joint_rotations.turned(six[None], -faced[:, None])
    np.testing.assert_allclose(rotations_from_local(local), wanted, atol=1e-4)


def test_a_row_without_rotations_is_coded_by_its_positions(run: Run) -> None:
    data = Dataset.open(run.datasets["data"]["path"])
    rows = dict(data.read_shard(data.shards("train")[0]))
    num = len(rows["length"])
    told = rows["length"], np.zeros(num, dtype=bool)
    bases = patches.bases_of(run)
    with_rotations = patches.codes_of(bases, *local_of(rows), *told)
    rows["has_rotations"] = np.zeros(num, dtype=bool)
    without = patches.codes_of(bases, *local_of(rows), *told)
    assert not np.allclose(without, with_rotations, atol=0.1)
    rows["rotations"] = np.ones_like(rows["rotations"])
    assert np.array_equal(patches.codes_of(bases, *local_of(rows), *told), without)
    joints, turning = joints_known(local_of(rows)[1])
    assert np.array_equal(joints, rows["joint_mask"]) and not turning.any()
    mean, std = patches.local_statistics(run)
    transform = ClipRows(signals={}, mean=mean, std=std, rotations=True)
    local = transform.plain(rows)["local"]
    assert not local[..., NUM_PLACES:].any() and local[..., :NUM_PLACES].any()


@pytest.mark.parametrize("is_clean", [True, False])
@pytest.mark.parametrize("suffix", [".bvh", ".glb", ".npz"])
def test_files_have_the_generated_rotations(
    answers: dict[bool, MotionAnswer], tmp_path: Path, is_clean: bool, suffix: str
) -> None:
    answer = answers[is_clean]
    assert answer.rotations is not None and answer.rotations.shape == (1, 40, 50, 6)
    written = answer.write(0, tmp_path / f"made{suffix}")
    clip = read_clip(tmp_path / f"made{suffix}")
    assert clip.rotations is not None and clip.offsets is not None
    kept = np.flatnonzero(answer.joint_mask)
    own = [clip.joint_names.index(skeleton.JOINTS[joint]) for joint in kept]
    six = answer.rotations[0][:, kept]
    np.testing.assert_allclose(rot.to_six(clip.rotations[:, own]), six, atol=1e-4)
    columns = six.reshape(*six.shape[:2], 2, 3)
    gram = columns @ np.swapaxes(columns, -1, -2)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(2), gram.shape), atol=1e-5)
    bones = clip.positions[:, 1:] - clip.positions[:, list(clip.parents[1:])]
    assert np.ptp(np.linalg.norm(bones, axis=-1), axis=0).max() < 1e-4
    off = np.linalg.norm(clip.positions[:, own] - answer.motion[0][:, kept], axis=-1)
    assert written.residual is not None
    np.testing.assert_allclose(written.residual.max_m, off.max(), atol=1e-4)
    assert "rotations as generated" in written.notes[0]
    if suffix == ".bvh":  # positions alone leave the forearm's twist open
        replace(answer, rotations=None).write(0, tmp_path / "fitted.bvh")
        fitted = read_clip(tmp_path / "fitted.bvh")
        elbow = clip.joint_names.index("left_elbow")
        assert fitted.rotations is not None and fitted.joint_names == clip.joint_names
        assert not np.allclose(fitted.rotations[:, elbow], clip.rotations[:, elbow], atol=0.2)


def test_legs_reach_cleaned_feet_and_keep_their_twist() -> None:
    clip = synthetic.make_clip(synthetic.MOVEMENTS[4], 1)
    mapped = map_to_canonical(clip)
    six = joint_rotations.canonical_rotations(clip, mapped)
    assert six is not None
    mask, motion = mapped.joint_mask, mapped.positions
    np.testing.assert_allclose(joint_rotations.reaching_feet(six, motion, mask), six, atol=0.01)
    lowered = motion.copy()
    legs = [INDEX[f"left_{joint}"] for joint in ("knee", "ankle", "foot")]
    lowered[:, legs, 2] += 0.05 * np.sin(0.2 * np.arange(len(motion)))[:, None]
    found = joint_rotations.reaching_feet(six, lowered, mask)
    still = [INDEX[joint] for joint in ("pelvis", "spine1", "left_shoulder", "right_knee")]
    np.testing.assert_allclose(found[:, still], six[:, still], atol=0.01)
    kept = np.flatnonzero(mask)
    names, parents = tuple(skeleton.JOINTS[i] for i in kept), skeleton.parents_among(kept.tolist())
    points = replace(
        clip, positions=lowered[:, kept], joint_names=names, parents=parents, rotations=None
    )
    for rotations, most_m in ((found, 0.01), (six, 1.0)):
        posed = joint_rotations.posed(points, rotations[:, kept])
        knee = names.index("left_knee")
        off = np.linalg.norm(posed.positions[:, knee] - lowered[:, INDEX["left_knee"]], axis=-1)
        assert off.mean() < most_m and (off.mean() > 0.02) == (rotations is six)


def test_a_run_without_rotations_in_its_data_is_told_so(tmp_path: Path) -> None:
    write_clip(tmp_path / "clips/a.bvh", turning_body(0))
    settings = Settings(whole_clips=True, window=64)
    data = Dataset.open(ingest_here([tmp_path / "clips"], [], tmp_path / "data", settings))
    config = SYSTEM.resolve("paper", [])
    assert config.patch_basis.rotations
    with pytest.warns(UserWarning, match="no rotations .ingest --rotations."):
        assert not SYSTEM.check(config, {"data": data}).patch_basis.rotations
