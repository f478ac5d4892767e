"""Motion that keeps to wanted frames, paths and clips: the equations, and a run under them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import raydance
from raydance.errors import InputError
from raydance.motion.clip import Clip, generated_clip
from raydance.motion.skeleton import INDEX
from raydance.systems import constraints
from raydance.systems.constraints import Equations, Wanted, close_loop, missing, settle
from raydance.systems.dance_language.run import DanceLanguage
from raydance.systems.steering import JointPath, Keyframe, Steering
from raydance.systems.steering_plan import SteeringPlan, read_plan

SENTENCE = "a dancer walks forward"


@pytest.fixture(scope="module")
def system(tiny_run: Path) -> DanceLanguage:
    return raydance.load(tiny_run)


@pytest.fixture(scope="module")
def pose(system: DanceLanguage) -> Clip:
    motion = system.generate("a deep squat", seed=5, source="nearest")[0]
    return generated_clip(motion, system.joint_mask, system.fps, "squat", "a deep squat")


def wanted_of(target: np.ndarray, frames: list[int], relative: bool = False) -> Wanted:
    weight = np.zeros(target.shape[1:])
    weight[frames] = 1.0
    return Wanted(target=target, weight=weight, is_relative=np.full(target.shape[1], relative))


# The equations


def test_the_least_norm_step_is_worked_out_by_hand(monkeypatch: pytest.MonkeyPatch):
    # One joint, one frame, two coefficients along x: 3 a + 4 b = 5 has the least-norm solution
    # 5 (3, 4) / 25.
    monkeypatch.setattr(constraints, "NOISE_M", 1e-3)
    components = np.zeros((2, 1, 1, 3))
    components[:, 0, 0, 0] = 3.0, 4.0
    equations = Equations(
        components, np.zeros((1, 1, 3)), wanted_of(np.array([[[[5.0, 0.0, 0.0]]]]), [0])
    )
    np.testing.assert_allclose(equations.seen()[0, :2], [0.6, 0.8], atol=1e-5)
    assert equations.seen()[0, 2:].tolist() == [1.0, 0.0]  # a whole pose, no path of the root
    assert equations.shortfall_m() < 1e-3
    # The step changes nothing that is met already, and nothing across.
    correct = equations.correction(torch.device("cpu"))
    moved = correct(torch.tensor([[0.6 + 4.0, 0.8 - 3.0]]), 0.0)
    np.testing.assert_allclose(moved.numpy(), [[4.6, -2.2]], atol=1e-4)


def test_equations_that_contradict_each_other_fall_short():
    components = np.ones((1, 2, 1, 3))  # both frames always move alike
    target = np.zeros((1, 2, 1, 3))
    target[0, 1] = 2.0
    equations = Equations(components, np.zeros((2, 1, 3)), wanted_of(target, [0, 1]))
    assert equations.shortfall_m() == pytest.approx(1.0, abs=1e-3)


def test_a_relative_pose_leaves_the_place_on_the_floor_open():
    rng = np.random.default_rng(0)
    motion = rng.standard_normal((1, 4, 3, 3))
    elsewhere = motion + np.array([3.0, 0.0, -2.0])
    assert np.abs(missing(elsewhere, wanted_of(motion, [1], relative=True))).max() < 1e-12
    assert np.abs(missing(elsewhere, wanted_of(motion, [1]))).max() == pytest.approx(3.0)


def test_settling_meets_what_is_wanted_and_leaves_what_is_far():
    rng = np.random.default_rng(1)
    motion, target = rng.standard_normal((2, 2, 40, 4, 3))
    settled = settle(motion, wanted_of(target, [10]), frames=5)
    np.testing.assert_allclose(settled[:, 10], target[:, 10])
    np.testing.assert_array_equal(settled[:, :5], motion[:, :5])
    np.testing.assert_array_equal(settled[:, 16:], motion[:, 16:])
    change = np.abs(settled - motion).max(axis=(0, 2, 3))
    assert (np.diff(change[5:11]) > 0.0).all()


def test_settling_after_given_frames_goes_on_as_fast_as_they_did():
    time = np.arange(40.0)[:, None, None] * np.ones((2, 3))
    motion, target = 0.01 * time[None], 0.01 * time[None] + 0.02 * time[None] + 0.1
    settled = settle(motion, wanted_of(target, list(range(10))))
    bare = np.where(np.arange(40)[:, None, None] < 10, target, motion)
    jumps = [np.abs(np.diff(m, n=2, axis=1)).max() for m in (settled, bare)]
    assert jumps[0] < 0.2 * jumps[1]


def test_a_closed_loop_ends_with_the_pose_and_velocity_of_its_start():
    time = np.arange(30)[:, None, None]
    motion = (
        0.01 * time * np.array([1.0, 0.2, -0.5]) + np.sin(time / 9.0 + np.arange(3)[:, None])
    )[None]
    closed = close_loop(motion, 29)
    floor = np.array([1.0, 0.0, 1.0])
    poses = closed - closed[:, :, :1] * floor
    np.testing.assert_allclose(poses[:, -1], poses[:, 0], atol=1e-9)
    before = np.diff(motion, axis=1)
    speeds = np.diff(closed, axis=1)
    gap = np.abs(speeds[:, -1] - speeds[:, 0]).max()
    assert gap < 1e-9 < np.abs(before[:, -1] - before[:, 0]).max()
    np.testing.assert_array_equal(closed[:, :20], motion[:, :20])


# A run that keeps to them


def test_a_keyframe_is_met_and_told(system: DanceLanguage, pose: Clip):
    steering = Steering(keyframes=(Keyframe(time_s=1.0, clip=pose, clip_s=0.5),))
    made = system.make(SENTENCE, steering=steering, num_samples=2)
    frame, wanted = made.motion[:, 20], pose.positions[10]
    floor = np.array([1.0, 0.0, 1.0])

    def lengths(joints: np.ndarray) -> np.ndarray:
        relative = joints - joints[..., :1, :] * floor
        return np.linalg.norm(relative, axis=-1)

    np.testing.assert_allclose(lengths(frame), np.tile(lengths(wanted), (2, 1)), atol=2e-3)
    (told,) = made.facts["constraints"]
    assert told["kind"] == "keyframe" and told["residual_cm"] < 0.1 <= told["settled_cm"]


def test_the_pelvis_follows_a_path(system: DanceLanguage):
    points = np.array([[0.0, 0.0], [0.4, 0.6]])
    path = JointPath(joint="pelvis", times_s=(0.0, 2.0), points=points)
    made = system.make(SENTENCE, steering=Steering(paths=(path,)))
    np.testing.assert_allclose(made.motion[0, 40, 0, [0, 2]], points[1], atol=1e-3)
    np.testing.assert_allclose(made.motion[0, 20, 0, [0, 2]], points[1] / 2, atol=1e-3)
    assert made.facts["constraints"][0]["residual_cm"] < 0.1


def test_a_motion_goes_on_where_a_clip_ended(system: DanceLanguage, pose: Clip):
    made = system.make(SENTENCE, frames=70, steering=Steering(after=pose))
    assert made.motion.shape == (1, 70, 50, 3)
    steps = np.linalg.norm(np.diff(pose.positions, axis=0), axis=-1)
    step = np.linalg.norm(made.motion[0, 0] - pose.positions[-1], axis=-1)
    assert step.max() < steps.max() + 0.05


def test_a_loop_closes(system: DanceLanguage):
    for frames in (40, 90):
        made = system.make(SENTENCE, frames=frames, steering=Steering(loop=True))
        (told,) = made.facts["constraints"]
        assert told["kind"] == "loop" and told["residual_cm"] < 0.1
        assert told["velocity_cm_s"] < 30.0


def test_no_change_leaves_a_clip_and_a_full_one_does_not(system: DanceLanguage, pose: Clip):
    def distance(strength: float) -> float:
        steering = Steering(edit=pose, strength=strength)
        made = system.make("a high kick", steering=steering)
        return float(np.linalg.norm(made.motion[0] - pose.positions, axis=-1).mean())

    none, some, all_of_it = (distance(strength) for strength in (0.0, 0.3, 1.0))
    assert none < 0.1 and none < some < all_of_it


def test_a_timeline_changes_the_words_and_not_what_came_before(tiny_run: Path):
    system = raydance.load(tiny_run)  # its flow has learned too little to tell words apart
    assert system.motion_flow is not None
    with torch.no_grad():
        for weight in system.motion_flow.average.parameters():
            weight.add_(
                0.03 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
            )
    plain = system.make(SENTENCE, frames=130, seed=4).motion
    timed = system.make(SENTENCE, frames=130, seed=4, timeline=[(3.0, "a high kick")]).motion
    np.testing.assert_array_equal(plain[:, :50], timed[:, :50])
    assert np.abs(plain[:, 90:] - timed[:, 90:]).max() > 1e-3


def test_steered_motion_follows_its_seed(system: DanceLanguage, pose: Clip):
    steering = Steering(after=pose)
    first, again, other = (
        system.make(SENTENCE, frames=60, steering=steering, seed=seed).motion for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"strength": 1.5}, r"strength: 1.5; allowed: 0 to 1"),
        (
            {"paths": (JointPath(joint="tail", times_s=(0.0,), points=np.zeros((1, 3))),)},
            "path of tail: no such joint; allowed: pelvis",
        ),
        (
            {"paths": (JointPath(joint="pelvis", times_s=(0.0, 9.0), points=np.zeros((2, 3))),)},
            r"path of pelvis: time 9 s; allowed: 0 to 2.45 s",
        ),
        (
            {"paths": (JointPath(joint="pelvis", times_s=(0.0, 0.5), points=np.eye(2) * 30),)},
            "nobody moves faster than 12 m/s",
        ),
    ],
)
def test_what_cannot_be_is_refused(system: DanceLanguage, change: dict[str, Any], told: str):
    with pytest.raises(InputError, match=told):
        system.make(SENTENCE, steering=Steering(**change))


def test_two_poses_at_one_time_are_refused(system: DanceLanguage, pose: Clip):
    keyframes = (Keyframe(time_s=1.0, clip=pose), Keyframe(time_s=1.01, clip=pose, clip_s=1.0))
    with pytest.raises(InputError, match="another pose or path is wanted at the same frame"):
        system.make(SENTENCE, steering=Steering(keyframes=keyframes))


def test_a_request_makes_so_many_windows_and_no_more(system: DanceLanguage):
    with pytest.raises(InputError, match="make 12032 windows; allowed: up to 4096"):
        system.make(SENTENCE, frames=1200, num_samples=8, candidates=32)


def test_only_the_flow_is_steered(system: DanceLanguage):
    with pytest.raises(InputError, match="not with source prior"):
        system.make(SENTENCE, steering=Steering(loop=True), source="prior")


# As plain data


def test_a_plan_is_read_from_yaml(tmp_path: Path, pose: Clip):
    file = tmp_path / "plan.yaml"
    file.write_text(
        "keyframes: [{time_s: 1, clip: pose.bvh}]\n"
        "paths: [{joint: right_wrist, times_s: [0, 1], points: [[0, 1, 0], [0, 2, 0]]}]\n"
        "timeline: [{begins_s: 2, text: sinks}]\n"
    )
    plan = read_plan(file)
    opened: list[str] = []
    steering = plan.steering(lambda name: opened.append(name) or pose)
    assert opened == ["pose.bvh"] and plan.sentences() == ((2.0, "sinks"),)
    assert steering is not None and steering.keyframes[0].time_s == 1.0
    assert steering.paths[0].joint in INDEX and steering.paths[0].points.shape == (2, 3)
    assert SteeringPlan().steering(lambda name: pose) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lop: true", "lop: True; Extra inputs are not permitted"),
        ("keyframes: [{time_s: -1, clip: a}]", "keyframes.0.time_s: -1"),
        ("- 1", "the file: "),
        ("loop: [", "not a steering file"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_by_its_place(tmp_path: Path, text: str, told: str):
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=told):
        read_plan(file)


def test_motion_given_as_numbers_is_checked():
    motion = {"fps": 20, "joints": ["a"], "parents": [-1, 0], "positions": [[[0, 0, 0]]]}
    plan = SteeringPlan.model_validate({"edit": motion})
    with pytest.raises(InputError, match="edit: 1 joints; parents and every frame need as many"):
        plan.steering(lambda name: pytest.fail(name))
