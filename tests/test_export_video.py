"""Animations: the table of writers, GIF, and MP4 decoded again by ffmpeg."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raydance.errors import InputError, RaydanceError
from raydance.motion import export, render, synthetic
from raydance.motion.export import video
from raydance.motion.formats import read_clip

CLIP = synthetic.make_clip(next(m for m in synthetic.MOVEMENTS if m.name == "side_reach"), 0)
SHORT = replace(CLIP, positions=CLIP.positions[:30], rotations=None, offsets=None)


def decoded(path: Path) -> tuple[np.ndarray, dict]:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    frames = ffmpeg.read_frames(str(path))
    facts = next(frames)
    width, height = facts["size"]
    pictures = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames]
    return np.array(pictures), facts


def test_mp4_shows_the_drawn_frames_at_the_true_speed(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    video.write_mp4(tmp_path / "a.mp4", SHORT, size=(320, 240))
    pictures, facts = decoded(tmp_path / "a.mp4")
    assert pictures.shape == (30, 240, 320, 3) and facts["fps"] == 20.0
    assert facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p")
    drawn = list(
        render.frames(SHORT.positions, fps=20, titles=list(SHORT.captions[:1]), size=(320, 240))
    )
    for key in (0, 15, 29):
        difference = np.abs(pictures[key].astype(int) - np.asarray(drawn[key]).astype(int))
        assert difference.mean() < 4.0, key
    assert not np.array_equal(pictures[0], pictures[15])
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_fast_recordings_keep_their_speed(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    clip = read_clip(shared_data / "cmu_bvh" / "bvh" / "49_08.bvh")
    clip = replace(clip, positions=clip.positions[:120], rotations=None, offsets=None)
    video.write_mp4(tmp_path / "a.mp4", clip, size=(64, 64))  # 120 frames per second
    pictures, facts = decoded(tmp_path / "a.mp4")
    assert len(pictures) == 60 and facts["fps"] == pytest.approx(60.0, abs=0.01)


def test_without_ffmpeg_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"raydance\[video\]"):
        video.write_mp4(tmp_path / "a.mp4", SHORT)
    assert not list(tmp_path.iterdir())
    assert [suffix for suffix in export.WRITERS if not export.is_writable(suffix)] == [".mp4"]


def test_an_ffmpeg_that_is_named_but_not_there_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    assert export.is_writable(".mp4") and not export.is_writable(".fbx")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "ffmpeg"))
    assert not export.is_writable(".mp4")
    with pytest.raises(InputError, match=r"ffmpeg is no program.*raydance\[video\]"):
        video.write_mp4(tmp_path / "a.mp4", SHORT)


def test_a_failing_ffmpeg_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(video, "_ffmpeg", lambda: str(program))
    (tmp_path / "out").mkdir()
    with pytest.raises(RaydanceError, match="Unknown encoder"):
        video.write_mp4(tmp_path / "out" / "a.mp4", SHORT)
    assert not list((tmp_path / "out").iterdir())


def test_odd_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="even numbers"):
        video.write_mp4(tmp_path / "a.mp4", SHORT, size=(321, 240))


def test_gif_draws_partial_and_foreign_skeletons(tmp_path: Path, shared_data: Path) -> None:
    body = replace(
        SHORT,
        joint_names=SHORT.joint_names[:22],
        parents=SHORT.parents[:22],
        positions=SHORT.positions[:, :22],
    )
    video.write_gif(tmp_path / "a.gif", body)
    clip = read_clip(shared_data / "bandai_bvh" / "data" / "dataset-1_run_old_001.bvh")
    video.write_gif(tmp_path / "b.gif", replace(clip, positions=clip.positions[:9]))
    with Image.open(tmp_path / "a.gif") as first, Image.open(tmp_path / "b.gif") as second:
        assert (first.n_frames, second.n_frames) == (30, 9)


def test_table_of_writers(tmp_path: Path) -> None:
    assert list(export.WRITERS) == [".npz", ".bvh", ".glb", ".gif", ".mp4"]
    assert set().union(*export.OPTIONS.values()) <= set(export.WRITERS)
    written = export.write_clip(tmp_path / "new" / "A.BVH", SHORT, unit="mm", limits=False)
    assert written.residual is not None and (tmp_path / "new" / "A.BVH").stat().st_size > 1000
    for path, options, words in (
        ("a.fbx", {}, "suffix .fbx"),
        ("a", {}, "suffix missing"),
        ("a.glb", {"unit": "m"}, "unit is for .bvh, not for .glb"),
        ("a.gif", {"limits": False}, "limits is for .npz, .bvh, .glb"),
    ):
        with pytest.raises(InputError, match=words):
            export.write_clip(tmp_path / path, SHORT, **options)
