"""2-D poses as tracks: OpenPose, Kinetics, COCO, JHMDB, and clips seen by a camera."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_tracks import coco, kinetics, write_openpose

from raydance.errors import FormatError, InputError
from raydance.motion import synthetic
from raydance.tracks import bones, projection
from raydance.tracks.formats import ReadOptions, linking, read_tracks
from raydance.tracks.track import to_row

SIZE = ReadOptions(frame_size=(640, 480))


def test_points_lie_along_the_bones_and_longer_bones_have_more():
    joints = np.array([[[0, 0], [10, 0], [10, 30]]], float) + np.arange(4)[:, None, None]
    known = np.ones((4, 3), bool)
    points, visible = bones.points_along(joints, known, [(0, 1), (1, 2)], 8)
    assert points.shape == (4, 8, 2) and visible.all()
    on_first = points[0, :, 1] == 0
    assert on_first.sum() == 2 and points[0, on_first, 0].tolist() == [2.5, 7.5]
    assert (
        np.allclose(np.diff(points[0, ~on_first, 1]), 5) and (points[0, ~on_first, 0] == 10).all()
    )
    assert np.allclose(np.diff(points, axis=0), 1)


def test_joints_that_are_not_found():
    joints = np.random.default_rng(0).uniform(0, 100, (5, 3, 2))
    known = np.ones((5, 3), bool)
    known[2, 1] = False
    known[:, 2] = False
    joints[~known] = 1e30
    points, visible = bones.points_along(joints, known, [(0, 1), (1, 2)], 6)
    assert np.abs(points).max() < 200  # nothing from what is not known
    assert visible.all(axis=1).tolist() == [True, True, False, True, True]
    single, _ = bones.points_along(joints, known & [True, False, False], [(0, 1)], 6)
    assert np.allclose(single, joints[:, :1])


@pytest.mark.parametrize(
    ("links", "count"),
    [
        (bones.JHMDB, 15),
        (bones.COCO, 17),
        (bones.OPENPOSE_18, 18),
        (bones.OPENPOSE_25, 25),
    ],
)
def test_skeletons_join_every_joint(links, count):
    reached = {0}
    for _ in range(count):
        reached |= {b for a, b in links if a in reached} | {a for a, b in links if b in reached}
    assert len(set(links)) == len(links)
    # COCO's face is joined to nothing.
    assert reached == set(range(5 if links is bones.COCO else count))
    assert {joint for bone in links for joint in bone} == set(range(count))


def test_openpose(tmp_path: Path):
    write_openpose(tmp_path / "walk")
    (tmp_path / "walk" / "walk_999999999999_keypoints.json").write_text("{}")
    read = read_tracks(tmp_path / "walk", SIZE)
    one, two = read.tracks
    assert one.num_frames == two.num_frames == 6 and one.num_points == 36
    assert np.allclose(np.diff(one.points, axis=0), (4, 0), atol=1e-3) and one.visible.all()
    assert np.allclose(np.diff(two.points, axis=0), (-4, 0), atol=1e-3)
    assert two.visible.all(axis=1).tolist() == [True, True, False, True, True, True]
    assert one.video == two.video == "walk" and one.object_id != two.object_id
    assert len(read.skipped) == 1
    with pytest.raises(FormatError, match="frame_size"):
        read_tracks(tmp_path / "walk")
    with pytest.raises(FormatError, match="give the folder"):
        read_tracks(next((tmp_path / "walk").glob("walk_00*")), SIZE)


def test_people_far_away_are_others():
    near = np.column_stack([np.random.default_rng(0).uniform(0, 10, (5, 2)), np.ones(5)])
    people = linking.link([[near], [near + (1, 0, 0)], [], [near + (300, 0, 0)]])
    assert [(p.start, p.end) for p in people] == [(0, 2), (3, 4)]
    assert len(linking.link([[near], *[[]] * 20, [near]])) == 2  # absent for too long


def test_a_clip_of_the_kinetics_skeletons(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps(kinetics()))
    (track,) = read_tracks(tmp_path / "a.json").tracks
    assert track.labels == {"action": "dancing"} and track.frame_size == (340, 256)
    assert track.num_frames == 5 and not track.visible[3].any()
    assert np.allclose(track.points[1] - track.points[0], (3.4, 2.56), atol=1e-3)


def test_coco(tmp_path: Path):
    content = coco()
    content["annotations"] += [
        {**content["annotations"][0], "track_id": None},
        {**content["annotations"][0], "keypoints": [0.0] * 50},
        {**content["annotations"][0]},
        {**content["annotations"][0], "track_id": 6},
    ]
    (tmp_path / "a.json").write_text(json.dumps(content))
    read = read_tracks(tmp_path / "a.json")
    (track,) = read.tracks
    assert track.num_frames == 4 and track.start_frame == 10 and track.labels["class"] == "person"
    assert track.visible.all(axis=1).tolist() == [True, True, False, True]
    assert np.allclose(np.diff(track.points, axis=0), (3, 0), atol=1e-3)
    reasons = " ".join(str(s) for s in read.skipped)
    for words in ("no track_id", "multiple of 3", "there twice", "in 1 frame"):
        assert words in reasons
    del content["categories"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert np.ptp(read_tracks(tmp_path / "a.json").tracks[0].points[0], axis=0).min() > 50


def test_jhmdb(tmp_path: Path):
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (7, 15, 2)).astype(np.float32)
    path = tmp_path / "jhmdb_split1_test.npz"
    np.savez(path, points=points, lengths=[4, 3], labels=["walk", "run"])
    one, two = read_tracks(path).tracks
    assert one.labels == {"action": "walk"} and one.split == "test" and one.num_frames == 4
    assert two.frame_size == (320, 240) and two.points.shape == (3, 36, 2)
    assert ((one.points >= (100, 60)) & (one.points <= (220, 180))).all()
    np.savez(path, points=points, lengths=[4, 4], labels=["walk", "run"])
    with pytest.raises(FormatError, match="add up to 8 for 7"):
        read_tracks(path)


def test_real_jhmdb(shared_data: Path):
    file = shared_data / "jhmdb_2d" / "jhmdb_split1_test.npz"
    if not file.is_file():
        pytest.skip(f"no {file}")
    read = read_tracks(file)
    assert len(read.tracks) == 176 and not read.skipped
    assert len({track.labels["action"] for track in read.tracks}) == 14
    rows = np.stack([to_row(track)["points"] for track in read.tracks])
    assert (np.abs(rows) <= 1).mean() > 0.98
    # Heads are above feet in those who walk: the first bone is the face's, the last an ankle's.
    walking = np.array([track.labels["action"] == "walk" for track in read.tracks])
    assert (rows[walking, :, 0, 1] < rows[walking, :, -1, 1]).mean() > 0.95


@pytest.fixture(scope="module")
def clip():
    return synthetic.make_clip(synthetic.MOVEMENTS[2], 5)


def test_a_camera_projects_as_by_hand():
    camera = projection.Camera(
        position=(0, 1, 4), target=(0, 1, 0), frame_size=(200, 100), field_of_view=90
    )
    pixels, depth = camera.project(np.array([[0, 1, 0], [1, 2, 2], [4, 1, 0.0]]))
    assert np.allclose(pixels, [[100, 50], [125, 25], [150, 50]]) and np.allclose(depth, [4, 2, 4])


@pytest.mark.parametrize("yaw", [0.0, 90.0, 200.0])
def test_a_clip_is_seen_whole(clip, yaw):
    camera = projection.camera_for(clip, yaw=yaw, pitch=20, frame_size=(320, 240))
    track = projection.project(clip, camera)
    assert track.points.shape == (clip.num_frames, 36, 2) and track.visible.all()
    assert track.captions == clip.captions and track.fps == clip.fps
    assert np.ptp(track.points[..., 1]) > 60  # fills much of the frame
    head = clip.joint_names.index("head")
    foot = clip.joint_names.index("left_foot")
    joints, _ = camera.project(clip.positions)
    assert (joints[:, head, 1] < joints[:, foot, 1]).all()


def test_left_is_on_the_right_of_a_dancer_seen_from_the_front(clip):
    left, right = (clip.joint_names.index(f"{side}_shoulder") for side in ("left", "right"))
    toward = np.cross(clip.positions[0, left] - clip.positions[0, right], (0, 1, 0))
    yaw = np.degrees(np.arctan2(toward[0], toward[2]))
    joints, _ = projection.camera_for(clip, yaw=yaw).project(clip.positions[:1])
    assert joints[0, left, 0] > joints[0, right, 0]


def test_cameras_that_cannot_be(clip):
    with pytest.raises(InputError, match="straight"):
        projection.Camera(position=(0, 3, 0), target=(0, 0, 0))
    with pytest.raises(InputError, match="150"):
        projection.Camera(position=(0, 0, 3), target=(0, 0, 0), field_of_view=180)
    behind = projection.Camera(position=(0, 1, 50), target=(0, 1, 100))
    with pytest.raises(InputError, match="no joint"):
        projection.project(clip, behind)
