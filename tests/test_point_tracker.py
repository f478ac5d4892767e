"""Videos into tracks by CoTracker: its real loading path, with a predictor that follows what is
bright in the place of the network."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_dataset import ingest_here

from raydance.commands import data as data_command
from raydance.data.dataset import Dataset
from raydance.data.track_ingest import TrackSettings
from raydance.errors import FormatError, InputError
from raydance.motion.export.video import encode_mp4
from raydance.nn.point_tracker import VideoTracker
from raydance.tracks import video
from raydance.tracks.track import Track

PREDICTOR = '''
import torch

class CoTrackerPredictor(torch.nn.Module):
    """Moves all points as the centre of what is bright moves; the last one is always hidden."""

    def __init__(self, checkpoint, offline=True, v2=False, window_len=60):
        super().__init__()
        assert checkpoint is None and offline and window_len == 60
        self.model = torch.nn.Linear(1, 1, bias=False)

    def forward(self, video, queries):
        bright = (video.mean(dim=2) > 100).float()
        total = bright.sum(dim=(2, 3)).clamp_min(1)
        ticks = [torch.arange(side).float() for side in bright.shape[2:]]
        y = (bright.sum(dim=3) * ticks[0]).sum(dim=2) / total
        x = (bright.sum(dim=2) * ticks[1]).sum(dim=2) / total
        centre = torch.stack([x, y], dim=2)
        tracks = queries[:, None, :, 1:] + (centre - centre[:, :1])[:, :, None] * self.model.weight
        visible = torch.ones(tracks.shape[:3], dtype=torch.bool)
        visible[..., -1] = False
        return tracks, visible
'''
SIZE = (1024, 96)
FRAMES = 8


@pytest.fixture
def cotracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The weights of a CoTracker that is installed for the test."""
    package = tmp_path / "installed" / "cotracker"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "predictor.py").write_text(PREDICTOR)
    monkeypatch.syspath_prepend(str(package.parent))
    weights = tmp_path / "scaled_offline.pth"
    torch.save({"weight": torch.ones(1, 1)}, weights)
    yield weights
    for name in [name for name in sys.modules if name.split(".")[0] == "cotracker"]:
        del sys.modules[name]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A bright square that moves to the right, 40 pixels a frame, with its mask and sentence."""
    pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    frames = np.zeros((FRAMES, SIZE[1], SIZE[0], 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[30:62, 40 + 40 * number : 72 + 40 * number] = 255
    path = tmp_path / "videos" / "square.mp4"
    path.parent.mkdir()
    encode_mp4(path, (frame.tobytes() for frame in frames), size=SIZE, fps=12.5)
    Image.fromarray(frames[0]).convert("L").save(tmp_path / "square.png")
    path.with_suffix(".json").write_text(json.dumps({"captions": ["a square slides right"]}))
    return path


def test_the_object_of_a_video_is_followed(cotracker: Path, film: Path, tmp_path: Path) -> None:
    """The frames are made smaller for the tracker; places are pixels of the video all the same."""
    tracker = VideoTracker(weights=str(cotracker), mask=str(tmp_path / "square.png"))
    (track,) = tracker.read(film)
    assert isinstance(track, Track) and track.points.shape == (FRAMES, 36, 2)
    assert track.frame_size == SIZE and track.fps == pytest.approx(12.5)
    assert track.captions == ("a square slides right",)
    inside = (track.points[0] >= (40, 30)) & (track.points[0] <= (72, 62))
    assert inside.all() and not track.visible[:, -1].any() and track.visible[:, :-1].all()
    moved = (track.points - track.points[0]).mean(axis=1)
    np.testing.assert_allclose(moved, np.arange(FRAMES)[:, None] * [40.0, 0.0], atol=2)


def test_videos_become_rows_of_a_dataset(cotracker: Path, film: Path, tmp_path: Path) -> None:
    (film.parent / "damaged.mp4").write_bytes(b"no video")
    tracker = VideoTracker(weights=str(cotracker), mask=str(tmp_path), grid_side=4)
    settings = TrackSettings(frames=6, points=16, tracker=tracker)
    dataset = Dataset.open(ingest_here([film.parent], [], tmp_path / "data", settings))
    (clip,) = dataset.clips()
    assert clip["clip_id"] == "square" and clip["captions"] == ["a square slides right"]
    (skipped,) = dataset.skipped()
    assert "damaged.mp4" in skipped["file"] and "no video that ffmpeg reads" in skipped["reason"]


def test_what_is_wrong_is_told(cotracker: Path, film: Path, tmp_path: Path) -> None:
    mask, other, black = (tmp_path / f"{name}.png" for name in ("square", "other", "black"))
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(other)
    Image.fromarray(np.zeros(SIZE[::-1], np.uint8)).save(black)
    wrong = tmp_path / "wrong.pth"
    torch.save({"weight": torch.ones(2, 2)}, wrong)
    unsafe = tmp_path / "unsafe.pth"
    torch.save({"weight": Path("x")}, unsafe)
    for weights, picture, told in (
        (cotracker, other, "9 x 9; the video has 1024 x 96"),
        (cotracker, black, "no pixel of the object"),
        (wrong, mask, "not weights for the CoTracker that is installed"),
        (unsafe, mask, "not weights for the CoTracker that is installed"),
        (tmp_path / "none.pth", mask, "scaled_offline.pth"),
    ):
        with pytest.raises(InputError, match=told):
            list(VideoTracker(weights=str(weights), mask=str(picture)).read(film))
    with pytest.raises(FormatError, match="more than 3 frames"):
        video.read_video(film, longest_side=64, max_frames=3)


def test_the_command_says_what_to_install(tmp_path: Path, call: Any) -> None:
    film = tmp_path / "a.mp4"
    film.touch()
    start = ("ingest", str(film), "--out", str(tmp_path / "data"))
    mask = ("--mask", str(film))
    for more, told in (
        ((*mask, "--modality", "tracks"), "co-tracker"),
        (("--modality", "tracks"), "give its --mask"),
        (mask, "only with --modality tracks"),
        (("--modality", "tracks", "--pad-short"), "--pad-short: only without --modality"),
        (("--music", "gone/music"), "--music gone/music: no such folder"),
        (("--signal", "music=gone"), "--signal music=gone: no such folder"),
        (("--points", "36"), "--points: only with --modality tracks"),
        (("--without-camera-motion",), "--without-camera-motion: only with --modality tracks"),
        (
            ("--whole-clips", "--stride", "20", "--leave-out-short"),
            "--stride, --leave-out-short: no effect with --whole-clips",
        ),
        (
            ("--modality", "tracks", "--rotations", "--signal", "music=songs", "--fps", "20"),
            "--fps, --rotations, --signal: only without --modality tracks",
        ),
    ):
        code, _, error = call(*start, *more)
        assert code == 2 and told in error, error


def test_one_mask_is_for_one_video(tmp_path: Path) -> None:
    mask = tmp_path / "a.png"
    Image.new("L", (4, 4), 255).save(mask)
    for sources in (["a.mp4", "b.mp4"], [str(tmp_path)]):
        with pytest.raises(InputError, match="one mask is for one video; give a folder"):
            data_command._tracker(sources, mask, None, 36)
