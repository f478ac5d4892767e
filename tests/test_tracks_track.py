"""Tracks, their resampling, and the camera's motion."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.tracks import camera_motion, resampling
from raydance.tracks.grid import unit_grid
from raydance.tracks.track import Track, normalised, resampled, to_pixels, to_row


def make(points: np.ndarray, visible: np.ndarray | None = None, **facts) -> Track:
    points = np.asarray(points, np.float32)
    return Track(
        track_id=facts.pop("track_id", "a"),
        source="test",
        points=points,
        visible=np.ones(points.shape[:2], bool) if visible is None else visible,
        frame_size=facts.pop("frame_size", (200, 100)),
        fps=facts.pop("fps", 10.0),
        **facts,
    )


def test_normalising_is_by_the_frame_and_goes_back():
    corners = np.array([[0, 0], [200, 100], [100, 50]], np.float32)
    flat = normalised(corners, (200, 100))
    assert flat.tolist() == [[-1, -1], [1, 1], [0, 0]] and flat.dtype == np.float32
    assert to_pixels(flat, (200, 100)).tolist() == corners.tolist()


def test_frames_are_resampled_over_the_same_time():
    points = np.arange(5)[:, None, None] * np.ones((5, 1, 2)) * 10
    visible = np.array([1, 1, 0, 1, 1], bool)[:, None]
    track = make(points, visible)
    more = resampled(track, frames=9)
    assert more.points[:, 0, 0].tolist() == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert more.duration_s == pytest.approx(track.duration_s)
    assert not more.visible[4, 0] and more.visible[[0, 1, 2, 6, 7, 8], 0].all()
    assert resampled(more, frames=5).points.tolist() == track.points.tolist()
    still = resampled(make(points[:1]), frames=4)
    assert (still.points == points[0]).all() and still.num_frames == 4


@pytest.mark.parametrize("count", [1, 3, 9, 10, 36, 100])
def test_points_are_resampled_to_any_number(count):
    random = np.random.default_rng(0)
    start = random.uniform(0, 50, (10, 2))
    points = start + np.arange(6)[:, None, None] * (2.0, -1.0)
    visible = random.random((6, 10)) < 0.7
    moved, seen = resampling.resample_points(points, visible, count)
    assert moved.shape == (6, count, 2) and seen.shape == (6, count)
    assert np.allclose(np.diff(moved, axis=0), (2.0, -1.0))  # all move with the object
    assert (moved[0] >= start.min(0) - 1e-9).all() and (moved[0] <= start.max(0) + 1e-9).all()
    assert len(np.unique(moved[0].round(6), axis=0)) == count


def test_fewer_points_still_cover_the_object():
    points = np.tile(np.random.default_rng(1).uniform(0, 100, (400, 2)), (2, 1, 1))
    moved, _ = resampling.resample_points(points, np.ones((2, 400), bool), 36)
    distance = np.linalg.norm(points[0, :, None] - moved[0, None], axis=-1).min(axis=1)
    assert distance.max() < 20 and np.ptp(moved[0], axis=0).min() > 90


def test_a_grid_keeps_its_order():
    grid = unit_grid(6) * (300, 5)
    assert resampling.grid_order(grid).tolist() == list(range(36))
    mixed = np.random.default_rng(0).permutation(36)
    assert np.allclose(grid[mixed][resampling.grid_order(grid[mixed])], grid)


def test_unknown_positions_come_from_the_frames_around():
    points = np.full((5, 3, 2), np.nan)
    points[[0, 4], 0] = [[0, 0], [8, 4]]
    points[:, 1] = 6.0
    known = np.isfinite(points[..., 0])
    whole = resampling.filled(points, known)
    assert whole[:, 0].tolist() == [[0, 0], [2, 1], [4, 2], [6, 3], [8, 4]]
    assert whole[2, 2].tolist() == [5, 4]  # never known: the mean of the others


def test_a_row_has_fixed_shapes():
    points = np.random.default_rng(0).uniform(0, 100, (47, 12, 2))
    row = to_row(make(points, captions=("a dog runs",), labels={"class": "dog"}, split="val"))
    assert row["points"].shape == (30, 36, 2) and row["points"].dtype == np.float32
    assert row["visible"].shape == (30, 36) and row["visible"].dtype == bool
    assert row["start_box"].tolist() == pytest.approx(
        [*row["points"][0].min(axis=0), *row["points"][0].max(axis=0)]
    )
    assert np.abs(row["points"]).max() <= 1 and row["frame_size"].tolist() == [200, 100]
    assert row["captions"] == ("a dog runs",) and row["split"] == "val"
    assert row["duration_s"] == pytest.approx(4.6)
    with pytest.raises(InputError, match="frames 0"):
        to_row(make(points), frames=0)


def test_a_row_in_the_order_of_a_grid():
    mixed = np.random.default_rng(0).permutation(36)
    points = np.tile(unit_grid(6) * (200, 100), (30, 1, 1))
    track = make(points[:, mixed], np.tile(mixed < 18, (30, 1)))
    row = to_row(track, in_grid_order=True)
    assert np.allclose(row["points"], to_row(make(points))["points"])
    assert row["visible"][0].tolist() == [True] * 18 + [False] * 18
    assert (to_row(track)["points"] == normalised(track.points, (200, 100))).all()


def _video(pan: np.ndarray, speeds: list[tuple[float, float]]) -> tuple[list[Track], list[Track]]:
    """Tracks as a camera sees them that the picture's way `[T, 2]` shows, and without it."""
    seen, still = [], []
    for number, speed in enumerate(speeds):
        own = np.arange(len(pan))[:, None] * np.array(speed) + 20.0 * number
        for tracks, offset in ((seen, pan), (still, 0 * pan)):
            points = (own + offset)[:, None] + unit_grid(3) * 10
            tracks.append(make(points, video="v", track_id=str(number)))
    return seen, still


