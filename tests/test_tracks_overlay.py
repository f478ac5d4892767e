"""Overlays, and tracks written to files."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raydance.errors import InputError
from raydance.motion.export import video
from raydance.tracks import synthetic
from raydance.tracks.export import WRITERS, write_track
from raydance.tracks.formats import read_tracks
from raydance.tracks.overlay import OverlayStyle, draw_overlays
from raydance.tracks.track import Track

NO_DOTS = OverlayStyle(dot_radius=0, width=2.0)


@pytest.fixture(scope="module")
def scene() -> synthetic.Scene:
    scenes = synthetic.make_scenes(40, seed=5)
    return next(s for s in scenes if s.labels["kind"] == "moving" and s.labels["speed"] == "fast")


def crossing(visible: list[bool]) -> Track:
    """One point that goes from left to right through the middle, 10 pixels per frame."""
    count = len(visible)
    points = np.stack([5.0 + 10 * np.arange(count), np.full(count, 20.0)], -1)[:, None]
    return Track(
        track_id="a",
        source="test",
        points=points.astype(np.float32),
        visible=np.array(visible)[:, None],
        frame_size=(80, 40),
        fps=10.0,
    )


def lit(picture: np.ndarray) -> np.ndarray:
    return (picture > 0).any(axis=-1)


def test_a_trail_grows_where_the_point_was():
    pictures = list(draw_overlays(crossing([True] * 7), style=NO_DOTS))
    assert len(pictures) == 7 and pictures[0].shape == (40, 80, 3) and not lit(pictures[0]).any()
    for frame in range(1, 7):
        columns = np.flatnonzero(lit(pictures[frame]).any(axis=0))
        assert columns.min() in (4, 5) and abs(columns.max() - (5 + 10 * frame)) <= 1
        rows = np.flatnonzero(lit(pictures[frame]).any(axis=1))
        assert set(rows) <= {18, 19, 20, 21}


def test_a_trail_is_broken_where_the_point_is_hidden():
    visible = [True, True, False, False, True, True, True]
    last = lit(list(draw_overlays(crossing(visible), style=NO_DOTS))[-1]).any(axis=0)
    assert last[6:14].all() and not last[17:44].any() and last[46:64].all()
    with_dots = list(draw_overlays(crossing(visible)))
    assert lit(with_dots[0]).any() and with_dots[2][18:22, 23:27].max() == 0


def test_a_short_trail_follows_the_point():
    style = OverlayStyle(dot_radius=0, width=2.0, trail_frames=2)
    last = lit(list(draw_overlays(crossing([True] * 7), style=style))[-1]).any(axis=0)
    assert not last[:43].any() and last[46:64].all()


@pytest.mark.parametrize("opacity", [0.0, 0.3, 0.5, 1.0])
def test_colour_and_opacity(opacity):
    style = OverlayStyle(colour=(255, 0, 100), opacity=opacity, width=6.0, dot_radius=0)
    ground = [np.full((40, 80, 3), 200, np.uint8)] * 3
    last = list(draw_overlays(crossing([True] * 3), ground, style=style))[-1]
    expected = (1 - opacity) * 200 + opacity * np.array([255, 0, 100])
    assert np.abs(last[20, 15] - expected).max() <= 1.5
    assert (last[35] == 200).all() and (ground[0] == 200).all()


def test_frames_and_points_are_scaled_to_the_picture(scene):
    track = scene.track()
    small = list(draw_overlays(track, scene.frames(), size=(64, 64)))[-1]
    large = list(draw_overlays(track, scene.frames(), size=(224, 224)))[-1]
    assert small.shape == (64, 64, 3) and large.shape == (224, 224, 3)
    reduced = np.asarray(Image.fromarray(large).resize((64, 64)), float)
    assert np.abs(reduced - small).mean() < 12


def test_dots_are_where_the_points_are(scene):
    track = scene.track()
    style = OverlayStyle(opacity=1.0, width=0, dot_radius=1.0)
    for frame, picture in enumerate(draw_overlays(track, style=style)):
        x, y = track.points[frame][track.visible[frame]].astype(int).T
        assert lit(picture)[y, x].all()
        assert lit(picture).sum() < 40 * track.num_points


def test_far_points_and_mistakes():
    track = crossing([True] * 3)
    track.points[1] = 1e6
    assert len(list(draw_overlays(track))) == 3
    with pytest.raises(InputError, match="1 frames to draw on"):
        list(draw_overlays(track, [np.zeros((40, 80, 3), np.uint8)]))
    with pytest.raises(InputError, match="uint8"):
        list(draw_overlays(track, [np.zeros((40, 80, 3))]))
    with pytest.raises(InputError, match="size"):
        draw_overlays(track, size=(0, 10))
    with pytest.raises(InputError, match="opacity 2"):
        OverlayStyle(opacity=2)
    with pytest.raises(InputError, match="colour"):
        OverlayStyle(colour=(0, 0, 256))


def test_two_hundred_frames_per_second(scene):
    track, frames = scene.track(), scene.frames()
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        count = len(list(draw_overlays(track, frames, size=(224, 224))))
        best = min(best, time.process_time() - start)
    assert count / best > 200


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_written_track_is_read_again(scene, tmp_path: Path, suffix):
    track = scene.track()
    write_track(tmp_path / "deep" / f"a{suffix}", track)
    (read,) = read_tracks(tmp_path / "deep" / f"a{suffix}").tracks
    assert np.abs(read.points - track.points).max() <= 0.0006
    assert (read.visible == track.visible).all()
    for name in ("track_id", "frame_size", "fps", "captions", "video", "start_frame", "split"):
        assert getattr(read, name) == getattr(track, name), name
    assert dict(read.labels) == dict(track.labels)
    assert read_tracks(tmp_path / "deep").tracks[0].captions == track.captions


def test_svg(scene, tmp_path: Path):
    track = scene.track()
    write_track(tmp_path / "a.svg", track)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f".//{space}polyline")
    assert len(lines) >= (track.visible.sum(axis=0) > 1).sum()
    if track.visible.all():
        numbers = [float(n) for n in re.split("[ ,]", lines[0].attrib["points"])]
        assert np.abs(np.reshape(numbers, (-1, 2)) - track.points[:, 0]).max() < 0.01
    assert root.find(f"{space}title").text == track.captions[0]
    assert len(root.findall(f".//{space}circle")) == track.visible[-1].sum()


def test_gif(scene, tmp_path: Path):
    track = scene.track()
    write_track(tmp_path / "a.gif", track, frames=scene.frames(), size=(96, 96))
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.size == (96, 96) and picture.n_frames == track.num_frames
        duration = 0
        for frame in range(picture.n_frames):
            picture.seek(frame)
            duration += picture.info["duration"]
    assert abs(duration / 1000 - track.num_frames / track.fps) < 0.02


@pytest.mark.skipif(not video.has_ffmpeg(), reason="no ffmpeg")
def test_mp4(scene, tmp_path: Path):
    import imageio_ffmpeg

    track = scene.track()
    write_track(tmp_path / "a.mp4", track, frames=scene.frames())
    count, seconds = imageio_ffmpeg.count_frames_and_secs(tmp_path / "a.mp4")
    assert count == track.num_frames and seconds == pytest.approx(count / track.fps, abs=0.05)
    with pytest.raises(InputError, match="even"):
        write_track(tmp_path / "b.mp4", track, size=(97, 96))
    assert not (tmp_path / "b.mp4").exists()


def test_what_cannot_be_written_is_told(scene, tmp_path: Path):
    with pytest.raises(InputError, match=", ".join(WRITERS)):
        write_track(tmp_path / "a.txt", scene.track())
    with pytest.raises(InputError, match="style is for .svg, .gif, .mp4"):
        write_track(tmp_path / "a.json", scene.track(), style=OverlayStyle())
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == "[]"
