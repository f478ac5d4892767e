"""Windows put back together: exact where they were cut from one motion, smooth elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydance.data.dataset import Dataset
from raydance.data.ingest import windows_of_clip
from raydance.errors import InputError
from raydance.motion import stitch, synthetic, windows
from raydance.motion.formats import read_clip
from raydance.motion.skeleton import NUM_JOINTS

MOVEMENTS = {m.name: m for m in synthetic.MOVEMENTS}


def in_place_of(motion: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Motion in the place and heading of its first frame, as its first window has it."""
    masks = None if mask is None else mask[None]
    return windows.normalise_window(motion[None].astype(np.float64), masks)[0]


def synthetic_motion(name: str, index: int, times: int) -> np.ndarray:
    """A long motion: clips behind each other, without care for the jump."""
    clips = [synthetic.make_clip(MOVEMENTS[name], index + i).positions for i in range(times)]
    return np.concatenate(clips)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(MOVEMENTS)), st.integers(0, 40), st.integers(1, 49), st.integers(1, 3)
)
def test_windows_of_one_motion_give_it_back(name: str, index: int, hop: int, times: int):
    motion = synthetic_motion(name, index, times)
    cut, starts = windows.cut(motion, 50, hop)
    again = stitch.stitch_at(windows.normalise_window(cut), starts)
    assert again.dtype == np.float32 and len(again) == starts[-1] + 50
    np.testing.assert_allclose(again, in_place_of(motion[: len(again)]), atol=1e-5)


def test_windows_of_real_recordings_give_them_back(shared_data: Path):
    for name in ("05_10", "49_07", "07_05", "02_04"):
        clip = read_clip(shared_data / "cmu_bvh" / "bvh" / f"{name}.bvh", fps=120.0)
        cut, masks, start_s = windows_of_clip(clip, fps=20.0, length=50, stride=20)
        whole, _, _ = windows_of_clip(clip, fps=20.0, length=50 + 20 * (len(cut) - 1), stride=1000)
        again = stitch.stitch_at(cut, 20 * np.arange(len(cut)), joint_mask=masks[0])
        assert len(again) == 50 + 20 * (len(cut) - 1) and not again[:, ~masks[0]].any()
        np.testing.assert_allclose(again, whole[0], atol=1e-5)
        assert np.array_equal(stitch.rebuild(cut, start_s, 20.0, joint_mask=masks[0])[0][1], again)


def test_a_window_is_placed_where_it_was_taken_from():
    motion = synthetic_motion("walk", 0, 1)[:30].astype(np.float64)
    away = windows.rotate_y(motion + (0.3, 0.0, -2.0), np.array(-2.1))
    found = stitch.place(motion, away)
    assert found.angle == pytest.approx(2.1, abs=1e-9) and found.residual_m < 1e-9
    np.testing.assert_allclose(found.shift, (-0.3, 0.0, 2.0), atol=1e-9)


def test_placing_is_the_least_squares_solution():
    """No other turn or shift comes closer, also where windows differ; heights stay."""
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 12, NUM_JOINTS, 3))
    found = stitch.place(before, after)
    weight = stitch.blend_weights(12)
    weight = weight * (1 - weight) / (weight * (1 - weight)).sum()

    def distance(angle: float, shift: np.ndarray) -> float:
        moved = windows.rotate_y(after, np.array(angle)) + shift
        return float(np.sqrt(weight @ ((moved - before)[:, :22] ** 2).sum(-1).mean(-1)))

    best = distance(found.angle, found.shift)
    assert best == pytest.approx(found.residual_m) and found.shift[1] == 0
    for change in (0.01, -0.01, 3.0):
        assert distance(found.angle + change, found.shift) > best
        for axis in (0, 2):
            assert distance(found.angle, found.shift + change * np.eye(3)[axis]) > best


def test_blending_jumps_neither_in_place_nor_in_speed():
    """Two still windows 10 cm apart in height: the way between is smooth at both ends."""
    low = np.zeros((50, 2, 3))
    low[:, 1] = (0.5, 1.0, 0.0)
    motion = stitch.stitch_at(np.stack([low, low + (0, 0.1, 0)]), np.array([0, len(low) - 20]))
    height = motion[:, 0, 1]
    assert len(motion) == 80 and (height[:30] == 0).all() and (height[50:] == 0.1).all()
    speed = np.diff(height)
    assert (speed >= 0).all() and speed.max() < 2 * 0.1 / 20  # at most 15/8 of an even pace
    assert np.abs(np.diff(speed)).max() < 0.1 * 6 / 20**2  # the polynomial's second derivative
    np.testing.assert_allclose(motion[..., ::2], low[0, None, :, ::2].repeat(80, 0), atol=1e-12)


def test_fingers_do_not_outweigh_the_body():
    """28 finger joints stay behind as the body turns: the body decides."""
    motion = synthetic_motion("walk", 3, 1)[:20].astype(np.float64)
    turned = windows.rotate_y(motion, np.array(0.5))
    turned[:, 22:] = motion[:, 22:]
    assert stitch.place(motion, turned).angle == pytest.approx(-0.5, abs=1e-9)


def test_a_dataset_gives_its_clips_back(tiny_dataset: Path):
    dataset = Dataset.open(tiny_dataset)
    rows = dataset.read_shard(dataset.shards("train")[0])
    clip_id = rows["clip_id"][0]
    mine = [i for i, name in enumerate(rows["clip_id"]) if name == clip_id]
    (begin_s, motion), *others = stitch.rebuild(
        rows["motion"][mine][::-1], np.array(rows["start_s"])[mine][::-1], dataset.fps
    )
    assert begin_s == 0 and not others
    movement, _, index = Path(clip_id).stem.rpartition("_")
    clip = synthetic.make_clip(MOVEMENTS[movement], int(index))
    np.testing.assert_allclose(motion, in_place_of(clip.positions[: len(motion)]), atol=1e-5)


def test_a_jump_in_a_clip_makes_two_parts():
    motion = synthetic_motion("walk", 0, 2)
    cut, starts = windows.cut(motion[:170], 50, 20)
    start_s = starts / 20.0
    # The second part begins 1.2 frames before the first one's grid would end.
    start_s[4:] = start_s[3] + (48.8 + 20 * np.arange(len(cut) - 4)) / 20
    parts = stitch.rebuild(windows.normalise_window(cut), start_s, 20.0)
    assert [len(part) for _, part in parts] == [110, 90]
    assert [begin for begin, _ in parts] == pytest.approx([0.0, start_s[4]])


@pytest.mark.parametrize("starts", [[0, 50], [0, 0], [20, 0], [0, 10, 20]])
def test_windows_without_shared_frames_are_refused(starts: list[int]):
    with pytest.raises(InputError, match="1 to 49 after the one before"):
        stitch.stitch_at(np.zeros((2, 50, 3, 3)), np.array(starts))


def test_no_window_is_refused():
    with pytest.raises(InputError, match=r"shape \(0, 50, 3, 3\)"):
        stitch.stitch_at(np.zeros((0, 50, 3, 3)), np.zeros(0, int))
