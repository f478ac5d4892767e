"""Steering and bodies: absent joints, poses of other bodies, reach, and what candidates report."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import raydance
from raydance.errors import InputError
from raydance.motion import export, normalise, skeleton
from raydance.motion.basis import fit_basis, metric
from raydance.motion.clip import Clip, generated_clip
from raydance.systems.constraints import Equations, Wanted, settle
from raydance.systems.dance_language import generation
from raydance.systems.dance_language.run import DanceLanguage
from raydance.systems.dance_language.steered_body import Body
from raydance.systems.dance_language.steered_windows import world_basis
from raydance.systems.steering import JointPath, Keyframe, Steering

SENTENCE = "a dancer walks forward"
J = skeleton.NUM_JOINTS


@pytest.fixture(scope="module")
def system(tiny_run: Path) -> DanceLanguage:
    return raydance.load(tiny_run)


@pytest.fixture(scope="module")
def pose(system: DanceLanguage) -> Clip:
    motion = system.generate("a deep squat", seed=5, source="nearest")[0]
    return generated_clip(motion, system.joint_mask, system.fps, "squat", "a deep squat")


# Joints that the data lack


@pytest.fixture(scope="module")
def few_joints() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The basis in metres of random windows with the 22 joints of the body, and their mask."""
    mask = np.zeros(J, dtype=bool)
    mask[: skeleton.NUM_BODY_JOINTS] = True
    network = np.random.default_rng(0).normal(size=(40, 6, J, 3)) * mask[:, None]
    statistics = normalise.Statistics(mean=np.full((1, 1), 0.3), std=np.full((1, 1), 0.5))
    basis = fit_basis(
        network.astype(np.float32),
        np.repeat(mask[None], 40, axis=0),
        metric(statistics, "root_channel", mask),
        8,
    )
    return *world_basis(basis, statistics, "root_channel"), mask


def test_absent_joints_do_not_move_with_the_pelvis(few_joints: tuple[np.ndarray, ...]) -> None:
    components, mean, mask = few_joints
    assert components[:, :, mask].any(axis=(0, 1, 3)).all()
    assert not components[:, :, ~mask].any() and not mean[:, ~mask].any()


def test_a_pose_of_all_joints_of_the_data_is_told_to_the_flow(
    few_joints: tuple[np.ndarray, ...],
) -> None:
    components, mean, mask = few_joints
    weight = np.zeros((6, J, 3))
    weight[2, mask] = 1.0
    weight[4, mask] = 1.0
    weight[4, 5] = 0.0  # one joint is open: no whole pose
    wanted = Wanted(target=mean[None], weight=weight, is_relative=np.zeros(6, dtype=bool))
    flags = Equations(components, mean, wanted).flags
    assert np.flatnonzero(flags[:6]).tolist() == [2]


def test_a_loop_may_end_elsewhere_though_joints_are_absent() -> None:
    components = np.zeros((1, 6, 3, 3))  # one coefficient: the body goes on along x
    components[0, :, :2, 0] = np.arange(6.0)[:, None]
    nothing = Wanted(
        target=np.zeros((1, 6, 3, 3)),
        weight=np.zeros((6, 3, 3)),
        is_relative=np.zeros(6, dtype=bool),
        loop=5,
    )
    equations = Equations(components, np.zeros((6, 3, 3)), nothing)
    assert len(equations.rows_MK) and not equations.rows_MK.any()


# Bodies of other sizes


def bones(motion: np.ndarray, mask: np.ndarray) -> np.ndarray:
    kept = np.flatnonzero(mask)
    parents = np.array(skeleton.parents_among(kept.tolist()))
    child = np.flatnonzero(parents >= 0)
    return np.linalg.norm(motion[:, kept[child]] - motion[:, kept[parents[child]]], axis=-1)


def test_a_larger_body_is_rebuilt_with_the_bones_of_the_run() -> None:
    rng = np.random.default_rng(0)
    rest = rng.normal(size=(J, 3))
    mask = np.ones(J, dtype=bool)
    body = Body(np.repeat(rest[None], 5, axis=0), mask)
    motion = np.repeat(rest[None], 4, axis=0) + np.arange(4.0)[:, None, None] * [1.0, 0.0, 0.0]
    same, factor = body.fitted(motion, mask)
    assert factor == 1.0 and same is motion
    # Larger, and of other proportions.
    other = 1.4 * motion
    other[:, 21] += 0.3 * (other[:, 21] - other[:, 19])
    fitted, factor = body.fitted(other, mask)
    assert 0.65 < factor < 1 / 1.4 + 0.01
    np.testing.assert_allclose(bones(fitted, mask), bones(motion, mask), rtol=1e-9)
    np.testing.assert_allclose(np.diff(fitted[:, 0, 0]), 1.4 * factor, rtol=1e-9)
    assert fitted[..., 1].min() == pytest.approx(factor * other[..., 1].min())


def test_a_keyframe_of_a_larger_body_does_not_change_the_dancer(
    system: DanceLanguage, pose: Clip
) -> None:
    def size_at_keyframe(clip: Clip) -> float:
        steering = Steering(keyframes=(Keyframe(time_s=1.0, clip=clip, clip_s=0.5),))
        made = system.make(SENTENCE, steering=steering)
        return float(bones(made.motion[0, 20:21], system.joint_mask).sum())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        usual = size_at_keyframe(pose)
    with pytest.warns(UserWarning, match=r"squat: its body is 1\.4\d times the size of the run's"):
        large = size_at_keyframe(replace(pose, positions=1.45 * pose.positions))
    assert large == pytest.approx(usual, rel=0.1)