def test_camera_motion_is_taken_out_where_objects_agree():
    pan = np.cumsum(np.tile([3.0, -1.0], (60, 1)), axis=0) - (3.0, -1.0)
    seen, still = _video(pan, [(0, 0), (0, 0), (0.02, 0), (2.5, 0.5)])
    found = camera_motion.without_camera_motion(seen)
    for track, true in zip(found, still):
        assert np.abs(track.points - true.points).max() < 2.5  # over 177 pixels
    assert camera_motion.camera_motion(seen).known.all()


@pytest.mark.parametrize("speeds", [[(0, 0), (0, 0)], [(1, 0), (-1, 0), (0, 2), (3, 1)]])
def test_camera_motion_stays_where_objects_are_few_or_disagree(speeds):
    seen, _ = _video(np.zeros((40, 2)), speeds)
    for track, before in zip(camera_motion.without_camera_motion(seen), seen):
        assert (track.points == before.points).all()


@pytest.mark.parametrize(("num_known", "is_corrected"), [(30, False), (58, True)])
def test_a_track_keeps_its_motion_where_part_of_the_cameras_is_unknown(num_known, is_corrected):
    pan = np.cumsum(np.tile([2.0, 0.0], (60, 1)), axis=0)
    seen, _ = _video(pan, [(0, 0)] * 3)
    short = [make(track.points[:num_known], video="v", track_id="s") for track in seen[1:]]
    found = camera_motion.without_camera_motion([seen[0], *short])
    assert (found[0] is not seen[0]) == is_corrected
    assert np.abs(np.ptp(found[1].points, axis=0)).max() < 1e-3


@pytest.mark.parametrize(("pixels", "is_corrected"), [(0.4, False), (0.6, True)])
def test_a_camera_that_stands_still_is_not_taken_out(pixels, is_corrected):
    seen, _ = _video(np.linspace((0.0, 0.0), (0.0, pixels), 40), [(0, 0)] * 3)
    for track, before in zip(camera_motion.without_camera_motion(seen), seen):
        assert (track is not before) == is_corrected


def test_camera_motion_keeps_to_one_video():
    seen, _ = _video(np.zeros((10, 2)), [(0, 0)] * 3)
    with pytest.raises(InputError, match="one video"):
        camera_motion.camera_motion([*seen, make(seen[0].points, video="other")])


def test_camera_motion_of_tracks_that_start_at_different_times():
    pan = np.cumsum(np.tile([2.0, 0.0], (50, 1)), axis=0)
    seen, still = _video(pan, [(0, 0)] * 4)
    late = make(seen[3].points[20:], video="v", track_id="late", start_frame=20)
    found = camera_motion.without_camera_motion([*seen[:3], late])
    assert np.abs(np.diff(found[3].points, axis=0)).max() < 1e-3
    assert found[3].points[0].tolist() == seen[3].points[20].tolist()


def test_camera_motion_is_taken_out_of_resampled_tracks_alike():
    pan = np.cumsum(np.random.default_rng(0).normal(2.0, 0.3, (50, 2)), axis=0)
    seen, _ = _video(pan, [(0, 0)] * 3)
    seen.append(make(seen[0].points[20:], video="v", track_id="late", start_frame=20))
    paths = [camera_motion.path_of(track) for track in seen]
    small = [resampled(track, frames=12, points=4) for track in seen]
    found = camera_motion.without_camera_motion(small, paths)
    for track, one in zip(found, camera_motion.without_camera_motion(seen)):
        np.testing.assert_allclose(
            track.points, resampled(one, frames=12, points=4).points, 0, 0.01
        )
    far = make(seen[0].points, video="v", start_frame=10**9)
    with pytest.raises(InputError, match="frames 0 to 1000000050"):
        camera_motion.camera_motion([*seen, far])
