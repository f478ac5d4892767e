"""Animations: the table of writers, GIF, and MP4 decoded again by ffmpeg."""

from __future__ import annotations

import itertools
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raydance.errors import InputError, RaydanceError, StorageError
from raydance.motion import export, render, synthetic
from raydance.motion.export import video
from raydance.motion.formats import read_clip
from raydance.music.audio import write_wav

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


def test_a_short_song_does_not_shorten_the_film(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    video.write_mp4(tmp_path / "a.mp4", SHORT, size=(64, 64))
    write_wav(tmp_path / "a.wav", np.zeros(4000, np.float32), 8000)
    video.add_sound(tmp_path / "a.mp4", tmp_path / "a.wav")
    pictures, facts = decoded(tmp_path / "a.mp4")
    assert len(pictures) == 30 and facts["audio_codec"] == "aac"
    assert facts["duration"] == pytest.approx(1.5, abs=0.1)


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


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    """Files that may not grow stand for a disk without room."""
    if not export.is_writable(suffix):
        pytest.skip("the extra `video` is not installed")
    path = tmp_path / f"a{suffix}"
    path.write_text("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(StorageError, match=f"a{suffix}: could not be written .File too large"):
            export.write_clip(path, replace(SHORT, positions=SHORT.positions[:10]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_text() == "before"


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_command_that_is_stopped_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    if not export.is_writable(suffix):
        pytest.skip("the extra `video` is not installed")
    drawn = render.frames

    def stopped(*arguments: Any, **options: Any) -> Iterator[Any]:
        yield from itertools.islice(drawn(*arguments, **options), 3)
        raise KeyboardInterrupt

    monkeypatch.setattr(render, "frames", stopped)
    with pytest.raises(KeyboardInterrupt):
        export.write_clip(tmp_path / f"a{suffix}", SHORT)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_ffmpeg_finds_full_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'av_interleaved: No space left on device' >&2\nexit 228\n")
    program.chmod(0o755)
    monkeypatch.setattr(video, "_ffmpeg", lambda: str(program))
    with pytest.raises(StorageError, match="a.mp4: could not be written .No space left"):
        video.write_mp4(tmp_path / "a.mp4", SHORT)


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
