"""Descriptors by hand on simple motions, under masks, and the words derived from them."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.motion.derived_captions import derive_caption, reference_of
from raydance.motion.kinematics import DESCRIPTORS, PARTS, descriptors
from raydance.motion.skeleton import INDEX, JOINTS, MIRROR, NUM_JOINTS
from raydance.motion.synthetic import MOVEMENTS, make_clip

NAMES = list(DESCRIPTORS)
FPS = 20.0


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return rows[..., NAMES.index(name)]


@pytest.fixture(scope="module")
def library() -> dict[tuple[str, str], np.ndarray]:
    """(movement, side) -> windows `[N, 50, 50, 3]`."""
    windows: dict[tuple[str, str], list[np.ndarray]] = {}
    for movement in MOVEMENTS:
        for index in range(6):
            clip = make_clip(movement, index)
            key = (movement.name, clip.labels["side"])
            starts = range(0, clip.num_frames - 49, 20)
            windows.setdefault(key, []).extend(clip.positions[s : s + 50] for s in starts)
    return {key: np.stack(value) for key, value in windows.items()}


@pytest.fixture(scope="module")
def reference(library: dict[tuple[str, str], np.ndarray]) -> np.ndarray:
    return reference_of(np.concatenate([descriptors(w) for w in library.values()]))


def still(num_frames: int = 50) -> np.ndarray:
    motion = make_clip(MOVEMENTS[0], 0).positions[:1].astype(float)
    return np.repeat(motion, num_frames, axis=0)[None]


def test_uniform_motion_by_hand() -> None:
    """Everything glides 0.1 m per frame along x: 2 m/s, no acceleration, 4.9 m of way."""
    motion = still()
    motion[..., 0] += 0.1 * np.arange(50)[None, :, None]
    row = descriptors(motion, fps=FPS)[0]
    for part in PARTS:
        assert column(row, f"{part}_speed") == pytest.approx(2.0, rel=1e-4)
    assert column(row, "peak_acceleration") == pytest.approx(0, abs=1e-3)
    assert column(row, "travel") == pytest.approx(4.9, rel=1e-4)
    assert column(row, "path_length") == pytest.approx(4.9, rel=1e-4)
    assert column(row, "attack") == pytest.approx(1.0, rel=1e-4)
    assert column(row, "arm_side") == pytest.approx(0, abs=1e-6)
    assert column(row, "turn") == pytest.approx(0, abs=1e-3)
    assert column(row, "stillness") == 0


def test_one_wrist_that_oscillates_by_hand() -> None:
    """x = a sin(2 pi f t): peak acceleration a (2 pi f)^2, led by the left arm, f in rhythm."""
    amplitude, frequency_hz = 0.2, 2.0
    motion = still(100)
    times_s = np.arange(100) / FPS
    motion[0, :, INDEX["left_wrist"], 0] += amplitude * np.sin(2 * np.pi * frequency_hz * times_s)
    row = descriptors(motion, fps=FPS)[0]
    # Differences at 20 per second lower the second derivative by sinc^2(f / fps).
    expected = amplitude * (2 * np.pi * frequency_hz) ** 2 * np.sinc(frequency_hz / FPS) ** 2
    assert column(row, "peak_acceleration") == pytest.approx(expected, rel=0.06)
    assert column(row, "rhythm") == pytest.approx(frequency_hz, rel=1e-3)
    assert column(row, "arm_side") == pytest.approx(1.0, abs=1e-6)
    assert column(row, "right_arm_speed") == 0


def test_a_turn_to_the_left_by_hand() -> None:
    motion = still()
    angle = np.radians(np.linspace(0, 270, 50))
    x, z = motion[..., 0].copy(), motion[..., 2].copy()
    cos, sin = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
    motion[..., 0], motion[..., 2] = cos * x + sin * z, cos * z - sin * x
    row = descriptors(motion)[0]
    assert column(row, "turn") == pytest.approx(270, abs=0.01)
    assert column(row, "turn_total") == pytest.approx(270, abs=0.01)


def test_a_motionless_body_measures_nothing_absurd() -> None:
    row = descriptors(still())[0]
    assert np.isfinite(row).all()
    assert column(row, "stillness") == 1 and column(row, "jerkiness") == 0
    assert column(row, "left_contact") == column(row, "right_contact") == 1
    assert column(row, "flight") == 0


def test_place_facing_and_batching_do_not_matter(
    library: dict[tuple[str, str], np.ndarray],
) -> None:
    windows = library["walk", "both"][:3].astype(float)
    rows = descriptors(windows)
    turned = windows @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0.0]]) + (3, 0, -2)
    keep = [i for i, name in enumerate(NAMES) if name != "extent"]
    assert np.allclose(descriptors(turned)[:, keep], rows[:, keep], atol=2e-3)
    assert np.allclose(descriptors(windows[1:2])[0], rows[1])


def test_the_mirror_swaps_sides(library: dict[tuple[str, str], np.ndarray]) -> None:
    windows = library["punch", "left"].astype(float)
    rows, mirrored = descriptors(windows), descriptors(windows[:, :, MIRROR] * (-1, 1, 1))
    for name in ("arm_side", "leg_side", "turn"):
        assert np.allclose(column(mirrored, name), -column(rows, name), atol=1e-3)
    left, right = column(mirrored, "left_arm_speed"), column(rows, "right_arm_speed")
    assert np.allclose(left, right, atol=1e-5)
    assert np.allclose(column(mirrored, "pelvis_height"), column(rows, "pelvis_height"))


def test_absent_joints_measure_zero_and_are_never_read(
    library: dict[tuple[str, str], np.ndarray],
) -> None:
    windows = library["punch", "left"].astype(float)
    mask = np.array([not n.startswith("left_") or "hip" in n for n in JOINTS])
    broken = windows.copy()
    broken[:, :, ~mask] = np.nan
    rows, full = descriptors(broken, mask), descriptors(windows)
    assert np.isfinite(rows).all()
    for name in ("left_arm_speed", "arm_side", "leg_side", "hand_spread", "left_reach", "flight"):
        assert (column(rows, name) == 0).all(), name
    for name in ("right_arm_speed", "turn", "lean", "head_height", "trunk_speed"):
        assert np.allclose(column(rows, name), column(full, name), atol=1e-4), name
    each = np.stack([mask] + [np.ones(NUM_JOINTS, bool)] * (len(windows) - 1))
    mixed = descriptors(windows, each)
    assert np.allclose(mixed[0], rows[0]) and np.allclose(mixed[1:], full[1:])


def test_refuses_wrong_shapes_and_values() -> None:
    with pytest.raises(InputError, match="T >= 4"):
        descriptors(np.zeros((2, 3, NUM_JOINTS, 3)))
    with pytest.raises(InputError, match="joint mask"):
        descriptors(still(), np.ones(22, bool))
    with pytest.raises(InputError, match="finite"):
        descriptors(still() * np.nan)
    with pytest.raises(InputError, match="needed"):
        reference_of(np.zeros((0, len(NAMES))))
    with pytest.raises(InputError, match="needed"):
        derive_caption(np.zeros(3), np.zeros((5, len(NAMES))))


def text_of(windows: np.ndarray, reference: np.ndarray) -> str:
    return " ".join(derive_caption(descriptors(windows).mean(axis=0), reference))


def test_derived_words_are_true(
    library: dict[tuple[str, str], np.ndarray], reference: np.ndarray
) -> None:
    kick = text_of(library["high_kick", "left"], reference)
    assert "led by the left leg" in kick and "sharp" in kick and "fast" in kick
    circle = text_of(library["arm_circle", "right"], reference)
    assert "led by the right arm" in circle and "smooth" in circle and "sharp" not in circle
    assert "turning to the right" in text_of(library["spiral_turn", "right"], reference)
    assert "travelling" in text_of(library["walk", "both"], reference)
    assert "close to the floor" in text_of(library["crouch_rise", "both"], reference)
    assert "into the air" in text_of(library["jump", "both"], reference)


def test_derived_sentences_never_name_the_wrong_side(
    library: dict[tuple[str, str], np.ndarray], reference: np.ndarray
) -> None:
    for (movement, side), windows in library.items():
        other = {"left": "right", "right": "left"}.get(side)
        for row in descriptors(windows):
            sentences = derive_caption(row, reference)
            assert 2 <= len(sentences) <= 3 and len(set(sentences)) == len(sentences)
            if other and movement in ("punch", "high_kick", "low_sweep", "arm_circle"):
                assert f"led by the {other}" not in sentences[0], (movement, side)


def test_nothing_is_said_about_what_was_not_measured(reference: np.ndarray) -> None:
    sentences = derive_caption(np.zeros(len(NAMES)), reference)
    words = " ".join(sentences)
    assert not any(w in words for w in ("left", "right", "place", "knees", "upright", "slow"))
