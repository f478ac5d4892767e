"""Quaternions, matrices, Euler angles and forward kinematics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from raydance.motion import rotations as rot

ORDERS = ["".join(letters) for letters in itertools.permutations("xyz")]
_part = st.floats(-1, 1, allow_nan=False, width=32)
quaternions = (
    st.tuples(_part, _part, _part, _part)
    .filter(lambda q: np.linalg.norm(q) > 1e-2)
    .map(lambda q: rot.normalise(np.array(q)))
)
degrees = st.floats(-360, 360, allow_nan=False, width=32)


def _same_turn(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-7) -> bool:
    # q and -q are the same turn.
    return bool(np.all(1.0 - np.abs(np.sum(a * b, axis=-1)) < tolerance))


@given(quaternions)
def test_matrix_round_trip(q: np.ndarray) -> None:
    matrix = rot.to_matrix(q)
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
    assert np.isclose(np.linalg.det(matrix), 1.0)
    assert np.allclose(rot.to_matrix(rot.from_matrix(matrix)), matrix, atol=1e-9)


@settings(max_examples=60)
@given(quaternions, st.sampled_from(ORDERS))
def test_euler_round_trip(q: np.ndarray, order: str) -> None:
    angles = rot.to_euler(q, order, degrees=True)
    back = rot.from_euler(angles, order, degrees=True)
    assert np.allclose(rot.to_matrix(back), rot.to_matrix(q), atol=1e-7)


@settings(max_examples=60)
@given(st.tuples(degrees, degrees, degrees), st.sampled_from(ORDERS))
def test_euler_agrees_with_scipy(angles: tuple[float, float, float], order: str) -> None:
    ours = rot.to_matrix(rot.from_euler(np.array(angles), order, degrees=True))
    theirs = Rotation.from_euler(order.upper(), angles, degrees=True).as_matrix()
    assert np.allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("middle", [90.0, -90.0])
def test_euler_survives_gimbal_lock(order: str, middle: float) -> None:
    q = rot.from_euler(np.array([30.0, middle, -75.0]), order, degrees=True)
    angles = rot.to_euler(q, order, degrees=True)
    assert np.allclose(
        rot.to_matrix(rot.from_euler(angles, order, degrees=True)), rot.to_matrix(q), atol=1e-6
    )


@given(quaternions)
def test_rotation_vector_round_trip(q: np.ndarray) -> None:
    assert _same_turn(rot.from_rotation_vector(rot.to_rotation_vector(q)), q)


def test_rotation_vector_of_tiny_and_zero_turns() -> None:
    vectors = np.array([[0.0, 0.0, 0.0], [1e-9, 0.0, 0.0], [0.0, np.pi / 2, 0.0]])
    turns = rot.from_rotation_vector(vectors)
    assert np.allclose(turns[0], rot.IDENTITY)
    assert np.allclose(turns[2], [np.sqrt(0.5), 0, np.sqrt(0.5), 0])
    assert np.allclose(rot.to_rotation_vector(turns), vectors, atol=1e-12)


@given(quaternions, quaternions, st.tuples(_part, _part, _part))
def test_multiply_turns_by_the_right_one_first(
    a: np.ndarray, b: np.ndarray, v: tuple[float, float, float]
) -> None:
    vector = np.array(v)
    expected = rot.to_matrix(a) @ (rot.to_matrix(b) @ vector)
    assert np.allclose(rot.rotate(rot.multiply(a, b), vector), expected, atol=1e-9)
    assert np.allclose(rot.rotate(rot.conjugate(a), rot.rotate(a, vector)), vector, atol=1e-9)


def test_hand_computed_turns() -> None:
    quarter_about_z = rot.from_axis_angle(np.array([0.0, 0.0, 1.0]), np.array(np.pi / 2))
    assert np.allclose(rot.rotate(quarter_about_z, np.array([1.0, 0.0, 0.0])), [0, 1, 0])
    # Rz(90) Rx(90): z goes to -y by Rx, and -y to +x by Rz.
    zx = rot.from_euler(np.array([90.0, 90.0]), "zx", degrees=True)
    assert np.allclose(rot.rotate(zx, np.array([0.0, 0.0, 1.0])), [1, 0, 0], atol=1e-12)


@given(st.tuples(_part, _part, _part), st.tuples(_part, _part, _part))
def test_between_brings_one_direction_onto_the_other(
    a: tuple[float, float, float], b: tuple[float, float, float]
) -> None:
    first, second = np.array(a), np.array(b)
    if min(np.linalg.norm(first), np.linalg.norm(second)) < 1e-3:
        return
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    assert np.allclose(rot.rotate(rot.between(first, second), first), second, atol=1e-4)


@pytest.mark.parametrize("axis", np.concatenate((np.eye(3), -np.eye(3), [[0.6, 0.8, 0.0]])))
def test_between_opposite_directions_is_half_a_turn(axis: np.ndarray) -> None:
    turn = rot.between(axis, -axis)
    assert np.isclose(turn[0], 0.0) and np.allclose(rot.rotate(turn, axis), -axis)


def test_between_zero_is_the_identity() -> None:
    assert np.allclose(rot.between(np.zeros(3), np.array([0.0, 1.0, 0.0])), rot.IDENTITY)


def test_continuous_only_flips_signs() -> None:
    angles = np.linspace(0, 4 * np.pi, 50)
    turns = rot.from_axis_angle(np.array([0.0, 1.0, 0.0]), angles)
    broken = turns * np.where(np.arange(50) % 3 == 1, -1.0, 1.0)[:, None]
    mended = rot.continuous(broken)
    assert np.allclose(mended, turns)


def test_slowed_by_hand() -> None:
    # A half turn between two frames at 90 degrees a frame: each of the two yields by 45.
    degrees = np.array([0.0, 0.0, 180.0, 180.0])
    turns = rot.continuous(rot.from_axis_angle(np.array([0.0, 0.0, 1.0]), np.deg2rad(degrees)))
    slowed = rot.slowed(turns, np.deg2rad(45.0))
    angle = np.rad2deg(2.0 * np.arctan2(slowed[:, 3], slowed[:, 0]))
    np.testing.assert_allclose(angle, [0.0, 45.0, 135.0, 180.0], atol=2.0)
    assert np.abs(np.diff(angle)).max() <= 90.0


def test_slowed_leaves_slow_turns_and_turns_opposites_over() -> None:
    slow = np.stack([np.cos(np.arange(9) * 0.3), np.sin(np.arange(9) * 0.3)], axis=-1)
    assert rot.slowed(slow, 0.31) is slow
    flip = np.array([[1.0, 0.0, 0.0]] * 4 + [[-1.0, 0.0, 0.0]] * 4)
    over = rot.slowed(flip, np.deg2rad(60.0))
    assert np.allclose(np.linalg.norm(over, axis=-1), 1.0)
    assert np.sum(over[1:] * over[:-1], axis=-1).min() >= 0.5
    np.testing.assert_allclose(over[[0, -1]], flip[[0, -1]])


def test_forward_kinematics_of_a_bent_arm() -> None:
    # Shoulder at (1, 2, 3) turned 90 degrees about z, elbow turned back: the upper arm points
    # up and the forearm along +x again.
    turn = rot.from_euler(np.array([[90.0], [-90.0], [0.0]]), "z", degrees=True)
    translations = np.array([[1.0, 2.0, 3.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    positions = rot.forward_kinematics(turn[None], translations, (-1, 0, 1))
    assert np.allclose(positions[0], [[1, 2, 3], [1, 4, 3], [4, 4, 3]])


def test_forward_kinematics_matches_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    parents = (-1, 0, 0, 1, 3, 2, -1, 6)
    turns = rot.normalise(rng.normal(size=(5, 8, 4)))
    translations = rng.normal(size=(5, 8, 3))
    expected = np.zeros((5, 8, 3))
    for t in range(5):
        matrices = [np.eye(3)] * 8
        for joint, parent in enumerate(parents):
            local = rot.to_matrix(turns[t, joint])
            if parent < 0:
                matrices[joint], expected[t, joint] = local, translations[t, joint]
            else:
                expected[t, joint] = expected[t, parent] + matrices[parent] @ translations[t, joint]
                matrices[joint] = matrices[parent] @ local
    assert np.allclose(rot.forward_kinematics(turns, translations, parents), expected)
