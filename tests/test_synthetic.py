"""The procedural dancer: anatomy, floor, truth of its labels and words, and repeatability."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.motion import rotations as quat
from raydance.motion import synthetic_body as body_parts
from raydance.motion.clip import Clip
from raydance.motion.kinematics import DESCRIPTORS, descriptors
from raydance.motion.skeleton import INDEX, JOINTS, PARENTS
from raydance.motion.synthetic import MOVEMENTS, make_clip, make_corpus, write_corpus
from raydance.motion.synthetic_captions import ONE_SIDED, TWO_SIDED
from raydance.motion.synthetic_solve import leg_angles, shoulder_matrix, trunk_angles

NUM_CLIPS = 6
COLUMN = {name: i for i, name in enumerate(DESCRIPTORS)}
BONES = [(j, p) for j, p in enumerate(PARENTS) if p >= 0]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return list(make_corpus(NUM_CLIPS, seed=3))


@pytest.fixture(scope="module")
def measured(clips: list[Clip]) -> dict[str, np.ndarray]:
    """Clip id -> mean descriptor row over its windows."""
    rows = {}
    for clip in clips:
        starts = range(0, clip.num_frames - 49, 20)
        windows = np.stack([clip.positions[s : s + 50] for s in starts])
        rows[clip.clip_id] = descriptors(windows, None, clip.fps).mean(axis=0)
    return rows


def matrices(clip: Clip, joint: str) -> np.ndarray:
    assert clip.rotations is not None
    return quat.to_matrix(clip.rotations[:, INDEX[joint]])


def test_corpus_names_what_it_is(clips: list[Clip]) -> None:
    assert len(MOVEMENTS) >= 12 and len({m.name for m in MOVEMENTS}) == len(MOVEMENTS)
    assert {m.quality for m in MOVEMENTS} == {"fluid", "sharp", "grounded"}
    assert len(clips) == NUM_CLIPS * len(MOVEMENTS)
    assert len({clip.clip_id for clip in clips}) == len(clips)
    for clip in clips:
        assert clip.source == clip.labels["origin"] == "synthetic"
        assert clip.clip_id.startswith(f"synthetic/{clip.labels['movement']}_")
        assert 4.0 - 0.1 <= clip.duration_s <= 6.0
        assert clip.joint_names == JOINTS and np.isfinite(clip.positions).all()


def test_repeats_whatever_the_order_and_differs_by_seed_and_index() -> None:
    first, again = (make_clip(MOVEMENTS[3], 2, seed=5) for _ in range(2))
    among = next(c for c in make_corpus(3, seed=5) if c.clip_id == first.clip_id)
    assert np.array_equal(first.positions, again.positions) and first.captions == again.captions
    assert np.array_equal(first.positions, among.positions) and first.captions == among.captions
    for other in (make_clip(MOVEMENTS[3], 2, seed=6), make_clip(MOVEMENTS[3], 8, seed=5)):
        num_frames = min(first.num_frames, other.num_frames)
        gap = first.positions[:num_frames] - other.positions[:num_frames]
        assert np.abs(gap).max() > 0.05


def test_frame_rate_changes_the_sampling_alone() -> None:
    slow, fast = make_clip(MOVEMENTS[0], 0, fps=20.0), make_clip(MOVEMENTS[0], 0, fps=60.0)
    num_frames = min(slow.num_frames, fast.num_frames // 3)
    gap = slow.positions[:num_frames] - fast.positions[::3][:num_frames]
    assert np.abs(gap).max() < 1e-4


def test_positions_are_the_forward_kinematics_of_the_rotations(clips: list[Clip]) -> None:
    for clip in clips[::NUM_CLIPS]:
        assert clip.rotations is not None and clip.offsets is not None
        assert np.allclose(np.linalg.norm(clip.rotations, axis=-1), 1, atol=1e-5)
        translations = np.broadcast_to(clip.offsets, clip.positions.shape).copy()
        translations[:, 0] = clip.positions[:, 0]
        again = quat.forward_kinematics(clip.rotations, translations, clip.parents)
        assert np.abs(again - clip.positions).max() < 1e-4


def test_bones_keep_their_length(clips: list[Clip]) -> None:
    for clip in clips:
        bones = np.stack([clip.positions[:, j] - clip.positions[:, p] for j, p in BONES], axis=1)
        lengths = np.linalg.norm(bones, axis=-1)
        assert np.ptp(lengths, axis=0).max() < 1e-4


def test_bodies_are_symmetric_and_of_human_height() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        body = body_parts.make_body(rng)
        left = body.offsets[[INDEX[n] for n in JOINTS if n.startswith("left_")]]
        right = body.offsets[[INDEX[n] for n in JOINTS if n.startswith("right_")]]
        assert np.allclose(left * (-1, 1, 1), right)
        trunk = sum(body.offsets[INDEX[n], 1] for n in ("spine1", "spine2", "spine3", "neck"))
        assert 1.1 < body.standing_height + trunk < 1.75


def test_no_foot_below_the_floor_and_one_near_it(clips: list[Clip]) -> None:
    feet = [INDEX[f"{s}_{j}"] for s in ("left", "right") for j in ("ankle", "foot")]
    for clip in clips:
        lowest = clip.positions[..., 1].min(axis=1)
        assert lowest.min() > -1e-4, clip.clip_id
        assert np.quantile(clip.positions[:, feet, 1].min(axis=1), 0.2) < 0.06, clip.clip_id


@pytest.mark.parametrize("name", ["squat", "weight_shift", "hip_circle", "crouch_rise", "punch"])
def test_planted_feet_do_not_slide(name: str) -> None:
    movement = next(m for m in MOVEMENTS if m.name == name)
    clip = make_clip(movement, 1)
    for side in ("left", "right"):
        assert np.ptp(clip.positions[:, INDEX[f"{side}_foot"]], axis=0).max() < 0.01


def test_a_walking_foot_stands_still_while_it_is_down() -> None:
    walk = next(m for m in MOVEMENTS if m.name == "walk")
    clip = make_clip(walk, 0)
    for side in ("left", "right"):
        foot = clip.positions[:, INDEX[f"{side}_foot"]]
        moved = np.linalg.norm(np.diff(foot[:, [0, 2]], axis=0), axis=-1) * clip.fps
        assert (moved < 0.05).mean() > 0.35
        assert moved[foot[1:, 1] > 0.06].max() > 0.8
    assert np.linalg.norm(np.ptp(clip.positions[:, 0, [0, 2]], axis=0)) > 1.0


def within(degrees: np.ndarray, limits: tuple, slack: float = 0.2) -> bool:
    low, high = np.array(limits).T
    return bool((degrees > low - slack).all() and (degrees < high + slack).all())


def test_joints_stay_within_their_limits(clips: list[Clip]) -> None:
    for clip in clips:
        for joint, limits in body_parts.TRUNK_LIMITS.items():
            assert within(trunk_angles(matrices(clip, joint)), limits), (clip.clip_id, joint)
        for side, sign in (("left", 1), ("right", -1)):
            for joint, limits in body_parts.LEG_LIMITS.items():
                degrees = leg_angles(matrices(clip, f"{side}_{joint}")) * (1, sign, sign)
                assert within(degrees, limits), (clip.clip_id, side, joint)
            elbow = matrices(clip, f"{side}_elbow")
            bend = np.degrees(np.arctan2(elbow[:, 2, 0], elbow[:, 0, 0])) * sign
            assert within(bend[:, None], (body_parts.ELBOW_LIMIT,)), (clip.clip_id, side)
            collar = matrices(clip, f"{side}_collar")
            arm = (collar @ matrices(clip, f"{side}_shoulder"))[..., 0]
            # Rest arms point to +x on the left and to -x on the right: the mirror image is equal.
            outward = arm * (1, sign, sign)
            cosine = outward @ body_parts.SHOULDER_CENTRE
            assert cosine.min() > np.cos(np.radians(body_parts.SHOULDER_CONE + 0.5)), clip.clip_id


def test_impossible_poses_are_clamped() -> None:
    backwards = shoulder_matrix(np.array([-0.6, 0.01, -0.8]), np.array(0.0))[:, 0]
    angle = np.degrees(np.arccos(backwards @ body_parts.SHOULDER_CENTRE))
    assert angle == pytest.approx(body_parts.SHOULDER_CONE)


def test_no_joint_jumps(clips: list[Clip]) -> None:
    """A flip of a joint would turn it by much within one frame."""
    for clip in clips:
        assert clip.rotations is not None
        dots = np.sum(clip.rotations[1:] * clip.rotations[:-1], axis=-1).clip(-1, 1)
        assert np.degrees(2 * np.arccos(dots)).max() < 95, clip.clip_id


def test_left_and_right_are_true(clips: list[Clip], measured: dict[str, np.ndarray]) -> None:
    column = {"arm": "arm_side", "leg": "leg_side", "turn": "turn"}
    leads = {m.name: m.lead for m in MOVEMENTS if m.lead}
    seen = set()
    for clip in clips:
        side, name = clip.labels["side"], clip.labels["movement"]
        if side == "both":
            continue
        value = measured[clip.clip_id][COLUMN[column[leads[name]]]]
        assert value * (1 if side == "left" else -1) > 0.1, (clip.clip_id, side, value)
        seen.add((name, side))
    assert len(seen) == 2 * len(leads)


def test_qualities_differ(clips: list[Clip], measured: dict[str, np.ndarray]) -> None:
    def mean(quality: str, name: str) -> float:
        rows = [measured[c.clip_id] for c in clips if c.labels["quality"] == quality]
        return float(np.mean(rows, axis=0)[COLUMN[name]])

    assert mean("sharp", "attack") > 2 * mean("fluid", "attack")
    assert mean("sharp", "peak_acceleration") > 3 * mean("fluid", "peak_acceleration")
    assert mean("sharp", "stillness") > mean("fluid", "stillness") + 0.2
    for other in ("fluid", "sharp"):
        assert mean("grounded", "pelvis_height") < mean(other, "pelvis_height") - 0.1
        assert mean("grounded", "leg_bend") > 2 * mean(other, "leg_bend")


def test_templates_cover_every_movement_and_side() -> None:
    for movement in MOVEMENTS:
        for side in movement.sides:
            templates = (TWO_SIDED if side == "both" else ONE_SIDED)[movement.name]
            assert len(templates) >= 6 and len(set(templates)) == len(templates)
    for templates in (*ONE_SIDED.values(), *TWO_SIDED.values()):
        assert not any(re.search(r"\b(left|right)\b", text) for text in templates)


def test_captions_are_truthful_and_varied(clips: list[Clip]) -> None:
    every: list[str] = []
    for clip in clips:
        assert 2 <= len(set(clip.captions)) == len(clip.captions) <= 3
        side = clip.labels["side"]
        words = set(re.findall(r"[a-z]+", " ".join(clip.captions)))
        if side == "both":
            assert not words & {"left", "right"}
        else:
            assert side in words
        wrong = {"slow": {"fast", "quickly"}, "fast": {"slow", "slowly"}}
        assert not words & wrong.get(clip.labels["tempo"], set())
        assert not any(re.search(r"[\[\]{}|]|  ", text) for text in clip.captions)
        every += clip.captions
    assert len(set(every)) > 0.8 * len(every)


def test_written_library_can_be_read_back(tmp_path: Path) -> None:
    assert write_corpus(tmp_path, 1, seed=2) == len(MOVEMENTS)
    lines = [json.loads(x) for x in (tmp_path / "captions.jsonl").read_text().splitlines()]
    assert len(lines) == len(MOVEMENTS) == len(list(tmp_path.glob("*.npz")))
    expected = make_clip(MOVEMENTS[0], 0, seed=2)
    assert lines[0]["clip"] == expected.clip_id and "split" not in lines[0]
    assert tuple(lines[0]["captions"]) == expected.captions
    with np.load(tmp_path / lines[0]["file"], allow_pickle=False) as data:
        assert np.array_equal(data["positions"], expected.positions)
        assert tuple(data["joint_names"].tolist()) == JOINTS and float(data["fps"]) == 20.0
    labels = json.loads((tmp_path / lines[0]["file"]).with_suffix(".json").read_text())
    assert labels == dict(expected.labels)


def test_refuses_counts_and_rates_out_of_range() -> None:
    with pytest.raises(InputError, match="at least 1"):
        next(make_corpus(0))
    with pytest.raises(InputError, match="10 to 240"):
        next(make_corpus(1, fps=1.0))