# Reach


@pytest.mark.parametrize(
    ("time_s", "point", "told"),
    [
        (1.0, [0.0, 3.6, 0.0], r"right_wrist at 1 s: 3\.60 m high; a jump takes this joint to"),
        (0.0, [3.0, 1.0, 0.0], r"right_wrist at 0 s: 3\.00 m from where the motion begins"),
        (1.0, [9.0, 1.0, 0.0], r"right_wrist at 1 s: the nearest motion leaves it .* bones reach"),
    ],
)
def test_a_joint_is_not_stretched_to_where_no_body_puts_it(
    system: DanceLanguage, time_s: float, point: list[float], told: str
) -> None:
    path = JointPath(joint="right_wrist", times_s=(time_s,), points=np.array([point]))
    with pytest.raises(InputError, match=f"path of {told}"):
        system.make(SENTENCE, steering=Steering(paths=(path,)))


def test_two_wrists_are_no_further_apart_than_the_arms_allow(system: DanceLanguage) -> None:
    apart = [[-1.5, 1.2, 0.0], [1.5, 1.2, 0.0]]
    paths = tuple(
        JointPath(joint=joint, times_s=(1.0,), points=np.array([point]))
        for joint, point in zip(("right_wrist", "left_wrist"), apart)
    )
    with pytest.raises(InputError, match=r"3\.00 m from where left_wrist is wanted; the bones"):
        system.make(SENTENCE, steering=Steering(paths=paths))


def test_reach_is_the_length_of_the_bones_between() -> None:
    poses = np.zeros((3, J, 3))
    poses[:, :, 0] = np.arange(J) * 0.01  # along a line: a bone is as long as its numbers differ
    body = Body(poses, np.ones(J, dtype=bool))
    left, right = skeleton.INDEX["left_knee"], skeleton.INDEX["right_ankle"]
    # Pelvis 0, left hip 1 and knee 4; right hip 2, knee 5, ankle 8.
    assert body.chain_m(left, right) == pytest.approx(0.04 + 0.08)
    assert body.reach_m(right) == pytest.approx(0.08)


# Clean bodies


@pytest.mark.parametrize("what", ["keyframe", "loop", "after"])
def test_steered_motion_has_whole_bones_away_from_what_is_wanted(
    system: DanceLanguage, pose: Clip, what: str, tmp_path: Path
) -> None:
    steering = {
        "keyframe": Steering(keyframes=(Keyframe(time_s=0.5, clip=pose, clip_s=0.5),)),
        "loop": Steering(loop=True),
        "after": Steering(after=pose),
    }[what]
    made = system.make(SENTENCE, steering=steering)
    free = bones(made.motion[0], system.joint_mask)[22:40]
    np.testing.assert_allclose(free, np.repeat(free[:1], len(free), axis=0), rtol=1e-3)
    written = export.write_clip(
        tmp_path / "made.bvh",
        generated_clip(made.motion[0], system.joint_mask, system.fps, "made", SENTENCE),
    )
    assert written.residual.max_m <= 0.03


def test_a_motion_continues_at_the_speed_of_its_clip(system: DanceLanguage, pose: Clip) -> None:
    made = system.make(SENTENCE, steering=Steering(after=pose))
    (told,) = made.facts["constraints"]
    ahead = 2.0 * pose.positions[-1] - pose.positions[-2]
    gap = np.linalg.norm(made.motion[0, 0][system.joint_mask] - ahead, axis=-1).max()
    assert told["kind"] == "after"
    assert told["residual_cm"] == pytest.approx(100.0 * gap, abs=0.02)
    assert told["residual_cm"] < 10.0


def test_a_hand_follows_its_wrist() -> None:
    motion = np.zeros((1, 20, J, 3))
    wrist, finger = skeleton.INDEX["left_wrist"], skeleton.INDEX["left_index3"]
    target, weight = motion.copy(), np.zeros((20, J, 3))
    target[0, 10, wrist, 1], weight[10, wrist, 1] = 0.2, 1.0
    wanted = Wanted(target=target, weight=weight, is_relative=np.zeros(20, dtype=bool))
    settled = settle(motion, wanted, parents=skeleton.PARENTS)
    assert settled[0, 10, wrist, 1] == settled[0, 10, finger, 1] == 0.2
    np.testing.assert_array_equal(settled[0, :, finger], settled[0, :, wrist])
    assert not settled[0, :, skeleton.INDEX["left_elbow"]].any()


# Candidates


def test_residuals_are_those_of_the_candidate_that_is_kept(
    system: DanceLanguage, pose: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = Steering(keyframes=(Keyframe(time_s=1.0, clip=pose, clip_s=0.5),))
    settled = []
    for number in range(3):
        monkeypatch.setattr(generation, "_best", lambda *args, n=number: np.array([n]))
        made = system.make(SENTENCE, steering=steering, candidates=3)
        settled.append(made.facts["constraints"][0]["settled_cm"])
    assert len(set(settled)) == 3
    alone = system.make(SENTENCE, steering=steering, candidates=1)
    assert alone.facts["constraints"][0]["settled_cm"] == settled[0]
